import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import type { OrderResult } from '../../src/core/contract.js';
import { LedgerUnavailableError } from '../../src/adapters/ledger/errors.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import { startCluster, type TestCluster } from '../support/cluster.js';
import { insist } from '../support/commands.js';
import {
  settingsFor,
  startReady,
  stopEverything,
  type CurfewProcess,
  type Settings,
} from '../support/curfew-process.js';
import { contradictions, recordReads, type Evidence } from '../support/oracle.js';
import { senders } from '../support/standing.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** The size that the figures in docs/scaling.md are of: CLUSTER_CASES=2000 CLUSTER_WORKERS=3 CLUSTER_KILL_EVERY=10000. */
const CASES = Number(process.env['CLUSTER_CASES'] ?? 60);
const WORKERS = Number(process.env['CLUSTER_WORKERS'] ?? 3);
/** A worker is killed so often, ms, until all orders have their outcome; on a slow machine once the last one is back. */
const KILL_EVERY_MS = Number(process.env['CLUSTER_KILL_EVERY'] ?? 6_000);
/** So long before that time it is looked for a worker with a request to cut off, ms. */
const REQUEST_WITHIN_MS = 3_000;
/** So many orders of one command. */
const BATCH = Math.min(50, CASES / 4);
/** A person waits until most of what was ordered is settled, before ordering more. */
const MOST_OPEN = 4 * BATCH;
/** A hang limit. */
const STORM_LIMIT_MS = 45 * 60_000;
/** Set it to the seed that a failed run has printed, to have the same faults. */
const SEED = Number(process.env['KILL_TEST_SEED'] ?? randomInt(2 ** 31));

const print = (figures: object): void => void process.stdout.write(`${JSON.stringify(figures)}\n`);

describe('a storm over workers, the Temporal server and PostgreSQL', () => {
  let cluster: TestCluster;
  let simulator: Simulator;
  let folder: string;
  let settings: Settings;
  let ledger: Ledger;
  let database: OpenedDatabase;
  let results: OrderResult[];
  let evidence: Evidence;
  let kills = 0;
  const ids = Array.from({ length: CASES }, (_, i) => `sess_${i}`);

  /** Open in the ledger; all of them while it is away. */
  async function openOrders(): Promise<number> {
    try {
      return (await ledger.gauges()).openOrders;
    } catch (error) {
      if (error instanceof LedgerUnavailableError) return Infinity;
      throw error;
    }
  }

  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await condition())) await sleep(200);
  }

  /**
   * One after the other. Each comes back at once, and is ready before the next one dies: else a slow machine would have none
   * at work, and the storm no end.
   */
  async function killWorkers(workers: CurfewProcess[], signal: AbortSignal): Promise<void> {
    let back: Promise<void> | undefined;
    for (;;) {
      const killAt = performance.now() + KILL_EVERY_MS;
      await sleep(KILL_EVERY_MS - REQUEST_WITHIN_MS, undefined, { signal }).catch(() => {});
      await back;
      const victim = await nextVictim(workers, killAt);
      if (signal.aborted) return;
      workers[victim]?.signal('SIGKILL');
      kills += 1;
      await workers[victim]?.ended;
      back = startAgain().then((worker) => void (workers[victim] = worker));
    }
  }

  /** The worker that waits for the answer to a request, whose death shows most; when none does by then, the next in turn. */
  async function nextVictim(workers: readonly CurfewProcess[], latestAt: number): Promise<number> {
    while (performance.now() < latestAt) {
      // PostgreSQL may be away.
      const waiting = await senders(database).catch((): number[] => []);
      const victim = workers.findIndex(({ pid }) => waiting.includes(pid));
      if (victim !== -1) return victim;
      await sleep(50);
    }
    return kills % WORKERS;
  }

  /** As a service manager does it: one that did not come up, because a server was away, is started again. */
  async function startAgain(): Promise<CurfewProcess> {
    for (;;) {
      try {
        return (await startReady(['worker'], settings)).process;
      } catch {
        await sleep(500);
      }
    }
  }

  /** The Temporal server dies after a quarter of the requests, PostgreSQL starts again after half of them. */
  async function breakServers(): Promise<void> {
    const sent = (share: number) => until(() => simulator.world.requestCounts().requests.cancel >= share * CASES);
    await sent(0.25);
    await cluster.killServer();
    await sleep(2_000);
    await cluster.startServer();
    await sent(0.5);
    await cluster.restartPostgres('immediate');
  }

  beforeAll(async () => {
    cluster = await startCluster();
    simulator = await startSimulator({ slots: 2 * CASES, seed: SEED });
    const { world } = simulator;
    world.addAgent({ id: 'agent_test' });
    ids.forEach((id, i) => {
      // Some end by themselves meanwhile.
      world.addSession({ agent: 'agent_test', id, turnAge: '30m', runsFor: i % 12 === 7 ? '15s' : null });
    });
    // One request in twenty is at fault; and answers take their time, so that workers die with requests under way.
    world.addFaults('everywhere', [
      { fault: 'failed-to-abort', times: 'forever', probability: 0.01 },
      { fault: 'reset-after-effect', on: 'cancel', times: 'forever', probability: 0.01 },
      { fault: 'server-error', on: 'cancel', times: 'forever', probability: 0.01 },
      { fault: 'rate-limited', on: 'cancel', times: 'forever', probability: 0.01 },
      { fault: 'lagging-effect', times: 'forever', probability: 0.01 },
      { fault: 'server-error', on: 'retrieve', times: 'forever', probability: 0.05 },
      { fault: 'lagging-answer', on: 'cancel', delay: '1s', effectAfter: '500ms', times: 'forever', probability: 0.5 },
    ]);
    folder = mkdtempSync(join(tmpdir(), 'curfew-cluster-kill-'));
    settings = await settingsFor(folder, {
      ...cluster.settings,
      GUMLOOP_BASE_URL: simulator.url,
      GUMLOOP_API_KEY: simulator.apiKey,
      GUMLOOP_USER_ID: simulator.userId,
      CURFEW_RETRY_CAP: '2s',
    });
    print({ test: 'cluster-kill', seed: SEED });
    const began = performance.now();
    const reads = recordReads(world);
    const workers: CurfewProcess[] = [];
    const started = Array.from({ length: WORKERS }, () => startReady(['worker'], settings));
    for (const { process } of await Promise.all(started)) workers.push(process);
    ledger = await openLedger(settings['CURFEW_DATABASE_URL'] ?? '');
    database = await openDatabase(settings['CURFEW_DATABASE_URL'] ?? '');

    const storm = new AbortController();
    const killing = killWorkers(workers, storm.signal);
    const breaking = breakServers();
    for (let next = 0; next < CASES; next += BATCH) {
      await until(async () => (await openOrders()) < MOST_OPEN);
      await insist(['cancel', ...ids.slice(next, next + BATCH)], settings);
    }
    await breaking;
    await until(async () => (await openOrders()) === 0);
    storm.abort();
    await killing;
    const seconds = Math.round((performance.now() - began) / 1_000);
    results = (await ledger.orders.views({ limit: 2 * CASES })).map(({ result }) => result);

    for (const worker of workers) {
      worker.signal('SIGTERM');
      await worker.ended;
    }
    const truth = world.truth();
    evidence = { orders: results, truth, reads, kills };
    const outcomes: Record<string, number> = {};
    for (const { outcome } of results) outcomes[outcome ?? 'open'] = (outcomes[outcome ?? 'open'] ?? 0) + 1;
    print({
      test: 'cluster-kill',
      seed: SEED,
      cases: results.length,
      workers: WORKERS,
      kills: { worker: kills, server: 1, postgres: 1 },
      outcomes,
      requests: truth.cancels.length,
      requestsCutOff: truth.cancels.filter(({ answered }) => answered.kind === 'client-gone').length,
      reads: truth.requests.retrieve,
      seconds,
    });
  }, OBTAIN_LIMIT_MS + STORM_LIMIT_MS);

  afterAll(async () => {
    await database?.close();
    await ledger?.close();
    await stopEverything();
    await simulator?.close();
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  }, 120_000);

  it('I1: lets no request out without a fresh read', () => expect(contradictions(evidence).I1).toEqual([]));

  it('I2: loses no order: every ordered turn ended, or was reported', () => {
    expect(contradictions(evidence).I2).toEqual([]);
    // A command whose answer got lost may have been given twice; every session has at least its one order.
    expect([...new Set(results.map(({ sessionId }) => sessionId))].sort()).toEqual([...ids].sort());
    expect(ids.filter((id) => simulator.world.session(id).state === 'processing')).toEqual([]);
  });

  it('I3: never has two requests for one session side by side', () => expect(contradictions(evidence).I3).toEqual([]));

  it('I4: says of every turn what happened, and has as many requests in the ledger as arrived', () =>
    expect(contradictions(evidence).I4).toEqual([]));

  it('was a storm indeed: workers died', () => expect(kills).toBeGreaterThan(2));

  it('gives each order exactly one outcome', async () => {
    const rows = await database.db.selectFrom('outcomes').select('order_id').execute();
    expect(rows).toHaveLength(results.length);
    expect(new Set(rows.map(({ order_id: id }) => id)).size).toBe(results.length);
  });
});
