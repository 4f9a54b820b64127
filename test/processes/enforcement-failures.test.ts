import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readCoverage, type Coverage } from '../../src/adapters/ledger/coverage.js';
import { homePaths } from '../../src/platform/home.js';
import { LedgerUnavailableError } from '../../src/adapters/ledger/errors.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { readServerNote } from '../../src/adapters/temporal/server-note.js';
import type { World } from '../../simulator/index.js';
import type { CurfewProcess } from '../support/curfew-process.js';
import { temporalBinary, until } from '../support/embedded-server.js';
import { closeHomes, openHome } from '../support/own-home.js';
import { startPostgres } from '../support/postgres.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit: a busy machine starts a server and a worker. */
const STORY_LIMIT_MS = 300_000;
const HOUR = 3_600_000;
const QUICK_LIMIT_MS = 18_000;
/** Time in which an overdue turn would have been ended many times over, ms. */
const FOR_A_WHILE_MS = 5_000;

const POLICIES = `version: 1
policies:
  - name: runaways
    match: { agents: ["agent_test"] }
    limits: { max_runtime: 30m, max_continuous_runtime: 20m, max_queue_time: 30m }
    mode: enforce
  - name: quick
    match: { agents: ["agent_quick"] }
    limits: { max_runtime: ${QUICK_LIMIT_MS / 1_000}s }
    mode: enforce
`;
/** All of them are within the limits for as long as a test takes. */
const INNOCENT = ['sess_young', 'sess_resumed', 'sess_waiting', 'sess_idle', 'sess_asks'];

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);
afterAll(closeHomes, 60_000);

/** Curfew at work on a fleet of which nobody has broken a limit. */
interface Scene {
  readonly home: string;
  readonly world: World;
  readonly ledger: Ledger;
  readonly up: CurfewProcess;
  /** @param offMs - the vendor's clock less this machine's, ms; 0 at first */
  readonly setVendorClock: (offMs: number) => void;
  /** Null while the ledger is away. */
  readonly coverage: () => Promise<Coverage | null>;
  /** Begins a turn that breaks its limit in {@link QUICK_LIMIT_MS}, and waits until it has been seen. */
  readonly violator: (id: string) => Promise<void>;
  /** Waits until its turn has been over its limit for a while. */
  readonly isOverdue: (id: string) => Promise<void>;
  readonly hasEnded: (id: string) => Promise<void>;
  /** Waits until all of the fleet was listed so many times again. */
  readonly scans: (times: number) => Promise<void>;
  /** Kinds of the events so far. */
  readonly kinds: () => Promise<string[]>;
  /** The heart of each test: whatever went wrong, and for however long, nobody was ended who had not broken a limit. */
  readonly expectOnly: (...guilty: string[]) => void;
}

function addInnocents(world: World): void {
  world.addAgent({ id: 'agent_quick' });
  world.addSession({ agent: 'agent_test', id: 'sess_young', turnAge: '5m' });
  world.addSession({ agent: 'agent_test', id: 'sess_resumed', turnAge: '5m', age: '30d', earlierTurns: 3 });
  world.addSession({ agent: 'agent_test', id: 'sess_waiting', state: 'queued', turnAge: '5m' });
  world.addSession({ agent: 'agent_test', id: 'sess_idle', state: 'idle', turnAge: '2h' });
  world.addSession({ agent: 'agent_test', id: 'sess_asks', state: 'approval_required', turnAge: '2h' });
}

/**
 * Starts Curfew with the policies in a home of its own, waits until it has seen all of the fleet, and tells the story.
 *
 * @param databaseUrl - of the ledger; default the home's own
 */
async function enforce(story: (scene: Scene) => Promise<void>, databaseUrl?: string): Promise<void> {
  let vendorOffMs = 0;
  const own = await openHome(
    {
      CURFEW_SCAN_INTERVAL: '1s',
      CURFEW_RETRY_CAP: '2s',
      CURFEW_KEY_RETRY: '2s',
      ...(databaseUrl === undefined ? {} : { CURFEW_DATABASE_URL: databaseUrl }),
    },
    { slots: 100, now: () => Date.now() + vendorOffMs },
  );
  const { home, folder } = own;
  const { world } = own.simulator;
  let ledger: Ledger | undefined;
  try {
    addInnocents(world);
    const path = join(folder, 'curfew.yaml');
    writeFileSync(path, POLICIES);
    const up = await own.up(path);
    const opened = (ledger = await openLedger(databaseUrl ?? homePaths(home).ledger));
    const coverage: Scene['coverage'] = () =>
      readCoverage(opened).catch((error: unknown) => {
        if (error instanceof LedgerUnavailableError) return null;
        throw error;
      });
    await until(async () => (await coverage())?.completeAtMs != null);
    await story({
      ...{ home, world, ledger: opened, up, coverage },
      setVendorClock: (offMs) => void (vendorOffMs = offMs),
      async violator(id) {
        const live = (await coverage())?.live.processing ?? 0;
        world.addSession({ agent: 'agent_quick', id });
        await until(async () => ((await coverage())?.live.processing ?? 0) > live);
      },
      isOverdue: (id) => {
        const { turns } = world.truth(id).sessions[id] ?? { turns: [] };
        const dueAt = (turns.at(-1)?.startedAt ?? NaN) + QUICK_LIMIT_MS;
        return until(() => Date.now() > dueAt + FOR_A_WHILE_MS);
      },
      async scans(times) {
        const scanned = async (): Promise<number> => (await coverage())?.atMs ?? NaN;
        for (let time = 0; time < times; time += 1) {
          const before = await scanned();
          await until(async () => (await scanned()) > before);
        }
      },
      hasEnded: (id) => until(() => world.session(id).state === 'failed'),
      async kinds() {
        const found: string[] = [];
        for await (const events of opened.history.events({})) found.push(...events.map(({ event }) => event.kind));
        return found;
      },
      expectOnly(...guilty) {
        const cancelled = [...new Set(world.truth().cancels.map(({ sessionId }) => sessionId))];
        expect(cancelled.sort()).toEqual([...guilty].sort());
        for (const id of INNOCENT) {
          const { turns } = world.truth(id).sessions[id] ?? { turns: [] };
          expect({ id, ended: turns.at(-1)?.endedAt ?? null }).toEqual({ id, ended: null });
        }
      },
    });
  } finally {
    await ledger?.close();
    await own.close();
  }
}

describe('enforcement, by the real command', () => {
  it.concurrent(
    'I10: ends nothing while the API is away, says so, and goes on by itself',
    () =>
      enforce(async ({ world, ledger, coverage, violator, isOverdue, hasEnded, expectOnly }) => {
        await violator('sess_runaway');
        world.addFaults('everywhere', [{ fault: 'reset-before-effect', on: 'any', times: 'forever' }]);
        await until(async () => ((await coverage())?.unreadable.count ?? 0) > 0);
        await isOverdue('sess_runaway');
        expectOnly();
        expect(await ledger.orders.views({})).toEqual([]);
        expect((await coverage())?.unreadable.first[0]).toMatchObject({ problem: expect.any(String) });

        world.clearFaults('everywhere');
        await hasEnded('sess_runaway');
        await until(async () => (await coverage())?.unreadable.count === 0);
        expectOnly('sess_runaway');
      }),
    STORY_LIMIT_MS,
  );

  it.concurrent(
    'I10: ends nothing while the key is refused, says so once, and goes on when it works again',
    () =>
      enforce(async ({ world, ledger, up, kinds, violator, isOverdue, hasEnded, expectOnly }) => {
        await violator('sess_runaway');
        world.revokeKey();
        await until(async () => (await kinds()).includes('account-refused'));
        await isOverdue('sess_runaway');
        expectOnly();
        expect(await ledger.orders.views({})).toEqual([]);
        expect(up.stderr()).toContain('the vendor refuses this account');

        world.restoreKey();
        await hasEnded('sess_runaway');
        await until(async () => (await kinds()).includes('account-accepted'));
        expect((await kinds()).filter((kind) => kind === 'account-refused')).toHaveLength(1);
        expectOnly('sess_runaway');
      }),
    STORY_LIMIT_MS,
  );

  it.concurrent(
    'I5: ends nobody because the vendor’s clock jumps by an hour, ahead and back',
    () =>
      enforce(async ({ setVendorClock, coverage, scans, violator, hasEnded, expectOnly }) => {
        setVendorClock(HOUR);
        await until(async () => (await coverage())?.problem != null);
        await scans(8);
        expectOnly();
        expect((await coverage())?.problem).toMatch(/Date header jumped ahead by 3[56]\d\d s/);
        await violator('sess_runaway');
        await hasEnded('sess_runaway');

        setVendorClock(0);
        await until(async () => (await coverage())?.problem == null);
        await scans(8);
        expectOnly('sess_runaway');
        await violator('sess_another');
        await hasEnded('sess_another');
        expectOnly('sess_runaway', 'sess_another');
      }),
    STORY_LIMIT_MS,
  );
});

describe('enforcement without one of its servers', () => {
  it.concurrent(
    'I10: ends nothing while Temporal is away, says so, and goes on by itself',
    () =>
      enforce(async ({ home, ledger, up, scans, violator, hasEnded, expectOnly }) => {
        const pid = readServerNote(home)?.pid;
        if (pid == null) throw new Error('No Temporal server is noted in the home.');
        await violator('sess_runaway');
        process.kill(pid, 'SIGKILL');
        await hasEnded('sess_runaway');
        await scans(8);
        expectOnly('sess_runaway');
        expect(up.stderr()).toMatch(/Temporal|temporal/);
        expect((await ledger.orders.views({})).map(({ result }) => result)).toMatchObject([
          { sessionId: 'sess_runaway', reason: { policy: 'quick' } },
        ]);
      }),
    STORY_LIMIT_MS,
  );

  it.concurrent(
    'I10: ends nothing while its ledger on PostgreSQL is away, says so, and goes on by itself',
    async () => {
      const postgres = await startPostgres();
      try {
        await enforce(
          async ({ world, up, violator, isOverdue, hasEnded, expectOnly }) => {
            await violator('sess_runaway');
            await postgres.shutDown();
            const retrieves = world.truth().requests.retrieve;
            await isOverdue('sess_runaway');
            expectOnly();
            expect(up.stderr()).toMatch(/ledger/i);
            expect(world.truth().requests.retrieve - retrieves).toBeLessThan(50);

            await postgres.startAgain();
            await hasEnded('sess_runaway');
            expectOnly('sess_runaway');
          },
          await postgres.createDatabase(),
        );
      } finally {
        await postgres.stop();
      }
    },
    STORY_LIMIT_MS,
  );
});
