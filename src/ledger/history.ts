import { sql, type Kysely } from 'kysely';
import type { OrderEvent } from '../contract.js';
import { selectOrders, toEvent, viewsOf, type OrderView } from './results.js';
import type { LedgerDatabase } from './schema.js';

/** What to look back at. Times are the ledger's clock, ms since the Unix epoch: of the order, or of the event. */
export interface HistoryFilter {
  readonly sessionId?: string;
  readonly policy?: string;
  /** Not before this. */
  readonly sinceMs?: number;
  /** Before this. */
  readonly untilMs?: number;
  /** Only the last so many. */
  readonly last?: number;
}

/** One event of the history, with what it was about. */
export interface HistoryEvent {
  readonly sessionId: string | null;
  readonly orderId: string | null;
  readonly event: OrderEvent;
}

/** Rows per statement: history is read in pages, so that its length takes no memory and holds nobody up. */
const PAGE = 500;

/**
 * Orders, oldest first. A page is one statement that begins behind the last row of the page before it, so what is written
 * meanwhile moves nothing.
 */
export async function* orderHistory(db: Kysely<LedgerDatabase>, filter: HistoryFilter): AsyncGenerator<OrderView[]> {
  const matching = () => {
    let query = selectOrders(db);
    if (filter.sessionId !== undefined) query = query.where('orders.session_id', '=', filter.sessionId);
    if (filter.policy !== undefined) query = query.where('orders.policy', '=', filter.policy);
    if (filter.untilMs !== undefined) query = query.where('orders.ordered_at', '<', filter.untilMs);
    if (filter.sinceMs !== undefined) query = query.where('orders.ordered_at', '>=', filter.sinceMs);
    return query;
  };
  let from: { readonly at: number; readonly id: string; readonly inclusive: boolean } | null = null;
  if (filter.last !== undefined) {
    const first = await matching()
      .clearSelect()
      .select(['orders.ordered_at', 'orders.id'])
      .orderBy('orders.ordered_at', 'desc')
      .orderBy('orders.id', 'desc')
      .offset(filter.last - 1)
      .limit(1)
      .executeTakeFirst();
    if (first !== undefined) from = { at: first.ordered_at, id: first.id, inclusive: true };
  }
  for (;;) {
    let query = matching().orderBy('orders.ordered_at').orderBy('orders.id').limit(PAGE);
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
    yield await viewsOf(db, rows);
    if (rows.length < PAGE) return;
    from = { at: last.ordered_at, id: last.id, inclusive: false };
  }
}

/** All events, oldest first, in pages. */
export async function* eventHistory(db: Kysely<LedgerDatabase>, filter: HistoryFilter): AsyncGenerator<HistoryEvent[]> {
  const matching = () => {
    let query = db.selectFrom('events').leftJoin('orders', 'orders.id', 'events.order_id');
    if (filter.sessionId !== undefined) query = query.where('events.session_id', '=', filter.sessionId);
    // The sign keeps the planner on the order of `seq`: by the index on times, each page would be sorted anew.
    if (filter.sinceMs !== undefined) query = query.where(sql<number>`+events.at`, '>=', filter.sinceMs);
    if (filter.untilMs !== undefined) query = query.where(sql<number>`+events.at`, '<', filter.untilMs);
    if (filter.policy !== undefined) {
      const { policy } = filter;
      // Events of a policy without an order name it in their data. A name has no character that JSON or LIKE would escape.
      query = query.where((eb) =>
        eb.or([
          eb('orders.policy', '=', policy),
          eb('events.data_json', 'like', `%"policy":${JSON.stringify(policy)}%`),
        ]),
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
