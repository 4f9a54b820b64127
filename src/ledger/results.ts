import type { Kysely } from 'kysely';
import type { Attribution, CasePhase, OrderError, OrderEvent, OrderResult, Outcome } from '../contract.js';
import { reasonOf } from './orders.js';
import type { LedgerDatabase } from './schema.js';

/** An order's result, and how far it is, for those who wait for it. */
export interface OrderView {
  readonly orderId: string;
  readonly phase: CasePhase;
  /** Our clock, ms since the Unix epoch; null while a try is under way. */
  readonly nextTryAtMs: number | null;
  /** Our clock, ms since the Unix epoch; null while open. */
  readonly decidedAtMs: number | null;
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
  let query = db
    .selectFrom('orders')
    .leftJoin('outcomes', 'outcomes.order_id', 'orders.id')
    .selectAll('orders')
    .select(['outcomes.outcome', 'outcomes.attribution', 'outcomes.ended_at', 'outcomes.decided_at'])
    .orderBy('orders.ordered_at', 'desc')
    .orderBy('orders.id')
    .limit(filter.limit ?? 100);
  if (filter.orderIds !== undefined) query = query.where('orders.id', 'in', filter.orderIds);
  if (filter.sessionId !== undefined) query = query.where('orders.session_id', '=', filter.sessionId);
  if (filter.openOnly === true) query = query.where('orders.open', '=', 1);
  const rows = await query.execute();
  if (rows.length === 0) return [];

  const events = await db
    .selectFrom('events')
    .selectAll()
    .where(
      'order_id',
      'in',
      rows.map((row) => row.id),
    )
    .orderBy('seq')
    .execute();

  return rows.map((row) => ({
    orderId: row.id,
    phase: row.phase as CasePhase,
    nextTryAtMs: row.next_try_at,
    decidedAtMs: row.decided_at,
    result: {
      sessionId: row.session_id,
      agentId: row.agent_id,
      turnKey: row.turn_key,
      outcome: row.outcome as Outcome | null,
      attribution: row.attribution as Attribution | null,
      reason: reasonOf(row),
      requestedBy: row.requested_by,
      attempts: row.attempts,
      orderedAt: iso(row.ordered_at),
      endedAt: row.ended_at === null ? null : iso(row.ended_at),
      lastError: row.last_error_json === null ? null : (JSON.parse(row.last_error_json) as OrderError),
      events: events
        .filter((event) => event.order_id === row.id)
        .map((event): OrderEvent => {
          const data = event.data_json === null ? {} : (JSON.parse(event.data_json) as Record<string, unknown>);
          return { ...data, at: iso(event.at), kind: event.kind };
        }),
    },
  }));
}

const iso = (ms: number): string => new Date(ms).toISOString();
