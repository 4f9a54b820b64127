import type { Outcome } from '../../core/contract.js';
import { ALERTS } from '../../core/events.js';
import type { EventToRecord, Ledger } from '../../adapters/ledger/ledger.js';
import type { SeenAtTheEnd } from '../../adapters/ledger/news.js';
import type { OpenOrder, Settlement } from '../../adapters/ledger/orders.js';
import type { RequestRow } from '../../adapters/ledger/request-row.js';
import { bindOrder } from '../../core/policy/binding.js';
import { conclude, type Conclusion } from '../../core/policy/conclusion.js';
import { endingOf } from '../../core/policy/ending.js';
import { viewOf, type OrderedTurn, type Sighting } from '../../core/policy/sighting.js';
import type { SessionsError } from '../../adapters/vendor/index.js';
import type { CaseDependencies } from './case.js';
import type { Read } from './gate.js';
import type { MetRefusal } from './refusal.js';

/** An order with all that is known about its turn. */
export interface Judged {
  readonly order: OpenOrder;
  readonly turn: OrderedTurn;
  readonly sent: readonly RequestRow[];
  readonly conclusion: Conclusion;
}

/**
 * Concludes each order on what was seen, and writes outcomes, events and alerts together.
 *
 * @returns the orders that stay open
 */
export async function settleWhatIsClear(
  deps: CaseDependencies,
  orders: readonly OpenOrder[],
  read: Read,
  sightings: readonly Sighting[],
  windowOpen: boolean,
): Promise<Judged[]> {
  const judged: Judged[] = [];
  for (const order of orders) judged.push(await judge(deps, order, read, sightings, windowOpen));

  const settlements: Settlement[] = [];
  const events: EventToRecord[] = [];
  const alertedOrderIds: string[] = [];
  const open: Judged[] = [];
  for (const one of judged) {
    const { order, turn, sent, conclusion } = one;
    const about = { sessionId: order.sessionId, orderId: order.id };
    if (conclusion.kind === 'outcome') {
      const { outcome, attribution, endedAtMs, news } = endingOf(conclusion, turn, sent, sightings);
      settlements.push({ ...settlementOf(one, outcome, attribution, endedAtMs), seen: seenAtTheEnd(one, read) });
      if (outcome === 'gone') events.push({ ...about, kind: 'gone' });
      events.push(...news.map((told) => ({ ...about, ...told })));
    } else if (order.triedForMs >= deps.timing.giveUpAfterMs) {
      settlements.push(settlementOf(one, 'retries-exhausted', null, null));
      events.push({ ...about, kind: 'retries-exhausted', data: { triedForMs: order.triedForMs } });
    } else {
      open.push(one);
      if (order.triedForMs >= deps.timing.alertAfterMs && !order.alerted) {
        alertedOrderIds.push(order.id);
        events.push({ ...about, kind: 'not-ending', data: { triedForMs: order.triedForMs } });
      }
    }
  }
  if (settlements.length + events.length > 0) {
    await deps.ledger.orders.settle({ settlements, events, alertedOrderIds });
    for (const { kind, sessionId, orderId, data } of events) {
      deps.log[ALERTS.has(kind) ? 'error' : 'warn']({ ...data, sessionId, orderId }, kind);
    }
    for (const { orderId, sessionId, outcome, attribution, attempts } of settlements) {
      deps.log.info({ sessionId, orderId, outcome, attribution, attempts }, 'order settled');
    }
  }
  return open;
}

function seenAtTheEnd({ turn, sent }: Judged, { sighting, session }: Read): SeenAtTheEnd {
  const acceptedAts = sent.flatMap(({ answer, answeredAtMs }) =>
    answer === 'accepted' && answeredAtMs !== null ? [answeredAtMs] : [],
  );
  return {
    confirmedAfterMs: acceptedAts.length === 0 ? null : Math.max(0, sighting.atMs - Math.min(...acceptedAts)),
    // A turn that came after it has spent, too.
    sessionCredits: sighting.turnKey === turn.key ? (session?.usage?.creditCost ?? null) : null,
  };
}

async function judge(
  deps: CaseDependencies,
  order: OpenOrder,
  read: Read,
  sightings: readonly Sighting[],
  windowOpen: boolean,
): Promise<Judged> {
  const turn: OrderedTurn = order.turnFixed
    ? { key: order.turnKey, startedAtMs: order.turnStartedAtMs }
    : bindOrder(order, read.sighting, read.times);
  // From the first time it is seen in flight the order means this turn, whatever later reads show.
  if (!order.turnFixed && viewOf(read.sighting, turn) === 'in-flight') await deps.ledger.orders.bind(order.id, turn);
  const sent = await requestsFor(deps, order.sessionId, turn, order.orderedAtMs);
  return { order, turn, sent, conclusion: conclude(turn, sent, sightings, windowOpen) };
}

/**
 * Requests for a turn, by whomever. What was sent before an earlier order on it was settled is that order's affair.
 *
 * @param orderedAtMs - of the order that asks
 */
export async function requestsFor(
  { ledger }: { readonly ledger: Pick<Ledger, 'orders' | 'requests'> },
  sessionId: string,
  turn: OrderedTurn,
  orderedAtMs: number,
): Promise<readonly RequestRow[]> {
  if (turn.key === null) return [];
  const settledAt = await ledger.orders.concludedBefore(sessionId, turn.key, orderedAtMs);
  return ledger.requests.forTurn(sessionId, turn.key, settledAt ?? 0, turn.startedAtMs);
}

export const settlementOf = (
  { order, turn, sent }: Pick<Judged, 'order' | 'turn' | 'sent'>,
  outcome: Outcome,
  attribution: Settlement['attribution'],
  endedAtMs: number | null,
): Settlement => ({
  orderId: order.id,
  sessionId: order.sessionId,
  outcome,
  attribution,
  attempts: sent.length,
  endedAtMs,
  turnKey: turn.key,
});

/** The vendor refuses this session to us: no retry helps, someone has to give the key the right. */
export async function settleForbidden(
  deps: CaseDependencies,
  sessionId: string,
  orders: readonly Pick<Judged, 'order' | 'turn'>[],
  { refusal, refusals }: MetRefusal,
  error: SessionsError,
): Promise<void> {
  const at = new Date(refusal.lastMs).toISOString();
  const alone = !(await deps.ledger.requests.acceptedForOthers(sessionId, refusal.sinceMs));
  await deps.ledger.orders.notePass(sessionId, {
    ...{ phase: 'attempting', nextTryAtMs: null, counts: true },
    error: { type: 'Refused', message: error.message, at },
    refusals: refusals.map((one) => (one === refusal && alone ? { ...one, alone: true } : one)),
  });
  const settlements: Settlement[] = [];
  const events: EventToRecord[] = [];
  for (const { order, turn } of orders) {
    const sent = await requestsFor(deps, sessionId, turn, order.orderedAtMs);
    settlements.push(settlementOf({ order, turn, sent }, 'forbidden', null, null));
    if (await wasToldBefore(deps, order)) continue;
    const { on, status, code, times, sinceMs } = refusal;
    const data = { on, status, code, times, since: new Date(sinceMs).toISOString() };
    events.push({ kind: 'forbidden', sessionId, orderId: order.id, data });
  }
  await deps.ledger.orders.settle({ settlements, events, alertedOrderIds: [] });
  for (const { orderId } of settlements) {
    deps.log.error({ sessionId, orderId }, `forbidden: the vendor refuses this session: ${error.message}`);
  }
}

/** A policy that orders the end of the same turn again is refused again, most likely: one alert is enough. */
async function wasToldBefore(
  { ledger }: CaseDependencies,
  { id, sessionId, policy, turnKey }: OpenOrder,
): Promise<boolean> {
  if (policy === null || turnKey === null) return false;
  const earlier = await ledger.orders.ofTurn(sessionId, turnKey);
  return earlier.some((order) => order.id !== id && order.policy === policy && order.outcome === 'forbidden');
}
