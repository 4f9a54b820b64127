import { sql, type Kysely, type Selectable } from 'kysely';
import type { OrderEvent } from '../../core/contract.js';
import { appliedJobs, settledTargets, type AppliedJob } from './bulk-history.js';
import { viewOfTarget } from './bulk-results.js';
import { countedBy, lastActs, type Act, type Grouping, type HistoryGroup } from './acts.js';
import { orderConditions, type HistoryFilter } from './history-filter.js';
import { selectOrders, toEvent, viewsOf, type OrderRow, type OrderView } from './results.js';
import { PAGE, pagesOf } from './pages.js';
import type { EventsTable, LedgerDatabase } from './schema.js';

export type { HistoryFilter };

/** One event of the history, with what it was about. */
export interface HistoryEvent {
  readonly sessionId: string | null;
  readonly orderId: string | null;
  readonly event: OrderEvent;
}

/** Where a look back at orders begins. */
type Start =
  | { readonly kind: 'order'; readonly at: number; readonly id: string }
  | { readonly kind: 'target'; readonly at: number; readonly planId: string; readonly seq: number };

export const createHistory = (db: Kysely<LedgerDatabase>) => ({
  /**
   * Orders, oldest first, and what bulk jobs ended without one: the targets of a job come together, at the time when it was
   * applied.
   */
  async *orders(filter: HistoryFilter): AsyncGenerator<OrderView[]> {
    const start = filter.last === undefined ? null : await startOfLast(db, filter, filter.last);
    const since = start === null ? filter : { ...filter, sinceMs: Math.max(start.at, filter.sinceMs ?? 0) };
    let from: OrderPlace | null = start?.kind === 'order' ? start : null;
    for await (const job of jobsOf(db, since)) {
      if (start !== null && isBefore(job, start)) continue;
      for await (const rows of ordersWithin(db, since, from, job.appliedAtMs)) yield await viewsOf(db, rows);
      from = { at: job.appliedAtMs, id: '' };
      const fromSeq = start?.kind === 'target' && start.planId === job.planId ? start.seq : 0;
      for await (const targets of settledTargets(db, job.planId, since, fromSeq)) {
        yield targets.map((target) => viewOfTarget(job, target));
      }
    }
    for await (const rows of ordersWithin(db, since, from, null)) yield await viewsOf(db, rows);
  },

  /** The last so many acts, oldest first: what people and rules did, each with how its turns stand. */
  acts: (filter: HistoryFilter & { readonly last: number }): Promise<Act[]> => lastActs(db, filter),

  /** Counts of orders, and of what bulk jobs ended without one. */
  countedBy: (filter: HistoryFilter, grouping: Grouping): Promise<HistoryGroup[]> => countedBy(db, filter, grouping),

  /** Whether an order or an event names this policy, in force or not. */
  async knowsPolicy(policy: string): Promise<boolean> {
    const order = await db.selectFrom('orders').select('id').where('policy', '=', policy).limit(1).executeTakeFirst();
    if (order !== undefined) return true;
    const event = await db.selectFrom('events').select('seq').where('policy', '=', policy).limit(1).executeTakeFirst();
    return event !== undefined;
  },

  /** All events, oldest first, in pages. */
  async *events(filter: HistoryFilter): AsyncGenerator<HistoryEvent[]> {
    const matching = () => {
      let query = db.selectFrom('events');
      if (filter.kinds !== undefined) query = query.where('kind', 'in', filter.kinds);
      if (filter.planId !== undefined) query = query.where('plan_id', '=', filter.planId);
      if (filter.sessionId !== undefined) query = query.where('session_id', '=', filter.sessionId);
      // The sign keeps the planner on the order of `seq`: by the index on times, each page would be sorted anew.
      if (filter.sinceMs !== undefined) query = query.where(sql<number>`+at`, '>=', filter.sinceMs);
      if (filter.untilMs !== undefined) query = query.where(sql<number>`+at`, '<', filter.untilMs);
      return filter.policy === undefined ? query : query.where('policy', '=', filter.policy);
    };
    let from = await firstSeq(db, filter);
    if (filter.last !== undefined) {
      const first = await matching()
        .select('seq')
        .where('seq', '>=', from)
        .orderBy('seq', 'desc')
        .offset(filter.last - 1)
        .limit(1)
        .executeTakeFirst();
      from = first?.seq ?? from;
    }
    const pages = pagesOf<Selectable<EventsTable>>((last) =>
      matching()
        .selectAll()
        .where('seq', '>=', last === null ? from : last.seq + 1)
        .orderBy('seq')
        .limit(PAGE)
        .execute(),
    );
    for await (const rows of pages) {
      yield rows.map((row) => ({ sessionId: row.session_id, orderId: row.order_id, event: toEvent(row) }));
    }
  },
});

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

/**
 * Where the last so many begin, counted back from the end by reading them: whoever asks reads them all anyway.
 *
 * @returns null: there are no more than that
 */
async function startOfLast(db: Kysely<LedgerDatabase>, filter: HistoryFilter, last: number): Promise<Start | null> {
  let left = last;
  let before: number | null = null;
  for await (const { planId, appliedAtMs: at } of jobsOf(db, filter, 'desc')) {
    for await (const rows of ordersWithin(db, filter, { at, id: '' }, before, 'desc')) {
      const first = rows[left - 1];
      if (first !== undefined) return { kind: 'order', at: first.ordered_at, id: first.id };
      left -= rows.length;
    }
    for await (const targets of settledTargets(db, planId, filter, 0, 'desc')) {
      const first = targets[left - 1];
      if (first !== undefined) return { kind: 'target', at, planId, seq: first.seq };
      left -= targets.length;
    }
    before = at;
  }
  for await (const rows of ordersWithin(db, filter, null, before, 'desc')) {
    const first = rows[left - 1];
    if (first !== undefined) return { kind: 'order', at: first.ordered_at, id: first.id };
    left -= rows.length;
  }
  return null;
}

interface OrderPlace {
  readonly at: number;
  readonly id: string;
}

/** Orders from a place on, and before a time, in pages. */
const ordersWithin = (
  db: Kysely<LedgerDatabase>,
  filter: HistoryFilter,
  from: OrderPlace | null,
  before: number | null,
  direction: 'asc' | 'desc' = 'asc',
): AsyncGenerator<OrderRow[]> =>
  pagesOf((last) => {
    let query = selectOrders(db).orderBy('orders.ordered_at', direction).orderBy('orders.id', direction).limit(PAGE);
    query = query.where(orderConditions(filter));
    if (filter.untilMs !== undefined) query = query.where('orders.ordered_at', '<', filter.untilMs);
    if (filter.sinceMs !== undefined) query = query.where('orders.ordered_at', '>=', filter.sinceMs);
    if (before !== null) query = query.where('orders.ordered_at', '<', before);
    // One bound on each side, so that the index is entered where the page begins.
    if (from !== null && (last === null || direction === 'desc')) query = query.where(beyond('>=', from));
    if (last === null) return query.execute();
    return query.where(beyond(direction === 'asc' ? '>' : '<', { at: last.ordered_at, id: last.id })).execute();
  });

/** The first condition alone lets the index find the place. */
const beyond = (side: '>=' | '>' | '<', { at, id }: OrderPlace) => {
  const [reaches, passes, is] = [sql.raw(`${side[0]}=`), sql.raw(side.charAt(0)), sql.raw(side)];
  return sql<boolean>`orders.ordered_at ${reaches} ${at} and (orders.ordered_at ${passes} ${at} or orders.id ${is} ${id})`;
};

/** Numbers rise with time, but for clocks that were set: the lowest one of the time asked for is where to begin. */
async function firstSeq(db: Kysely<LedgerDatabase>, { sinceMs }: HistoryFilter): Promise<number> {
  if (sinceMs === undefined) return 0;
  const row = await db
    .selectFrom('events')
    .select(({ fn }) => fn.min<number | null>('seq').as('seq'))
    .where('at', '>=', sinceMs)
    .executeTakeFirst();
  return row?.seq == null ? Number.MAX_SAFE_INTEGER : Number(row.seq);
}
