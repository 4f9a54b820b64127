import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ExitCode } from '../../src/core/errors.js';
import { isFileLockHeld } from '../../src/platform/file-lock.js';
import { homePaths } from '../../src/platform/home.js';
import {
  clusterIdentity,
  connectClient,
  resolveTemporal,
  type TemporalClient,
} from '../../src/adapters/temporal/connection.js';
import {
  startEmbeddedServer,
  type EmbeddedServer,
  type EmbeddedServerOptions,
  type ServerExit,
} from '../../src/adapters/temporal/embedded.js';
import {
  isServerOf,
  readEmbeddedNote,
  readServerNote,
  writeServerNote,
  type ServerNote,
} from '../../src/adapters/temporal/server-note.js';
import { choosePorts, spawnServer } from '../../src/adapters/temporal/server-process.js';
import { isAnswering, waitUntilAnswering } from '../../src/adapters/temporal/answering.js';
import { freePort } from '../../src/platform/free-port.js';
import { makeHome, removeHome, temporalBinary, until } from '../support/embedded-server.js';

const START_IN_A_PROCESS = join(dirname(fileURLToPath(import.meta.url)), '../support/start-embedded.ts');

let binary: string;
let home: string;
const servers: EmbeddedServer[] = [];
const clients: TemporalClient[] = [];
const children: ChildProcess[] = [];
const listeners: Server[] = [];

beforeAll(async () => void (binary = await temporalBinary()));
beforeEach(() => void (home = makeHome()));
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const client of clients.splice(0)) await client.close();
  for (const server of servers.splice(0)) await server.stop();
  for (const listener of listeners.splice(0)) listener.close();
  removeHome(home);
});

async function start(options: Partial<EmbeddedServerOptions> = {}): Promise<EmbeddedServer> {
  const server = await startEmbeddedServer({
    home,
    binary,
    env: process.env,
    searchAttributes: {},
    ui: false,
    ...options,
  });
  servers.push(server);
  return server;
}

/** Starts the server in a process of its own, as another `curfew up` would. */
async function startInOtherProcess(): Promise<{ child: ChildProcess; pid: number; address: string; started: boolean }> {
  const args = ['--import', 'tsx', START_IN_A_PROCESS, home, binary];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, ...(JSON.parse(line.toString()) as { pid: number; address: string; started: boolean }) };
}

async function client(): Promise<TemporalClient> {
  // No settings of the machine: the server of this home is meant.
  const opened = await connectClient(resolveTemporal({ env: { HOME: home }, home }), { retryForMs: 30_000 });
  clients.push(opened);
  return opened;
}

async function startWorkflow(workflowId: string, searchAttributes?: Record<string, string[]>): Promise<void> {
  const { client: temporal } = await client();
  const attributes = searchAttributes === undefined ? {} : { searchAttributes };
  await temporal.workflow.start('waitForWorker', { workflowId, taskQueue: 'nobody-listens', ...attributes });
}

async function statusOf(workflowId: string): Promise<string> {
  const { client: temporal } = await client();
  return (await temporal.workflow.getHandle(workflowId).describe()).status.name;
}

/** What the server's HTTP API answers to a request, as a program sends it that names the host as it likes. */
async function httpStatus(path: string, host: string): Promise<number | undefined> {
  const port = readServerNote(home)!.httpPort!;
  const asked = request({ host: '127.0.0.1', port, path, headers: { host } }).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  answer.resume();
  return answer.statusCode;
}

function isAlive(pid: number): boolean {
  return isServerOf(home, pid);
}

describe('the embedded Temporal server', () => {
  it('answers on the loopback interface, notes where for its user alone, and is gone after stop', async () => {
    const server = await start({ ui: true, searchAttributes: { CurfewTest: 'Keyword' } });
    expect(server).toMatchObject({ started: true, namespace: 'default' });
    expect(server.address).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(statSync(homePaths(home).temporalNote).mode & 0o777).toBe(0o600);
    expect(statSync(homePaths(home).temporalLog).mode & 0o777).toBe(0o600);
    expect(resolveTemporal({ env: { HOME: home }, home })).toEqual({
      kind: 'embedded',
      address: server.address,
      namespace: 'default',
      uiUrl: server.uiUrl,
      encryption: expect.objectContaining({ on: false }),
    });
    expect((await fetch(server.uiUrl!)).status).toBe(200);
    await startWorkflow('with-attribute', { CurfewTest: ['value'] });

    const { pid } = server;
    await server.stop();
    await server.stop();
    expect(isAlive(pid)).toBe(false);
    expect(isFileLockHeld(homePaths(home).temporalLock)).toBe(false);
    expect(readEmbeddedNote(home)).toBeNull();
    expect(resolveTemporal({ env: { HOME: home }, home })).toEqual({ kind: 'none' });
  });

  it('answers by HTTP to one host name alone, which no page in a browser can know or send', async () => {
    await start();
    const { httpHost, httpPort } = readServerNote(home)!;
    const api = '/api/v1/namespaces/default';
    expect(await httpStatus(api, httpHost!)).toBe(200);
    const names = ['127.0.0.1', 'localhost', 'example.com', `x${httpHost}`, `${httpHost}.example.com`, '*'];
    for (const host of names.flatMap((name) => [name, `${name}:${httpPort}`])) {
      expect([host, await httpStatus(api, host)]).toEqual([host, 403]);
      expect([host, await httpStatus(`${api}/workflows`, host)]).toEqual([host, 403]);
    }
    // The same port has another API, which looks at no host.
    expect(await httpStatus('/namespaces/default/task-queues/curfew/nexus-services/any/any', '127.0.0.1')).toBe(404);
    expect(httpHost).toMatch(/^[0-9a-f]{32}\.invalid$/);
  });

  it('has another host name at each start', async () => {
    await (await start()).stop();
    const before = readServerNote(home)!.httpHost;
    await start();
    expect(readServerNote(home)!.httpHost).not.toBe(before);
  });

  it('makes all of its files for its user alone, whatever mask the process has, and does not change that one', async () => {
    const before = process.umask(0o000);
    try {
      await start();
      expect(process.umask()).toBe(0o000);
    } finally {
      process.umask(before);
    }
    const loose = readdirSync(home).filter((name) => (statSync(join(home, name)).mode & 0o077) !== 0);
    expect(readdirSync(home)).toContain('temporal.db');
    expect(loose).toEqual([]);
  });

  it('writes its log through no link', async () => {
    const elsewhere = join(dirname(home), 'elsewhere');
    writeFileSync(elsewhere, 'precious');
    symlinkSync(elsewhere, homePaths(home).temporalLog);
    await expect(start()).rejects.toMatchObject({
      exitCode: ExitCode.refused,
      message: expect.stringContaining('temporal.log is a symbolic link') as unknown,
    });
    expect(readFileSync(elsewhere, 'utf8')).toBe('precious');
    expect(isFileLockHeld(homePaths(home).temporalLock)).toBe(false);
  });

  it('comes back after kill -9, at the same address, with its workflows, and says so', async () => {
    const server = await start({ ui: true });
    const exits: ServerExit[] = [];
    server.onExit((exit) => exits.push(exit));
    await startWorkflow('survivor');
    const identity = await clusterIdentity((await client()).client);
    const { pid, address, uiUrl } = server;

    process.kill(pid, 'SIGKILL');
    await until(() => server.pid !== pid);
    expect(server).toMatchObject({ address, uiUrl });
    expect(await statusOf('survivor')).toBe('RUNNING');
    expect(await clusterIdentity((await client()).client)).toEqual(identity);
    expect(exits).toEqual([{ reason: 'was ended by SIGKILL', willRestart: true }]);
  });

  it('is found by commands also in the moment when it is being started again', async () => {
    const server = await start();
    const { pid } = server;
    process.kill(pid, 'SIGKILL');
    await until(() => !isAlive(pid));
    expect(resolveTemporal({ env: { HOME: home }, home })).toMatchObject({ kind: 'embedded', address: server.address });
    expect((await client()).namespace).toBe('default');
  });

  it('keeps its workflows and its ports from one start to the next', async () => {
    const first = await start();
    await startWorkflow('long');
    await first.stop();
    const second = await start();
    expect(second).toMatchObject({ address: first.address, started: true });
    expect(await statusOf('long')).toBe('RUNNING');
  });

  it('takes other ports when its own are busy', async () => {
    const first = await start({ ui: true });
    await first.stop();
    for (const port of [first.address, first.uiUrl!].map((url) => Number(url.split(':').at(-1)))) {
      const listener = createServer().listen(port, '127.0.0.1');
      listeners.push(listener);
      await once(listener, 'listening');
    }
    const second = await start({ ui: true });
    expect(second.address).not.toBe(first.address);
    expect(second.uiUrl).not.toBe(first.uiUrl);
  });

  it('never chooses the same port twice', async () => {
    const { grpc } = await choosePorts([], false);
    const chosen = await choosePorts([{ grpc, ui: grpc }], true);
    expect(chosen.grpc).toBe(grpc);
    expect(chosen.ui).not.toBe(grpc);
    // An outgoing connection of another program must not get one of them while the server is away.
    expect(Math.max(chosen.grpc, chosen.ui!)).toBeLessThan(32_768);
  });

  it('registers search attributes that a home from before does not have yet', async () => {
    await (await start({ searchAttributes: { CurfewOld: 'Keyword' } })).stop();
    await start({ searchAttributes: { CurfewOld: 'Keyword', CurfewNew: 'Keyword' } });
    await startWorkflow('new-attribute', { CurfewOld: ['a'], CurfewNew: ['b'] });
  });

  it('keeps its log bounded', async () => {
    const { temporalLog } = homePaths(home);
    writeFileSync(temporalLog, 'old\n');
    truncateSync(temporalLog, 10_000_001);
    await start();
    expect(statSync(temporalLog).size).toBeLessThan(1_000_000);
    expect(statSync(`${temporalLog}.1`).size).toBe(10_000_001);
  });
});

describe('two homes whose servers want the same port at the same time', () => {
  /** Both find the port free: neither server has it yet. */
  async function startBoth(): Promise<[EmbeddedServer, EmbeddedServer]> {
    const { grpc } = await choosePorts([], false);
    const wish = { address: `127.0.0.1:${grpc}`, uiUrl: null, namespace: 'default', pid: null, startedAt: '' };
    for (const each of [home, otherHome]) {
      writeServerNote(each, { ...wish, httpPort: null, httpHost: null, ownerPid: null, databaseReady: false });
    }
    return await Promise.all([start(), start({ home: otherHome })]);
  }

  let otherHome: string;
  beforeEach(() => void (otherHome = makeHome()));
  afterEach(() => removeHome(otherHome));

  it('both come up, each at an address of its own', async () => {
    const [one, other] = await startBoth();
    expect(one.address).not.toBe(other.address);
    expect([isServerOf(home, one.pid), isServerOf(otherHome, other.pid)]).toEqual([true, true]);
  });

  it('never take the other’s answer for that of their own', async () => {
    const stranger = await start({ home: otherHome });
    const httpPort = await freePort();
    const ports = { grpc: Number(stranger.address.split(':').at(-1)), ui: null };
    const http = { httpPort, httpHost: 'late.invalid' };
    const late = spawnServer({ home, binary, env: process.env, ports, ...http, searchAttributes: {} });
    const place = { address: stranger.address, ...http };
    const signal = new AbortController().signal;
    expect(await isAnswering(place)).toBe(false);
    expect(await waitUntilAnswering(late, place, { timeoutMs: 30_000, signal })).toBe('exited');
    expect(late.logTail()).toContain('address already in use');
  });

  it('take another one also when the server crashes over it, with pages of its stack in the log', async () => {
    const crashesOnce = join(home, '../crashes-once.sh');
    const stack = "goroutine 1 [running]:\\n$(printf 'main.main()\\\\n\\\\t/a/b.go:1 +0x1\\\\n%.0s' $(seq 40))";
    writeFileSync(
      crashesOnce,
      `#!/bin/sh
[ -e "$0.ran" ] && exec ${binary} "$@"
touch "$0.ran"
printf 'level=ERROR msg="Failed to start gRPC listener" error="listen tcp: bind: address already in use"\\n' >&2
printf "panic: runtime error\\n\\n${stack}" >&2
exit 2
`,
      { mode: 0o755 },
    );
    expect(await start({ binary: crashesOnce })).toMatchObject({ started: true });
    expect(existsSync(`${crashesOnce}.ran`)).toBe(true);
    expect(readFileSync(homePaths(home).temporalLog, 'utf8').split('/a/b.go')).toHaveLength(41);
  });

  it('take another one also when the words for it stand at the end of a long line', async () => {
    const failsOnce = join(home, '../fails-once.sh');
    const wrapped = 'could not build arguments for function \\"some/package\\".Provider: '.repeat(12);
    writeFileSync(
      failsOnce,
      `#!/bin/sh
[ -e "$0.ran" ] && exec ${binary} "$@"
touch "$0.ran"
printf 'level=ERROR msg="failed starting server: ${wrapped}listen tcp 127.0.0.1:7243: bind: address already in use"\\n' >&2
exit 1
`,
      { mode: 0o755 },
    );
    expect(await start({ binary: failsOnce })).toMatchObject({ started: true });
    expect(existsSync(`${failsOnce}.ran`)).toBe(true);
  });
});

describe('several curfews on one home', () => {
  it('start one server, and who joined does not stop it', async () => {
    const [one, two] = await Promise.all([start(), start()]);
    expect(one.address).toBe(two.address);
    expect(one.pid).toBe(two.pid);
    expect([one.started, two.started].sort()).toEqual([false, true]);
    const joined = one.started ? two : one;
    await joined.stop();
    expect(await statusOf('nothing').catch((error: Error) => error.name)).toBe('WorkflowNotFoundError');
  });

  it('keep it running when its owner leaves: who joined takes over', async () => {
    const owner = await start();
    const joined = await start();
    await startWorkflow('kept');
    const { pid } = owner;
    await owner.stop();
    // Not the note of the server that was stopped: its port may be another's by now.
    await until(() => ![null, undefined, pid].includes(readServerNote(home)?.pid));
    expect(await statusOf('kept')).toBe('RUNNING');
    expect(joined.pid).not.toBe(pid);
    await joined.stop();
    expect(readEmbeddedNote(home)).toBeNull();
  });

  it('adopt the server of one that was killed, and stop it in the end', async () => {
    const other = await startInOtherProcess();
    expect(other.started).toBe(true);
    await startWorkflow('orphaned');
    other.child.kill('SIGKILL');
    await once(other.child, 'exit');
    expect(isAlive(other.pid)).toBe(true);

    const server = await start();
    expect(server).toMatchObject({ pid: other.pid, address: other.address, started: false });
    expect(await statusOf('orphaned')).toBe('RUNNING');
    await server.stop();
    expect(isAlive(other.pid)).toBe(false);
  });

  it.each([
    ['answers any host', (note: ServerNote) => ({ ...note, httpHost: null })],
    ['has a UI that nobody asks for now', (note: ServerNote) => ({ ...note, uiUrl: 'http://127.0.0.1:8233' })],
  ])('replace one left behind that %s, at the same address and with its workflows', async (_, as) => {
    const other = await startInOtherProcess();
    await startWorkflow('orphaned');
    other.child.kill('SIGKILL');
    await once(other.child, 'exit');
    writeServerNote(home, as(readServerNote(home)!));

    const server = await start();
    expect(server).toMatchObject({ address: other.address, started: true, uiUrl: null });
    expect(isAlive(other.pid)).toBe(false);
    expect(await statusOf('orphaned')).toBe('RUNNING');
    expect(readServerNote(home)!.httpHost).not.toBeNull();
  });

  it('start an adopted server again when it is killed', async () => {
    const other = await startInOtherProcess();
    other.child.kill('SIGKILL');
    await once(other.child, 'exit');
    const server = await start();
    await startWorkflow('twice-orphaned');
    process.kill(other.pid, 'SIGKILL');
    await until(() => server.pid !== other.pid);
    expect(await statusOf('twice-orphaned')).toBe('RUNNING');
  });

  it('join one in another process, which stays the owner', async () => {
    const other = await startInOtherProcess();
    const server = await start();
    expect(server).toMatchObject({ pid: other.pid, started: false });
    await server.stop();
    expect(isAlive(other.pid)).toBe(true);
  });

  it('do not take a stranger with the noted process id for the server', async () => {
    await (await start()).stop();
    writeServerNote(home, { ...readServerNote(home)!, pid: process.pid });
    expect(readEmbeddedNote(home)).toBeNull();
    expect(await start()).toMatchObject({ started: true });
  });
});

describe('an embedded server that does not come up', () => {
  it('is told with the end of its log, and what to do about a broken file', async () => {
    const { temporalDb } = homePaths(home);
    writeFileSync(temporalDb, 'this is no database, and too long to pass for an empty one '.repeat(100));
    await expect(start()).rejects.toMatchObject({
      exitCode: ExitCode.unreachable,
      message: expect.stringMatching(/exited with code 1[^]*file is not a database/) as unknown,
      next: expect.stringContaining(`Move ${temporalDb}`) as unknown,
    });
    expect(existsSync(temporalDb)).toBe(true);
    expect(isFileLockHeld(homePaths(home).temporalLock)).toBe(false);
    expect(readEmbeddedNote(home)).toBeNull();
  });

  it('does not stand in its own way when it was killed while it made its file', async () => {
    const { temporalDb } = homePaths(home);
    const stub = {
      address: '127.0.0.1:1',
      httpPort: null,
      httpHost: null,
      uiUrl: null,
      namespace: 'default',
      startedAt: '',
      ownerPid: null,
    };
    writeServerNote(home, { ...stub, pid: 1, databaseReady: false });
    writeFileSync(temporalDb, 'half a schema '.repeat(1_000));
    expect(await start()).toMatchObject({ started: true });
    expect(readServerNote(home)).toMatchObject({ databaseReady: true });
  });

  it('is told when its binary can not be run', async () => {
    await expect(start({ binary: join(home, 'nothing-here') })).rejects.toMatchObject({
      message: expect.stringContaining('could not be started (ENOENT)') as unknown,
    });
  });

  it('ends what it started when one has enough of waiting', async () => {
    const stop = new AbortController();
    const onProgress = jest.fn<(text: string) => void>(() => stop.abort(new Error('Ctrl-C')));
    await expect(start({ signal: stop.signal, onProgress })).rejects.toThrow('Ctrl-C');
    expect(readServerNote(home)).toMatchObject({ pid: null });
    expect(isFileLockHeld(homePaths(home).temporalLock)).toBe(false);
  });

  it('is started again and again until it comes up', async () => {
    const wrapper = join(home, 'temporal');
    const replaceWrapper = (text: string): void => writeFileSync(wrapper, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    replaceWrapper(`exec ${binary} "$@"`);
    const server = await start({ binary: wrapper });
    const exits: ServerExit[] = [];
    server.onExit((exit) => exits.push(exit));
    const { pid } = server;
    replaceWrapper('echo "not today"; exit 1');
    process.kill(pid, 'SIGKILL');
    const refusals = (): number => readFileSync(homePaths(home).temporalLog, 'utf8').split('not today').length - 1;
    await until(() => refusals() >= 2);
    expect(server.pid).toBe(pid);
    replaceWrapper(`exec ${binary} "$@"`);
    await until(() => server.pid !== pid);
    expect(exits).toEqual([{ reason: 'was ended by SIGKILL', willRestart: true }]);
  });
});
