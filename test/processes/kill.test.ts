import { randomInt } from 'node:crypto';
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { OrderResult } from '../../src/core/contract.js';
import { homePaths } from '../../src/platform/home.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { openDatabase } from '../../src/adapters/ledger/open.js';
import { readServerNote } from '../../src/adapters/temporal/server-note.js';
import type { FaultInput, SessionInput } from '../../simulator/index.js';
import { seededRandom } from '../../simulator/random.js';
import { insist } from '../support/commands.js';
import { startReady, type CurfewProcess } from '../support/curfew-process.js';
import { temporalBinary, until } from '../support/embedded-server.js';
import { contradictions, recordReads, type Evidence, type ServedRead } from '../support/oracle.js';
import { closeHomes, inOwnHome, openHome, type OwnHome } from '../support/own-home.js';
import { orderInLedgerOnly, senders, untilSettled } from '../support/standing.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit: the slowest case takes about a minute of waits alone. */
const STORM_LIMIT_MS = 8 * 60_000;
/** Set it to the seed that a failed run has printed, to have the same victims at the same moments. */
const SEED = Number(process.env['KILL_TEST_SEED'] ?? randomInt(2 ** 31));

// Once for all: to obtain the server can take minutes, and no test's time limit shall have to allow for that.
beforeAll(temporalBinary, OBTAIN_LIMIT_MS);
afterAll(closeHomes, 60_000);

// The waits after failures, not those of confirming: the test is about other things than patience.
const SETTINGS = { CURFEW_RETRY_CAP: '2s' };

function serverPid({ home }: OwnHome): number {
  const pid = readServerNote(home)?.pid;
  if (pid == null) throw new Error('No Temporal server is noted in the home.');
  return pid;
}

const kill9 = (pid: number): void => void process.kill(pid, 'SIGKILL');
const print = (figures: object): void => void process.stdout.write(`${JSON.stringify(figures)}\n`);

type Plan = Omit<SessionInput, 'agent' | 'id' | 'faults'> & { readonly faults?: FaultInput[] };

const ordinary: Plan = { turnAge: '30m' };
const withFaults = (...faults: FaultInput[]): Plan => ({ ...ordinary, faults });
/** One session each. All but the last six are ordered by the command, those in the ledger alone. */
const PLANS: Readonly<Record<string, Plan>> = {
  plain: ordinary,
  waiting: { state: 'queued', turnAge: '1h' },
  stubborn: withFaults({ fault: 'failed-to-abort', times: 3 }),
  aborted_after_all: withFaults({ fault: 'failed-to-abort', effect: true }),
  reset_before: withFaults({ fault: 'reset-before-effect', on: 'cancel', times: 2 }),
  reset_after: withFaults({ fault: 'reset-after-effect', on: 'cancel' }),
  slow_answer: withFaults({ fault: 'lagging-answer', on: 'cancel', delay: '4s' }),
  slow_effect: withFaults({ fault: 'lagging-answer', on: 'cancel', delay: '5s', effectAfter: '3s' }),
  maintenance: withFaults({ fault: 'server-error', on: 'cancel' }, { fault: 'server-error', on: 'retrieve' }),
  maintenance_after: withFaults({ fault: 'server-error', on: 'cancel', effect: true }),
  too_many: withFaults({ fault: 'rate-limited', on: 'cancel', retryAfterSeconds: 2 }),
  ends_soon: { ...ordinary, runsFor: '6s' },
  ended: { state: 'completed', turnAge: '1h', endedAgo: '30m' },
  broken: { state: 'failed', turnAge: '1h', endedAgo: '30m' },
  says_completed: withFaults({ fault: 'lagging-effect', answer: 'completed' }),
  ends_in_between: withFaults({ fault: 'turn-ends-in-between' }),
  next_in_queue: { ...ordinary, queuedMessages: 1 },
  next_by_user: ordinary,
  next_by_user_too: withFaults({ fault: 'failed-to-abort', times: 1 }),
  no_effect: withFaults({ fault: 'accepted-without-effect', answer: 'failed' }),
};
const BY_LEDGER = 6;
const IDS = Object.keys(PLANS).map((name) => `sess_${name}`);
/** Somebody sends the next message as soon as these rest. */
const GO_ON = ['sess_next_by_user', 'sess_next_by_user_too'];

describe('a storm of kill -9', () => {
  let own: OwnHome;
  let ledger: Ledger;
  let reads: readonly ServedRead[];
  let results: OrderResult[];
  let evidence: Evidence;
  const kills = { worker: 0, server: 0 };

  beforeAll(async () => {
    own = await openHome(SETTINGS, { seed: SEED });
    const { home, settings } = own;
    const { world } = own.simulator;
    reads = recordReads(world);
    for (const [name, plan] of Object.entries(PLANS))
      world.addSession({ agent: 'agent_test', id: `sess_${name}`, ...plan });
    // Where nothing else is planned, answers take their time: so that workers die with requests under way.
    world.addFaults('everywhere', [
      { fault: 'lagging-answer', on: 'cancel', delay: '2s', effectAfter: '1s', times: 'forever', probability: 0.7 },
      { fault: 'lagging-answer', on: 'retrieve', delay: '300ms', times: 'forever', probability: 0.3 },
    ]);
    const random = seededRandom(SEED);
    const between = (from: number, to: number): number => Math.round(from + random() * (to - from));
    print({ test: 'kill', seed: SEED });
    const began = performance.now();

    let worker: CurfewProcess = await own.up();
    ledger = await openLedger(homePaths(home).ledger);
    const byCommand = insist(['cancel', ...IDS.slice(0, -BY_LEDGER)], settings);
    const byLedger = IDS.slice(-BY_LEDGER);
    const users = new AbortController();
    const goingOn = keepGoing(users.signal);

    for (const victims of shuffled(['worker', 'server', 'both', 'worker', 'both', 'worker'], random)) {
      await sleep(between(800, 5_000));
      const killed = { worker: victims !== 'server', server: victims !== 'worker' };
      if (killed.worker) kill9(worker.pid);
      if (killed.server) kill9(serverPid(own));
      kills.worker += killed.worker ? 1 : 0;
      kills.server += killed.server ? 1 : 0;
      const sessionId = byLedger.shift();
      if (sessionId !== undefined) await orderInLedgerOnly(ledger, sessionId);
      if (!killed.worker) continue;
      await worker.ended;
      await sleep(between(0, 1_500));
      worker = await own.up();
    }
    await byCommand;

    results = await untilSettled(ledger);
    users.abort();
    await goingOn;
    worker.signal('SIGTERM');
    await worker.ended;
    const truth = world.truth();
    evidence = { orders: results, truth, reads, kills: kills.worker };
    const outcomes: Record<string, number> = {};
    for (const { outcome } of results) outcomes[outcome ?? 'open'] = (outcomes[outcome ?? 'open'] ?? 0) + 1;
    print({
      test: 'kill',
      seed: SEED,
      cases: results.length,
      kills,
      outcomes,
      requests: truth.cancels.length,
      requestsCutOff: truth.cancels.filter(({ answered }) => answered.kind === 'client-gone').length,
      reads: truth.requests.retrieve,
      seconds: Math.round((performance.now() - began) / 1_000),
    });
  }, STORM_LIMIT_MS);

  afterAll(() => ledger?.close());

  /** Plays users who send the next message as soon as a session rests. */
  async function keepGoing(signal: AbortSignal): Promise<void> {
    const waiting = new Set(GO_ON);
    while (!signal.aborted && waiting.size > 0) {
      for (const id of waiting) {
        if (own.simulator.world.session(id).state !== 'failed') continue;
        own.simulator.world.startTurn(id, { runsFor: null });
        waiting.delete(id);
      }
      await sleep(100);
    }
  }

  it('I1: lets no request out without a read, 2 s old at most, that showed the ordered turn in flight', () =>
    expect(contradictions(evidence).I1).toEqual([]));

  it('I2: loses no order: every ordered turn ended, or was reported', () => {
    expect(contradictions(evidence).I2).toEqual([]);
    expect(results.map(({ sessionId }) => sessionId).sort()).toEqual([...IDS].sort());
  });

  it('I3: never has two requests for one session side by side', () => expect(contradictions(evidence).I3).toEqual([]));

  it('I4: says of every turn what happened, and has as many requests in the ledger as arrived', () =>
    expect(contradictions(evidence).I4).toEqual([]));

  it('I4: ends no turn that nobody had ordered: what users began meanwhile goes on', () => {
    for (const id of [...GO_ON, 'sess_next_in_queue']) {
      expect({ id, state: own.simulator.world.session(id).state }).toEqual({ id, state: 'processing' });
    }
  });

  it('gives each order exactly one outcome', async () => {
    const { db, close } = await openDatabase(homePaths(own.home).ledger);
    try {
      const rows = await db.selectFrom('outcomes').select('order_id').execute();
      expect(rows).toHaveLength(IDS.length);
      expect(new Set(rows.map(({ order_id: id }) => id)).size).toBe(IDS.length);
    } finally {
      await close();
    }
  });

  it('was a storm indeed: workers and servers died while requests were under way', () => {
    expect(kills).toEqual({ worker: 5, server: 3 });
    expect(evidence.truth.cancels.length).toBeGreaterThan(15);
  });
});

describe('a worker that dies while it waits for the answer to a request', () => {
  const sessionId = 'sess_hangs';

  const story = (tell: (own: OwnHome) => Promise<void>) =>
    inOwnHome(SETTINGS, async (own) => {
      const faults: FaultInput[] = [{ fault: 'hang', on: 'cancel' }];
      own.simulator.world.addSession({ agent: 'agent_test', id: sessionId, turnAge: '30m', faults });
      await tell(own);
    });

  const requests = ({ simulator }: OwnHome): number => simulator.world.truth(sessionId).cancels.length;

  /** Seconds from now to the next request. */
  async function untilNextRequest(own: OwnHome): Promise<number> {
    const began = performance.now();
    const before = requests(own);
    await until(() => requests(own) > before);
    return Math.round((performance.now() - began) / 100) / 10;
  }

  async function sender({ home }: OwnHome): Promise<number | undefined> {
    const database = await openDatabase(homePaths(home).ledger);
    return (await senders(database).finally(() => database.close()))[0];
  }

  it.concurrent(
    'I2: is followed by another worker, which asks again',
    story(async (own) => {
      const workers = [await own.up(), (await startReady(['worker'], own.settings)).process];
      await own.run('cancel', sessionId);
      await until(() => requests(own) === 1);
      const pid = await sender(own);
      const victim = workers.find((worker) => worker.pid === pid);
      expect(victim).toBeDefined();
      victim?.signal('SIGKILL');

      print({ test: 'kill', takeoverByAnotherWorkerSeconds: await untilNextRequest(own), designSeconds: 20 });

      const [result] = await own.withLedger(untilSettled);
      expect(result).toMatchObject({ outcome: 'cancelled', attempts: 2 });
      expect(own.simulator.world.truth().maxConcurrentCancels).toBe(1);
    }),
    180_000,
  );

  it.concurrent(
    'I2: is followed by itself, started again',
    story(async (own) => {
      const worker = await own.up();
      await own.run('cancel', sessionId);
      await until(() => requests(own) === 1);
      worker.signal('SIGKILL');
      const next = untilNextRequest(own);
      await worker.ended;
      await own.up();

      print({ test: 'kill', takeoverAfterRestartSeconds: await next, designSeconds: 20 });

      const [result] = await own.withLedger(untilSettled);
      expect(result).toMatchObject({ outcome: 'cancelled', attempts: 2 });
    }),
    180_000,
  );
});

describe('a Temporal database that was deleted', () => {
  it(
    'I2: costs no order: what is open in the ledger is taken up again, and what is settled stays so',
    inOwnHome(SETTINGS, async (own) => {
      const { world } = own.simulator;
      const stuck: FaultInput[] = [{ fault: 'failed-to-abort', times: 'forever' }];
      world.addSession({ agent: 'agent_test', id: 'sess_done', turnAge: '30m' });
      for (const id of ['sess_stuck_1', 'sess_stuck_2']) {
        world.addSession({ agent: 'agent_test', id, turnAge: '30m', faults: stuck });
      }
      const worker = await own.up();
      expect(await own.curfew('cancel', 'sess_done', '--wait')).toMatchObject({ orders: [{ outcome: 'cancelled' }] });
      await own.run('cancel', 'sess_stuck_1', 'sess_stuck_2');
      await until(() => world.truth().cancels.length > 4);
      worker.signal('SIGTERM');
      expect((await worker.ended).code).toBe(0);

      for (const suffix of ['', '-wal', '-shm']) rmSync(`${homePaths(own.home).temporalDb}${suffix}`, { force: true });
      await own.up();
      for (const id of ['sess_stuck_1', 'sess_stuck_2']) world.clearFaults({ sessionId: id });

      const results = await own.withLedger(untilSettled);
      expect(results.map(({ outcome }) => outcome)).toEqual(['cancelled', 'cancelled', 'cancelled']);
      expect(world.truth('sess_done').cancels).toHaveLength(1);
      expect(results.map(({ sessionId }) => sessionId).sort()).toEqual(['sess_done', 'sess_stuck_1', 'sess_stuck_2']);
    }),
    180_000,
  );
});

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}
