import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { freePort } from '../../src/platform/free-port.js';
import { noticeOf } from '../../src/engines/notify/notice.js';
import { signedHeaders, webhookMessage } from '../../src/engines/notify/webhook.js';
import { anItem, VERDICT } from './items.js';
import { newSecret } from './rules.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const UP_WITHIN_MS = 30_000;

/** The receiver that docs/notifications.md shows in a language, as it stands there. */
export function receiverInDocs(language: 'js' | 'python'): string {
  const page = readFileSync(new URL('../../docs/notifications.md', import.meta.url), 'utf8');
  const [, code] = new RegExp('```' + language + '\\n(.*?)```', 's').exec(page) ?? [];
  if (code === undefined) throw new Error(`docs/notifications.md shows no receiver in ${language}.`);
  return code;
}

/** Runs a receiver, sends it what is right and what is wrong, and stops it. */
export async function tryReceiver(command: string, args: readonly string[]): Promise<void> {
  const [port, secret] = [await freePort(), newSecret()];
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, HOOK_SECRET: secret, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  try {
    await listening(port, child, () => stderr);
    const message = webhookMessage('audit', [noticeOf(anItem('warned', VERDICT))]);
    const right = signedHeaders(secret, message, Date.now());
    const post = async (headers: Record<string, string>, body: string | Uint8Array = message.body): Promise<number> =>
      (await fetch(`http://127.0.0.1:${port}`, { method: 'POST', headers, body: Buffer.from(body) })).status;

    const wrong: [string, Record<string, string>, (string | Uint8Array)?][] = [
      ['no headers', {}],
      ['garbage for a signature', { ...right, 'webhook-signature': 'garbage' }],
      ['an empty signature', { ...right, 'webhook-signature': '' }],
      ['a signature that is no base64', { ...right, 'webhook-signature': 'v1,###' }],
      ['a signature of too many parts', { ...right, 'webhook-signature': 'v1,a,b v1' }],
      ['a signature of another version', { ...right, 'webhook-signature': 'v2,aaaa' }],
      ['another secret', signedHeaders(newSecret(), message, Date.now())],
      ['another body', right, `${message.body} `],
      ['no body', right, ''],
      ['a body that is no text', right, Uint8Array.from([0xff, 0xfe, 0x00])],
      ['a time that is none', { ...right, 'webhook-timestamp': 'now' }],
      ['a time long ago', signedHeaders(secret, message, Date.now() - 3_600_000)],
    ];
    for (const [what, headers, body] of wrong) expect([what, await post(headers, body)]).toEqual([what, 401]);
    expect(await raw(port, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n')).not.toMatch(
      /^HTTP\/1.. 2/,
    );
    // Whoever leaves in the middle of a body leaves the receiver running.
    await leave(port);
    expect(stdout).toBe('');

    expect(await post(right)).toBe(204);
    expect(await post(right)).toBe(204);
    // Once, though it came twice.
    expect(stdout.match(/Warning/g)).toHaveLength(1);
    expect(child.exitCode).toBeNull();
  } finally {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
}

async function listening(port: number, child: ChildProcess, log: () => string): Promise<void> {
  const deadline = Date.now() + UP_WITHIN_MS;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`The receiver ended with ${child.exitCode}:\n${log()}`);
    const socket = connect(port, '127.0.0.1');
    const up = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    socket.destroy();
    if (up) return;
    if (Date.now() > deadline) throw new Error(`The receiver did not listen:\n${log()}`);
    await sleep(100);
  }
}

/** Sends a head, ends the sending, and gives back the answer. */
async function raw(port: number, head: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
  socket.on('error', () => undefined);
  socket.end(head);
  await once(socket, 'close');
  return answer;
}

async function leave(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf of it');
  await sleep(200);
  socket.resetAndDestroy();
  await sleep(200);
}
