import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createBulkPlans, hashOfTargets, type TargetStatus } from '../../src/adapters/ledger/bulk-plans.js';
import { recordEvents } from '../../src/adapters/ledger/events.js';
import { createHistory, type HistoryFilter } from '../../src/adapters/ledger/history.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import { createOrder } from '../../src/adapters/ledger/orders.js';
import { removeExpired, RETENTION_BATCH } from '../../src/adapters/ledger/retention.js';
import { sessionIds, targetsOf, totalsOf } from '../support/bulk-plans.js';
import { clockAt } from './rows.js';

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);
const DAY = 24 * 60 * 60_000;
const RETENTION = 400 * DAY;
const LONG_AGO = NOW - RETENTION - DAY;

/**
 * What looking back at bulk jobs and forgetting them promise on either database.
 *
 * @param freshUrl - makes a new, empty database
 */
export function describeBulkHistory(name: string, freshUrl: () => Promise<string>): void {
  describe(`bulk jobs in history and retention on ${name}`, () => {
    let opened: OpenedDatabase;
    let db: OpenedDatabase['db'];

    beforeEach(async () => {
      opened = await openDatabase(await freshUrl());
      db = opened.db;
    });
    afterEach(() => opened.close());

    /** A job whose targets all stand the same. */
    async function job(
      planId: string,
      ids: readonly string[],
      given: {
        readonly appliedAt?: number | null;
        readonly status?: TargetStatus;
        readonly state?: string;
        readonly finishedAt?: number | null;
      } = {},
    ): Promise<void> {
      const { appliedAt = NOW, status = 'cancelled', state = 'finished', finishedAt = null } = given;
      const plan = { planId, by: 'planner', source: 'person', cleanup: null, reason: 'incident 42' } as const;
      await createBulkPlans(db, clockAt(NOW)).begin({ ...plan, selection: {} });
      await createBulkPlans(db).addTargets(planId, 0, targetsOf(ids));
      await createBulkPlans(db, clockAt(NOW)).seal(planId, {
        totals: totalsOf(ids.length),
        hash: await hashOfTargets(db, planId),
      });
      await db.updateTable('bulk_targets').set({ status, attempts: 1 }).where('plan_id', '=', planId).execute();
      await db
        .updateTable('bulk_jobs')
        .set({ state, applied_at: appliedAt, applied_by: 'ops@example.com', finished_at: finishedAt })
        .where('id', '=', planId)
        .execute();
    }
    const order = (sessionId: string, at: number, policy: string | null = null): Promise<string> =>
      createOrder(
        db,
        {
          sessionId,
          source: policy === null ? 'person' : 'policy',
          requestedBy: 'ops@example.com',
          reason: { text: null, policy, policyVersion: null, limit: null, observed: null },
          evenIfExempt: false,
          turnKey: null,
        },
        at,
      );
    const sessions = async (filter: HistoryFilter): Promise<string[]> => {
      const found: string[] = [];
      for await (const page of createHistory(db).orders(filter))
        found.push(...page.map(({ result }) => result.sessionId));
      return found;
    };

    it('a job’s targets come among the orders, at the time when it was applied, each with who and why', async () => {
      await order('before', NOW - 1);
      await order('at', NOW);
      await order('after', NOW + 1);
      await job('b-1', ['a', 'b']);
      await job('b-2', ['c'], { appliedAt: NOW + 2 });
      const views = [];
      for await (const page of createHistory(db).orders({})) views.push(...page);
      expect(views.map(({ result }) => result.sessionId)).toEqual(['before', 'a', 'b', 'at', 'after', 'c']);
      expect(views[1]).toMatchObject({
        phase: 'settled',
        result: {
          outcome: 'cancelled',
          requestedBy: 'ops@example.com',
          reason: { text: 'incident 42 (bulk job b-1)', policy: null },
          orderedAt: '2026-01-05T12:00:00.000Z',
          attempts: 1,
        },
      });
    });

    it('only targets with an outcome of their own are shown, and only those of applied plans', async () => {
      await job('b-case', ['handed-over'], { status: 'case' });
      await job('b-waiting', ['waiting'], { status: 'waiting' });
      await job('b-sent', ['sent'], { status: 'sent' });
      await job('b-planned', ['never'], { status: 'capped', appliedAt: null, state: 'planned' });
      await job('b-1', ['shown'], { status: 'exempted' });
      expect(await sessions({})).toEqual(['shown']);
    });

    it('filters hold for them: session, policy and time', async () => {
      await job('b-1', ['a', 'b'], { appliedAt: NOW });
      await job('b-2', ['a'], { appliedAt: NOW + 10 });
      await order('a', NOW + 5, 'no-all-nighters');
      expect(await sessions({ sessionId: 'b' })).toEqual(['b']);
      expect(await sessions({ sessionId: 'a' })).toEqual(['a', 'a', 'a']);
      expect(await sessions({ policy: 'no-all-nighters' })).toEqual(['a']);
      expect(await sessions({ sinceMs: NOW + 1 })).toEqual(['a', 'a']);
      expect(await sessions({ untilMs: NOW + 5 })).toEqual(['a', 'b']);
      expect(await sessions({ sinceMs: NOW, untilMs: NOW + 1, sessionId: 'b' })).toEqual(['b']);
      expect(await sessions({ sinceMs: NOW + 11 })).toEqual([]);
    });

    it('the last so many are the end of it all, wherever the cut falls', async () => {
      const all: string[] = [];
      for (const [index, at] of [0, 1, 2].entries()) {
        await job(`b-${index}a`, sessionIds(3, `t${index}a`), { appliedAt: NOW + at * 10 });
        // Applied in the same moment: by their ids.
        await job(`b-${index}b`, sessionIds(2, `t${index}b`), { appliedAt: NOW + at * 10 });
        await order(`o${index}`, NOW + at * 10);
        await order(`p${index}`, NOW + at * 10 + 5);
        all.push(...sessionIds(3, `t${index}a`), ...sessionIds(2, `t${index}b`), `o${index}`, `p${index}`);
      }
      expect(await sessions({})).toEqual(all);
      for (let last = 1; last <= all.length + 1; last += 1) {
        expect(await sessions({ last })).toEqual(all.slice(-last));
      }
      expect(await sessions({ last: 4, untilMs: NOW + 20, sinceMs: NOW + 10 })).toEqual(all.slice(7, 14).slice(-4));
    });

    it('come each once over many pages and many jobs', async () => {
      await job('b-large', sessionIds(1_203, 'large'), { appliedAt: NOW });
      for (let index = 0; index < 510; index += 1) await job(`b-${index}`, [`small_${index}`], { appliedAt: NOW + 1 });
      const seen: string[] = [];
      let largest = 0;
      for await (const page of createHistory(db).orders({})) {
        seen.push(...page.map(({ result }) => result.sessionId));
        largest = Math.max(largest, page.length);
      }
      expect(largest).toBeLessThanOrEqual(500);
      expect(seen.slice(0, 1_203)).toEqual(sessionIds(1_203, 'large'));
      expect(seen.slice(1_203).toSorted()).toEqual(sessionIds(510, 'small').toSorted());
      expect(await sessions({ last: 1_200 })).toEqual(seen.slice(-1_200));
    });

    it('events are found by kind and plan', async () => {
      await recordEvents(db, [
        { kind: 'bulk-paused', at: NOW, data: { plan: 'b-1', by: 'me' } },
        { kind: 'bulk-stopped', at: NOW, data: { plan: 'b-1' } },
        { kind: 'bulk-stopped', at: NOW, data: { plan: 'b-12' } },
        { kind: 'bulk-rate', at: NOW, data: { plan: 'b-1' } },
      ]);
      const found: string[] = [];
      const filter: HistoryFilter = { kinds: ['bulk-paused', 'bulk-stopped'], planId: 'b-1' };
      for await (const page of createHistory(db).events(filter)) found.push(...page.map(({ event }) => event.kind));
      expect(found).toEqual(['bulk-paused', 'bulk-stopped']);
    });

    describe('retention', () => {
      const planIds = async (): Promise<string[]> =>
        (await db.selectFrom('bulk_jobs').select('id').orderBy('id').execute()).map(({ id }) => id);
      const withTargets = async (): Promise<string[]> =>
        (await db.selectFrom('bulk_targets').select('plan_id').distinct().orderBy('plan_id').execute()).map(
          (row) => row.plan_id,
        );

      it('removes jobs that have long been over with their targets, and keeps younger and open ones', async () => {
        await job('b-finished', ['a', 'b'], { finishedAt: LONG_AGO });
        await job('b-aborted', ['a'], { state: 'aborted', status: 'waiting', finishedAt: LONG_AGO });
        await job('b-young', ['a'], { finishedAt: NOW - RETENTION });
        await job('b-running', ['a'], { state: 'running', status: 'waiting', appliedAt: LONG_AGO });
        await job('b-paused', ['a'], { state: 'paused', status: 'waiting', appliedAt: LONG_AGO });
        expect(await removeExpired(db, RETENTION, NOW)).toMatchObject({ bulkJobs: 2, bulkTargets: 3 });
        expect(await planIds()).toEqual(['b-paused', 'b-running', 'b-young']);
        expect(await withTargets()).toEqual(['b-paused', 'b-running', 'b-young']);
      });

      it('removes plans that were never applied a day after they expired, or were begun and never sealed', async () => {
        const plan = (planId: string, begunAt: number) =>
          createBulkPlans(db, clockAt(begunAt)).begin({
            planId,
            by: 'me',
            source: 'person',
            cleanup: null,
            reason: null,
            selection: {},
          });
        await plan('b-building', NOW - DAY - 1);
        await createBulkPlans(db).addTargets('b-building', 0, targetsOf(['a']));
        await plan('b-building-young', NOW - DAY + 1);
        await job('b-expired', ['a'], { state: 'planned', appliedAt: null, status: 'waiting' });
        await job('b-expired-young', ['a'], { state: 'planned', appliedAt: null, status: 'waiting' });
        const expires = (planId: string, at: number) =>
          db.updateTable('bulk_jobs').set({ expires_at: at }).where('id', '=', planId).execute();
        await expires('b-expired', NOW - DAY - 1);
        await expires('b-expired-young', NOW - DAY + 1);
        // However long the retention is.
        expect(await removeExpired(db, RETENTION, NOW)).toMatchObject({ bulkJobs: 2, bulkTargets: 2 });
        expect(await planIds()).toEqual(['b-building-young', 'b-expired-young']);
        expect(await withTargets()).toEqual(['b-expired-young']);
      });

      it('takes a bounded number of targets at a time, and the job with the last of them', async () => {
        await job('b-1', sessionIds(RETENTION_BATCH + 300), { finishedAt: LONG_AGO });
        await job('b-2', sessionIds(800), { finishedAt: LONG_AGO + 1 });
        const rounds = [];
        for (let i = 0; i < 4; i += 1) {
          const { bulkJobs, bulkTargets } = await removeExpired(db, RETENTION, NOW);
          rounds.push([bulkJobs, bulkTargets, (await planIds()).join()]);
        }
        expect(rounds).toEqual([
          [0, RETENTION_BATCH, 'b-1,b-2'],
          [1, RETENTION_BATCH, 'b-2'],
          [1, 100, ''],
          [0, 0, ''],
        ]);
      });
    });
  });
}
