import type { Kysely } from 'kysely';
import { OUTCOMES } from '../../core/contract.js';
import { toJob, toTarget, type BulkJob, type BulkTarget } from './bulk-plans.js';
import type { LedgerDatabase } from './schema.js';

/** Which applied jobs to look back at. Times are the ledger's clock, ms since the Unix epoch: of the application. */
export interface AppliedFilter {
  /** Only jobs with this session among their targets, and only that target. */
  readonly sessionId?: string;
  /** Not before this. */
  readonly sinceMs?: number;
  /** Before this. */
  readonly untilMs?: number;
}

export interface AppliedJob extends BulkJob {
  readonly appliedAtMs: number;
}

const JOBS_AT_ONCE = 100;

/** Jobs that were applied, in the order of their application or backwards; read some at a time, as they are asked for. */
export async function* appliedJobs(
  db: Kysely<LedgerDatabase>,
  filter: AppliedFilter,
  direction: 'asc' | 'desc' = 'asc',
): AsyncGenerator<AppliedJob> {
  const beyond = direction === 'asc' ? '>' : '<';
  let last: { readonly at: number; readonly id: string } | null = null;
  for (;;) {
    let query = db
      .selectFrom('bulk_jobs')
      .selectAll()
      .where('applied_at', 'is not', null)
      .orderBy('applied_at', direction)
      .orderBy('id', direction)
      .limit(JOBS_AT_ONCE);
    const { sessionId, sinceMs, untilMs } = filter;
    if (sinceMs !== undefined) query = query.where('applied_at', '>=', sinceMs);
    if (untilMs !== undefined) query = query.where('applied_at', '<', untilMs);
    if (sessionId !== undefined) {
      query = query.where('id', 'in', (eb) =>
        eb.selectFrom('bulk_targets').select('plan_id').where('session_id', '=', sessionId),
      );
    }
    if (last !== null) {
      const { at, id } = last;
      query = query.where((eb) =>
        eb.or([eb('applied_at', beyond, at), eb.and([eb('applied_at', '=', at), eb('id', beyond, id)])]),
      );
    }
    const rows = await query.execute();
    for (const row of rows) {
      if (row.applied_at === null) continue;
      last = { at: row.applied_at, id: row.id };
      yield { ...toJob(row), appliedAtMs: row.applied_at };
    }
    if (rows.length < JOBS_AT_ONCE) return;
  }
}

/** The targets of a job that have their outcome in their own row: no order tells of them. */
const settledTargets = (db: Kysely<LedgerDatabase>, planId: string, sessionId: string | undefined) => {
  const query = db.selectFrom('bulk_targets').where('plan_id', '=', planId).where('status', 'in', OUTCOMES);
  return sessionId === undefined ? query : query.where('session_id', '=', sessionId);
};

/**
 * A page of those targets, in their order.
 *
 * @param fromSeq - the first number that counts
 */
export async function pageOfSettledTargets(
  db: Kysely<LedgerDatabase>,
  planId: string,
  { sessionId }: AppliedFilter,
  fromSeq: number,
  limit: number,
): Promise<BulkTarget[]> {
  const rows = await settledTargets(db, planId, sessionId)
    .selectAll()
    .where('seq', '>=', fromSeq)
    .orderBy('seq')
    .limit(limit)
    .execute();
  return rows.map(toTarget);
}

/** How many of those targets there are, counted up to a bound. */
export async function countSettledTargets(
  db: Kysely<LedgerDatabase>,
  planId: string,
  { sessionId }: AppliedFilter,
  most: number,
): Promise<number> {
  const { counted } = await db
    .selectFrom(settledTargets(db, planId, sessionId).select('seq').limit(most).as('some'))
    .select(({ fn }) => fn.countAll<number>().as('counted'))
    .executeTakeFirstOrThrow();
  return Number(counted);
}

/** The number of that target from which on there are so many; there must be as many. */
export async function seqOfLast(
  db: Kysely<LedgerDatabase>,
  planId: string,
  { sessionId }: AppliedFilter,
  last: number,
): Promise<number> {
  const { seq } = await settledTargets(db, planId, sessionId)
    .select('seq')
    .orderBy('seq', 'desc')
    .offset(last - 1)
    .limit(1)
    .executeTakeFirstOrThrow();
  return seq;
}
