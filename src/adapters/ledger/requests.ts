import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import { LONGEST_REQUEST_MS, type SentRequest } from '../../core/policy/conclusion.js';
import type { Outcome } from '../../core/contract.js';
import { bulkRequestsForTurn, ordersOfHaltedJobs } from './bulk-requests.js';
import { bulkRequestsUnderWay, senderLeases } from './under-way.js';
import { takePermit, type PermitRequest } from './breakers.js';
import { earliestNow } from './exemptions.js';
import { ledgerNow, lockSession, readSwitchForShare, type Clock } from './locks.js';
import { settleOrders } from './orders.js';
import type { LedgerDatabase } from './schema.js';
import type { RequestAnswer, RequestRow } from './request-row.js';
import { LEASE_MS, IN_DOUBT_MS, DOUBT_RETRY_MS } from './leases.js';

/** A cancel request that wants to leave. */
export interface Departure {
  readonly sessionId: string;
  readonly agentId: string | null;
  readonly turn: { readonly key: string; readonly startedAtMs: number | null };
  /** The orders it is sent for. */
  readonly orderIds: readonly string[];
  /** For orders that policies gave: the permit that each needs. */
  readonly permits?: ReadonlyMap<string, PermitRequest>;
  /** Who sends for this session: a case or a bulk job. */
  readonly owner: string;
  /** The process that sends. */
  readonly worker: string;
  /** Vendor's time of the read that showed the turn in flight, ms. */
  readonly readAtMs: number;
  /** Vendor's time after which it does not leave any more, ms. */
  readonly leavesByMs: number;
}

export type Registration =
  | {
      readonly kind: 'registered';
      readonly requestId: string;
      readonly attempt: number;
      /** The orders that it is sent for: those that no brake stops. */
      readonly orderIds: readonly string[];
    }
  /** By the pause switch; or all its orders are those of bulk jobs that are paused, and this is one of them. */
  | { readonly kind: 'paused'; readonly reason: string | null; readonly bulkJob?: string }
  /** Another sender's request for this session is under way. */
  | { readonly kind: 'busy'; readonly retryInMs: number }
  /** A brake stops every order, but a request for this turn left a moment ago, and may still take effect. */
  | { readonly kind: 'in-doubt'; readonly retryInMs: number }
  /** No order is left that may send: exempt now, over a cap, or settled meanwhile. */
  | { readonly kind: 'nothing-to-send' };

export const createRequests = (db: Kysely<LedgerDatabase>, now: Clock = ledgerNow) => ({
  /**
   * Lets a request out, or says why not: the pause switch, exemptions, caps and the one-sender rule are checked in the same
   * transaction that writes the request (invariants I3 and I6). What is not registered here is never sent.
   */
  async register(departure: Departure): Promise<Registration> {
    return db.transaction().execute(async (trx) => {
      await lockSession(trx, departure.sessionId);
      const pauseSwitch = await readSwitchForShare(trx);
      if (pauseSwitch.paused) return { kind: 'paused', reason: pauseSwitch.reason };
      if (departure.orderIds.length === 0) return { kind: 'nothing-to-send' };
      const nowMs = await now(trx);

      const leaseUntil = (await senderLeases(trx, [departure.sessionId], nowMs)).get(departure.sessionId);
      if (leaseUntil !== undefined) return { kind: 'busy', retryInMs: Math.max(500, leaseUntil - nowMs) };

      const held = await ordersOfHaltedJobs(trx, departure.sessionId, departure.orderIds);
      const [pausedJob] = held.values();
      if (pausedJob !== undefined && departure.orderIds.every((id) => held.has(id))) {
        return { kind: 'paused', reason: null, bulkJob: pausedJob };
      }
      const orderIds = departure.orderIds.filter((id) => !held.has(id));

      const { senders, inDoubt } = await ordersThatMaySend(trx, { ...departure, orderIds }, nowMs);
      if (senders.length === 0) {
        return inDoubt ? { kind: 'in-doubt', retryInMs: DOUBT_RETRY_MS } : { kind: 'nothing-to-send' };
      }

      const { earlier } = await trx
        .selectFrom('requests')
        .select(({ fn }) => fn.countAll<number>().as('earlier'))
        .where('session_id', '=', departure.sessionId)
        .where('turn_key', '=', departure.turn.key)
        .where('status', '!=', 'withdrawn')
        .executeTakeFirstOrThrow();
      const requestId = randomUUID();
      const attempt = Number(earlier) + 1;
      await trx
        .insertInto('requests')
        .values({
          id: requestId,
          session_id: departure.sessionId,
          turn_key: departure.turn.key,
          turn_started_at: departure.turn.startedAtMs,
          owner: departure.owner,
          worker: departure.worker,
          attempt,
          read_at: departure.readAtMs,
          sent_at: departure.leavesByMs,
          registered_at: nowMs,
          lease_until: nowMs + LEASE_MS,
          status: 'open',
        })
        .execute();
      await trx
        .updateTable('orders')
        .set({ agent_id: departure.agentId, attempts: (eb) => eb('attempts', '+', 1) })
        .where('id', 'in', senders)
        .execute();
      return { kind: 'registered', requestId, attempt, orderIds: senders };
    });
  },

  /** Its sender lives, and still waits for the answer. */
  async renew(requestId: string): Promise<void> {
    const nowMs = await now(db);
    await db
      .updateTable('requests')
      .set({ lease_until: nowMs + LEASE_MS })
      .where('id', '=', requestId)
      .where('status', '=', 'open')
      .execute();
  },

  /** The request was registered but certainly never sent. */
  async withdraw(requestId: string, orderIds: readonly string[]): Promise<void> {
    await db.transaction().execute(async (trx) => {
      await trx.updateTable('requests').set({ status: 'withdrawn' }).where('id', '=', requestId).execute();
      await trx
        .updateTable('orders')
        .set({ attempts: (eb) => eb('attempts', '-', 1) })
        .where('id', 'in', orderIds)
        // An order that got its outcome instead was not counted, and its count is final.
        .where('open', '=', 1)
        .where('attempts', '>', 0)
        .execute();
    });
  },

  async answer(requestId: string, answer: RequestAnswer): Promise<void> {
    await db
      .updateTable('requests')
      .set({
        status: 'answered',
        answered_at: answer.answeredAtMs,
        answer: answer.answer,
        answer_state: answer.state,
        http_status: answer.httpStatus,
        error_code: answer.errorCode,
        error_message: answer.errorMessage,
      })
      .where('id', '=', requestId)
      .execute();
  },

  /**
   * Requests let out for one turn after the given time, oldest first; withdrawn ones are not among them. A request without
   * an answer counts as of unknown effect: its sender may have died after sending.
   *
   * @param turnStartedAtMs - vendor's time of the turn's message, ms; null: not known
   */
  forTurn: (
    sessionId: string,
    turnKey: string,
    registeredAfterMs: number,
    turnStartedAtMs: number | null,
  ): Promise<RequestRow[]> => requestsForTurn(db, sessionId, turnKey, registeredAfterMs, turnStartedAtMs),

  /**
   * Requests that may still take effect, for those who pause: the answer has not come, and the sender lives or the order is
   * still open.
   */
  async underWay(): Promise<{ sessionId: string; turnKey: string; registeredAtMs: number }[]> {
    const nowMs = await now(db);
    const rows = await db
      .selectFrom('requests')
      .select(['session_id', 'turn_key', 'registered_at'])
      .where('status', '=', 'open')
      .where('registered_at', '>', nowMs - LONGEST_REQUEST_MS - LEASE_MS)
      .where((eb) =>
        eb.or([
          eb('lease_until', '>', nowMs),
          eb.exists(
            eb
              .selectFrom('orders')
              .select('orders.id')
              .whereRef('orders.session_id', '=', 'requests.session_id')
              .where('orders.open', '=', 1),
          ),
        ]),
      )
      .orderBy('registered_at')
      .execute();
    const ofCases = rows.map((row) => ({
      sessionId: row.session_id,
      turnKey: row.turn_key,
      registeredAtMs: row.registered_at,
    }));
    return [...ofCases, ...(await bulkRequestsUnderWay(db, nowMs))];
  },

  /** Whether the vendor has accepted a case's cancel request for another session since then. */
  async acceptedForOthers(sessionId: string, sinceMs: number): Promise<boolean> {
    const row = await db
      .selectFrom('requests')
      .select('id')
      .where('registered_at', '>=', sinceMs)
      .where('answer', '=', 'accepted')
      .where('session_id', '!=', sessionId)
      .executeTakeFirst();
    return row !== undefined;
  },
});

/** Settles the orders that an exemption or a cap stops, and returns the ids of those that may send. */
async function ordersThatMaySend(
  trx: Transaction<LedgerDatabase>,
  departure: Departure,
  nowMs: number,
): Promise<{ readonly senders: string[]; readonly inDoubt: boolean }> {
  const { sessionId, turn, permits } = departure;
  const orders = await trx
    .selectFrom('orders')
    .select(['id', 'even_if_exempt', 'attempts'])
    .where('id', 'in', departure.orderIds)
    .where('open', '=', 1)
    .execute();
  const inDoubt = await hasRequestInDoubt(trx, sessionId, turn, nowMs);
  const settle = (outcome: Outcome, stopped: typeof orders): Promise<void> =>
    settleOrders(
      trx,
      // An order is not closed while it may still turn out that a request for it ended the turn.
      (inDoubt ? [] : stopped).map((order) => ({
        orderId: order.id,
        sessionId,
        outcome,
        attribution: null,
        attempts: order.attempts,
        endedAtMs: null,
        turnKey: turn.key,
      })),
      nowMs,
    );

  const exemption = await trx
    .selectFrom('exemptions')
    .select('id')
    .where('session_id', '=', sessionId)
    .where('ended_at', 'is', null)
    .where('until', '>', earliestNow(nowMs, departure.readAtMs))
    .executeTakeFirst();
  const isExempt = (order: (typeof orders)[number]): boolean => exemption !== undefined && order.even_if_exempt === 0;
  await settle('exempted', orders.filter(isExempt));

  const capped = new Set<string>();
  const asking = orders
    .filter((order) => !isExempt(order))
    .flatMap(({ id }) => {
      const permit = permits?.get(id);
      return permit === undefined ? [] : [{ id, permit }];
    })
    // All breakers in one order, so that two sessions never wait for each other.
    .sort((a, b) => (a.permit.policy < b.permit.policy ? -1 : 1));
  for (const { id, permit } of asking) {
    if (!(await takePermit(trx, permit, { sessionId, turnKey: turn.key }, nowMs))) capped.add(id);
  }
  await settle(
    'capped',
    orders.filter(({ id }) => capped.has(id)),
  );
  const senders = orders.filter((order) => !isExempt(order) && !capped.has(order.id)).map(({ id }) => id);
  return { senders, inDoubt: inDoubt && senders.length < orders.length };
}

/** Whether a request for the turn may still take effect: it left a short time ago, and was not refused. */
async function hasRequestInDoubt(
  trx: Transaction<LedgerDatabase>,
  sessionId: string,
  { key, startedAtMs }: Departure['turn'],
  nowMs: number,
): Promise<boolean> {
  const requests = await requestsForTurn(trx, sessionId, key, nowMs - IN_DOUBT_MS, startedAtMs);
  return requests.some(({ answer }) => answer !== 'refused');
}

async function requestsForTurn(
  db: Kysely<LedgerDatabase>,
  sessionId: string,
  turnKey: string,
  registeredAfterMs: number,
  turnStartedAtMs: number | null,
): Promise<RequestRow[]> {
  const rows = await db
    .selectFrom('requests')
    .select(['id', 'answer', 'answer_state', 'read_at', 'sent_at', 'answered_at'])
    .where('session_id', '=', sessionId)
    .where('turn_key', '=', turnKey)
    .where('status', '!=', 'withdrawn')
    .where('registered_at', '>', registeredAfterMs)
    .orderBy('registered_at')
    .orderBy('attempt')
    .execute();
  const ofCases = rows.map((row) => ({
    id: row.id,
    answer: (row.answer ?? 'unknown') as SentRequest['answer'],
    state: row.answer_state,
    readAtMs: row.read_at,
    leftByMs: row.sent_at,
    answeredAtMs: row.answered_at,
  }));
  const ofBulkJobs = await bulkRequestsForTurn(db, sessionId, turnKey, registeredAfterMs, turnStartedAtMs);
  return [...ofCases, ...ofBulkJobs].sort((a, b) => a.readAtMs - b.readAtMs);
}
