import type { Kysely } from 'kysely';
import type { Outcome } from '../../core/contract.js';
import type { LedgerDatabase } from './schema.js';

/** What became of the targets of a job that cases work on. */
export interface CaseOutcomes {
  readonly open: number;
  /** By outcome; only those that occurred. */
  readonly outcomes: { readonly [Name in Outcome]?: number };
}

/** Reads the targets that were handed over; there are as many as first requests did not end. */
export async function caseOutcomes(db: Kysely<LedgerDatabase>, planId: string): Promise<CaseOutcomes> {
  const rows = await db
    .selectFrom('bulk_targets')
    .leftJoin('outcomes', 'outcomes.order_id', 'bulk_targets.order_id')
    .select(({ fn }) => ['outcomes.outcome', fn.countAll<number>().as('count')])
    .where('plan_id', '=', planId)
    .where('status', '=', 'case')
    .groupBy('outcomes.outcome')
    .execute();
  const outcomes: { [Name in Outcome]?: number } = {};
  let open = 0;
  for (const { outcome, count } of rows) {
    if (outcome === null) open += Number(count);
    else outcomes[outcome as Outcome] = Number(count);
  }
  return { open, outcomes };
}
