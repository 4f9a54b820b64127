import type { Kysely } from 'kysely';
import { OUTCOMES } from '../../core/contract.js';
import { toJob, toTarget, type BulkJob, type BulkTarget } from './bulk-plans.js';
import { jobConditions, targetConditions, type HistoryFilter } from './history-filter.js';
import { PAGE, pagesOf } from './pages.js';
import type { LedgerDatabase } from './schema.js';

export interface AppliedJob extends BulkJob {
  readonly appliedAtMs: number;
}

/**
 * Jobs that were applied, with the session among their targets if one is asked for, in the order of their application or backwards; read
 * some at a time, as they are asked for.
 */
export async function* appliedJobs(
  db: Kysely<LedgerDatabase>,
  { sessionId, sinceMs, untilMs, ...of }: HistoryFilter,
  direction: 'asc' | 'desc' = 'asc',
): AsyncGenerator<AppliedJob> {
  const beyond = direction === 'asc' ? '>' : '<';
  const pages = pagesOf<AppliedJob>(async (last) => {
    let query = db
      .selectFrom('bulk_jobs')
      .selectAll()
      .where('applied_at', 'is not', null)
      .where(jobConditions(of))
      .orderBy('applied_at', direction)
      .orderBy('id', direction)
      .limit(PAGE);
    if (sinceMs !== undefined) query = query.where('applied_at', '>=', sinceMs);
    if (untilMs !== undefined) query = query.where('applied_at', '<', untilMs);
    if (sessionId !== undefined) {
      query = query.where('id', 'in', (eb) =>
        eb.selectFrom('bulk_targets').select('plan_id').where('session_id', '=', sessionId),
      );
    }
    if (last !== null) {
      const { appliedAtMs: at, planId } = last;
      query = query.where((eb) =>
        eb.or([eb('applied_at', beyond, at), eb.and([eb('applied_at', '=', at), eb('id', beyond, planId)])]),
      );
    }
    return (await query.execute()).map((row) => ({ ...toJob(row), appliedAtMs: row.applied_at ?? 0 }));
  });
  for await (const jobs of pages) yield* jobs;
}

/**
 * The targets of a job that have their outcome in their own row, in their order or backwards, in pages: no order tells of them.
 *
 * @param fromSeq - the first number that counts
 */
export const settledTargets = (
  db: Kysely<LedgerDatabase>,
  planId: string,
  filter: HistoryFilter,
  fromSeq: number,
  direction: 'asc' | 'desc' = 'asc',
): AsyncGenerator<BulkTarget[]> =>
  pagesOf(async (last) => {
    const forward = direction === 'asc';
    let query = db
      .selectFrom('bulk_targets')
      .selectAll()
      .where('plan_id', '=', planId)
      .where('status', 'in', OUTCOMES)
      .where(targetConditions(filter))
      .where('seq', '>=', forward && last !== null ? last.seq + 1 : fromSeq)
      .orderBy('seq', direction)
      .limit(PAGE);
    if (!forward && last !== null) query = query.where('seq', '<', last.seq);
    return (await query.execute()).map(toTarget);
  });
