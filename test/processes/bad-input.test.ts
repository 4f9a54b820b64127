import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ExitCode } from '../../src/core/errors.js';
import type { Ledger } from '../../src/adapters/ledger/ledger.js';
import { readServerNote } from '../../src/adapters/temporal/server-note.js';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import {
  runCurfew,
  runCurfewAlone,
  settingsFor,
  startCurfew,
  startReady,
  stopEverything,
  type Ended,
  type Ready,
  type Settings,
} from '../support/curfew-process.js';
import { makeHome, removeHome, until } from '../support/embedded-server.js';
import { allOrders, untilSettled, usingLedger } from '../support/standing.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

const INTERRUPTED = 130;

/** What a person sees of a failure: two lines, what happened and what to do next; and nothing of our insides. */
function expectTwoLines({ stderr }: Ended): void {
  expect(stderr).toMatch(/^curfew: .+\n {2}next: .+\n$/);
  expect(stderr).not.toMatch(/\n\s+at .*:\d+/);
}

let folder: string;
let settings: Settings;
/** A port on which nobody listens. */
let closedPort: number;
const servers: Server[] = [];

async function listen(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return (server.address() as AddressInfo).port;
}

function closeServers(): void {
  for (const server of servers.splice(0)) server.close();
}

beforeAll(async () => {
  closedPort = await listen();
  const server = servers.pop();
  server?.close();
  if (server !== undefined) await once(server, 'close');
}, OBTAIN_LIMIT_MS);

describe('where no Curfew has run', () => {
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'curfew-test-'));
    settings = await settingsFor(folder, { GUMLOOP_API_KEY: 'a-key', GUMLOOP_USER_ID: 'a-user' });
  }, OBTAIN_LIMIT_MS);
  afterEach(async () => {
    await stopEverything();
    closeServers();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Nothing was made: neither the home nor anything else. */
  const expectNothingMade = (except: readonly string[] = []): void =>
    expect(readdirSync(folder).filter((name) => !except.includes(name))).toEqual([]);

  it.each([
    ['cancel', ['cancel', 'sess_1']],
    ['cancel --wait', ['cancel', 'sess_1', '--wait']],
    ['cases', ['cases']],
    ['cases retry', ['cases', 'retry', 'sess_1']],
    ['cases abandon', ['cases', 'abandon', 'sess_1', '--reason', 'a test']],
    ['pause', ['pause']],
    ['resume', ['resume']],
    ['exempt', ['exempt', 'sess_1', '--for', '2h', '--reason', 'a test']],
    ['unexempt', ['unexempt', 'sess_1']],
  ])('`curfew %s` says how to start one, and makes no home', async (_name, args) => {
    const ended = await runCurfew(args, settings);
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.unreachable);
    expect(ended.stderr).toContain('curfew up');
    expectNothingMade();
  });

  it.each([
    ['a wrong id', ['cancel', 'sess_1', 'agents/../../x'], 'agents/../../x'],
    ['an empty id', ['cancel', ''], 'session id'],
    ['a read that may be too old', ['cancel', 'sess_1', '--even-if-read-is-old', '2m'], '60s'],
    ['a bulk plan of nothing', ['bulk', 'plan'], '--all'],
    ['a bulk plan of a file that is not there', ['bulk', 'plan', '--ids-file', 'missing.txt'], 'missing.txt'],
    ['a bulk plan that contradicts itself', ['bulk', 'plan', '--ids-file', 'x', '--agent', 'a'], '--agent'],
    ['a rate that is none', ['bulk', 'apply', 'b-1234567', '--rate', 'fast'], '20/s'],
    ['a duration without a unit', ['exempt', 'sess_1', '--for', '2', '--reason', 'a test'], 'Did you mean 2m?'],
    ['a port that is none', ['simulate', '--port', '99999'], '99999'],
    ['a scenario that is not there', ['simulate', '--port', '0', '--scenario', 'missing.yaml'], 'missing.yaml'],
  ])('%s is wrong usage, said by name, and nothing is done', async (_what, args, named) => {
    const ended = await runCurfew(args, settings);
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.usage);
    expect(ended.stderr).toContain(named);
    expectNothingMade();
  });

  it.each([
    ['an unknown command', ['cancle', 'sess_1']],
    ['an unknown option', ['cancel', 'sess_1', '--force']],
    ['a missing argument', ['cancel']],
    ['a missing option', ['exempt', 'sess_1', '--for', '2h']],
  ])('%s is wrong usage, and leads to the help', async (_what, args) => {
    const { code, stderr, stdout } = await runCurfew(args, settings);
    expect(code).toBe(ExitCode.usage);
    expect(stderr).toContain('--help');
    expect(stderr).not.toMatch(/\n\s+at .*:\d+/);
    expect(stdout).toBe('');
    expectNothingMade();
  });

  it('a key that is not set keeps `up` from starting, and makes no home', async () => {
    const { GUMLOOP_API_KEY: _none, ...without } = settings;
    const ended = await runCurfew(['up'], without);
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.usage);
    expect(ended.stderr).toContain('GUMLOOP_API_KEY');
    expectNothingMade();
  });

  it('a user id that is not set is told too', async () => {
    const { GUMLOOP_USER_ID: _none, ...without } = settings;
    const ended = await runCurfew(['up'], without);
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.usage);
    expect(ended.stderr).toContain('GUMLOOP_USER_ID');
    expectNothingMade();
  });

  it('an address that would show the key to everyone is refused', async () => {
    const ended = await runCurfew(['up'], { ...settings, GUMLOOP_BASE_URL: 'http://api.example.com/api/v1' });
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.usage);
    expect(ended.stderr).toContain('GUMLOOP_BASE_URL');
    expectNothingMade();
  });

  it.each([
    ['below a regular file', () => join(folder, 'file', 'home')],
    ['where nothing can be made', () => '/proc/curfew'],
  ])('a home %s is told, and nothing is changed', async (_where, place) => {
    writeFileSync(join(folder, 'file'), 'not a folder');
    const home = place();
    const ended = await runCurfew(['up'], { ...settings, CURFEW_HOME: home });
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.unreachable);
    expect(ended.stderr).toContain(home);
    expectNothingMade(['file']);
  });

  it('a relative home is wrong usage', async () => {
    const ended = await runCurfew(['cases'], { ...settings, CURFEW_HOME: 'here' });
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.usage);
    expectNothingMade();
  });

  it('a broken .env is told with its line', async () => {
    writeFileSync(join(folder, '.env'), 'GUMLOOP_USER_ID=someone\nthis is not a setting\n', { mode: 0o600 });
    const ended = await runCurfewAlone(['cases'], settings);
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.usage);
    expect(ended.stderr).toContain('line 2');
    expect(ended.stderr).not.toContain('this is not a setting');
    expectNothingMade(['.env']);
  });

  it.each([
    ['CURFEW_LOG', 'loud'],
    ['CURFEW_GIVE_UP_AFTER', '10'],
    ['CURFEW_REQUESTS_PER_SECOND', '0'],
    ['CURFEW_DATABASE_URL', 'mysql://somebody:secret@example.com/x'],
  ])('a setting that makes no sense is told by name: %s', async (name, value) => {
    const ended = await runCurfew(['cases'], { ...settings, [name]: value });
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.usage);
    expect(ended.stderr).toContain(name);
    expect(ended.stderr).not.toContain('secret');
  });

  it('a Temporal that does not answer is told with its address, and nothing is ordered', async () => {
    const address = `127.0.0.1:${closedPort}`;
    const ended = await runCurfewAlone(['cancel', 'sess_1'], { ...settings, TEMPORAL_ADDRESS: address });
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.unreachable);
    expect(ended.stderr).toContain(address);
    expectNothingMade();
  });

  it('Ctrl-C ends a worker that still waits for its Temporal, without a complaint', async () => {
    const worker = startCurfew(['worker'], { ...settings, TEMPORAL_ADDRESS: `127.0.0.1:${closedPort}` });
    await worker.says('Trying again');
    worker.signal('SIGINT');
    const { code, stderr } = await worker.ended;
    expect(code).toBe(INTERRUPTED);
    expect(stderr).not.toContain('not expected');
  });

  it('Ctrl-C ends `up` while its Temporal server starts, and leaves no server behind', async () => {
    // One that takes its time, so that the signal comes before it is up.
    const slow = join(folder, 'slow-temporal.sh');
    const cli = settings['TEMPORAL_CLI_PATH'];
    writeFileSync(slow, `#!/bin/sh\n[ "$1" = server ] && [ $# -gt 3 ] && sleep 5\nexec ${cli} "$@"\n`, {
      mode: 0o755,
    });
    const up = startCurfew(['up'], { ...settings, TEMPORAL_CLI_PATH: slow });
    await up.says('starting the Temporal server');
    up.signal('SIGINT');
    const { code, stderr } = await up.ended;
    expect(code).toBe(INTERRUPTED);
    expect(stderr).not.toContain('not expected');
    expect(readServerNote(join(folder, 'home'))?.pid ?? null).toBeNull();
  });

  it('a port in use is told, with another one to take', async () => {
    const port = await listen();
    const ended = await runCurfew(['simulate', '--port', String(port)], settings);
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.failed);
    expect(ended.stderr).toContain(`port ${port}`);
    expectNothingMade();
  });

  it('with --json the failure is one JSON document on stdout', async () => {
    const { code, stdout } = await runCurfewAlone(['cases', '--json'], settings);
    expect(JSON.parse(stdout)).toEqual({
      error: { message: expect.any(String), next: expect.stringContaining('curfew up'), exitCode: code },
    });
  });

  it('the doctor names what is missing, changes nothing, and exits as the worst of it', async () => {
    const base = `http://127.0.0.1:${closedPort}/api/v1`;
    const { code, stdout } = await runCurfew(['doctor', '--json'], { ...settings, GUMLOOP_BASE_URL: base });
    const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string; next: string | null }[] };
    const failed = checks.filter(({ status }) => status === 'failed');
    expect(failed.map(({ name }) => name)).toEqual(expect.arrayContaining(['api', 'temporal']));
    for (const { next } of failed) expect(next).toEqual(expect.any(String));
    expect(code).toBe(ExitCode.unreachable);
    expectNothingMade();
  });
});

describe('where Curfew runs', () => {
  let home: string;
  let simulator: Simulator;
  let ready: Ready;

  beforeAll(async () => {
    home = makeHome();
    simulator = await startSimulator();
    simulator.world.addAgent({ id: 'agent_test' });
    const keyFile = join(dirname(home), 'key');
    writeFileSync(keyFile, simulator.apiKey);
    settings = await settingsFor(dirname(home), {
      GUMLOOP_BASE_URL: simulator.url,
      GUMLOOP_API_KEY_FILE: keyFile,
      GUMLOOP_USER_ID: simulator.userId,
      CURFEW_KEY_RETRY: '1s',
      CURFEW_RETRY_CAP: '1s',
    });
    ({ ready } = await startReady(['up'], settings));
  }, OBTAIN_LIMIT_MS);
  afterAll(async () => {
    await stopEverything();
    await simulator.close();
    removeHome(home);
  }, 60_000);

  const add = (id: string, more: object = {}): void =>
    void simulator.world.addSession({ agent: 'agent_test', id, turnAge: '30m', ...more });

  it('Ctrl-C ends the waiting of `cancel --wait`, not the case: it exits 130 and says how to look again', async () => {
    add('sess_interrupted', { faults: [{ fault: 'failed-to-abort', times: 'forever' }] });
    const command = startCurfew(['cancel', 'sess_interrupted', '--wait', '--json'], settings);
    await until(() => simulator.world.truth('sess_interrupted').cancels.length > 1);

    command.signal('SIGINT');
    const { code, stdout, stderr } = await command.ended;

    expect(code).toBe(INTERRUPTED);
    expect(stderr).toContain('curfew cases sess_interrupted');
    expect(JSON.parse(stdout)).toMatchObject({ orders: [{ sessionId: 'sess_interrupted', outcome: null }] });
    simulator.world.clearFaults({ sessionId: 'sess_interrupted' });
    await usingLedger(home, untilSettled);
    const { stdout: cases } = await runCurfew(['cases', 'sess_interrupted', '--json'], settings);
    expect(JSON.parse(cases)).toMatchObject({ orders: [{ outcome: 'cancelled' }] });
  }, 120_000);

  it('I10: a wrong key ends nothing and loses nothing: the order waits, commands say why, and a right key lets it go on', async () => {
    add('sess_wrong_key');
    const keyFile = settings['GUMLOOP_API_KEY_FILE'] ?? '';
    writeFileSync(keyFile, 'not-the-key');

    const { code, stdout } = await runCurfew(['cancel', 'sess_wrong_key', '--json'], settings);
    expect(code).toBe(ExitCode.done);
    expect(JSON.parse(stdout)).toMatchObject({ orders: [{ outcome: null }] });
    const standing = (ledger: Ledger) => ledger.orders.views({ sessionId: 'sess_wrong_key' });
    await usingLedger(home, (ledger) => until(async () => (await standing(ledger))[0]?.result.lastError != null));
    const cases = await runCurfew(['cases', 'sess_wrong_key', '--json'], settings);
    expect(JSON.parse(cases.stdout)).toMatchObject({
      orders: [{ outcome: null, lastError: { type: 'AccountRefused' } }],
    });
    expect((await runCurfew(['cases', 'sess_wrong_key'], settings)).stdout).toContain('HTTP 401');
    expect(simulator.world.truth('sess_wrong_key').cancels).toEqual([]);
    const doctor = await runCurfewAlone(['doctor', '--json'], settings);
    expect(doctor.code).toBe(ExitCode.unreachable);

    writeFileSync(keyFile, simulator.apiKey);
    const results = await usingLedger(home, untilSettled);
    expect(results.find(({ sessionId }) => sessionId === 'sess_wrong_key')).toMatchObject({ outcome: 'cancelled' });
  }, 120_000);

  it('`cancel --wait` exits 5 when a turn was not ended, and says so', async () => {
    add('sess_idle', { state: 'idle', turnAge: 0 });
    const { code, stdout } = await runCurfewAlone(['cancel', 'sess_idle', '--wait'], settings);
    expect(code).toBe(ExitCode.someNotEnded);
    expect(stdout).toContain('not-in-flight');
  });

  it('one wrong id among good ones: nothing is ordered', async () => {
    add('sess_good');
    const ended = await runCurfew(['cancel', 'sess_good', 'not an id'], settings);
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.usage);
    const orders = await usingLedger(home, allOrders);
    expect(orders.filter(({ result }) => result.sessionId === 'sess_good')).toEqual([]);
  });

  it('a second `up` on the same home works beside the first, and leaves its server running', async () => {
    const second = await startReady(['up'], settings);
    expect(second.ready.temporal).toMatchObject({ address: ready.temporal.address, started: 'was running' });
    second.process.signal('SIGTERM');
    expect((await second.process.ended).code).toBe(0);
    const { code } = await runCurfew(['cases'], settings);
    expect(code).toBe(ExitCode.done);
    expect((await runCurfew(['doctor'], settings)).code).toBe(ExitCode.done);
  }, 120_000);

  it('another Temporal than the ledger’s is refused', async () => {
    const elsewhere = `${dirname(home)}/other.db`;
    const configured = { ...settings, TEMPORAL_ADDRESS: ready.temporal.address, CURFEW_DATABASE_URL: elsewhere };
    // The same server, but reached by its address: a ledger knows it by cluster and namespace then.
    const worker = await startReady(['worker'], configured);
    worker.process.signal('SIGTERM');
    await worker.process.ended;
    const ended = await runCurfew(['cancel', 'sess_1'], { ...settings, CURFEW_DATABASE_URL: elsewhere });
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.refused);
    expect(ended.stderr).toContain('--adopt-temporal');
    // Nor does a worker start; and it does not hang on what it had opened already.
    const refused = await runCurfew(['worker'], { ...settings, CURFEW_DATABASE_URL: elsewhere });
    expectTwoLines(refused);
    expect(refused.code).toBe(ExitCode.refused);
  }, 120_000);
});
