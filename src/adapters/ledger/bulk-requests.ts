import type { Kysely, Transaction } from 'kysely';
import { dialectOf } from './dialect.js';
import type { RequestRow } from './request-row.js';
import type { LedgerDatabase } from './schema.js';

/*
 * What bulk jobs sent, for those who look at one session. A target's row is the record of its request; most sessions were
 * never in a bulk job, and each look is one probe of an index.
 */

/**
 * Requests of bulk jobs that concern one turn, let out after the given time.
 *
 * @param turnStartedAtMs - vendor's time of its message, ms; null: not known
 */
export async function bulkRequestsForTurn(
  db: Kysely<LedgerDatabase>,
  sessionId: string,
  turnKey: string,
  afterMs: number,
  turnStartedAtMs: number | null,
): Promise<RequestRow[]> {
  const rows = await db
    .selectFrom('bulk_targets')
    .innerJoin('bulk_jobs', 'bulk_jobs.id', 'bulk_targets.plan_id')
    .select(['plan_id', 'seq', 'attempts', 'answer', 'answer_state', 'read_at', 'answered_at', 'bulk_jobs.fast'])
    .where('session_id', '=', sessionId)
    .where('attempts', '>', 0)
    .where('sent_at', '>', afterMs)
    // Without a read nobody knows which turn it met; it may have been this one, if that had begun by then.
    .where((eb) => {
      const unread = eb('turn_key', 'is', null);
      const begun = eb.or([eb('answered_at', 'is', null), eb('answered_at', '>=', turnStartedAtMs ?? 0)]);
      return eb.or([eb('turn_key', '=', turnKey), eb.and([unread, begun])]);
    })
    .orderBy('sent_at')
    .execute();
  return rows.flatMap((row): RequestRow[] => {
    const answer = (row.answer ?? 'unknown') as RequestRow['answer'];
    const id = `${row.plan_id}/${row.seq}`;
    const times = { readAtMs: row.read_at ?? 0, leftByMs: null, answeredAtMs: row.answered_at };
    // The row is of the last one. A job asks again only what was refused.
    const refused = Array.from({ length: row.attempts - 1 }, (_, index): RequestRow => ({
      ...{ ...times, id: `${id}/${index + 1}`, answer: 'refused', state: null },
    }));
    const last: RequestRow = {
      ...{ ...times, id, state: row.answer_state },
      // "Accepted" proves something only of a turn that was seen in flight just before.
      answer: answer === 'accepted' && row.fast === 1 ? 'unknown' : answer,
    };
    return [...refused, last];
  });
}

/** When a bulk job settled this turn, at or before the given time; null: none did. */
export async function bulkConcludedBefore(
  db: Kysely<LedgerDatabase>,
  sessionId: string,
  turnKey: string,
  beforeMs: number,
): Promise<number | null> {
  const row = await db
    .selectFrom('bulk_targets')
    .select(({ fn }) => fn.max('decided_at').as('decidedAt'))
    .where('session_id', '=', sessionId)
    .where('turn_key', '=', turnKey)
    .where('decided_at', '<=', beforeMs)
    .where('status', '!=', 'case')
    .executeTakeFirst();
  return row?.decidedAt ?? null;
}

/**
 * Which of these orders were given by a bulk job that is paused or aborted, and its plan. Their jobs can't be steered until
 * the transaction ends: once a pause is written, no case of the job is let out that has not seen it.
 */
export async function ordersOfHaltedJobs(
  trx: Transaction<LedgerDatabase>,
  sessionId: string,
  orderIds: readonly string[],
): Promise<Map<string, string>> {
  const read = trx
    .selectFrom('bulk_targets')
    .innerJoin('bulk_jobs', 'bulk_jobs.id', 'bulk_targets.plan_id')
    .select(['order_id', 'plan_id', 'bulk_jobs.state'])
    .where('session_id', '=', sessionId)
    .where('order_id', 'in', orderIds);
  const rows = await (dialectOf(trx) === 'sqlite' ? read : read.forShare('bulk_jobs')).execute();
  return new Map(
    rows
      .filter(({ state }) => state === 'paused' || state === 'aborted')
      .map(({ order_id: orderId, plan_id: planId }) => [orderId ?? '', planId]),
  );
}
