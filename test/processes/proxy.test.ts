import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { ExitCode } from '../../src/core/errors.js';
import { openLedger } from '../../src/adapters/ledger/ledger.js';
import { runCurfew, type Ended, type Settings } from '../support/curfew-process.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { makeCertificates } from '../support/tls-front.js';

const API_KEY = 'key-that-must-stay-secret';

let folder: string;
let settings: Settings;
let simulator: Simulator;
let front: Server;
let proxy: TestProxy;
let messages: number;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-proxied-'));
  const { ca, server } = await makeCertificates(folder);
  simulator = await startSimulator({ apiKey: API_KEY });
  messages = 0;
  // The vendor and a receiver, by a name that only the proxy can find.
  front = createServer({ cert: readFileSync(server.cert), key: readFileSync(server.key) }, (asked, answered) => {
    if (asked.url === '/hook') {
      messages += 1;
      asked.resume().on('end', () => answered.writeHead(204).end());
      return;
    }
    const target = new URL(asked.url ?? '', simulator.url);
    const headers = { ...asked.headers, host: target.host };
    const onward = httpRequest(target, { method: asked.method, headers }, (response) => {
      answered.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answered);
    });
    asked.pipe(onward);
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  const { port } = front.address() as AddressInfo;
  proxy = await startProxy({ names: { 'temporal.test:443': port }, credential: 'ann:hunter2' });
  settings = {
    ...{ PATH: process.env['PATH'] ?? '', HOME: folder, CURFEW_DATABASE_URL: join(folder, 'ledger.db') },
    ...{ CURFEW_HOME: folder, GUMLOOP_API_KEY: API_KEY, GUMLOOP_USER_ID: 'simulator-user' },
    ...{ GUMLOOP_BASE_URL: 'https://temporal.test/api/v1', NODE_EXTRA_CA_CERTS: ca },
    // Nobody is there: what is not asked of the ledger or of the vendor fails at once.
    TEMPORAL_ADDRESS: '127.0.0.1:9',
  };
  const secretFile = join(folder, 'webhook-secret');
  writeFileSync(secretFile, `whsec_${Buffer.alloc(24, 7).toString('base64')}`, { mode: 0o600 });
  const policies = join(folder, 'curfew.yaml');
  writeFileSync(
    policies,
    `version: 1
notify:
  ops: { webhook: { url: "https://temporal.test/hook", secret_file: "${secretFile}" } }
policies:
  - { name: long, match: { agents: ["*"] }, limits: { max_runtime: 45m }, mode: observe, notify: [ops] }
`,
  );
  await (await openLedger(settings['CURFEW_DATABASE_URL'] ?? '')).close();
  const applied = await runCurfew(['policy', 'apply', policies, '--yes'], settings);
  if (applied.code !== 0) throw new Error(applied.stderr);
}, 120_000);

afterAll(async () => {
  await proxy?.close();
  front?.closeAllConnections();
  front?.close();
  await simulator?.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Check {
  readonly name: string;
  readonly status: string;
  readonly says: string;
}
async function doctor(more: Settings, common = settings): Promise<{ checks: Record<string, Check>; ended: Ended }> {
  const ended = await runCurfew(['doctor', '--notify', '--json'], { ...common, ...more });
  const { checks } = JSON.parse(ended.stdout) as { checks: Check[] };
  return { checks: Object.fromEntries(checks.map((check) => [check.name, check])), ended };
}

it('reaches vendor and receivers through the proxy of the environment, and says so without its password', async () => {
  const address = `http://ann:hunter2@127.0.0.1:${proxy.port}`;
  const { checks, ended } = await doctor({ HTTPS_PROXY: address });
  expect(checks['proxy']).toMatchObject({ status: 'ok', says: expect.stringContaining(`127.0.0.1:${proxy.port}`) });
  expect(checks['api']).toMatchObject({ status: 'ok' });
  expect(checks['notify ops']).toMatchObject({ status: 'ok' });
  expect(messages).toBe(1);
  // The API, its teams, and the receiver.
  expect(proxy.requests()).toEqual(Array(3).fill('CONNECT temporal.test:443 200'));
  expect(JSON.stringify(proxy.told)).not.toContain(API_KEY);
  expect(ended.stdout + ended.stderr).not.toContain('hunter2');

  // From a .env file, too, where it holds the key as well.
  const inFile = { HTTPS_PROXY: address, GUMLOOP_API_KEY: API_KEY, GUMLOOP_BASE_URL: settings['GUMLOOP_BASE_URL'] };
  const lines = Object.entries(inFile).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(join(folder, '.env'), lines.join(''), { mode: 0o600 });
  // An empty setting would win over the file's.
  const { GUMLOOP_API_KEY: _key, GUMLOOP_BASE_URL: _url, ...others } = settings;
  try {
    expect((await doctor({}, others)).checks['api']).toMatchObject({ status: 'ok' });
    expect((await doctor({ NO_PROXY: 'temporal.test' }, others)).checks['api']).toMatchObject({ status: 'failed' });
    expect((await runCurfew(['doctor'], settings)).stderr).toContain('sets HTTPS_PROXY, and so where');
  } finally {
    rmSync(join(folder, '.env'));
  }
});

it('says what the proxy refuses, and which proxy can not be used', async () => {
  const { checks } = await doctor({ HTTPS_PROXY: `http://ann:wrong-hunter2@127.0.0.1:${proxy.port}` });
  expect(checks['api']).toMatchObject({ status: 'failed', says: expect.stringContaining('PROXY_ANSWERED_407') });

  const unusable = await runCurfew(['doctor'], { ...settings, HTTPS_PROXY: 'socks5://ann:hunter2@127.0.0.1:1080' });
  expect(unusable.code).toBe(ExitCode.usage);
  expect(unusable.stderr).toMatch(/^curfew: HTTPS_PROXY is not the address of an HTTP proxy\.\n {2}next: .+\n$/);
  expect(unusable.stderr).not.toContain('hunter2');
});
