import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ExitCode } from '../../src/core/errors.js';
import { checkProxies, proxyFor } from '../../src/platform/http/proxy.js';
import { post } from '../../src/engines/notify/post.js';
import { exchange, type Ending } from '../../src/adapters/vendor/exchange.js';
import { createTransport, type Transport } from '../../src/adapters/vendor/transport.js';
import { startProxy, type ProxyOptions, type TestProxy } from '../support/proxy.js';
import { startReceiver } from '../support/receiver.js';
import { makeCertificates, type Certificates } from '../support/tls-front.js';

const KEY = 'gum_5ecret-Key';
/** The certificate's name; nothing but the proxy knows where it is. */
const VENDOR = 'https://temporal.test';

let folder: string;
let certificates: Certificates;
let vendor: Server;
let seen: string[];
let connections: number;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-proxy-'));
  certificates = await makeCertificates(folder);
  const { cert, key } = certificates.server;
  vendor = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
  });
  vendor.on('secureConnection', () => (connections += 1));
  vendor.listen(0, '127.0.0.1');
  await once(vendor, 'listening');
});
afterAll(() => {
  vendor.close();
  vendor.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  seen = [];
  connections = 0;
});
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function through(
  options: Partial<ProxyOptions> = {},
  { user = '', connectMs = 5_000, ca = certificates.ca } = {},
): Promise<{ proxy: TestProxy; transport: Transport }> {
  const names = { 'temporal.test:443': (vendor.address() as AddressInfo).port };
  const proxy = await startProxy({ names, ...options });
  const env = { HTTPS_PROXY: `http://${user}127.0.0.1:${proxy.port}` };
  const transport = createTransport({
    ...{ baseUrl: VENDOR, proxy: proxyFor(VENDOR, env), ca: readFileSync(ca, 'utf8'), userAgent: 'curfew/test' },
    ...{ connectMs, readMs: 20_000, cancelMs: 20_000 },
  });
  closers.push(
    () => transport.close(),
    () => proxy.close(),
  );
  return { proxy, transport };
}
const cancel = (transport: Transport, withinMs?: number): Promise<Ending> =>
  exchange(transport, {
    ...{
      method: 'POST',
      path: '/cancel',
      authentication: { authorization: `Bearer ${KEY}` },
      maxBytes: 1_000,
      takeBody: () => true,
    },
    sendBefore: withinMs === undefined ? undefined : performance.now() + withinMs,
  });

describe('requests to the vendor through a proxy', () => {
  it('I7: go by CONNECT, so that the proxy never sees the key; and over a connection that is kept', async () => {
    const { proxy, transport } = await through({ credential: 'ann:w@rd' }, { user: 'ann:w%40rd@' });
    for (let times = 0; times < 3; times += 1) {
      expect(await cancel(transport, 5_000)).toMatchObject({ end: 'complete', sent: true, head: { status: 200 } });
    }
    expect(seen).toEqual(Array(3).fill(`POST /cancel Bearer ${KEY}`));
    expect({ connections, requests: proxy.requests() }).toEqual({
      connections: 1,
      requests: ['CONNECT temporal.test:443 200'],
    });
    const bytes = proxy.told.map((told) => ('bytes' in told ? told.bytes : '')).join('');
    expect(bytes.length).toBeGreaterThan(100);
    for (const secret of [KEY, 'Bearer', '/cancel']) expect(bytes).not.toContain(secret);
  });

  it.each([
    ['the proxy answers late', { connectDelayMs: 600 }],
    ['the tunnel is slow to be encrypted', { tunnelDelayMs: 600 }],
  ])('I1: are not sent when it would be too late, where %s', async (_what, slow) => {
    const { transport } = await through(slow);
    expect(await cancel(transport, 200)).toMatchObject({ end: 'unsent', sent: false, head: null });
    // With time enough, the same way is open; the tunnel that came late serves or is replaced. What had gone through it late
    // would have come before.
    expect(await cancel(transport, 60_000)).toMatchObject({ end: 'complete', sent: true });
    expect(seen).toHaveLength(1);
  });

  it('are not sent when the caller gives up meanwhile', async () => {
    const { transport } = await through({ connectDelayMs: 400 });
    const stopping = AbortSignal.timeout(100);
    const outgoing = {
      method: 'POST',
      path: '/cancel',
      authentication: {},
      maxBytes: 1_000,
      takeBody: () => true,
      signal: stopping,
    } as const;
    expect(await exchange(transport, outgoing)).toMatchObject({ end: 'aborted', sent: false });
    // Through the tunnel that is there by now, or a later one.
    expect(await cancel(transport)).toMatchObject({ end: 'complete', sent: true });
    expect(seen).toHaveLength(1);
  });

  it.each([407, 403, 502, 503])('that the proxy refuses with %i are not an answer of the vendor', async (answer) => {
    const { transport } = await through({ answer });
    expect(await cancel(transport)).toMatchObject({
      ...{ end: 'unsent', sent: false, head: null },
      note: `PROXY_ANSWERED_${answer}`,
    });
  });

  it('whose proxy is away, or silent, are not sent, and that is said', async () => {
    const away = await through();
    await away.proxy.close();
    closers.pop();
    expect(await cancel(away.transport)).toMatchObject({ end: 'unsent', sent: false, note: 'PROXY_ECONNREFUSED' });

    const silent = await through({ connectDelayMs: 20_000 }, { connectMs: 300 });
    expect(await cancel(silent.transport)).toMatchObject({ end: 'unsent', sent: false, note: 'PROXY_TIMEOUT' });

    const stuck = await through({ tunnelDelayMs: 20_000 }, { connectMs: 300 });
    expect(await cancel(stuck.transport)).toMatchObject({ end: 'unsent', sent: false, note: 'ETIMEDOUT' });
  });

  it('check the certificate of the server behind it', async () => {
    const { transport } = await through({}, { ca: certificates.otherCa });
    expect(await cancel(transport)).toMatchObject({ end: 'unsent', sent: false });
    expect(seen).toEqual([]);
  });
});

describe('a message through a proxy', () => {
  const before = { ...process.env };
  afterEach(() => {
    for (const name of ['HTTP_PROXY', 'HTTPS_PROXY']) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  });

  it('to plain http names its whole address, and arrives with its own headers alone', async () => {
    const receiver = await startReceiver();
    const proxy = await startProxy({
      names: { 'hooks.test': Number(new URL(receiver.url).port) },
      credential: 'ann:word',
    });
    closers.push(
      () => proxy.close(),
      () => receiver.close(),
    );
    process.env['HTTP_PROXY'] = `http://ann:word@127.0.0.1:${proxy.port}`;
    expect(await post('http://hooks.test/in?x=1', '{"a":1}', { 'webhook-id': 'm1' })).toEqual({ kind: 'accepted' });
    expect(proxy.requests()).toEqual(['POST http://hooks.test/in?x=1 200']);
    expect(receiver.received).toMatchObject([
      { path: '/in?x=1', body: '{"a":1}', headers: { host: 'hooks.test', 'webhook-id': 'm1', 'content-length': '7' } },
    ]);
    expect(receiver.received[0]?.headers['proxy-authorization']).toBeUndefined();
    // This machine itself is reached straight.
    expect(await post(`${receiver.url}/straight`, '{}')).toEqual({ kind: 'accepted' });
    expect(proxy.requests()).toHaveLength(1);
  });

  it('to https is refused by name where the proxy refuses', async () => {
    const proxy = await startProxy({ names: {}, answer: 403 });
    closers.push(() => proxy.close());
    process.env['HTTPS_PROXY'] = `127.0.0.1:${proxy.port}`;
    expect(await post('https://hooks.test/secret', '{}')).toEqual({ kind: 'unanswered', why: 'PROXY_ANSWERED_403' });
    expect(proxy.requests()).toEqual(['CONNECT hooks.test:443 403']);
  });
});

describe('the proxy for an address', () => {
  const HTTPS_PROXY = 'http://ann:word@proxy.test:3128';
  it.each([
    ['https://api.example.com', { HTTPS_PROXY }, 'proxy.test:3128'],
    ['https://api.example.com', { https_proxy: 'http://lower.test', HTTPS_PROXY }, 'lower.test:80'],
    ['https://api.example.com', { HTTPS_PROXY: 'proxy.test:3128' }, 'proxy.test:3128'],
    ['https://api.example.com', { HTTPS_PROXY: 'https://proxy.test' }, 'proxy.test:443'],
    ['https://api.example.com', { ALL_PROXY: HTTPS_PROXY }, 'proxy.test:3128'],
    ['https://api.example.com', { HTTP_PROXY: HTTPS_PROXY }, null],
    ['https://api.example.com', { HTTPS_PROXY: ' ' }, null],
    ['http://api.example.com', { HTTPS_PROXY }, null],
    ['http://api.example.com', { HTTP_PROXY: HTTPS_PROXY }, 'proxy.test:3128'],
    ['https://localhost:8443', { HTTPS_PROXY }, null],
    ['https://127.0.0.5', { HTTPS_PROXY }, null],
    ['https://[::1]', { HTTPS_PROXY }, null],
    ['https://x.localhost', { HTTPS_PROXY }, null],
    ...['*', 'example.com', '.example.com', '*.example.com', 'x, API.example.com', 'example.com:443'].map(
      (NO_PROXY) => ['https://api.example.com', { HTTPS_PROXY, NO_PROXY }, null] as const,
    ),
    ...['example.com:8443', 'ple.com', 'api.example.co', 'other'].map(
      (no_proxy) => ['https://api.example.com', { HTTPS_PROXY, no_proxy }, 'proxy.test:3128'] as const,
    ),
    ['https://10.0.0.1', { HTTPS_PROXY, NO_PROXY: '10.0.0.1' }, null],
    ['https://[2001:db8::1]', { HTTPS_PROXY, NO_PROXY: '[2001:db8::1]:443' }, null],
    ['https://[2001:db8::1]', { HTTPS_PROXY, NO_PROXY: '2001:db8::1' }, null],
  ])('%s with %j is %s, and never shows a password', (address, env, expected) => {
    const proxy = proxyFor(address, env);
    expect(proxy?.describe ?? null).toBe(expected);
  });

  it.each([
    'socks5://h:1080',
    'http://',
    'http://h:99999',
    'http://ann:wo%zz@h',
    'http://h/path',
    'http://ann:hunt/er2@h',
  ])('is refused by the name of the variable when it is %s', (value) => {
    let error: unknown;
    try {
      checkProxies({ HTTPS_PROXY: value });
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({
      exitCode: ExitCode.usage,
      message: 'HTTPS_PROXY is not the address of an HTTP proxy.',
    });
  });
});
