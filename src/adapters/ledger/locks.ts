import { sql, type Kysely, type Transaction } from 'kysely';
import { dialectOf } from './dialect.js';
import type { LedgerDatabase } from './schema.js';

/** Seed of the hash of session ids ("curfew" in ASCII): keeps our locks apart from other users of advisory locks. */
const SESSION_LOCK_NAMESPACE = 0x637572666577;

/**
 * Makes transactions on one session take turns: waits for an earlier holder, and holds until this transaction ends. Take
 * it first, before anything is read. PostgreSQL gives up after its `lock_timeout` (see `postgres.ts`).
 *
 * Statements after it see what earlier holders committed, because each statement of a READ COMMITTED transaction looks
 * at the database afresh; with `repeatable read` that would not hold. On SQLite there is nothing to do: each transaction
 * begins immediate, and so is alone already.
 */
export async function lockSession(trx: Transaction<LedgerDatabase>, sessionId: string): Promise<void> {
  if (dialectOf(trx) === 'sqlite') return;
  await sql`select pg_advisory_xact_lock(hashtextextended(${sessionId}, ${SESSION_LOCK_NAMESPACE}::bigint))`.execute(
    trx,
  );
}

/** The same for many sessions, in one order, so that two who want several never wait for each other. */
export async function lockSessions(trx: Transaction<LedgerDatabase>, sessionIds: readonly string[]): Promise<void> {
  if (dialectOf(trx) === 'sqlite' || sessionIds.length === 0) return;
  const sorted = [...new Set(sessionIds)].sort();
  await sql`
    select pg_advisory_xact_lock(hashtextextended(id, ${SESSION_LOCK_NAMESPACE}::bigint))
    from unnest(${sorted}::text[]) with ordinality as wanted (id, place) order by place`.execute(trx);
}

/**
 * Reads the pause switch such that it cannot change until this transaction ends. To be called in the transaction that
 * lets a cancel request out.
 *
 * Why that is enough on PostgreSQL: `pause` is an UPDATE of this one row, and an UPDATE conflicts with FOR SHARE. Either
 * we lock first: then the UPDATE waits until our request is committed, and whoever paused finds it among those under
 * way. Or the UPDATE is first: then we wait, and FOR SHARE returns the row as committed. So once `pause` has returned, no
 * request can be registered by a transaction that has not seen it. Shared locks do not hold each other up: requests of
 * different sessions still register side by side. On SQLite, writers are alone and a plain read is enough.
 */
export async function readSwitchForShare(
  trx: Transaction<LedgerDatabase>,
): Promise<{ readonly paused: boolean; readonly reason: string | null }> {
  const read = trx.selectFrom('pause_switch').select(['paused', 'reason']).where('id', '=', 1);
  const row = await (dialectOf(trx) === 'postgres' ? read.forShare() : read).executeTakeFirstOrThrow();
  return { paused: row.paused === 1, reason: row.reason };
}

/** What the time is, ms since the Unix epoch: {@link ledgerNow}, or one that a test moves. */
export type Clock = (db: Kysely<LedgerDatabase>) => Promise<number>;

/**
 * The clock that all users of the ledger share: PostgreSQL's own, so that the clocks of several machines need not agree;
 * with SQLite the clock of the one machine. It moves on inside a transaction.
 *
 * @returns ms since the Unix epoch
 */
export async function ledgerNow(db: Kysely<LedgerDatabase>): Promise<number> {
  if (dialectOf(db) === 'sqlite') return Date.now();
  const clock = sql<{ now: number }>`select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as now`;
  const { rows } = await clock.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error('PostgreSQL returned no row for clock_timestamp().');
  return row.now;
}
