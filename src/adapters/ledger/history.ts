import { sql, type Kysely } from 'kysely';
import type { OrderEvent } from '../../core/contract.js';
import { appliedJobs, countSettledTargets, pageOfSettledTargets, seqOfLast, type AppliedJob } from './bulk-history.js';
import { viewOfTarget } from './bulk-results.js';
import { valueOfEvent } from './events.js';
import type { EventKind } from '../../core/events.js';
import { selectOrders, toEvent, viewsOf, type OrderRow, type OrderView } from './results.js';
import type { LedgerDatabase } from './schema.js';

/** What to look back at. Times are the ledger's clock, ms since the Unix epoch: of the order, or of the event. */
export interface HistoryFilter {
  readonly sessionId?: string;
  readonly policy?: string;
  /** Not before this. */
  readonly sinceMs?: number;
  /** Before this. */
  readonly untilMs?: number;
  /** Only show only the last N. */
  readonly last?: number;
  /** Only events of these kinds. */
  readonly kinds?: readonly EventKind[];
  /** Only events of this bulk plan. */
  readonly planId?: string;
}

/** One event of the history, with what it was about. */
export interface HistoryEvent {
  readonly sessionId: string | null;
  readonly orderId: string | null;
  readonly event: OrderEvent;
}

/** Rows per statement: history is read in pages, so that its length takes no memory and holds nobody up. */
const PAGE = 500;

/** Where a look back at orders begins. */
type Start =
  | { readonly kind: 'order'; readonly at: number; readonly id: string }
  | { readonly kind: 'target'; readonly at: number; readonly planId: string; readonly seq: number };

/**
 * Orders, oldest first, and what bulk jobs ended without one: the targets of a job come together, at the time when it was
 * applied. A page is one statement that begins behind the last row of the page before it, so what is written meanwhile moves
 * nothing.
 */
export async function* orderHistory(db: Kysely<LedgerDatabase>, filter: HistoryFilter): AsyncGenerator<OrderView[]> {
  const start = filter.last === undefined ? null : await startOfLast(db, filter, filter.last);
  const since = start === null ? filter : { ...filter, sinceMs: Math.max(start.at, filter.sinceMs ?? 0) };
  let from: OrderPlace | null = start?.kind === 'order' ? { at: start.at, id: start.id, inclusive: true } : null;
  for await (const job of jobsOf(db, since)) {
    if (start !== null && isBefore(job, start)) continue;
    for await (const rows of ordersBetween(db, since, from, job.appliedAtMs)) yield await viewsOf(db, rows);
    from = { at: job.appliedAtMs, id: '', inclusive: true };
    let fromSeq = start?.kind === 'target' && start.planId === job.planId ? start.seq : 0;
    for (;;) {
      const targets = await pageOfSettledTargets(db, job.planId, since, fromSeq, PAGE);
      if (targets.length > 0) yield targets.map((target) => viewOfTarget(job, target));
      const last = targets.at(-1);
      if (last === undefined || targets.length < PAGE) break;
      fromSeq = last.seq + 1;
    }
  }
  for await (const rows of ordersBetween(db, since, from, null)) yield await viewsOf(db, rows);
}

/** A bulk job belongs to no policy. */
const jobsOf = (
  db: Kysely<LedgerDatabase>,
  filter: HistoryFilter,
  direction: 'asc' | 'desc' = 'asc',
): AsyncIterable<AppliedJob> | readonly AppliedJob[] =>
  filter.policy === undefined ? appliedJobs(db, filter, direction) : [];

/** Jobs come before orders of the same moment, and among themselves by their ids. */
const isBefore = ({ appliedAtMs, planId }: AppliedJob, start: Start): boolean =>
  appliedAtMs < start.at || (appliedAtMs === start.at && (start.kind === 'order' || planId < start.planId));

/** Where show only the last N begin, counted back from the end; null: there are no more than that. */
async function startOfLast(db: Kysely<LedgerDatabase>, filter: HistoryFilter, last: number): Promise<Start | null> {
  let left = last;
  let before: number | null = null;
  for await (const job of jobsOf(db, filter, 'desc')) {
    const orders = await countOrders(db, filter, job.appliedAtMs, before, left);
    if (orders === left) return orderFromEnd(db, filter, before, left);
    left -= orders;
    const targets = await countSettledTargets(db, job.planId, filter, left);
    if (targets === left) {
      const seq = await seqOfLast(db, job.planId, filter, left);
      return { kind: 'target', at: job.appliedAtMs, planId: job.planId, seq };
    }
    left -= targets;
    before = job.appliedAtMs;
  }
  return orderFromEnd(db, filter, before, left);
}

function matchingOrders(db: Kysely<LedgerDatabase>, filter: HistoryFilter, before: number | null) {
  let query = selectOrders(db);
  if (filter.sessionId !== undefined) query = query.where('orders.session_id', '=', filter.sessionId);
  if (filter.policy !== undefined) query = query.where('orders.policy', '=', filter.policy);
  if (filter.untilMs !== undefined) query = query.where('orders.ordered_at', '<', filter.untilMs);
  if (filter.sinceMs !== undefined) query = query.where('orders.ordered_at', '>=', filter.sinceMs);
  return before === null ? query : query.where('orders.ordered_at', '<', before);
}

/** How many orders were given in the time, counted up to a bound. */
async function countOrders(
  db: Kysely<LedgerDatabase>,
  filter: HistoryFilter,
  from: number,
  before: number | null,
  most: number,
): Promise<number> {
  const { counted } = await db
    .selectFrom(
      matchingOrders(db, filter, before)
        .clearSelect()
        .select('orders.id')
        .where('orders.ordered_at', '>=', from)
        .limit(most)
        .as('some'),
    )
    .select(({ fn }) => fn.countAll<number>().as('counted'))
    .executeTakeFirstOrThrow();
  return Number(counted);
}

/** The order from which on there are so many; null: there are fewer. */
async function orderFromEnd(
  db: Kysely<LedgerDatabase>,
  filter: HistoryFilter,
  before: number | null,
  last: number,
): Promise<Start | null> {
  const first = await matchingOrders(db, filter, before)
    .clearSelect()
    .select(['orders.ordered_at', 'orders.id'])
    .orderBy('orders.ordered_at', 'desc')
    .orderBy('orders.id', 'desc')
    .offset(last - 1)
    .limit(1)
    .executeTakeFirst();
  return first === undefined ? null : { kind: 'order', at: first.ordered_at, id: first.id };
}

interface OrderPlace {
  readonly at: number;
  readonly id: string;
  readonly inclusive: boolean;
}

/** Orders from a place on, before a time, in pages. */
async function* ordersBetween(
  db: Kysely<LedgerDatabase>,
  filter: HistoryFilter,
  first: OrderPlace | null,
  before: number | null,
): AsyncGenerator<OrderRow[]> {
  let from = first;
  for (;;) {
    let query = matchingOrders(db, filter, before).orderBy('orders.ordered_at').orderBy('orders.id').limit(PAGE);
    if (from !== null) {
      const { at, id, inclusive } = from;
      // The first condition alone lets the index find the place.
      query = query
        .where('orders.ordered_at', '>=', at)
        .where((eb) =>
          eb.or([
            eb('orders.ordered_at', '>', at),
            eb('orders.id', '>', id),
            ...(inclusive ? [eb('orders.id', '=', id)] : []),
          ]),
        );
    }
    const rows = await query.execute();
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows;
    if (rows.length < PAGE) return;
    from = { at: last.ordered_at, id: last.id, inclusive: false };
  }
}

/** All events, oldest first, in pages. */
export async function* eventHistory(db: Kysely<LedgerDatabase>, filter: HistoryFilter): AsyncGenerator<HistoryEvent[]> {
  const matching = () => {
    let query = db.selectFrom('events').leftJoin('orders', 'orders.id', 'events.order_id');
    if (filter.kinds !== undefined) query = query.where('events.kind', 'in', filter.kinds);
    if (filter.planId !== undefined) query = query.where(valueOfEvent(db, 'plan'), '=', filter.planId);
    if (filter.sessionId !== undefined) query = query.where('events.session_id', '=', filter.sessionId);
    // The sign keeps the planner on the order of `seq`: by the index on times, each page would be sorted anew.
    if (filter.sinceMs !== undefined) query = query.where(sql<number>`+events.at`, '>=', filter.sinceMs);
    if (filter.untilMs !== undefined) query = query.where(sql<number>`+events.at`, '<', filter.untilMs);
    if (filter.policy !== undefined) {
      const { policy } = filter;
      // Events of a policy without an order name it in their data.
      query = query.where((eb) =>
        eb.or([eb('orders.policy', '=', policy), eb(valueOfEvent(db, 'policy'), '=', policy)]),
      );
    }
    return query;
  };
  let after = await seqBefore(db, filter);
  if (filter.last !== undefined) {
    const first = await matching()
      .select('events.seq')
      .where('events.seq', '>', after)
      .orderBy('events.seq', 'desc')
      .offset(filter.last - 1)
      .limit(1)
      .executeTakeFirst();
    if (first !== undefined) after = first.seq - 1;
  }
  for (;;) {
    const rows = await matching()
      .select(['events.seq', 'events.at', 'events.kind', 'events.session_id', 'events.order_id', 'events.data_json'])
      .where('events.seq', '>', after)
      .orderBy('events.seq')
      .limit(PAGE)
      .execute();
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows.map((row) => ({ sessionId: row.session_id, orderId: row.order_id, event: toEvent(row) }));
    if (rows.length < PAGE) return;
    after = last.seq;
  }
}

/** Numbers rise with time, but for clocks that were set: the lowest one of the time asked for is where to begin. */
async function seqBefore(db: Kysely<LedgerDatabase>, { sinceMs }: HistoryFilter): Promise<number> {
  if (sinceMs === undefined) return 0;
  const row = await db
    .selectFrom('events')
    .select(({ fn }) => fn.min<number | null>('seq').as('seq'))
    .where('at', '>=', sinceMs)
    .executeTakeFirst();
  return row?.seq == null ? Number.MAX_SAFE_INTEGER : Number(row.seq) - 1;
}
