import type { Kysely } from 'kysely';
import type { BulkState } from '../../core/contract.js';
import { caseOutcomes, type CaseOutcomes } from './bulk-cases.js';
import { discardPlan } from './bulk-removal.js';
import { hashOfTargets, getJob, type BulkJob } from './bulk-plans.js';
import { recordEvents } from './events.js';
import type { EventKind } from '../../core/events.js';
import { ledgerNow } from './locks.js';
import { abandonOrders } from './orders.js';
import type { LedgerDatabase } from './schema.js';
import { lockJob, readLocked } from './bulk-lock.js';

/** How a plan is to be carried out. */
export interface BulkApplication {
  readonly by: string;
  /** Sessions a second, above 0. */
  readonly rate: number;
  /** Targets that go first; 0: none do. */
  readonly canary: number;
  /** Without the read before each cancel request. */
  readonly fast: boolean;
  /** Also end sessions that are exempt. */
  readonly evenIfExempt: boolean;
}

export type Applied =
  | { readonly kind: 'started'; readonly job: BulkJob }
  /** It was applied before: the same plan again is the same job. */
  | { readonly kind: 'same-job'; readonly job: BulkJob }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'not-sealed'; readonly job: BulkJob }
  | { readonly kind: 'expired'; readonly job: BulkJob }
  /** Its targets are not those that were sealed. */
  | { readonly kind: 'changed'; readonly job: BulkJob };

export const createBulkSteering = (db: Kysely<LedgerDatabase>) => ({
  /** Turns a sealed plan into a running job, once. */
  async apply(planId: string, application: BulkApplication): Promise<Applied> {
    const before = await getJob(db, planId);
    if (before === null) return { kind: 'unknown' };
    // Read outside of the transaction: a million rows take seconds. Sealed targets have no way to change but by hand.
    const intact = before.state !== 'planned' || (await hashOfTargets(db, planId)) === before.hash;
    return db.transaction().execute(async (trx) => {
      const job = await lockJob(trx, planId);
      if (job === null) return { kind: 'unknown' };
      if (job.state === 'building') return { kind: 'not-sealed', job };
      if (job.state !== 'planned') return { kind: 'same-job', job };
      const at = await ledgerNow(trx);
      if (job.expiresAtMs !== null && at > job.expiresAtMs) return { kind: 'expired', job };
      if (!intact) return { kind: 'changed', job };
      await trx
        .updateTable('bulk_jobs')
        .set({
          state: 'running' satisfies BulkState,
          applied_at: at,
          applied_by: application.by,
          rate: application.rate,
          canary: application.canary,
          fast: application.fast ? 1 : 0,
          even_if_exempt: application.evenIfExempt ? 1 : 0,
          phase: application.canary > 0 ? 'canary' : 'main',
        })
        .where('id', '=', planId)
        .execute();
      const { by, rate, canary, fast } = application;
      const cleanup = job.cleanup === null ? {} : { cleanup: job.cleanup };
      const targets = job.totals?.targets ?? 0;
      await recordEvents(trx, [
        {
          kind: 'bulk-applied',
          at,
          data: { plan: planId, ...cleanup, by, targets, rate, canary, fast, reason: job.reason },
        },
      ]);
      return { kind: 'started', job: await readLocked(trx, planId) };
    });
  },

  /**
   * A person's word on a job. Once a pause or an abort is written, no further request of the job is let out: the
   * transaction that lets one out reads the state.
   */
  async steer(planId: string, steer: BulkSteer): Promise<Steered> {
    const steered = await writeSteer(db, planId, steer);
    if (steer.action === 'abort' && steered.kind !== 'unknown') await giveUpCases(db, planId);
    return steered;
  },

  giveUpCases: (planId: string): Promise<void> => giveUpCases(db, planId),

  caseOutcomes: (planId: string): Promise<CaseOutcomes> => caseOutcomes(db, planId),

  /** Removes a plan that was never applied. */
  async discard(planId: string): Promise<void> {
    while (!(await discardPlan(db, planId)));
  },
});

export type BulkSteer =
  | { readonly action: 'pause' | 'resume' | 'abort'; readonly by: string; readonly reason?: string | null }
  | { readonly action: 'rate'; readonly by: string; readonly rate: number };

export type Steered =
  | { readonly kind: 'done'; readonly job: BulkJob }
  /** It stood so already. */
  | { readonly kind: 'unchanged'; readonly job: BulkJob }
  | { readonly kind: 'unknown' }
  /** A plan that was not applied, or a job that is over, can't be steered so. */
  | { readonly kind: 'refused'; readonly job: BulkJob };

function writeSteer(db: Kysely<LedgerDatabase>, planId: string, steer: BulkSteer): Promise<Steered> {
  return db.transaction().execute(async (trx) => {
    const job = await lockJob(trx, planId);
    if (job === null) return { kind: 'unknown' };
    const at = await ledgerNow(trx);
    const open = job.state === 'finished' ? (await caseOutcomes(trx, planId)).open : 0;
    const change = changeFor(job, steer, at, open);
    if (change === 'refused') return { kind: 'refused', job };
    if (change === 'unchanged') return { kind: 'unchanged', job };
    await trx.updateTable('bulk_jobs').set(change.row).where('id', '=', planId).execute();
    await recordEvents(trx, [{ kind: change.event, at, data: { plan: planId, ...change.data } }]);
    return { kind: 'done', job: await readLocked(trx, planId) };
  });
}

/**
 * Gives up the open orders of an aborted job, some at a time: whoever aborts wants nothing more to be sent, by the job's cases
 * neither. None of them is let out meanwhile, because the job is aborted. Safe to repeat.
 */
async function giveUpCases(db: Kysely<LedgerDatabase>, planId: string): Promise<void> {
  for (;;) {
    const given = await db.transaction().execute(async (trx) => {
      const job = await lockJob(trx, planId);
      if (job?.state !== 'aborted') return 0;
      const open = await trx
        .selectFrom('bulk_targets')
        .innerJoin('orders', 'orders.id', 'bulk_targets.order_id')
        .select('orders.id')
        .where('bulk_targets.plan_id', '=', planId)
        .where('bulk_targets.status', '=', 'case')
        .where('orders.open', '=', 1)
        .limit(GIVEN_UP_AT_ONCE)
        .execute();
      const ids = open.map(({ id }) => id);
      const word = { by: job.appliedBy ?? job.createdBy, reason: `the bulk job ${planId} was aborted` };
      if (ids.length > 0) await abandonOrders(trx, ids, word, await ledgerNow(trx));
      return ids.length;
    });
    if (given < GIVEN_UP_AT_ONCE) return;
  }
}

const GIVEN_UP_AT_ONCE = 200;

interface Change {
  readonly row: Partial<{
    state: BulkState;
    note: string | null;
    rate: number;
    finished_at: number;
    lease_until: null;
  }>;
  readonly event: EventKind;
  readonly data: Readonly<Record<string, unknown>>;
}

function changeFor(job: BulkJob, steer: BulkSteer, at: number, openCases: number): Change | 'refused' | 'unchanged' {
  // A job that is through may still have cases, which send.
  const isFinishing = job.state === 'finished' && openCases > 0;
  const isOpen = job.state === 'running' || job.state === 'paused' || isFinishing;
  const { by } = steer;
  if (steer.action === 'rate') {
    if (!isOpen || isFinishing) return 'refused';
    if (job.rate === steer.rate) return 'unchanged';
    return { row: { rate: steer.rate }, event: 'bulk-rate', data: { by, rate: steer.rate } };
  }
  const reason = steer.reason ?? null;
  const because = reason === null ? '' : `, because: ${reason}`;
  switch (steer.action) {
    case 'pause':
      if (job.state === 'paused') return 'unchanged';
      if (!isOpen) return 'refused';
      return {
        row: { state: 'paused', note: `Paused by ${by}${because}.` },
        event: 'bulk-paused',
        data: { by, reason },
      };
    case 'resume':
      if (job.state === 'running') return 'unchanged';
      if (job.state !== 'paused') return 'refused';
      return { row: { state: 'running', note: null }, event: 'bulk-resumed', data: { by } };
    case 'abort':
      if (job.state === 'aborted') return 'unchanged';
      if (!isOpen) return 'refused';
      return {
        row: { state: 'aborted', note: `Aborted by ${by}${because}.`, finished_at: at },
        event: 'bulk-aborted',
        data: { by, reason },
      };
  }
}
