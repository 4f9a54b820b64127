import type { Outcome } from '../../core/contract.js';
import { ALERTS } from '../../core/events.js';
import type { EventToRecord } from '../../adapters/ledger/ledger.js';
import type { SeenAtTheEnd } from '../../adapters/ledger/news.js';
import type { OpenOrder, Settlement } from '../../adapters/ledger/orders.js';
import type { RequestRow } from '../../adapters/ledger/request-row.js';
import { bindOrder } from '../../core/policy/binding.js';
import { conclude, newerTurnPerhapsHit, type Conclusion } from '../../core/policy/conclusion.js';
import { viewOf, type OrderedTurn, type Sighting, type View } from '../../core/policy/sighting.js';
import type { SessionsError } from '../../adapters/vendor/index.js';
import type { CaseDependencies } from './case.js';
import type { Read } from './gate.js';
import { forbiddenEvent, type MetRefusal } from './refusal.js';

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
      const overAt = sightings.find((sighting) => OVER.has(viewOf(sighting, turn)))?.atMs ?? read.sighting.atMs;
      const endedAtMs = conclusion.over ? overAt : null;
      const settlement = settlementOf(one, conclusion.outcome, conclusion.attribution, endedAtMs);
      settlements.push({ ...settlement, seen: seenAtTheEnd(one, read) });
      if (conclusion.outcome === 'gone') events.push({ ...about, kind: 'gone' });
      if (conclusion.restarted) {
        events.push({
          ...about,
          kind: 'restarted',
          data: { turnKey: read.sighting.turnKey, state: read.sighting.state },
        });
      }
      const hit = sent
        .filter((request) => request.answer !== 'refused')
        .map((request) => newerTurnPerhapsHit(request, turn, read.sighting))
        .find((perhaps) => perhaps !== null);
      if (hit !== undefined) events.push({ ...about, kind: 'may-have-hit-newer-turn', data: { turnKey: hit.key } });
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
  const sent = await sentFor(deps, order, turn);
  return { order, turn, sent, conclusion: conclude(turn, sent, sightings, windowOpen) };
}

/** Requests for the order's turn. What was sent before an earlier order on it was settled is that order's affair. */
async function sentFor(deps: CaseDependencies, order: OpenOrder, turn: OrderedTurn): Promise<readonly RequestRow[]> {
  if (turn.key === null) return [];
  const settledAt = await deps.ledger.orders.concludedBefore(order.sessionId, turn.key, order.orderedAtMs);
  return deps.ledger.requests.forTurn(order.sessionId, turn.key, settledAt ?? 0, turn.startedAtMs);
}

/** Views that show the ordered turn at rest, or another one in its place. `unclear` shows neither. */
const OVER: ReadonlySet<View> = new Set<View>([
  'completed',
  'failed',
  'newer-in-flight',
  'newer-at-rest',
  'newer-unclear',
]);

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
    const sent = await sentFor(deps, order, turn);
    settlements.push(settlementOf({ order, turn, sent }, 'forbidden', null, null));
    if (await wasToldBefore(deps, order)) continue;
    events.push(forbiddenEvent({ sessionId, orderId: order.id }, refusal));
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
