import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { readCoverage, type Coverage } from '../../src/fleet/coverage.js';
import { homePaths } from '../../src/home.js';
import { LedgerUnavailableError } from '../../src/ledger/errors.js';
import { openLedger, type Ledger } from '../../src/ledger/ledger.js';
import { readServerNote } from '../../src/temporal/server-note.js';
import {
  settingsFor,
  startReady,
  stopEverything,
  type CurfewProcess,
  type Settings,
} from '../support/curfew-process.js';
import { makeHome, removeHome, temporalBinary, until } from '../support/embedded-server.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit: a busy machine starts a server and a worker. */
const STORY_LIMIT_MS = 300_000;
const HOUR = 3_600_000;
/** Longer than what is left to a violator, and far more than a scan takes, ms. */
const FOR_A_WHILE_MS = 20_000;

const POLICIES = `version: 1
policies:
  - name: runaways
    match: { agents: ["agent_test"] }
    limits: { max_runtime: 30m, max_continuous_runtime: 20m, max_queue_time: 30m }
    mode: enforce
  - name: quick
    match: { agents: ["agent_quick"] }
    limits: { max_runtime: 18s }
    mode: enforce
`;
/** All of them are within the limits for as long as a test takes. */
const INNOCENT = ['sess_young', 'sess_resumed', 'sess_waiting', 'sess_idle', 'sess_asks'];

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);

let home: string;
let simulator: Simulator;
let settings: Settings;
let ledger: Ledger;
let up: CurfewProcess;
/** The vendor's clock less this machine's, ms. */
let vendorOffMs: number;

beforeEach(async () => {
  home = makeHome();
  vendorOffMs = 0;
  simulator = await startSimulator({ slots: 100, now: () => Date.now() + vendorOffMs });
  const { world } = simulator;
  world.addAgent({ id: 'agent_test' });
  world.addAgent({ id: 'agent_quick' });
  world.addSession({ agent: 'agent_test', id: 'sess_young', turnAge: '5m' });
  world.addSession({ agent: 'agent_test', id: 'sess_resumed', turnAge: '5m', age: '30d', earlierTurns: 3 });
  world.addSession({ agent: 'agent_test', id: 'sess_waiting', state: 'queued', turnAge: '5m' });
  world.addSession({ agent: 'agent_test', id: 'sess_idle', state: 'idle', turnAge: '2h' });
  world.addSession({ agent: 'agent_test', id: 'sess_asks', state: 'approval_required', turnAge: '2h' });
  settings = await settingsFor(dirname(home), {
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: simulator.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    CURFEW_SCAN_INTERVAL: '1s',
    CURFEW_RETRY_CAP: '2s',
    CURFEW_KEY_RETRY: '2s',
  });
}, OBTAIN_LIMIT_MS);

afterEach(async () => {
  await ledger?.close();
  await stopEverything();
  await simulator.close();
  removeHome(home);
}, 60_000);

/** Starts Curfew with the policies, and waits until it has seen all of the fleet. */
async function enforce(databaseUrl?: string): Promise<void> {
  const path = join(dirname(home), 'curfew.yaml');
  writeFileSync(path, POLICIES);
  if (databaseUrl !== undefined) settings = { ...settings, CURFEW_DATABASE_URL: databaseUrl };
  up = (await startReady(['up', path], settings)).process;
  ledger = await openLedger(databaseUrl ?? homePaths(home).ledger);
  await until(async () => (await coverage())?.completeAtMs != null);
}

/** Null while the ledger is away. */
async function coverage(): Promise<Coverage | null> {
  return readCoverage(ledger).catch((error: unknown) => {
    if (error instanceof LedgerUnavailableError) return null;
    throw error;
  });
}

/** Begins a turn that breaks its limit in 18 s, and waits until it has been seen. */
async function violator(id: string): Promise<void> {
  const live = (await coverage())?.live.processing ?? 0;
  simulator.world.addSession({ agent: 'agent_quick', id });
  await until(async () => ((await coverage())?.live.processing ?? 0) > live);
}
const cancelled = (): string[] => [...new Set(simulator.world.truth().cancels.map(({ sessionId }) => sessionId))];
const hasEnded = (id: string) => until(() => simulator.world.session(id).state === 'failed');
async function kinds(): Promise<string[]> {
  const found: string[] = [];
  for await (const events of ledger.history.events({})) found.push(...events.map(({ event }) => event.kind));
  return found;
}

/** The heart of each test: whatever went wrong, and for however long, nobody was ended who had not broken a limit. */
function expectOnly(...guilty: string[]): void {
  expect(cancelled().sort()).toEqual([...guilty].sort());
  for (const id of INNOCENT) {
    const { turns } = simulator.world.truth(id).sessions[id] ?? { turns: [] };
    expect({ id, ended: turns.at(-1)?.endedAt ?? null }).toEqual({ id, ended: null });
  }
}

describe('enforcement, by the real command', () => {
  it(
    'I10: ends nothing while the API is away, says so, and goes on by itself',
    async () => {
      await enforce();
      const { world } = simulator;
      await violator('sess_runaway');
      world.addFaults('everywhere', [{ fault: 'reset-before-effect', on: 'any', times: 'forever' }]);
      await until(async () => ((await coverage())?.unreadable.count ?? 0) > 0);
      await sleep(FOR_A_WHILE_MS);
      expectOnly();
      expect(await ledger.orders.views({})).toEqual([]);
      expect((await coverage())?.unreadable.first[0]).toMatchObject({ problem: expect.any(String) });

      world.clearFaults('everywhere');
      await hasEnded('sess_runaway');
      await until(async () => (await coverage())?.unreadable.count === 0);
      expectOnly('sess_runaway');
    },
    STORY_LIMIT_MS,
  );

  it(
    'I10: ends nothing while the key is refused, says so once, and goes on when it works again',
    async () => {
      await enforce();
      const { world } = simulator;
      await violator('sess_runaway');
      world.revokeKey();
      await until(async () => (await kinds()).includes('account-refused'));
      await sleep(FOR_A_WHILE_MS);
      expectOnly();
      expect(await ledger.orders.views({})).toEqual([]);
      expect(up.stderr()).toContain('the vendor refuses this account');

      world.restoreKey();
      await hasEnded('sess_runaway');
      await until(async () => (await kinds()).includes('account-accepted'));
      expect((await kinds()).filter((kind) => kind === 'account-refused')).toHaveLength(1);
      expectOnly('sess_runaway');
    },
    STORY_LIMIT_MS,
  );

  it(
    'I5: ends nobody because the vendor’s clock jumps by an hour, ahead and back',
    async () => {
      await enforce();
      vendorOffMs = HOUR;
      await until(async () => (await coverage())?.problem != null);
      await sleep(FOR_A_WHILE_MS);
      expectOnly();
      expect((await coverage())?.problem).toMatch(/Date header jumped ahead by 3[56]\d\d s/);
      await violator('sess_runaway');
      await hasEnded('sess_runaway');

      vendorOffMs = 0;
      await until(async () => (await coverage())?.problem == null);
      await sleep(FOR_A_WHILE_MS);
      expectOnly('sess_runaway');
      await violator('sess_another');
      await hasEnded('sess_another');
      expectOnly('sess_runaway', 'sess_another');
    },
    STORY_LIMIT_MS,
  );

  it(
    'I10: ends nothing while Temporal is away, says so, and goes on by itself',
    async () => {
      await enforce();
      const pid = readServerNote(home)?.pid;
      if (pid == null) throw new Error('No Temporal server is noted in the home.');
      await violator('sess_runaway');
      process.kill(pid, 'SIGKILL');
      await hasEnded('sess_runaway');
      await sleep(FOR_A_WHILE_MS);
      expectOnly('sess_runaway');
      expect(up.stderr()).toMatch(/Temporal|temporal/);
      expect((await ledger.orders.views({})).map(({ result }) => result)).toMatchObject([
        { sessionId: 'sess_runaway', reason: { policy: 'quick' } },
      ]);
    },
    STORY_LIMIT_MS,
  );
});

describe('enforcement with its ledger on PostgreSQL', () => {
  let postgres: TestPostgres;
  beforeEach(async () => {
    postgres = await startPostgres();
  }, 120_000);
  afterEach(() => postgres.stop(), 60_000);

  it(
    'I10: ends nothing while the ledger is away, says so, and goes on by itself',
    async () => {
      await enforce(await postgres.createDatabase());
      await violator('sess_runaway');
      await postgres.shutDown();
      const retrieves = simulator.world.truth().requests.retrieve;
      await sleep(FOR_A_WHILE_MS);
      expectOnly();
      expect(up.stderr()).toMatch(/ledger/i);
      expect(simulator.world.truth().requests.retrieve - retrieves).toBeLessThan(50);

      await postgres.startAgain();
      await hasEnded('sess_runaway');
      expectOnly('sess_runaway');
    },
    STORY_LIMIT_MS,
  );
});
