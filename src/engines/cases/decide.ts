import type { PermitRequest } from '../../adapters/ledger/breakers.js';
import { DOUBT_RETRY_MS, IN_DOUBT_MS } from '../../adapters/ledger/leases.js';
import type { EventToRecord } from '../../adapters/ledger/ledger.js';
import type { SeenAtTheEnd } from '../../adapters/ledger/news.js';
import type { NewOrder, OpenOrder, Settlement } from '../../adapters/ledger/orders.js';
import type { Outcome } from '../../core/contract.js';
import { endingOf } from '../../core/policy/ending.js';
import { viewOf, type OrderedTurn, type Sighting } from '../../core/policy/sighting.js';
import type { CaseTiming } from '../../core/policy/timing.js';
import { TryAgain } from '../../core/try-again.js';
import type { Read } from './gate.js';
import type { Known } from './gather.js';
import { policyOrder } from './rules.js';

/** What follows from a pass: what is to be written, and what to do then. */
export interface Decision {
  /** From the first time it is seen in flight an order means this turn, whatever later reads show. */
  readonly bindings: readonly { readonly orderId: string; readonly turn: OrderedTurn }[];
  readonly newOrders: readonly NewOrder[];
  readonly settlements: readonly Settlement[];
  readonly events: readonly EventToRecord[];
  readonly alertedOrderIds: readonly string[];
  /** Orders that can't be judged, and why. Held time counts towards nothing, so someone is told when it gets long. */
  readonly held: readonly { readonly order: OpenOrder; readonly why: string }[];
  /**
   * - `done`: no order is open
   * - `look`: nothing is clear yet
   * - `send`: for these orders, if the ledger lets it; for none: begin again
   * - `wait`: nothing may leave now
   */
  readonly next:
    | { readonly kind: 'done' | 'look' }
    | {
        readonly kind: 'send';
        readonly senders: readonly Known[];
        readonly permits: ReadonlyMap<string, PermitRequest>;
      }
    | { readonly kind: 'wait'; readonly again: TryAgain };
}

/**
 * Decides on all orders of a session at once, from what was gathered. Pure.
 *
 * @param unlistedAtMs - of a complete list without the session; see {@link endingOf}
 */
export function decide(
  known: readonly Known[],
  read: Read,
  sightings: readonly Sighting[],
  timing: CaseTiming,
  unlistedAtMs: number | null = null,
): Decision {
  const settlements: Settlement[] = [];
  const events: EventToRecord[] = [];
  const alertedOrderIds: string[] = [];
  const held: Decision['held'][number][] = [];
  const senders: Known[] = [];
  const permits = new Map<string, PermitRequest>();
  let open = 0;
  let wantToSend = 0;
  let inDoubt = false;
  for (const one of known) {
    const { order, turn, sent, conclusion, verdict } = one;
    const about = { sessionId: order.sessionId, orderId: order.id };
    if (conclusion.kind === 'outcome') {
      const { outcome, attribution, endedAtMs, news } = endingOf(conclusion, turn, sent, sightings, unlistedAtMs);
      settlements.push({ ...settlementOf(one, outcome), attribution, endedAtMs, seen: seenAtTheEnd(one, read) });
      if (outcome === 'gone') events.push({ ...about, kind: 'gone' });
      events.push(...news.map((told) => ({ ...about, ...told })));
      continue;
    }
    if (order.triedForMs >= timing.giveUpAfterMs) {
      settlements.push(settlementOf(one, 'retries-exhausted'));
      events.push({ ...about, kind: 'retries-exhausted', data: { triedForMs: order.triedForMs } });
      continue;
    }
    open += 1;
    if (order.triedForMs >= timing.alertAfterMs && !order.alerted) {
      alertedOrderIds.push(order.id);
      events.push({ ...about, kind: 'not-ending', data: { triedForMs: order.triedForMs } });
    }
    if (conclusion.kind !== 'send') continue;
    wantToSend += 1;
    if (verdict?.kind === 'unknown') held.push({ order, why: verdict.why });
    else if (verdict?.kind !== 'no-longer-violating') {
      senders.push(one);
      if (verdict?.permit != null) permits.set(order.id, verdict.permit);
    }
    // What was sent may still take effect; the order is not closed before that is known.
    else if (isInDoubt(one, read)) inDoubt = true;
    else settlements.push(settlementOf(one, 'no-longer-violating'));
  }
  const again = senders.length > 0 ? null : inDoubt ? withoutGround() : notJudged(held.at(-1)?.why, timing);
  return {
    ...{ settlements, events, alertedOrderIds, held },
    bindings: known.flatMap(({ order, turn }) =>
      !order.turnFixed && viewOf(read.sighting, turn) === 'in-flight' ? [{ orderId: order.id, turn }] : [],
    ),
    newOrders: known.flatMap((one) => followingOrder(one, read)),
    next:
      again !== null
        ? { kind: 'wait', again }
        : wantToSend > 0
          ? { kind: 'send', senders, permits }
          : { kind: open > 0 ? 'look' : 'done' },
  };
}

/** Whose end was not seen. */
export const settlementOf = (
  { order, turn, sent }: Pick<Known, 'order' | 'turn' | 'sent'>,
  outcome: Outcome,
): Settlement => ({
  ...{ orderId: order.id, sessionId: order.sessionId, outcome, attribution: null, endedAtMs: null },
  ...{ attempts: sent.length, turnKey: turn.key },
});

function seenAtTheEnd({ turn, sent }: Known, { sighting, session }: Read): SeenAtTheEnd {
  const acceptedAts = sent.flatMap(({ answer, answeredAtMs }) =>
    answer === 'accepted' && answeredAtMs !== null ? [answeredAtMs] : [],
  );
  return {
    confirmedAfterMs: acceptedAts.length === 0 ? null : Math.max(0, sighting.atMs - Math.min(...acceptedAts)),
    // A turn that came after it has spent, too.
    sessionCredits: sighting.turnKey === turn.key ? (session?.usage?.creditCost ?? null) : null,
  };
}

/** A request of this turn left so short a time ago that its effect may not be seen yet. */
const isInDoubt = ({ sent }: Known, { sighting }: Read): boolean =>
  sent.some(
    ({ answer, readAtMs, leftByMs, answeredAtMs }) =>
      answer !== 'refused' && sighting.atMs - (answeredAtMs ?? leftByMs ?? readAtMs) < IN_DOUBT_MS,
  );

const withoutGround = (): TryAgain =>
  new TryAgain(
    'InDoubt',
    'The order no longer has a reason, but an earlier request may still take effect; nothing was sent.',
    DOUBT_RETRY_MS,
  );

const notJudged = (why: string | undefined, timing: CaseTiming): TryAgain | null =>
  why === undefined ? null : new TryAgain('RuleUnknown', `${why}; nothing was sent.`, timing.accountRetryMs);

/**
 * The session of a policy order has moved on to another turn. Where that one breaks the policy too (its clock of unbroken
 * run time, say, which a steering message does not stop), its end is ordered at once; otherwise it lives.
 */
const followingOrder = ({ order, verdict, mayFollow }: Known, { sighting }: Read): NewOrder[] =>
  mayFollow && verdict?.kind === 'send' ? [policyOrder(order.sessionId, verdict.reason, sighting)] : [];
