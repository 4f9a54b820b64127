import { sql, type Kysely } from 'kysely';
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
  return {
    orders: await removeOrders(db, before),
    events: await removeLooseEvents(db, before),
    facts: await removeFacts(db, before, nowMs - Math.min(FACTS_MS, retentionMs)),
    scans: await removeScans(db, before),
    permits: await removePermits(db, nowMs - Math.max(retentionMs, LONGEST_CAPS_WINDOW_MS)),
    deliveries: await removeDeliveries(db, before),
    exemptions: await removeExemptions(db, before),
    watches: await removeWatches(db, before),
    ...(await removeBulk(db, before, nowMs)),
  };
}

/** What running workers write all the time. @returns ms since the Unix epoch; null: nothing yet */
export async function newestRow(db: Kysely<LedgerDatabase>): Promise<number | null> {
  const times = await Promise.all([
    latest(db, 'events', 'at'),
    latest(db, 'orders', 'ordered_at'),
    latest(db, 'outcomes', 'decided_at'),
    latest(db, 'agent_scans', 'updated_at'),
  ]);
  return times.reduce((newest, time) => (newest === null || (time !== null && time > newest) ? time : newest), null);
}

async function latest(db: Kysely<LedgerDatabase>, table: string, column: string): Promise<number | null> {
  const { rows } = await sql<{ newest: number | null }>`
    select max(${sql.ref(column)}) as newest from ${sql.table(table)}`.execute(db);
  return rows[0]?.newest ?? null;
}

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

/** Events of an order stay as long as the order. */
async function removeLooseEvents(db: Kysely<LedgerDatabase>, before: number): Promise<number> {
  const removed = await db
    .deleteFrom('events')
    .where('seq', 'in', (query) =>
      query
        .selectFrom('events as old')
        .leftJoin('orders', 'orders.id', 'old.order_id')
        .select('old.seq')
        .where('old.at', '<', before)
        .where('orders.id', 'is', null)
        .orderBy('old.at')
        .limit(RETENTION_BATCH),
    )
    .executeTakeFirst();
  return Number(removed.numDeletedRows);
}

/** A listed session's row may be as old as its last change; the scan of its agent tells that it is still seen. */
async function removeFacts(db: Kysely<LedgerDatabase>, before: number, notListedBefore: number): Promise<number> {
  const removed = await db
    .deleteFrom('facts')
    .where('session_id', 'in', (query) =>
      query
        .selectFrom('facts as old')
        .leftJoin('agent_scans', 'agent_scans.agent_id', 'old.agent_id')
        .select('old.session_id')
        .where('old.updated_at', '<', notListedBefore)
        .where((eb) =>
          eb.or([
            eb('old.listed', '=', 0),
            eb.and([
              eb('old.updated_at', '<', before),
              eb.or([eb('agent_scans.updated_at', 'is', null), eb('agent_scans.updated_at', '<', before)]),
            ]),
          ]),
        )
        .limit(RETENTION_BATCH),
    )
    .executeTakeFirst();
  return Number(removed.numDeletedRows);
}

/** Agents that are not scanned any more. */
async function removeScans(db: Kysely<LedgerDatabase>, before: number): Promise<number> {
  const removed = await db
    .deleteFrom('agent_scans')
    .where('agent_id', 'in', (query) =>
      query
        .selectFrom('agent_scans as old')
        .select('old.agent_id')
        .where('old.updated_at', '<', before)
        .limit(RETENTION_BATCH),
    )
    .executeTakeFirst();
  return Number(removed.numDeletedRows);
}

async function removePermits(db: Kysely<LedgerDatabase>, before: number): Promise<number> {
  const removed = await sql`delete from permits where (policy, session_id, turn_key) in
    (select policy, session_id, turn_key from permits where taken_at < ${before} limit ${sql.lit(RETENTION_BATCH)})`.execute(
    db,
  );
  return Number(removed.numAffectedRows ?? 0);
}

async function removeDeliveries(db: Kysely<LedgerDatabase>, before: number): Promise<number> {
  const removed = await sql`delete from deliveries where (route, item) in
    (select route, item from deliveries where at < ${before} order by at limit ${sql.lit(RETENTION_BATCH)})`.execute(
    db,
  );
  return Number(removed.numAffectedRows ?? 0);
}

async function removeExemptions(db: Kysely<LedgerDatabase>, before: number): Promise<number> {
  const removed = await db
    .deleteFrom('exemptions')
    .where('id', 'in', (query) =>
      query
        .selectFrom('exemptions as old')
        .select('old.id')
        .where((eb) => eb.or([eb('old.until', '<', before), eb('old.ended_at', '<', before)]))
        .limit(RETENTION_BATCH),
    )
    .executeTakeFirst();
  return Number(removed.numDeletedRows);
}

async function removeWatches(db: Kysely<LedgerDatabase>, before: number): Promise<number> {
  const removed = await db
    .deleteFrom('watches')
    .where('session_id', 'in', (query) =>
      query
        .selectFrom('watches as old')
        .select('old.session_id')
        .where('old.state', '!=', 'watching')
        .where('old.closed_at', '<', before)
        .limit(RETENTION_BATCH),
    )
    .executeTakeFirst();
  return Number(removed.numDeletedRows);
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
