import type { Kysely, RawBuilder, Transaction } from 'kysely';
import { LEASE_MS, RUN_LEASE_MS } from './leases.js';
import type { LedgerDatabase } from './schema.js';

/**
 * For which of these sessions a sender waits for an answer, and until when its lease runs: that of a case, or that of a bulk job.
 * To be asked in the transaction that lets a request out, with the sessions locked (invariant I3).
 *
 * @param sessionIds - or a statement that selects them
 * @param but - the plan of the bulk job that asks
 */
export async function senderLeases(
  trx: Transaction<LedgerDatabase>,
  sessionIds: readonly string[] | RawBuilder<string>,
  nowMs: number,
  but?: string,
): Promise<Map<string, number>> {
  const leases = new Map<string, number>();
  // Nearly always there is none, or only the one that asks: targets are read where another worker is at work.
  for (const job of await jobsAtWork(trx, nowMs)) {
    if (job.id === but) continue;
    const targets = await trx
      .selectFrom('bulk_targets')
      .select('session_id')
      .where('session_id', 'in', sessionIds)
      .where('plan_id', '=', job.id)
      .where('status', '=', 'sent')
      .execute();
    for (const target of targets) leases.set(target.session_id, job.lease_until ?? nowMs);
  }
  const requests = await trx
    .selectFrom('requests')
    .select(['session_id', 'lease_until'])
    .where('session_id', 'in', sessionIds)
    .where('status', '=', 'open')
    .where('lease_until', '>', nowMs)
    .where('lease_until', '<=', nowMs + LEASE_MS)
    .execute();
  for (const request of requests) leases.set(request.session_id, request.lease_until);
  return leases;
}

/** Requests of bulk jobs that wait for an answer, oldest first. Where no worker is at work no target is read: there may be a million. */
export async function bulkRequestsUnderWay(
  db: Kysely<LedgerDatabase>,
  nowMs: number,
): Promise<{ sessionId: string; turnKey: string; registeredAtMs: number }[]> {
  const jobs = await jobsAtWork(db, nowMs);
  if (jobs.length === 0) return [];
  const rows = await db
    .selectFrom('bulk_targets')
    .select(['session_id', 'turn_key', 'sent_at'])
    .where(
      'plan_id',
      'in',
      jobs.map(({ id }) => id),
    )
    .where('status', '=', 'sent')
    .orderBy('sent_at')
    .execute();
  return rows.map((row) => ({
    sessionId: row.session_id,
    turnKey: row.turn_key ?? 'not read',
    registeredAtMs: row.sent_at ?? nowMs,
  }));
}

/** A lease that ends later than any lease could was written before our clock was set back. */
const jobsAtWork = (db: Kysely<LedgerDatabase>, nowMs: number) =>
  db
    .selectFrom('bulk_jobs')
    .select(['id', 'lease_until'])
    .where('lease_until', '>', nowMs)
    .where('lease_until', '<=', nowMs + RUN_LEASE_MS)
    .execute();
