import type { Kysely, Selectable } from 'kysely';
import type {
  Attribution,
  CasePhase,
  OrderError,
  OrderEvent,
  OrderReason,
  OrderResult,
  Outcome,
} from '../../core/contract.js';
import type { EventsTable, LedgerDatabase, OrdersTable, OutcomesTable } from './schema.js';
import { iso } from '../../core/times.js';

/** An order's result, and how far it is, for those who wait for it. */
export interface OrderView {
  readonly orderId: string;
  readonly phase: CasePhase;
  /** Our clock, ms since the Unix epoch; null while a try is under way. */
  readonly nextTryAtMs: number | null;
  /** Our clock, ms since the Unix epoch; null while open. */
  readonly decidedAtMs: number | null;
  /** The worker that carries it out itself, or has done so; null: a case. */
  readonly holder: string | null;
  readonly result: OrderResult;
}

export interface OrderFilter {
  readonly orderIds?: readonly string[];
  readonly sessionId?: string;
  readonly openOnly?: boolean;
  readonly limit?: number;
}

/** Orders with their results, newest first. */
export async function orderViews(db: Kysely<LedgerDatabase>, filter: OrderFilter): Promise<OrderView[]> {
  if (filter.orderIds?.length === 0) return [];
  let query = selectOrders(db)
    .orderBy('orders.ordered_at', 'desc')
    .orderBy('orders.id')
    .limit(filter.limit ?? 100);
  if (filter.orderIds !== undefined) query = query.where('orders.id', 'in', filter.orderIds);
  if (filter.sessionId !== undefined) query = query.where('orders.session_id', '=', filter.sessionId);
  if (filter.openOnly === true) query = query.where('orders.open', '=', 1);
  return viewsOf(db, await query.execute());
}

/** Orders with what their outcomes say, before any filter. */
export const selectOrders = (db: Kysely<LedgerDatabase>) =>
  db
    .selectFrom('orders')
    .leftJoin('outcomes', 'outcomes.order_id', 'orders.id')
    .selectAll('orders')
    .select(['outcomes.outcome', 'outcomes.attribution', 'outcomes.ended_at', 'outcomes.decided_at']);

export type OrderRow = Selectable<OrdersTable> & {
  readonly [Column in 'outcome' | 'attribution' | 'ended_at' | 'decided_at']: OutcomesTable[Column] | null;
};

/** Rows as results, in their order, with their events. @param rows - at most some hundred: their ids go into one statement */
export async function viewsOf(db: Kysely<LedgerDatabase>, rows: readonly OrderRow[]): Promise<OrderView[]> {
  if (rows.length === 0) return [];
  const ids = rows.map((row) => row.id);
  const events = await db.selectFrom('events').selectAll().where('order_id', 'in', ids).orderBy('seq').execute();
  const eventsOf = new Map<string, OrderEvent[]>(ids.map((id) => [id, []]));
  for (const event of events) eventsOf.get(event.order_id ?? '')?.push(toEvent(event));

  return rows.map((row) => ({
    orderId: row.id,
    phase: row.phase as CasePhase,
    nextTryAtMs: row.next_try_at,
    decidedAtMs: row.decided_at,
    holder: row.holder,
    result: {
      sessionId: row.session_id,
      agentId: row.agent_id,
      turnKey: row.turn_key,
      outcome: row.outcome as Outcome | null,
      attribution: row.attribution as Attribution | null,
      reason: reasonOf(row),
      requestedBy: row.requested_by,
      ...(row.max_read_age_ms === null ? {} : { maxReadAgeMs: row.max_read_age_ms }),
      attempts: row.attempts,
      orderedAt: iso(row.ordered_at),
      endedAt: row.ended_at === null ? null : iso(row.ended_at),
      lastError: row.last_error_json === null ? null : (JSON.parse(row.last_error_json) as OrderError),
      events: eventsOf.get(row.id) ?? [],
    },
  }));
}

/** Its data beside its time and kind, which win over data of the same name. */
export function toEvent({
  at,
  kind,
  data_json: json,
}: Pick<Selectable<EventsTable>, 'at' | 'kind' | 'data_json'>): OrderEvent {
  const data = json === null ? {} : (JSON.parse(json) as Record<string, unknown>);
  return { ...data, at: iso(at), kind };
}

export function reasonOf(
  row: Pick<Selectable<OrdersTable>, 'reason_text' | 'policy' | 'policy_version' | 'limit_json' | 'observed_json'>,
): OrderReason {
  return {
    text: row.reason_text,
    policy: row.policy,
    policyVersion: row.policy_version,
    limit: parseObject(row.limit_json),
    observed: parseObject(row.observed_json),
  };
}

const parseObject = (json: string | null): Record<string, unknown> | null =>
  json === null ? null : (JSON.parse(json) as Record<string, unknown>);
