import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import type { BulkStatus, BulkTargetResult, OrderResult } from '../../src/core/contract.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { startCluster, type TestCluster } from '../support/cluster.js';
import { tell } from '../support/commands.js';
import { runCurfew, settingsFor, startReady, stopEverything, type Settings } from '../support/curfew-process.js';
import { until } from '../support/embedded-server.js';
import { contradictions, recordReads, type ServedRead } from '../support/oracle.js';
import { allOrders } from '../support/standing.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit. */
const STORY_LIMIT_MS = 300_000;
const WORKERS = 3;
const FILE = `version: 1
policies:
  - name: runaways
    match: { agents: ["agent_policy"] }
    limits: { max_runtime: 45m }
    mode: enforce
cleanup:
  - name: stale-queue
    select: { states: [queued], queued_for: 6h, match: { agents: ["agent_cleanup"] } }
    schedule: { cron: '0 3 * * *', timezone: Europe/Berlin }
    caps: { max_cancels: 50, max_percent: 100 }
`;

describe('three workers on a Temporal server and a ledger that both lie on PostgreSQL', () => {
  let cluster: TestCluster;
  let simulator: Simulator;
  let folder: string;
  let settings: Settings;
  let ledger: Ledger;
  let reads: readonly ServedRead[];
  const reported: BulkTargetResult[] = [];

  const curfew = <T>(...args: string[]): Promise<T> => tell<T>(args, settings);

  async function report(planId: string): Promise<BulkTargetResult[]> {
    const { stdout } = await runCurfew(['bulk', 'report', planId, '--format', 'jsonl'], settings);
    const lines = stdout.trimEnd().split('\n');
    const targets = lines.map((line) => JSON.parse(line) as BulkTargetResult);
    reported.push(...targets);
    return targets;
  }

  const state = (id: string): string => simulator.world.session(id).state;
  const cancelsOf = (id: string): number => simulator.world.truth(id).cancels.length;
  const byId = (orders: readonly OrderResult[]): Record<string, string | null> =>
    Object.fromEntries(orders.map(({ sessionId, outcome }) => [sessionId, outcome]));

  beforeAll(async () => {
    cluster = await startCluster();
    simulator = await startSimulator({ slots: 1_000 });
    const { world } = simulator;
    for (const id of ['agent_hand', 'agent_policy', 'agent_bulk', 'agent_cleanup']) world.addAgent({ id });
    const byHand = { agent: 'agent_hand', turnAge: '30m' } as const;
    world.addSession({ ...byHand, id: 'sess_plain' });
    world.addSession({ ...byHand, id: 'sess_stubborn', faults: [{ fault: 'failed-to-abort', times: 2 }] });
    world.addSession({ agent: 'agent_hand', id: 'sess_ended', state: 'completed', turnAge: '1h', endedAgo: '30m' });
    world.addSession({ ...byHand, id: 'sess_held' });
    world.addSession({ agent: 'agent_policy', id: 'sess_old', turnAge: '2h' });
    world.addSession({ agent: 'agent_policy', id: 'sess_young', turnAge: '5m' });
    for (let i = 0; i < 12; i += 1) world.addSession({ agent: 'agent_bulk', id: `sess_bulk_${i}`, turnAge: '1h' });
    for (const [id, turnAge] of [
      ['sess_stale_1', '8h'],
      ['sess_stale_2', '7h'],
      ['sess_fresh', '1h'],
    ] as const) {
      world.addSession({ agent: 'agent_cleanup', id, state: 'queued', leavesQueue: 'never', turnAge });
    }
    reads = recordReads(world);

    folder = mkdtempSync(join(tmpdir(), 'curfew-integration-'));
    settings = await settingsFor(folder, {
      ...cluster.settings,
      GUMLOOP_BASE_URL: simulator.url,
      GUMLOOP_API_KEY: simulator.apiKey,
      GUMLOOP_USER_ID: simulator.userId,
      CURFEW_RETRY_CAP: '2s',
      CURFEW_SCAN_INTERVAL: '2s',
    });
    const started = await Promise.all(Array.from({ length: WORKERS }, () => startReady(['worker'], settings)));
    for (const { ready } of started) expect(ready.temporal.started).toBe('configured');
    ledger = await openLedger(settings['CURFEW_DATABASE_URL'] ?? '');
  }, OBTAIN_LIMIT_MS);

  afterAll(async () => {
    await ledger?.close();
    await stopEverything();
    await simulator?.close();
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  }, 120_000);

  it(
    'send nothing while Curfew is paused, and what was held goes on after it',
    async () => {
      await curfew('pause', '--reason', 'a test');
      await curfew('cancel', 'sess_held');
      await until(() => simulator.world.truth('sess_held').requests.retrieve >= 2);
      expect(cancelsOf('sess_held')).toBe(0);
      expect(await curfew('resume')).toMatchObject({ paused: false, openOrders: 1 });
      await until(async () => byId((await allOrders(ledger)).map((view) => view.result))['sess_held'] === 'cancelled');
      expect(cancelsOf('sess_held')).toBe(1);
    },
    STORY_LIMIT_MS,
  );

  // Beside each other, as in life: none of them touches the sessions of another.
  it.concurrent(
    'end what a person orders',
    async () => {
      const ids = ['sess_plain', 'sess_stubborn', 'sess_ended'];
      const { orders } = await curfew<{ orders: OrderResult[] }>('cancel', ...ids, '--wait');
      expect(byId(orders)).toEqual({
        sess_plain: 'cancelled',
        sess_stubborn: 'cancelled',
        sess_ended: 'already-ended',
      });
    },
    STORY_LIMIT_MS,
  );

  it.concurrent(
    'carry out a bulk plan, exactly its targets',
    async () => {
      const { planId } = await curfew<BulkStatus>('bulk', 'plan', '--agent', 'agent_bulk', '--reason', 'a test');
      const apply = ['bulk', 'apply', planId, '--yes', '--wait', '--rate', '50/s', '--canary', '3'];
      expect(await curfew(...apply)).toMatchObject({ state: 'finished', progress: { outcomes: { cancelled: 12 } } });
      const targets = await report(planId);
      expect(targets.map(({ sessionId }) => sessionId).sort()).toEqual(
        Array.from({ length: 12 }, (_, i) => `sess_bulk_${i}`).sort(),
      );
    },
    STORY_LIMIT_MS,
  );

  it.concurrent(
    'enforce a policy, and keep a cleanup as a Schedule',
    async () => {
      const file = join(folder, 'policies.yaml');
      writeFileSync(file, FILE);
      await curfew('policy', 'apply', file, '--yes');
      await until(async () => byId((await allOrders(ledger)).map((view) => view.result))['sess_old'] === 'cancelled');
      expect(state('sess_young')).toBe('processing');
      await until(async () => {
        const { cleanups } = await curfew<{ cleanups: { schedule: { nextRuns: readonly string[] | null } }[] }>(
          'cleanup',
          'list',
        );
        return (cleanups[0]?.schedule.nextRuns?.length ?? 0) > 0;
      });
    },
    STORY_LIMIT_MS,
  );

  it(
    'run the cleanup, which ends what is stale and nothing else',
    async () => {
      const run = await curfew<{ planId: string }>('cleanup', 'run', 'stale-queue', '--yes', '--wait');
      const targets = await report(run.planId);
      expect(byId(targets)).toEqual({ sess_stale_1: 'cancelled', sess_stale_2: 'cancelled' });
      expect(state('sess_fresh')).toBe('queued');
    },
    STORY_LIMIT_MS,
  );

  it('say of every turn what happened', async () => {
    const orders = (await allOrders(ledger)).map(({ result }) => result);
    expect(orders).toHaveLength(5);
    const truth = simulator.world.truth();
    const nothing = { I1: [], I2: [], I3: [], I4: [] };
    expect(contradictions({ orders: [...orders, ...reported], truth, reads, kills: 0 })).toEqual(nothing);
    const alive = Object.entries(truth.sessions).filter(
      ([, { state }]) => state === 'processing' || state === 'queued',
    );
    expect(alive.map(([id]) => id).sort()).toEqual(['sess_fresh', 'sess_young']);
  });
});
