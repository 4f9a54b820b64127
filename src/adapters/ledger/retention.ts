import { sql, type Kysely, type RawBuilder } from 'kysely';
import type { BulkState } from '../../core/contract.js';
import { abandonedPlans } from './bulk-plans.js';
import { removeSomeOfJob } from './bulk-removal.js';
import type { LedgerDatabase } from './schema.js';

const DAY_MS = 24 * 60 * 60_000;

/** Rows per transaction: a request that is about to leave waits no longer than that. */
export const RETENTION_BATCH = 1_000;

/** Sessions that nobody has seen live for so long are seen anew when they come back, ms. */
const FACTS_MS = 14 * DAY_MS;

/** Permits count as long as the longest window that a policy file may give its caps, ms. */
const LONGEST_CAPS_WINDOW_MS = 365 * DAY_MS;

/** How many rows of each kind were removed. */
export interface Removed {
  /** Settled orders, with their outcomes, requests and events. */
  readonly orders: number;
  /** Events that belong to no order. */
  readonly events: number;
  readonly facts: number;
  readonly scans: number;
  readonly permits: number;
  readonly deliveries: number;
  /** Exemptions that are over. */
  readonly exemptions: number;
  /** Watches that are closed. */
  readonly watches: number;
  /** Bulk jobs that are over, and plans that nobody can apply any more. */
  readonly bulkJobs: number;
  readonly bulkTargets: number;
}

/**
 * Removes what is older than the retention, at most {@link RETENTION_BATCH} rows of each kind, in a short transaction per
 * kind. What still counts stays, however old it is: open orders with all that belongs to them, policy versions, running
 * exemptions, open watches, facts of sessions that are listed, permits within the longest window of caps, bulk jobs that are
 * not over. Bulk plans that were never applied go by a clock of their own, see {@link abandonedPlans}.
 *
 * @param retentionMs - at least a day
 */
export async function removeExpired(db: Kysely<LedgerDatabase>, retentionMs: number, nowMs: number): Promise<Removed> {
  const before = nowMs - retentionMs;
  const notLiveSince = nowMs - Math.min(FACTS_MS, retentionMs);
  const permitsBefore = nowMs - Math.max(retentionMs, LONGEST_CAPS_WINDOW_MS);
  return {
    orders: await removeOrders(db, before),
    // Events of an order stay as long as the order.
    events: await removeRows(
      db,
      'events',
      ['seq'],
      sql`left join orders on orders.id = old.order_id where old.at < ${before} and orders.id is null order by old.at`,
    ),
    // A listed session's row may be as old as its last change; the scan of its agent tells that it is still seen.
    facts: await removeRows(
      db,
      'facts',
      ['session_id'],
      sql`left join agent_scans as scan on scan.agent_id = old.agent_id
        where old.updated_at < ${notLiveSince} and (old.listed = 0
          or (old.updated_at < ${before} and (scan.updated_at is null or scan.updated_at < ${before})))`,
    ),
    // Agents that are not scanned any more.
    scans: await removeRows(db, 'agent_scans', ['agent_id'], sql`where old.updated_at < ${before}`),
    permits: await removeRows(
      db,
      'permits',
      ['policy', 'session_id', 'turn_key'],
      sql`where old.taken_at < ${permitsBefore}`,
    ),
    deliveries: await removeRows(db, 'deliveries', ['route', 'item'], sql`where old.at < ${before} order by old.at`),
    exemptions: await removeRows(
      db,
      'exemptions',
      ['id'],
      sql`where old.until < ${before} or old.ended_at < ${before}`,
    ),
    watches: await removeRows(
      db,
      'watches',
      ['session_id'],
      sql`where old.state != 'watching' and old.closed_at < ${before}`,
    ),
    ...(await removeBulk(db, before, nowMs)),
  };
}

/** @param key - its primary key @param which - what follows `from <table> as old` */
async function removeRows(
  db: Kysely<LedgerDatabase>,
  table: string,
  key: readonly string[],
  which: RawBuilder<unknown>,
): Promise<number> {
  const columns = (of: string) => sql.join(key.map((column) => sql.ref(`${of}.${column}`)));
  const { numAffectedRows } = await sql`
    delete from ${sql.table(table)} where (${columns(table)}) in
      (select ${columns('old')} from ${sql.table(table)} as old ${which} limit ${sql.lit(RETENTION_BATCH)})`.execute(
    db,
  );
  return Number(numAffectedRows ?? 0);
}

/** What running workers write all the time. @returns ms since the Unix epoch; null: nothing yet */
export async function newestRow(db: Kysely<LedgerDatabase>): Promise<number | null> {
  const times = await Promise.all(
    WRITTEN_OFTEN.map(async ([table, column]) => {
      const query = sql<{ newest: number | null }>`select max(${sql.ref(column)}) as newest from ${sql.table(table)}`;
      return (await query.execute(db)).rows[0]?.newest ?? -Infinity;
    }),
  );
  const newest = Math.max(...times);
  return newest === -Infinity ? null : newest;
}

const WRITTEN_OFTEN = [
  ['events', 'at'],
  ['orders', 'ordered_at'],
  ['outcomes', 'decided_at'],
  ['agent_scans', 'updated_at'],
] as const;

/** The age of an order is that of its outcome. */
async function removeOrders(db: Kysely<LedgerDatabase>, before: number): Promise<number> {
  return db.transaction().execute(async (trx) => {
    const expired = await trx
      .selectFrom('outcomes')
      .innerJoin('orders', 'orders.id', 'outcomes.order_id')
      .select(['orders.id', 'orders.session_id'])
      .where('outcomes.decided_at', '<', before)
      .where('orders.open', '=', 0)
      .orderBy('outcomes.decided_at')
      .limit(RETENTION_BATCH)
      .execute();
    if (expired.length === 0) return 0;
    const ids = expired.map((order) => order.id);
    await trx.deleteFrom('events').where('order_id', 'in', ids).execute();
    await trx.deleteFrom('outcomes').where('order_id', 'in', ids).execute();
    await trx.deleteFrom('orders').where('id', 'in', ids).execute();
    // Requests are for a turn, not for an order: they go with the last order on their turn.
    const sessionIds = [...new Set(expired.map((order) => order.session_id))];
    await trx
      .deleteFrom('requests')
      .where('session_id', 'in', sessionIds)
      .where('registered_at', '<', before)
      .where('status', '!=', 'open')
      .where((eb) =>
        eb.not(
          eb.exists(
            eb
              .selectFrom('orders')
              .select('orders.id')
              .whereRef('orders.session_id', '=', 'requests.session_id')
              .where((eb) =>
                eb.or([eb('orders.open', '=', 1), eb('orders.turn_key', '=', eb.ref('requests.turn_key'))]),
              ),
          ),
        ),
      )
      .execute();
    return ids.length;
  });
}

/** A job goes behind its targets, and the last of them with it. */
async function removeBulk(
  db: Kysely<LedgerDatabase>,
  before: number,
  nowMs: number,
): Promise<Pick<Removed, 'bulkJobs' | 'bulkTargets'>> {
  const planIds = [
    ...(await finishedJobs(db, before, RETENTION_BATCH)),
    ...(await abandonedPlans(db, nowMs, RETENTION_BATCH)),
  ];
  let bulkJobs = 0;
  let bulkTargets = 0;
  for (const planId of planIds) {
    if (bulkJobs >= RETENTION_BATCH || bulkTargets >= RETENTION_BATCH) break;
    const removed = await removeSomeOfJob(db, planId, REMOVABLE, RETENTION_BATCH - bulkTargets);
    bulkTargets += removed.targets;
    if (removed.job) bulkJobs += 1;
  }
  return { bulkJobs, bulkTargets };
}

const REMOVABLE: readonly BulkState[] = ['building', 'planned', 'finished', 'aborted'];

async function finishedJobs(db: Kysely<LedgerDatabase>, before: number, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('bulk_jobs')
    .select('id')
    .where('state', 'in', ['finished', 'aborted'] satisfies BulkState[])
    .where('finished_at', '<', before)
    .orderBy('finished_at')
    .limit(limit)
    .execute();
  return rows.map(({ id }) => id);
}
