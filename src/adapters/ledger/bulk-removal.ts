import type { Kysely } from 'kysely';
import type { BulkState } from '../../core/contract.js';
import { forgetTold } from './bulk-alerts.js';
import { lockJob } from './bulk-lock.js';
import type { LedgerDatabase } from './schema.js';

/**
 * Removes some targets of a job, and the job with the last of them: one short transaction. A job that is in none of the given
 * states stays as it is.
 *
 * @param most - targets at most; when so many were removed there may be more
 */
export async function removeSomeOfJob(
  db: Kysely<LedgerDatabase>,
  planId: string,
  states: readonly BulkState[],
  most: number,
): Promise<{ readonly targets: number; readonly job: boolean }> {
  return db.transaction().execute(async (trx) => {
    // States only move forward, but one that looked abandoned may have been applied meanwhile.
    const job = await lockJob(trx, planId);
    if (job === null || !states.includes(job.state)) return { targets: 0, job: false };
    const deleted = await trx
      .deleteFrom('bulk_targets')
      .where('plan_id', '=', planId)
      .where('seq', 'in', (query) =>
        query
          .selectFrom('bulk_targets as old')
          .select('old.seq')
          .where('old.plan_id', '=', planId)
          .orderBy('old.seq')
          .limit(most),
      )
      .executeTakeFirst();
    const targets = Number(deleted.numDeletedRows);
    if (targets === most) return { targets, job: false };
    await trx.deleteFrom('bulk_jobs').where('id', '=', planId).execute();
    await forgetTold(trx, planId);
    return { targets, job: true };
  });
}

const NEVER_APPLIED: readonly BulkState[] = ['building', 'planned'];
const DISCARDED_AT_ONCE = 5_000;

/** Removes a plan that was never applied, some targets at a time. @returns false: there is more to remove */
export async function discardPlan(db: Kysely<LedgerDatabase>, planId: string): Promise<boolean> {
  const { targets } = await removeSomeOfJob(db, planId, NEVER_APPLIED, DISCARDED_AT_ONCE);
  return targets < DISCARDED_AT_ONCE;
}
