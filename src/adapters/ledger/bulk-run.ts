import type { Kysely } from 'kysely';
import type { BulkState } from '../../core/contract.js';
import { initialCounts } from './bulk-counts.js';
import type { BulkJob } from './bulk-plans.js';
import { lockJob } from './bulk-lock.js';
import { recordEvents } from './events.js';
import { ledgerNow } from './locks.js';
import type { LedgerDatabase } from './schema.js';
import { RUN_LEASE_MS } from './leases.js';

/**
 * A worker's hold on a job. The epoch rises with each worker that takes the job up; what an earlier one still wants to
 * write is refused, so that two never carry out the same job.
 */
export interface RunKey {
  readonly planId: string;
  readonly epoch: number;
}

export type TakenUp =
  | { readonly kind: 'taken-up'; readonly key: RunKey; readonly job: BulkJob }
  /** Another worker is at work on it, or died so short a time ago that its requests may still be under way. */
  | { readonly kind: 'held'; readonly retryInMs: number }
  | { readonly kind: 'unknown' };

export const createBulkRun = (db: Kysely<LedgerDatabase>) => ({
  /** Makes this worker the one that carries out a job. */
  async takeUp(planId: string, worker: string): Promise<TakenUp> {
    return db.transaction().execute(async (trx) => {
      const job = await lockJob(trx, planId);
      if (job === null) return { kind: 'unknown' };
      const nowMs = await ledgerNow(trx);
      const heldForMs = (job.leaseUntilMs ?? 0) - nowMs;
      // A lease that ends later than any lease could was written before our clock was set back.
      if (heldForMs > 0 && heldForMs <= RUN_LEASE_MS) return { kind: 'held', retryInMs: heldForMs };
      const epoch = job.epoch + 1;
      const counts = job.counts ?? initialCounts(job);
      await trx
        .updateTable('bulk_jobs')
        .set({
          epoch,
          worker,
          lease_until: nowMs + RUN_LEASE_MS,
          progress_json: JSON.stringify(counts),
        })
        .where('id', '=', planId)
        .execute();
      return { kind: 'taken-up', key: { planId, epoch }, job: { ...job, counts } };
    });
  },

  /** Shows that the worker lives. @returns the job as it stands; null when another worker has taken it up */
  async renew(key: RunKey): Promise<BulkJob | null> {
    return db.transaction().execute(async (trx) => {
      const job = await lockJob(trx, key.planId);
      if (job?.epoch !== key.epoch) return null;
      await trx
        .updateTable('bulk_jobs')
        .set({ lease_until: (await ledgerNow(trx)) + RUN_LEASE_MS })
        .where('id', '=', key.planId)
        .execute();
      return job;
    });
  },

  /** Lets go of a job, so that nothing of it counts as under way any more. */
  async release(key: RunKey): Promise<void> {
    await db
      .updateTable('bulk_jobs')
      .set({ lease_until: null })
      .where('id', '=', key.planId)
      .where('epoch', '=', key.epoch)
      .execute();
  },

  /** A step of the job by itself. @returns false when another worker has taken it up, or it does not run any more */
  async step(key: RunKey, step: JobStep): Promise<boolean> {
    return db.transaction().execute(async (trx) => {
      const job = await lockJob(trx, key.planId);
      if (job?.epoch !== key.epoch || job.state !== 'running') return false;
      const at = await ledgerNow(trx);
      const update = (row: {
        state?: BulkState;
        phase?: 'main' | 'done';
        note?: string | null;
        finished_at?: number;
      }): Promise<unknown> => trx.updateTable('bulk_jobs').set(row).where('id', '=', key.planId).execute();
      switch (step.step) {
        case 'main':
          await update({ phase: 'main', note: null });
          break;
        case 'note':
          await update({ note: step.note });
          break;
        case 'stop':
          // A canary is judged once: who lets the job go on after that has looked.
          await update({ state: 'paused', phase: 'main', note: step.note });
          await recordEvents(trx, [
            { kind: 'bulk-stopped', at, data: { plan: key.planId, why: step.note, ...step.data } },
          ]);
          break;
        case 'finish': {
          await update({ state: 'finished', phase: 'done', note: null, finished_at: at });
          const cleanup = job.cleanup === null ? {} : { cleanup: job.cleanup };
          const data = { plan: key.planId, ...cleanup, ...(job.counts ?? {}) };
          await recordEvents(trx, [{ kind: 'bulk-finished', at, data }]);
          break;
        }
      }
      return true;
    });
  },
});

/** How a job moves on by itself. */
export type JobStep =
  | { readonly step: 'main' }
  | { readonly step: 'note'; readonly note: string | null }
  /** It went badly: it pauses itself, and a person is told. */
  | { readonly step: 'stop'; readonly note: string; readonly data: Readonly<Record<string, unknown>> }
  | { readonly step: 'finish' };
