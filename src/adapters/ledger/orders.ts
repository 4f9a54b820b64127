import { randomUUID } from 'node:crypto';
import { sql, type Kysely, type Selectable, type Transaction } from 'kysely';
import type { Attribution, CasePhase, OrderError, OrderReason, Outcome } from '../../core/contract.js';
import { bulkConcludedBefore } from './bulk-requests.js';
import { onePerJob } from './bulk-alerts.js';
import { endedTurns, type EndedTurn } from './ended-turns.js';
import { recordEvents, stamped, type EventToRecord } from './events.js';
import { HOLD_MS } from './leases.js';
import { ledgerNow, type Clock } from './locks.js';
import { orderViews, reasonOf, type OrderFilter, type OrderView } from './results.js';
import { isWitnessed, tell, type SeenAtTheEnd } from './news.js';
import { orderedBy, type OrderedBy, type OrderSource } from '../../core/orders.js';
import type { Refusal } from '../../core/policy/refusals.js';
import { errorWith, refusalsIn } from './refusals.js';
import type { LedgerDatabase, OrdersTable } from './schema.js';

/** What someone asks for: the end of one turn of one session. */
export interface NewOrder {
  readonly sessionId: string;
  readonly source: OrderSource;
  readonly requestedBy: string;
  readonly reason: OrderReason;
  /** Ends the turn even if the session is exempt. Only a person may say so. */
  readonly evenIfExempt: boolean;
  /** The turn that is meant; null: the one that is the last at the moment of the order. */
  readonly turnKey: string | null;
  /** Vendor's time of that turn's message, ms; left out or null: not known. */
  readonly turnStartedAtMs?: number | null;
  /** How old a read may be that lets a request for this order out, ms; left out or null: as old as for any order. Only a person may say so. */
  readonly maxReadAgeMs?: number | null;
  /** The worker that carries it out itself, and holds it until a case takes it over; left out: a case carries it out. */
  readonly holder?: string;
}

/** An order without an outcome, with what is needed to carry it out. */
export interface OpenOrder {
  readonly id: string;
  readonly sessionId: string;
  readonly source: OrderSource;
  readonly policy: string | null;
  readonly reason: OrderReason;
  readonly evenIfExempt: boolean;
  /** See {@link NewOrder}. */
  readonly maxReadAgeMs: number | null;
  readonly turnKey: string | null;
  readonly turnStartedAtMs: number | null;
  /** True once the turn is fixed: it was given with the order, or was seen in flight after it. */
  readonly turnFixed: boolean;
  readonly orderedAtMs: number;
  /** By the ledger's clock when the pass began, ms. */
  readonly ageMs: number;
  /** Time spent in vain so far, ms; time held by pause, refused key, or ledger or API away is not in it. */
  readonly triedForMs: number;
  readonly alerted: boolean;
  /** What the vendor refused for the session and has not accepted since. */
  readonly refusals: readonly Refusal[];
}

export interface Settlement {
  readonly orderId: string;
  readonly sessionId: string;
  readonly outcome: Outcome;
  readonly attribution: Attribution | null;
  readonly attempts: number;
  /** Vendor's clock, ms; null when the end was not seen. */
  readonly endedAtMs: number | null;
  /** The turn as it was bound; null keeps what the order has. */
  readonly turnKey: string | null;
  /** For those who count; left out where no read settled it. */
  readonly seen?: SeenAtTheEnd;
}

/** What a pass found out: outcomes, events, and orders that someone has now been told about. Written together or not at all. */
interface PassRecord {
  readonly settlements: readonly Settlement[];
  readonly events: readonly EventToRecord[];
  readonly alertedOrderIds: readonly string[];
}

/**
 * A pass that took longer than this to come back (worker away, machine asleep, clock jumped) counts only so much
 * towards giving up. Longer than a request (100 s) and the longest wait after it (60 s); less than it takes to alert.
 */
const LONGEST_COUNTED_GAP_MS = 3 * 60_000;

export const createOrders = (db: Kysely<LedgerDatabase>, now: Clock = ledgerNow) => ({
  async create(order: NewOrder): Promise<string> {
    return createOrder(db, order, await now(db));
  },

  /**
   * The open orders on a session, oldest first. Starts a pass: books the time since the last one if it was spent in vain.
   *
   * A case takes all, from whoever holds them. A worker gets those that it holds, and none when there are others: then a case
   * is at work, or soon will be.
   *
   * @param holder - the worker; null: a case
   */
  async beginPass(sessionId: string, holder: string | null = null): Promise<OpenOrder[]> {
    const nowMs = await now(db);
    const rows = await db
      .updateTable('orders')
      .set({
        holder,
        held_until: holder === null ? null : nowMs + HOLD_MS,
        counted_ms: sql<number>`counted_ms + case
        when last_pass_counts = 1 and last_pass_at < ${nowMs} and ${nowMs} - last_pass_at < ${LONGEST_COUNTED_GAP_MS}
          then ${nowMs} - last_pass_at
        when last_pass_counts = 1 and last_pass_at < ${nowMs} then ${LONGEST_COUNTED_GAP_MS}
        else 0 end`,
        last_pass_at: nowMs,
        last_pass_counts: 0,
        next_try_at: null,
      })
      .where('session_id', '=', sessionId)
      .where('open', '=', 1)
      .$if(holder !== null, (query) =>
        query.where('holder', '=', holder).where((eb) =>
          eb.not(
            eb.exists(
              eb
                .selectFrom('orders as others')
                .select('others.id')
                .where('others.session_id', '=', sessionId)
                .where('others.open', '=', 1)
                .where((other) => other.or([other('others.holder', 'is', null), other('others.holder', '!=', holder)])),
            ),
          ),
        ),
      )
      .returningAll()
      .execute();
    return rows
      .map((row) => toOpenOrder(row, nowMs))
      .sort((a, b) => a.orderedAtMs - b.orderedAtMs || (a.id < b.id ? -1 : 1));
  },

  /** Fixes the turn that an order means, unless it is fixed already. */
  async bind(
    orderId: string,
    turn: { readonly key: string | null; readonly startedAtMs: number | null },
  ): Promise<void> {
    const nowMs = await now(db);
    await db
      .updateTable('orders')
      .set({ turn_key: turn.key, turn_started_at: turn.startedAtMs, bound_at: nowMs })
      .where('id', '=', orderId)
      .where('bound_at', 'is', null)
      .execute();
  },

  async notePass(sessionId: string, note: PassNote): Promise<void> {
    if (note.error === null && note.refusals === undefined) return notePhase(db, sessionId, note);
    await db.transaction().execute(async (trx) => {
      await notePhase(trx, sessionId, note);
      await noteError(trx, sessionId, note);
    });
  },

  async settle({ settlements, events, alertedOrderIds }: PassRecord): Promise<void> {
    const at = await now(db);
    await db.transaction().execute(async (trx) => {
      await settleOrders(trx, settlements, at);
      await recordEvents(trx, await onePerJob(trx, stamped(events, at)));
      await markAlerted(trx, alertedOrderIds, at);
    });
  },

  /** Gives up open orders on a person's word. */
  async abandon(orderIds: readonly string[], word: { readonly by: string; readonly reason: string }): Promise<void> {
    const at = await now(db);
    await db.transaction().execute((trx) => abandonOrders(trx, orderIds, word, at));
  },

  /** When an earlier order on this turn got its outcome, at or before the given time; null when none did. */
  async concludedBefore(sessionId: string, turnKey: string, beforeMs: number): Promise<number | null> {
    const row = await db
      .selectFrom('outcomes')
      .innerJoin('orders', 'orders.id', 'outcomes.order_id')
      .select(({ fn }) => fn.max('outcomes.decided_at').as('decidedAt'))
      .where('orders.session_id', '=', sessionId)
      .where('orders.turn_key', '=', turnKey)
      .where('outcomes.decided_at', '<=', beforeMs)
      .executeTakeFirst();
    const byBulkJob = await bulkConcludedBefore(db, sessionId, turnKey, beforeMs);
    return row?.decidedAt == null ? byBulkJob : Math.max(row.decidedAt, byBulkJob ?? 0);
  },

  /**
   * Tells, once per order, that it does not come to its end, and why. Safe to call again, and from several workers.
   *
   * @param afterMs - told only when the order is that old
   * @returns whether it was told now
   */
  async tellNotEnding(orderId: string, afterMs: number, why: string): Promise<boolean> {
    const at = await now(db);
    return db.transaction().execute(async (trx) => {
      const sessionId = await claimAlert(trx, orderId, at - afterMs, at);
      if (sessionId === null) return false;
      await recordEvents(trx, [{ kind: 'not-ending', at, sessionId, orderId, data: { why } }]);
      return true;
    });
  },

  /** Sessions with open orders that nobody holds, and nobody has looked at since the given time, oldest order first. */
  async neglected(lookedAtBeforeMs: number, limit: number): Promise<{ sessionId: string; orderId: string }[]> {
    const nowMs = await now(db);
    const rows = await db
      .selectFrom('orders')
      .select(({ fn }) => ['session_id', fn.min('id').as('orderId')])
      .where('open', '=', 1)
      .groupBy('session_id')
      .having(({ fn }) => fn.max(sql<number>`coalesce(next_try_at, last_pass_at, 0)`), '<', lookedAtBeforeMs)
      .having(({ fn }) => fn.max(sql<number>`coalesce(held_until, 0)`), '<=', nowMs)
      .orderBy(({ fn }) => fn.min('ordered_at'))
      .limit(limit)
      .execute();
    return rows.map((row) => ({ sessionId: row.session_id, orderId: row.orderId }));
  },

  /** See {@link endedTurns}. */
  ended: (withinMs: number): Promise<EndedTurn[]> => endedTurns(db, withinMs, now),

  views: (filter: OrderFilter): Promise<OrderView[]> => orderViews(db, filter),

  /** The policy orders on one turn, open and settled. */
  async ofTurn(sessionId: string, turnKey: string): Promise<PolicyOrder[]> {
    const rows = await db
      .selectFrom('orders')
      .leftJoin('outcomes', 'outcomes.order_id', 'orders.id')
      .select(['orders.id', 'orders.policy', 'orders.last_error_json', 'outcomes.outcome', 'outcomes.decided_at'])
      .where('orders.session_id', '=', sessionId)
      .where('orders.turn_key', '=', turnKey)
      .where('orders.source', '=', 'policy')
      .execute();
    return rows.map((row) => ({
      id: row.id,
      policy: row.policy,
      outcome: row.outcome as Outcome | null,
      decidedAtMs: row.decided_at,
      refusals: refusalsIn(row.last_error_json),
    }));
  },
});

export async function createOrder(db: Kysely<LedgerDatabase>, order: NewOrder, nowMs: number): Promise<string> {
  const id = randomUUID();
  await db
    .insertInto('orders')
    .values({
      id,
      session_id: order.sessionId,
      turn_key: order.turnKey,
      turn_started_at: order.turnStartedAtMs ?? null,
      bound_at: order.turnKey === null ? null : nowMs,
      source: order.source,
      requested_by: order.requestedBy,
      reason_text: order.reason.text,
      policy: order.reason.policy,
      policy_version: order.reason.policyVersion,
      limit_json: order.reason.limit === null ? null : JSON.stringify(order.reason.limit),
      observed_json: order.reason.observed === null ? null : JSON.stringify(order.reason.observed),
      even_if_exempt: order.evenIfExempt ? 1 : 0,
      max_read_age_ms: order.maxReadAgeMs ?? null,
      ordered_at: nowMs,
      open: 1,
      phase: 'ordered' satisfies CasePhase,
      attempts: 0,
      counted_ms: 0,
      last_pass_counts: 0,
      holder: order.holder ?? null,
      held_until: order.holder === undefined ? null : nowMs + HOLD_MS,
    })
    .execute();
  tell({ kind: 'order-opened', by: orderedBy(order.source), policy: order.reason.policy });
  return id;
}

/** What a pass leaves behind for those who wait: phase, next try, last error. */
export interface PassNote {
  readonly phase: CasePhase;
  readonly nextTryAtMs: number | null;
  readonly error: OrderError | null;
  /** Whether the time until the next pass counts towards giving up. */
  readonly counts: boolean;
  readonly agentId?: string | null;
  /** What the vendor refuses for this session now; left out: as it was. */
  readonly refusals?: readonly Refusal[];
}

async function notePhase(db: Kysely<LedgerDatabase>, sessionId: string, note: PassNote): Promise<void> {
  await db
    .updateTable('orders')
    .set({
      phase: note.phase,
      next_try_at: note.nextTryAtMs,
      last_pass_counts: note.counts ? 1 : 0,
      ...(note.agentId == null ? {} : { agent_id: note.agentId }),
    })
    .where('session_id', '=', sessionId)
    .where('open', '=', 1)
    .execute();
}

/** One error for all orders of the session; what was refused stays with each unless it is given anew. */
async function noteError(
  db: Kysely<LedgerDatabase>,
  sessionId: string,
  { error, refusals }: Pick<PassNote, 'error' | 'refusals'>,
): Promise<void> {
  const open = await db
    .selectFrom('orders')
    .select(['id', 'last_error_json'])
    .where('session_id', '=', sessionId)
    .where('open', '=', 1)
    .execute();
  for (const { id, last_error_json: json } of open) {
    const said = error ?? (json === null ? null : (JSON.parse(json) as OrderError));
    if (said === null) continue;
    const stored = errorWith(said, refusals ?? refusalsIn(json));
    await db.updateTable('orders').set({ last_error_json: stored }).where('id', '=', id).execute();
  }
}

/** Writes the outcomes of orders. An order has one outcome for ever: a second one is ignored. */
export async function settleOrders(
  db: Kysely<LedgerDatabase>,
  settlements: readonly Settlement[],
  nowMs: number,
): Promise<void> {
  for (const settlement of settlements) {
    const closed = await db
      .updateTable('orders')
      .set({
        open: 0,
        phase: 'settled' satisfies CasePhase,
        next_try_at: null,
        attempts: settlement.attempts,
        ...(settlement.turnKey === null ? {} : { turn_key: settlement.turnKey, bound_at: nowMs }),
      })
      .where('id', '=', settlement.orderId)
      .where('open', '=', 1)
      .returning(['source', 'policy', 'policy_version', 'reason_text', 'limit_json', 'observed_json'])
      .executeTakeFirst();
    if (closed === undefined) continue;
    await db
      .insertInto('outcomes')
      .values({
        order_id: settlement.orderId,
        session_id: settlement.sessionId,
        outcome: settlement.outcome,
        attribution: settlement.attribution,
        attempts: settlement.attempts,
        ended_at: settlement.endedAtMs,
        decided_at: nowMs,
      })
      .execute();
    if (!isWitnessed()) continue;
    const { outcome, attribution, endedAtMs, seen = null } = settlement;
    const by = await whoOrdered(db, settlement, closed.source as OrderSource);
    tell({ kind: 'order-settled', settled: { by, outcome, attribution, reason: reasonOf(closed), endedAtMs, seen } });
  }
}

/** What a bulk job handed over may be a cleanup's. */
async function whoOrdered(
  db: Kysely<LedgerDatabase>,
  { orderId, sessionId }: Settlement,
  source: OrderSource,
): Promise<OrderedBy> {
  if (source !== 'bulk') return orderedBy(source);
  const job = await db
    .selectFrom('bulk_targets')
    .innerJoin('bulk_jobs', 'bulk_jobs.id', 'bulk_targets.plan_id')
    .select('bulk_jobs.source')
    .where('bulk_targets.session_id', '=', sessionId)
    .where('bulk_targets.order_id', '=', orderId)
    .executeTakeFirst();
  return job?.source === 'cleanup' ? 'cleanup' : 'bulk';
}

/** Gives up open orders on a person's word: no further request is sent for them. */
export async function abandonOrders(
  trx: Transaction<LedgerDatabase>,
  orderIds: readonly string[],
  word: { readonly by: string; readonly reason: string },
  nowMs: number,
): Promise<void> {
  const open = await trx
    .selectFrom('orders')
    .select(['id', 'session_id', 'attempts'])
    .where('id', 'in', orderIds)
    .where('open', '=', 1)
    .execute();
  const settlements = open.map((order): Settlement => ({
    orderId: order.id,
    sessionId: order.session_id,
    outcome: 'abandoned',
    attribution: null,
    attempts: order.attempts,
    endedAtMs: null,
    turnKey: null,
  }));
  await settleOrders(trx, settlements, nowMs);
  await recordEvents(
    trx,
    open.map((order) => ({ kind: 'abandoned', at: nowMs, sessionId: order.session_id, orderId: order.id, data: word })),
  );
}

async function markAlerted(db: Kysely<LedgerDatabase>, orderIds: readonly string[], nowMs: number): Promise<void> {
  if (orderIds.length === 0) return;
  await db.updateTable('orders').set({ alerted_at: nowMs }).where('id', 'in', orderIds).execute();
}

/**
 * Takes the one alert of an open order that was ordered at or before the given time, ms.
 *
 * @returns its session; null when it is younger, settled, or was alerted already: by whomever, nobody is to be told twice
 */
async function claimAlert(
  db: Kysely<LedgerDatabase>,
  orderId: string,
  orderedByMs: number,
  nowMs: number,
): Promise<string | null> {
  const row = await db
    .updateTable('orders')
    .set({ alerted_at: nowMs })
    .where('id', '=', orderId)
    .where('open', '=', 1)
    .where('alerted_at', 'is', null)
    .where('ordered_at', '<=', orderedByMs)
    .returning('session_id')
    .executeTakeFirst();
  return row?.session_id ?? null;
}

function toOpenOrder(row: Selectable<OrdersTable>, nowMs: number): OpenOrder {
  return {
    id: row.id,
    sessionId: row.session_id,
    source: row.source as OrderSource,
    policy: row.policy,
    reason: reasonOf(row),
    evenIfExempt: row.even_if_exempt === 1,
    maxReadAgeMs: row.max_read_age_ms,
    turnKey: row.turn_key,
    turnStartedAtMs: row.turn_started_at,
    turnFixed: row.bound_at !== null,
    orderedAtMs: row.ordered_at,
    ageMs: Math.max(0, nowMs - row.ordered_at),
    triedForMs: row.counted_ms,
    alerted: row.alerted_at !== null,
    refusals: refusalsIn(row.last_error_json),
  };
}

/** An order that a policy gave. Outcome and time are null while it is open. */
export interface PolicyOrder {
  readonly id: string;
  readonly policy: string | null;
  readonly outcome: Outcome | null;
  /** Ledger's clock, ms. */
  readonly decidedAtMs: number | null;
  /** What the vendor refused for it, and did not accept any more. */
  readonly refusals: readonly Refusal[];
}

/** The open order of the same policy for the same turn; null: none. Lock the session first: then two looks at once give one order. */
export async function openTwin(trx: Transaction<LedgerDatabase>, order: NewOrder): Promise<string | null> {
  if (order.reason.policy === null || order.turnKey === null) return null;
  const twin = await trx
    .selectFrom('orders')
    .select('id')
    .where('session_id', '=', order.sessionId)
    .where('turn_key', '=', order.turnKey)
    .where('policy', '=', order.reason.policy)
    .where('open', '=', 1)
    .executeTakeFirst();
  return twin?.id ?? null;
}
