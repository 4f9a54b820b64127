import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { writeCoverage } from '../../src/adapters/ledger/coverage.js';
import { LedgerUnavailableError } from '../../src/adapters/ledger/errors.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import type { News } from '../../src/adapters/ledger/news.js';
import type { NewOrder, Settlement } from '../../src/adapters/ledger/orders.js';
import { exposition, type ExpositionSources } from '../../src/worker/metrics/exposition.js';
import { countedBy } from '../../src/worker/metrics/ledger-news.js';
import { createLedgerReader, MOST_PENDING } from '../../src/worker/metrics/ledger-reading.js';
import { createProcessMetrics } from '../../src/worker/metrics/registry.js';
import type { PolicyFile } from '../../src/core/policy/policy.js';
import { sessionIds, targetsOf, totalsOf } from '../support/bulk-plans.js';
import { readExposition, type Scrape } from '../support/exposition.js';

const orderOf = (sessionId: string, more: Partial<NewOrder> = {}): NewOrder => ({
  ...{ sessionId, source: 'person', requestedBy: 'ops@example.com', evenIfExempt: false, turnKey: 'turn' },
  reason: { text: null, policy: null, policyVersion: null, limit: null, observed: null },
  ...more,
});
const byPolicy = (sessionId: string): NewOrder =>
  orderOf(sessionId, {
    source: 'policy',
    requestedBy: 'policy rule',
    reason: { text: null, policy: 'rule', policyVersion: 1, limit: null, observed: null },
  });
const settlement = (orderId: string, sessionId: string): Settlement => ({
  ...{ orderId, sessionId, outcome: 'cancelled', attribution: 'strong', attempts: 1, endedAtMs: 1, turnKey: null },
  seen: { confirmedAfterMs: 7_000, sessionCredits: null },
});

/**
 * What the ledger tells those who count, and what it shows at a scrape, on either database.
 *
 * @param freshUrl - makes a new, empty database
 */
export function describeLedgerMetrics(name: string, freshUrl: () => Promise<string>): void {
  describe(`metrics of a ledger on ${name}`, () => {
    let ledger: Ledger;
    let news: News[];
    let metrics: ReturnType<typeof createProcessMetrics>;
    const log = { error: jest.fn() };

    beforeEach(async () => {
      news = [];
      log.error.mockClear();
      metrics = createProcessMetrics({ scanMs: 15_000, log, ofProcess: false });
      const count = countedBy(metrics.meters);
      ledger = await openLedger(await freshUrl(), {
        witness: (told) => {
          news.push(...told);
          count(told);
        },
      });
    });
    afterEach(() => ledger.close());

    const scrape = async (more: Partial<ExpositionSources> = {}): Promise<Scrape> =>
      readExposition(
        await exposition({
          ...{ process: metrics, log, ledger: createLedgerReader(ledger) },
          temporalAnswers: () => Promise.resolve(true),
          sdk: () => Promise.resolve('temporal_num_pollers 5\n'),
          ...more,
        }),
      );

    const bulkJob = async (targets: number): Promise<{ planId: string; epoch: number }> => {
      const planId = 'b-1';
      await ledger.bulk.begin({
        ...{ planId, by: 'ops', source: 'cleanup', cleanup: 'nightly', reason: null, selection: {} },
      });
      await ledger.bulk.addTargets(planId, 1, targetsOf(sessionIds(targets)));
      await ledger.bulk.seal(planId, { totals: totalsOf(targets), hash: await ledger.bulk.hash(planId) });
      await ledger.bulk.apply(planId, {
        ...{ by: 'ops', fast: false, evenIfExempt: false, rate: 10, canary: 1, hash: null },
      });
      const taken = await ledger.bulkRun.takeUp(planId, 'worker');
      if (taken.kind !== 'taken-up') throw new Error(taken.kind);
      return { planId, epoch: taken.key.epoch };
    };

    it('an order is counted when it is written, and once when it gets its outcome', async () => {
      const orderId = await ledger.orders.create(byPolicy('sess_1'));
      const record = { settlements: [settlement(orderId, 'sess_1')], events: [], alertedOrderIds: [] };
      await ledger.orders.settle(record);
      await ledger.orders.settle(record);
      const seen = await scrape();
      expect(seen.value('curfew_orders_opened_total', { by: 'policy', policy: 'rule' })).toBe(1);
      const labels = { outcome: 'cancelled', attribution: 'strong', by: 'policy', policy: 'rule' };
      expect(seen.value('curfew_orders_settled_total', labels)).toBe(1);
      expect(seen.value('curfew_accepted_to_confirmed_seconds_sum', { by: 'policy' })).toBe(7);
    });

    it('what is rolled back is not counted', async () => {
      const orderId = await ledger.orders.create(byPolicy('sess_1'));
      const broken = { kind: 'gone', sessionId: 'sess_1', data: { value: 1n } } as const;
      const settlements = [settlement(orderId, 'sess_1')];
      await expect(ledger.orders.settle({ settlements, events: [broken], alertedOrderIds: [] })).rejects.toThrow();
      expect(news.map(({ kind }) => kind)).toEqual(['order-opened']);
      expect((await scrape()).value('curfew_open_orders')).toBe(1);
    });

    it('events are counted by kind, those written by the way included', async () => {
      await ledger.recordEvents([{ kind: 'gone' }, { kind: 'gone' }, { kind: 'warned' }]);
      await ledger.pauseSwitch.set(true, 'ops', null);
      const seen = await scrape();
      expect(seen.value('curfew_events_total', { kind: 'gone' })).toBe(2);
      expect(seen.value('curfew_events_total', { kind: 'warned' })).toBe(1);
      expect(seen.value('curfew_events_total', { kind: 'paused' })).toBe(1);
      expect(seen.value('curfew_events_total', { kind: 'forbidden' })).toBe(0);
      expect(seen.value('curfew_paused')).toBe(1);
    });

    it('an order given up on a word is counted as such', async () => {
      const orderId = await ledger.orders.create(orderOf('sess_1', { source: 'service' }));
      await ledger.orders.abandon([orderId], { by: 'ops', reason: 'enough' });
      const labels = { outcome: 'abandoned', attribution: 'none', by: 'watch', policy: '' };
      expect((await scrape()).value('curfew_orders_settled_total', labels)).toBe(1);
    });

    it('targets of a bulk job are counted by whom the job belongs to, and so is what it hands over', async () => {
      const key = await bulkJob(3);
      const [first, second] = await ledger.bulk.targets(key.planId, { afterSeq: -1, limit: 10 });
      if (first === undefined || second === undefined) throw new Error('There are no targets.');
      await ledger.bulkRun.write(key, {
        ...{ answers: [], withdrawals: [], departures: [] },
        settlements: [
          {
            ...{ seq: first.seq, sessionId: first.sessionId, from: 'waiting', outcome: 'already-ended' },
            ...{ attribution: null, agentId: null, turnKey: null, endedAtMs: null, error: null },
          },
        ],
      });
      const handedOver = await ledger.bulkRun.handOver(key, [
        {
          ...{ seq: second.seq, sessionId: second.sessionId, from: 'waiting', agentId: null, turn: null },
          ...{ seenAtMs: second.seenAtMs, error: null },
        },
      ]);
      const seen = await scrape();
      const labels = { outcome: 'already-ended', attribution: 'none', by: 'cleanup', policy: '' };
      expect(seen.value('curfew_orders_settled_total', labels)).toBe(1);
      expect(seen.value('curfew_orders_opened_total', { by: 'cleanup', policy: '' })).toBe(1);
      expect(seen.value('curfew_bulk_jobs', { state: 'running' })).toBe(1);
      expect(seen.value('curfew_bulk_targets_open')).toBe(1);
      expect(seen.value('curfew_open_orders')).toBe(1);

      if (handedOver.kind !== 'handed-over') throw new Error(handedOver.kind);
      const settlements = [settlement(handedOver.orderIds[0] ?? '', second.sessionId)];
      await ledger.orders.settle({ settlements, events: [], alertedOrderIds: [] });
      const cancelled = { outcome: 'cancelled', attribution: 'strong', by: 'cleanup', policy: '' };
      expect((await scrape()).value('curfew_orders_settled_total', cancelled)).toBe(1);
    });

    it('an order that waits because its bulk job is paused is open, and never the oldest', async () => {
      const { planId, ...key } = await bulkJob(2);
      const [target] = await ledger.bulk.targets(planId, { afterSeq: -1, limit: 1 });
      if (target === undefined) throw new Error('There are no targets.');
      await ledger.bulkRun.handOver({ planId, ...key }, [
        {
          ...{ seq: target.seq, sessionId: target.sessionId, from: 'waiting', agentId: null, turn: null },
          ...{ seenAtMs: target.seenAtMs, error: null },
        },
      ]);
      const oldest = 'curfew_oldest_open_order_timestamp_seconds';
      const handedOverAt = (await scrape()).value(oldest);
      expect(handedOverAt).toBeDefined();

      await ledger.bulk.steer(planId, { action: 'pause', by: 'ops' });
      const paused = await scrape();
      expect(paused.value(oldest)).toBeUndefined();
      expect(paused.value('curfew_open_orders')).toBe(1);

      // By a person, on the session of that very target.
      await ledger.orders.create(orderOf(target.sessionId));
      expect((await scrape()).value(oldest)).toBeGreaterThanOrEqual(handedOverAt ?? NaN);

      await ledger.bulk.steer(planId, { action: 'resume', by: 'ops' });
      expect((await scrape()).value(oldest)).toBe(handedOverAt);
    });

    it('shows when the last scan was, and how long it took', async () => {
      expect((await scrape()).value('curfew_last_scan_duration_seconds')).toBeUndefined();
      await writeCoverage(ledger, {
        ...{ atMs: 1_767_225_600_000, completeAtMs: null, durationMs: 300_500, scanMs: 15_000, policyVersion: 1 },
        ...{ agents: 1, unreadable: { count: 1, first: [] }, notFound: [], live: { processing: 1, queued: 0 } },
        teams: {
          ...{ source: 'listed', problem: null, notConcerned: 0 },
          watched: { count: 25, first: [] },
          unreadable: { count: 1, first: [] },
          notShown: [{ id: 'team-9', name: null, problem: '403' }],
        },
        problem: null,
      });
      const seen = await scrape();
      expect(seen.value('curfew_last_scan_timestamp_seconds')).toBe(1_767_225_600);
      expect(seen.value('curfew_last_complete_scan_timestamp_seconds')).toBeUndefined();
      expect(seen.value('curfew_last_scan_duration_seconds')).toBe(300.5);
      for (const [status, teams] of [
        ['watched', 25],
        ['unreadable', 1],
        ['not_shown', 1],
      ] as const) {
        expect(seen.value('curfew_teams', { status })).toBe(teams);
      }
    });

    it('shows how things stand', async () => {
      const before = await scrape();
      expect(before.value('curfew_oldest_open_order_timestamp_seconds')).toBeUndefined();
      expect(before.value('curfew_policy_version')).toBeUndefined();
      expect(before.sum('curfew_policies_in_force')).toBe(0);
      expect(before.value('curfew_last_complete_scan_timestamp_seconds')).toBeUndefined();

      const stuck = await ledger.orders.create(byPolicy('sess_1'));
      await ledger.orders.create(orderOf('sess_1'));
      await ledger.orders.create(orderOf('sess_2'));
      const events = [{ kind: 'not-ending', sessionId: 'sess_1', orderId: stuck }] as const;
      await ledger.orders.settle({ settlements: [], events, alertedOrderIds: [stuck] });
      await ledger.meta.claim('account-refused', 'unauthorized');
      const unread = {
        sessionId: 'sess_3',
        by: 'fleet',
        orderId: null,
        reason: 'timeout',
        text: 'not answered',
      } as const;
      await ledger.unjudged.note(unread, 0);
      await ledger.unjudged.tell(unread);
      const after = await scrape();
      expect(before.value('curfew_sessions_not_judgeable')).toBe(0);
      expect(after.value('curfew_sessions_not_judgeable')).toBe(1);
      expect(after.value('curfew_open_orders')).toBe(3);
      expect(after.value('curfew_open_cases')).toBe(2);
      expect(after.value('curfew_stuck_cases')).toBe(1);
      expect(after.value('curfew_account_refused')).toBe(1);
      const age = (await ledger.now()) / 1_000 - (after.value('curfew_oldest_open_order_timestamp_seconds') ?? NaN);
      expect(age).toBeGreaterThanOrEqual(0);
      expect(age).toBeLessThan(60);
    });

    it('shows the policies in force, their breakers, and what routes are still to be told', async () => {
      const policy = {
        ...{ name: 'rule', match: { agents: ['*'] }, warnAt: null, graceMs: 0, mode: 'enforce', notify: ['ops'] },
        caps: { maxCancels: 50, maxPercent: 50, perMs: 3_600_000 },
        onRestart: { action: 'report' },
      };
      const file = {
        ...{ version: 1, cleanup: [], exempt: [] },
        policies: [policy, { ...policy, name: 'other', mode: 'off' }],
        notify: { ops: { slack: { urlFile: '/run/secrets/slack' } } },
      } as unknown as PolicyFile;
      await ledger.policies.apply({ file, fileName: 'a.yaml', sourceText: '', by: 'ops' });
      await scrape();
      await ledger.recordEvents([{ kind: 'warned', data: { policy: 'rule' } }, { kind: 'bulk-rate' }]);
      const seen = await scrape();
      expect(seen.value('curfew_policy_version')).toBe(1);
      expect(seen.value('curfew_policies_in_force', { mode: 'enforce' })).toBe(1);
      expect(seen.value('curfew_policies_in_force', { mode: 'off' })).toBe(1);
      expect(seen.value('curfew_breaker_open', { policy: 'rule' })).toBe(0);
      expect(seen.value('curfew_notifications_pending', { route: 'ops' })).toBe(1);
      expect(MOST_PENDING).toBe(1_000);
    });

    it('a ledger that is away leaves no numbers of its own, and stands in the way of no others', async () => {
      await ledger.orders.create(orderOf('sess_1'));
      const away = new LedgerUnavailableError('unreachable', 'somewhere', 'connection refused');
      const seen = await scrape({ ledger: () => Promise.reject(away) });
      expect(seen.value('curfew_ledger_up')).toBe(0);
      expect(seen.text).not.toMatch(/curfew_(open_orders|policies_in_force|paused|bulk_jobs|agents)/);
      expect(seen.value('curfew_temporal_up')).toBe(1);
      expect(seen.value('temporal_num_pollers')).toBe(5);
      expect(seen.value('curfew_build_info', seen.all('curfew_build_info')[0]?.labels)).toBe(1);
      expect(log.error).not.toHaveBeenCalled();
    });

    it('a failure of our own making is logged, and is no ledger that is up', async () => {
      const seen = await scrape({ ledger: () => Promise.reject(new TypeError('of our own')) });
      expect(seen.value('curfew_ledger_up')).toBe(0);
      expect(log.error).toHaveBeenCalledTimes(1);
    });
  });
}
