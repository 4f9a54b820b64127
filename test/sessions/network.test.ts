import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from '@jest/globals';
import { getEventListeners } from 'node:events';
import type { Socket } from 'node:net';
import { createGzip, gzipSync } from 'node:zlib';
import { exchange } from '../../src/adapters/vendor/exchange.js';
import { createTransport } from '../../src/adapters/vendor/transport.js';
import { createCredentials } from '../../src/adapters/vendor/index.js';
import { failureOf, KEY, Started, USER } from './support.js';
import { longTranscript } from './long-transcript.js';

const started = new Started();
afterEach(() => started.stop());

const MIB = 1024 * 1024;
const ANSWER = JSON.stringify({ session: { id: 'sess_1', state: 'failed', messages: [] } });
const rawAnswer = (body: string, length = body.length): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n${body}`;

/** Both a cancel and a read against the same trouble: only the cancel may have done something. */
async function bothFail(client: ReturnType<Started['client']>, kind: string, outcomeUnknown: boolean): Promise<void> {
  const retryable = true;
  const sent = kind !== 'connection-failed';
  expect(await failureOf(client.cancelSession('sess_1'))).toMatchObject({ kind, outcomeUnknown, retryable, sent });
  expect(await failureOf(client.retrieveSession('sess_1'))).toMatchObject({ kind, outcomeUnknown: false, retryable });
}

describe('connections', () => {
  it('that are refused sent nothing', async () => {
    const { origin } = await started.json(200, {});
    await started.stop();
    const client = started.client(origin);
    await bothFail(client, 'connection-failed', false);
    expect((await failureOf(client.cancelSession('sess_1'))).message).toContain('ECONNREFUSED');
  });

  it('to a name that does not exist sent nothing', async () => {
    // A label of over 63 characters is refused by the resolver itself, without a question to the network.
    await bothFail(started.client(`https://${'x'.repeat(64)}.invalid`), 'connection-failed', false);
  });

  it('that fail to be encrypted sent nothing', async () => {
    const { origin } = await started.raw((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await bothFail(started.client(origin.replace('http:', 'https:')), 'connection-failed', false);
  });

  it('that are reset while being encrypted sent nothing', async () => {
    const { origin } = await started.raw((socket) => socket.resetAndDestroy());
    await bothFail(started.client(origin.replace('http:', 'https:')), 'connection-failed', false);
  });

  it('that are never encrypted sent nothing', async () => {
    const { origin } = await started.raw(() => undefined);
    const client = started.client(origin.replace('http:', 'https:'), { timeouts: { connectMs: 100 } });
    await bothFail(client, 'connection-failed', false);
  });

  it('that are reset before the answer leave the outcome unknown', async () => {
    const { origin } = await started.raw((socket) => socket.resetAndDestroy());
    await bothFail(started.client(origin), 'connection-lost', true);
  });

  it('that are closed before the answer leave the outcome unknown', async () => {
    const { origin } = await started.raw((socket) => socket.end());
    await bothFail(started.client(origin), 'connection-lost', true);
  });

  it('that answer with something else than HTTP leave the outcome unknown', async () => {
    const { origin } = await started.raw((socket) => socket.end('220 mail.example.com ESMTP\r\n'));
    await bothFail(started.client(origin), 'connection-lost', true);
  });

  it('that were kept alive and are reset at the next request leave its outcome unknown', async () => {
    const requests = new Map<Socket, number>();
    const { origin } = await started.raw((socket) => {
      requests.set(socket, (requests.get(socket) ?? 0) + 1);
      if (requests.get(socket) === 1) socket.write(rawAnswer(ANSWER));
      else socket.resetAndDestroy();
    });
    const client = started.client(origin);
    await client.retrieveSession('sess_1');
    expect(await failureOf(client.cancelSession('sess_1'))).toMatchObject({
      kind: 'connection-lost',
      outcomeUnknown: true,
    });
    // The reset request came on the first connection, and was not repeated on another one.
    expect([...requests.values()]).toEqual([2]);
  });

  it('are used again after an answer', async () => {
    const { origin, server } = await started.json(200, JSON.parse(ANSWER));
    let connections = 0;
    server.on('connection', () => (connections += 1));
    const client = started.client(origin);
    for (let i = 0; i < 5; i += 1) await client.retrieveSession('sess_1');
    expect(connections).toBe(1);
  });
});

describe('a request that Node.js refuses to send', () => {
  const whole = { maxBytes: 1_000, takeBody: () => true };

  it.each([
    ['a path', '/sessions/a b', { 'x-auth-key': USER }],
    ['a header', '/sessions/a', { 'x-auth-key': 'two\nlines' }],
  ])('for %s was not sent', async (_what, path, authentication) => {
    const { origin, seen } = await started.json(200, {});
    const transport = createTransport({
      ...{ baseUrl: origin, proxy: null, userAgent: 'curfew/test' },
      ...{ connectMs: 5_000, readMs: 5_000, cancelMs: 5_000 },
    });
    const ending = await exchange(transport, { method: 'POST', path, authentication, ...whole });
    expect(ending).toMatchObject({ end: 'unsent', sent: false, head: null });
    expect(ending.note).toMatch(/^ERR_/);
    expect(JSON.stringify(ending)).not.toContain('two');
    transport.close();
    expect(seen).toEqual([]);
  });
});

describe('answers that break off', () => {
  it('are unreadable when the success was cut', async () => {
    const { origin } = await started.raw((socket) => socket.end(rawAnswer(ANSWER.slice(0, 20), ANSWER.length)));
    const client = started.client(origin);
    await bothFail(client, 'unreadable', true);
    expect(await failureOf(client.cancelSession('sess_1'))).toMatchObject({ status: 200 });
  });

  it('are unreadable when the compressed body ends early', async () => {
    const half = gzipSync(ANSWER).subarray(0, 25);
    const { origin } = await started.http((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(half);
    });
    await bothFail(started.client(origin), 'unreadable', true);
  });

  it('still tell of a missing session by their status', async () => {
    const { origin } = await started.raw((socket) =>
      socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 99\r\n\r\n{"er'),
    );
    const error = await failureOf(started.client(origin).cancelSession('sess_1'));
    expect(error).toMatchObject({ kind: 'not-found', status: 404, outcomeUnknown: false, retryable: false });
  });

  it('do not tell whether a 403 is about the session or the account', async () => {
    const { origin } = await started.raw((socket) =>
      socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 99\r\n\r\n{"er'),
    );
    const error = await failureOf(started.client(origin).cancelSession('sess_1'));
    expect(error).toMatchObject({ kind: 'unreadable', status: 403, retryable: true });
  });
});

describe('time', () => {
  it('ends a request that is never answered', async () => {
    const { origin } = await started.http(() => undefined);
    await bothFail(started.client(origin, { timeouts: { readMs: 2_000, cancelMs: 2_000 } }), 'timeout', true);
  });

  it('ends an answer that drips for ever', async () => {
    const drips: NodeJS.Timeout[] = [];
    const { origin } = await started.http((_request, response) => {
      response.writeHead(200);
      drips.push(setInterval(() => response.write(' '), 20));
      response.on('close', () => drips.forEach((drip) => clearInterval(drip)));
    });
    const client = started.client(origin, { timeouts: { readMs: 2_000, cancelMs: 2_000 } });
    await bothFail(client, 'timeout', true);
    expect(await failureOf(client.cancelSession('sess_1'))).toMatchObject({ status: 200 });
  });

  it('does not call late what was there while this process was busy', async () => {
    const { origin } = await started.http((_request, response) => {
      response.end(ANSWER);
      const until = performance.now() + 300;
      while (performance.now() < until);
    });
    const client = started.client(origin, { timeouts: { readMs: 200 } });
    expect(await client.retrieveSession('sess_1')).toMatchObject({ value: { id: 'sess_1' } });
  });

  it('gives a cancel request longer than a read', async () => {
    const { origin } = await started.http((_request, response) => {
      setTimeout(() => response.end(ANSWER), 3_000);
    });
    const client = started.client(origin, { timeouts: { readMs: 1_500 } });
    expect((await client.cancelSession('sess_1')).value.state).toBe('failed');
    expect(await failureOf(client.retrieveSession('sess_1'))).toMatchObject({ kind: 'timeout' });
  });

  it('sends nothing when the request would leave too late', async () => {
    const { origin, seen } = await started.json(200, JSON.parse(ANSWER));
    const error = await failureOf(
      started.client(origin).cancelSession('sess_1', { sendBefore: performance.now() - 1 }),
    );
    expect(error).toMatchObject({ kind: 'connection-failed', outcomeUnknown: false, retryable: true });
    expect(error.message).toContain('too late');
    expect(seen).toEqual([]);
  });

  it('gives up a connection that is not ready by the last moment to send', async () => {
    const { origin } = await started.raw(() => undefined);
    const client = started.client(origin.replace('http:', 'https:'));
    const error = await failureOf(client.cancelSession('sess_1', { sendBefore: performance.now() + 100 }));
    expect(error).toMatchObject({ kind: 'connection-failed', outcomeUnknown: false });
    expect(error.message).toContain('too late');
  });

  it('sends nothing on a ready connection when the last moment passed on the way to it', async () => {
    const { origin, seen } = await started.json(200, JSON.parse(ANSWER));
    const credentials = createCredentials({ GUMLOOP_API_KEY: KEY, GUMLOOP_USER_ID: USER });
    // Keeps the process busy after the client has begun the request, and before Node gives it the connection.
    let busyUntil = 0;
    async function stall(): Promise<void> {
      for (let i = 0; i < 50; i += 1) await Promise.resolve();
      while (performance.now() < busyUntil);
    }
    const headers = async (): Promise<Record<string, string>> => {
      const result = await credentials.headers();
      void stall();
      return result;
    };
    const client = started.client(origin, { credentials: { ...credentials, headers } });
    await client.retrieveSession('sess_1');

    const sendBefore = performance.now() + 100;
    busyUntil = sendBefore + 1;
    const error = await failureOf(client.cancelSession('sess_1', { sendBefore }));
    expect(error).toMatchObject({ kind: 'connection-failed', sent: false, outcomeUnknown: false });
    expect(error.message).toContain('too late');
    expect(seen.map(({ method }) => method)).toEqual(['GET']);
  });

  it('lets the answer come after the last moment to send', async () => {
    const sendBefore = performance.now() + 3_000;
    const { origin } = await started.http((_request, response) => {
      setTimeout(() => response.end(ANSWER), sendBefore + 50 - performance.now());
    });
    const answer = await started.client(origin).cancelSession('sess_1', { sendBefore });
    expect(answer.value.state).toBe('failed');
    expect(performance.now()).toBeGreaterThan(sendBefore);
  });
});

describe('our own signal', () => {
  it('stops a call before it is sent', async () => {
    const { origin, seen } = await started.json(200, JSON.parse(ANSWER));
    const error = await failureOf(started.client(origin).cancelSession('sess_1', { signal: AbortSignal.abort() }));
    expect(error).toMatchObject({ kind: 'aborted', outcomeUnknown: false, sent: false });
    expect(seen).toEqual([]);
  });

  it('leaves the outcome of a cancel request unknown once it was sent', async () => {
    const abort = new AbortController();
    const { origin } = await started.http(() => abort.abort());
    const client = started.client(origin);
    const { signal } = abort;
    expect(await failureOf(client.cancelSession('sess_1', { signal }))).toMatchObject({
      kind: 'aborted',
      outcomeUnknown: true,
      retryable: true,
    });
  });

  it('is ours even when it is a timer', async () => {
    const { origin } = await started.http(() => undefined);
    const error = await failureOf(
      started.client(origin).retrieveSession('sess_1', { signal: AbortSignal.timeout(100) }),
    );
    expect(error).toMatchObject({ kind: 'aborted', outcomeUnknown: false });
  });

  it('gathers no listeners over many calls', async () => {
    const { origin } = await started.json(200, JSON.parse(ANSWER));
    const { signal } = new AbortController();
    const client = started.client(origin);
    for (let i = 0; i < 5; i += 1) await client.retrieveSession('sess_1', { signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('gathers no listeners over calls that fail', async () => {
    const { origin } = await started.raw((socket) => socket.resetAndDestroy());
    const { signal } = new AbortController();
    const client = started.client(origin);
    await failureOf(client.retrieveSession('sess_1', { signal }));
    await failureOf(client.cancelSession('sess_1', { signal, sendBefore: performance.now() - 1 }));
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('stops an answer that is under way', async () => {
    const abort = new AbortController();
    const { origin } = await started.http((_request, response) => {
      response
        .on('close', () => undefined)
        .writeHead(200)
        .write('{');
      setTimeout(() => abort.abort(), 50);
    });
    const call = failureOf(started.client(origin).cancelSession('sess_1', { signal: abort.signal }));
    expect(await call).toMatchObject({ kind: 'aborted', sent: true, outcomeUnknown: true });
  });
});

describe('size', () => {
  /** A server that sends 100 MiB as fast as they are taken. `written` resolves, when the client has gone, to how much that was. */
  async function flood(status: number, letter = ' '): Promise<{ origin: string; written: Promise<number> }> {
    const block = Buffer.alloc(64 * 1024, letter);
    let report: (bytes: number) => void = () => undefined;
    const written = new Promise<number>((resolve) => (report = resolve));
    const { origin } = await started.http((_request, response) => {
      let bytes = 0;
      const fill = (): void => {
        while (bytes < 100 * MIB && !response.destroyed) {
          bytes += block.length;
          if (!response.write(block)) return;
        }
        response.end();
      };
      response.on('drain', fill);
      response.on('close', () => report(bytes));
      response.writeHead(status);
      fill();
    });
    return { origin, written };
  }

  it('stops reading an endless answer at the limit', async () => {
    const { origin, written } = await flood(200);
    const error = await failureOf(started.client(origin, { maxResponseBytes: MIB }).listSessions('agent_1'));
    expect(error).toMatchObject({ kind: 'unreadable', status: 200 });
    expect(error.message).toContain('too large');
    // What the sockets of both sides hold is a few MiB, never the whole.
    expect(await written).toBeLessThan(40 * MIB);
  });

  it('stops reading an endless error sooner, and keeps its status', async () => {
    const { origin, written } = await flood(500);
    const error = await failureOf(started.client(origin).cancelSession('sess_1'));
    expect(error).toMatchObject({ kind: 'server-error', status: 500, outcomeUnknown: true });
    expect(await written).toBeLessThan(40 * MIB);
  });

  it('counts what a compressed answer unfolds to', async () => {
    const bomb = gzipSync(Buffer.alloc(100 * MIB, ' '));
    const { origin } = await started.http((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
    });
    expect(bomb.length).toBeLessThan(MIB);
    const error = await failureOf(started.client(origin, { maxResponseBytes: MIB }).cancelSession('sess_1'));
    expect(error).toMatchObject({ kind: 'unreadable', outcomeUnknown: true });
    expect(error.message).toContain('too large');
  });

  it('accepts an answer of exactly the limit', async () => {
    const { origin } = await started.json(200, JSON.parse(ANSWER));
    const size = Buffer.byteLength(ANSWER);
    expect((await started.client(origin, { maxResponseBytes: size }).cancelSession('sess_1')).status).toBe(200);
    expect(
      await failureOf(started.client(origin, { maxResponseBytes: size - 1 }).cancelSession('sess_1')),
    ).toMatchObject({
      kind: 'unreadable',
    });
  });

  it('reads a compressed answer', async () => {
    const { origin } = await started.http((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(ANSWER));
    });
    expect((await started.client(origin).cancelSession('sess_1')).value.state).toBe('failed');
  });

  it('stops reading a transcript at the first piece that is no JSON', async () => {
    const { origin, written } = await flood(200, 'x');
    const error = await failureOf(started.client(origin).retrieveSession('sess_1'));
    expect(error).toMatchObject({ kind: 'unreadable', status: 200 });
    expect(error.message).toContain('not whole JSON');
    expect(await written).toBeLessThan(40 * MIB);
  });

  it('reads a long transcript', async () => {
    const messages = Array.from({ length: 5000 }, (_, i) => ({ id: `m${i}`, role: 'user', content: 'x'.repeat(1000) }));
    const { origin } = await started.json(200, { session: { id: 'sess_1', messages } });
    expect((await started.client(origin).retrieveSession('sess_1')).value.transcript.userMessages).toBe(5000);
  });

  it.each<[string, Record<string, string>]>([
    ['as it is', {}],
    ['compressed', { 'content-encoding': 'gzip' }],
  ])('S7: reads a transcript of 100 MB, sent %s', async (_title, headers) => {
    const { pieces, last } = longTranscript(100 * MIB, 20_000);
    const { origin } = await started.http((_request, response) => {
      response.writeHead(200, headers);
      const encoded = 'content-encoding' in headers ? [createGzip({ level: 1 })] : [];
      pipeline([Readable.from(pieces), ...encoded, response]).catch(() => undefined);
    });
    const { value } = await started.client(origin).retrieveSession('sess_1');
    expect(value).toMatchObject({ state: 'processing', usage: { creditCost: 3 } });
    expect(value.transcript.turns.at(-1)?.key).toBe(last());
  });
});
