import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  abandonedPlans,
  createBulkPlans,
  getJob,
  hashOfTargets,
  PLAN_EXPIRES_MS,
  type TargetToFreeze,
} from '../../src/adapters/ledger/bulk-plans.js';
import { discardPlan } from '../../src/adapters/ledger/bulk-removal.js';
import { createBulkSteering, type BulkApplication } from '../../src/adapters/ledger/bulk-steering.js';
import { createHistory } from '../../src/adapters/ledger/history.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import { sessionIds, targetsOf, totalsOf } from '../support/bulk-plans.js';
import { clockAt } from './rows.js';

const DAY = 24 * 60 * 60_000;

const HOW: BulkApplication = { by: 'ops@example.com', rate: 20, canary: 10, fast: false, evenIfExempt: false };

/**
 * What plans, their application and their steering promise on either database.
 *
 * @param freshUrl - makes a new, empty database
 */
export function describeBulkPlans(name: string, freshUrl: () => Promise<string>): void {
  describe(`bulk plans on ${name}`, () => {
    let opened: OpenedDatabase;
    let db: OpenedDatabase['db'];

    beforeEach(async () => {
      opened = await openDatabase(await freshUrl());
      db = opened.db;
    });
    afterEach(() => opened.close());

    const begin = (planId: string, at = Date.now()): Promise<void> =>
      createBulkPlans(db, clockAt(at)).begin({
        planId,
        by: 'me',
        source: 'person',
        cleanup: null,
        reason: 'incident 42',
        selection: { all: true },
      });
    async function plan(
      planId: string,
      targets: readonly TargetToFreeze[] = targetsOf(sessionIds(3)),
      at = Date.now(),
    ): Promise<void> {
      await begin(planId, at);
      await createBulkPlans(db).addTargets(planId, 0, targets);
      await createBulkPlans(db, clockAt(at)).seal(planId, {
        totals: totalsOf(targets.length),
        hash: await hashOfTargets(db, planId),
      });
    }
    async function kinds(): Promise<string[]> {
      const found: string[] = [];
      for await (const page of createHistory(db).events({})) found.push(...page.map(({ event }) => event.kind));
      return found;
    }

    describe('a plan', () => {
      it('keeps each session once, as it was seen first', async () => {
        await begin('b-1');
        expect(await createBulkPlans(db).addTargets('b-1', 0, targetsOf(['a', 'b', 'a']))).toBe(2);
        expect(await createBulkPlans(db).addTargets('b-1', 3, targetsOf(['b', 'c'], { state: 'queued' }))).toBe(1);
        const targets = await createBulkPlans(db).targets('b-1', { afterSeq: -1, limit: 10 });
        expect(targets.map(({ sessionId, state, status }) => [sessionId, state, status])).toEqual([
          ['a', 'processing', 'waiting'],
          ['b', 'processing', 'waiting'],
          ['c', 'queued', 'waiting'],
        ]);
      });

      it('takes in what PostgreSQL would not store: NUL and half a character', async () => {
        await begin('b-1');
        expect(await createBulkPlans(db).addTargets('b-1', 0, targetsOf(['sess_\ud83d'], { agentId: 'agent\0' }))).toBe(
          1,
        );
        const [target] = await createBulkPlans(db).targets('b-1', { afterSeq: -1, limit: 10 });
        expect(target?.agentId).toBe('agent\ufffd');
      });

      it('is frozen once sealed: nothing is added, and it is not sealed again', async () => {
        await plan('b-1');
        expect(await createBulkPlans(db).addTargets('b-1', 10, targetsOf(['late']))).toBe(0);
        expect(await createBulkPlans(db, clockAt(Date.now())).seal('b-1', { totals: totalsOf(4), hash: 'other' })).toBe(
          false,
        );
        expect((await getJob(db, 'b-1'))?.totals?.targets).toBe(3);
      });

      it('comes back with all that was said of it', async () => {
        const at = Date.now();
        await plan('b-1', targetsOf(['a']), at);
        expect(await getJob(db, 'b-1')).toMatchObject({
          state: 'planned',
          createdBy: 'me',
          reason: 'incident 42',
          selection: { all: true },
          totals: { targets: 1 },
          expiresAtMs: at + PLAN_EXPIRES_MS,
          appliedAtMs: null,
          counts: null,
        });
        expect(await getJob(db, 'b-2')).toBeNull();
      });

      it('has a hash that tells any change of what is frozen, and none of what becomes of it', async () => {
        await plan('b-1');
        const before = await hashOfTargets(db, 'b-1');
        await db.updateTable('bulk_targets').set({ status: 'cancelled', attempts: 2 }).execute();
        expect(await hashOfTargets(db, 'b-1')).toBe(before);
        await db.updateTable('bulk_targets').set({ turn_key: 'another' }).where('seq', '=', 2).execute();
        expect(await hashOfTargets(db, 'b-1')).not.toBe(before);
      });

      it('has a hash that tells what was excepted, and none of the rest of what was asked for', async () => {
        await plan('b-1');
        const hashWith = async (selection: object): Promise<string> => {
          await db
            .updateTable('bulk_jobs')
            .set({ selection_json: JSON.stringify(selection) })
            .execute();
          return hashOfTargets(db, 'b-1');
        };
        const plain = await hashWith({});
        expect(await hashWith({ command: 'curfew bulk plan --all' })).toBe(plain);
        const hashes = [
          plain,
          await hashWith({ exceptCreators: ['a'] }),
          await hashWith({ exceptCreators: ['b'] }),
          await hashWith({ exceptSessions: ['a'] }),
        ];
        expect(new Set(hashes).size).toBe(4);
      });

      it('is read in pages, by status too', async () => {
        await plan('b-1', targetsOf(sessionIds(5)));
        await db.updateTable('bulk_targets').set({ status: 'gone' }).where('seq', 'in', [1, 3]).execute();
        const page = await createBulkPlans(db).targets('b-1', { afterSeq: 1, limit: 2 });
        expect(page.map(({ seq }) => seq)).toEqual([2, 3]);
        const gone = await createBulkPlans(db).targets('b-1', { afterSeq: -1, limit: 9, statuses: ['gone'] });
        expect(gone.map(({ seq }) => seq)).toEqual([1, 3]);
      });

      it('is discarded with its targets, unless it was applied', async () => {
        await plan('b-1', targetsOf(sessionIds(6_000)));
        await plan('b-2');
        await createBulkSteering(db).apply('b-2', HOW);
        expect(await discardPlan(db, 'b-1')).toBe(false);
        expect(await discardPlan(db, 'b-1')).toBe(true);
        expect(await discardPlan(db, 'b-2')).toBe(true);
        expect((await createBulkPlans(db).list({ limit: 9 })).map(({ planId }) => planId)).toEqual(['b-2']);
        expect(await db.selectFrom('bulk_targets').select('plan_id').distinct().execute()).toEqual([
          { plan_id: 'b-2' },
        ]);
      });

      it('is abandoned a day after it was begun and not sealed, or expired', async () => {
        const now = Date.now();
        await begin('b-begun', now - DAY - 1);
        await begin('b-young', now - DAY + 60_000);
        await plan('b-expired', targetsOf(['a']), now - DAY - PLAN_EXPIRES_MS - 1);
        await plan('b-known', targetsOf(['a']), now - DAY - PLAN_EXPIRES_MS + 60_000);
        expect((await abandonedPlans(db, now, 9)).sort()).toEqual(['b-begun', 'b-expired']);
      });

      it('is listed newest first, by state and cleanup', async () => {
        await plan('b-old', [], 1_000);
        await plan('b-new', [], 2_000);
        await begin('b-building', 3_000);
        const ids = async (filter: object): Promise<string[]> =>
          (await createBulkPlans(db).list({ limit: 9, ...filter })).map(({ planId }) => planId);
        expect(await ids({})).toEqual(['b-building', 'b-new', 'b-old']);
        expect(await ids({ states: ['planned'] })).toEqual(['b-new', 'b-old']);
        expect(await ids({ cleanup: 'stale-queue' })).toEqual([]);
        expect(await ids({ limit: 1 })).toEqual(['b-building']);
      });
    });

    describe('applying', () => {
      it('starts the job once, with how it is to go about it, and says so in an event', async () => {
        await plan('b-1');
        const first = await createBulkSteering(db).apply('b-1', {
          ...HOW,
          rate: 0.5,
          canary: 0,
          fast: true,
          evenIfExempt: true,
        });
        expect(first).toMatchObject({
          kind: 'started',
          job: { state: 'running', rate: 0.5, canary: 0, fast: true, evenIfExempt: true, phase: 'main' },
        });
        const again = await createBulkSteering(db).apply('b-1', { ...HOW, by: 'someone else', rate: 99 });
        expect(again).toMatchObject({ kind: 'same-job', job: { rate: 0.5, appliedBy: 'ops@example.com' } });
        expect(await kinds()).toEqual(['bulk-applied']);
      });

      it('by two at once starts one job', async () => {
        await plan('b-1');
        const both = await Promise.all([
          createBulkSteering(db).apply('b-1', HOW),
          createBulkSteering(db).apply('b-1', HOW),
        ]);
        expect(both.map(({ kind }) => kind).sort()).toEqual(['same-job', 'started']);
        expect(await kinds()).toEqual(['bulk-applied']);
      });

      it('sends a canary first where one is asked for', async () => {
        await plan('b-1');
        expect(await createBulkSteering(db).apply('b-1', HOW)).toMatchObject({ job: { phase: 'canary', canary: 10 } });
      });

      it('is refused for a plan that is unknown, not sealed, expired or changed', async () => {
        expect(await createBulkSteering(db).apply('b-1', HOW)).toEqual({ kind: 'unknown' });
        await begin('b-building');
        expect((await createBulkSteering(db).apply('b-building', HOW)).kind).toBe('not-sealed');
        await plan('b-old', targetsOf(['a']), Date.now() - PLAN_EXPIRES_MS - 1_000);
        expect((await createBulkSteering(db).apply('b-old', HOW)).kind).toBe('expired');
        await plan('b-changed');
        await db.deleteFrom('bulk_targets').where('plan_id', '=', 'b-changed').where('seq', '=', 1).execute();
        expect((await createBulkSteering(db).apply('b-changed', HOW)).kind).toBe('changed');
        expect(await kinds()).toEqual([]);
        const states = (await createBulkPlans(db).list({ limit: 9 })).map(({ state }) => state).sort();
        expect(states).toEqual(['building', 'planned', 'planned']);
      });
    });

    describe('steering', () => {
      beforeEach(async () => {
        await plan('b-1');
      });
      const steer = (action: 'pause' | 'resume' | 'abort', reason: string | null = null) =>
        createBulkSteering(db).steer('b-1', { action, by: 'me', reason });

      it('is refused before the plan is applied, and for an unknown one', async () => {
        for (const action of ['pause', 'resume', 'abort'] as const) expect((await steer(action)).kind).toBe('refused');
        expect((await createBulkSteering(db).steer('b-1', { action: 'rate', by: 'me', rate: 5 })).kind).toBe('refused');
        expect(await createBulkSteering(db).steer('b-2', { action: 'pause', by: 'me' })).toEqual({ kind: 'unknown' });
      });

      it('pauses, resumes and aborts, each with who and why; what stands so already is left', async () => {
        await createBulkSteering(db).apply('b-1', HOW);
        expect(await steer('pause', 'looking')).toMatchObject({
          kind: 'done',
          job: { state: 'paused', note: 'Paused by me, because: looking.' },
        });
        expect((await steer('pause', 'again')).kind).toBe('unchanged');
        expect(await steer('resume')).toMatchObject({ kind: 'done', job: { state: 'running', note: null } });
        expect((await steer('resume')).kind).toBe('unchanged');
        const aborted = await steer('abort');
        expect(aborted).toMatchObject({ kind: 'done', job: { state: 'aborted', note: 'Aborted by me.' } });
        expect(aborted.kind === 'done' && aborted.job.finishedAtMs).toBeGreaterThan(0);
        expect((await steer('abort')).kind).toBe('unchanged');
        expect((await steer('resume')).kind).toBe('refused');
        expect(await kinds()).toEqual(['bulk-applied', 'bulk-paused', 'bulk-resumed', 'bulk-aborted']);
      });

      it('sets the rate, also while paused', async () => {
        await createBulkSteering(db).apply('b-1', HOW);
        await steer('pause');
        expect(await createBulkSteering(db).steer('b-1', { action: 'rate', by: 'me', rate: 0.25 })).toMatchObject({
          kind: 'done',
          job: { rate: 0.25, state: 'paused' },
        });
        expect((await createBulkSteering(db).steer('b-1', { action: 'rate', by: 'me', rate: 0.25 })).kind).toBe(
          'unchanged',
        );
      });
    });

    it('tells what applied plans made of one session, newest first', async () => {
      await plan('b-1', targetsOf(['a', 'b']));
      await plan('b-2', targetsOf(['a']));
      await plan('b-3', targetsOf(['a']));
      await createBulkSteering(db).apply('b-1', HOW);
      await createBulkSteering(db).apply('b-2', HOW);
      await db.updateTable('bulk_jobs').set({ applied_at: 5 }).where('id', '=', 'b-1').execute();
      const found = await createBulkPlans(db).ofSession('a', 9);
      expect(found.map(({ job, target }) => [job.planId, target.sessionId])).toEqual([
        ['b-2', 'a'],
        ['b-1', 'a'],
      ]);
      expect(await createBulkPlans(db).ofSession('a', 1)).toHaveLength(1);
      expect(await createBulkPlans(db).ofSession('c', 9)).toEqual([]);
    });
  });
}
