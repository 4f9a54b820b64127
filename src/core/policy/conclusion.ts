import type { Attribution, Outcome } from '../contract.js';
import { viewOf, type OrderedTurn, type Sighting, type View } from './sighting.js';
import { flightOf } from './state.js';
import type { Turn } from './turn.js';

/**
 * What is known of a cancel request that was let out for the ordered turn.
 *
 * - `accepted`: answered 2xx; `state` is the state in the answer
 * - `unknown`: it may have had effect: 5xx, timeout, lost connection, unreadable answer, or the sender died
 * - `refused`: it certainly had none: 4xx, or it never reached the vendor
 */
export interface SentRequest {
  readonly answer: 'accepted' | 'unknown' | 'refused';
  readonly state: string | null;
}

export type Conclusion =
  | {
      readonly kind: 'outcome';
      readonly outcome: Outcome;
      readonly attribution: Attribution | null;
      /** Another turn was seen after the ordered one. */
      readonly restarted: boolean;
      /** The ordered turn was seen to be over, so that the time of that sighting is its end. */
      readonly over: boolean;
    }
  /** The ordered turn is in flight and nothing hinders the next attempt. */
  | { readonly kind: 'send' }
  /** One read is not enough to say anything. */
  | { readonly kind: 'look-again' };

/** Views that show the ordered turn at rest, or another one in its place. `unclear` shows neither. */
export const OVER: ReadonlySet<View> = new Set<View>([
  'completed',
  'failed',
  'newer-in-flight',
  'newer-at-rest',
  'newer-unclear',
]);

const LOOK_AGAIN: Conclusion = { kind: 'look-again' };
const SEND: Conclusion = { kind: 'send' };

const outcome = (
  name: Outcome,
  over: boolean,
  attribution: Attribution | null = null,
  restarted = false,
): Conclusion => ({ kind: 'outcome', outcome: name, attribution, restarted, over });

/**
 * Concludes what became of one ordered turn: design section 5, the outcome table, row by row.
 *
 * Nothing is concluded from a single read: reads can be stale, and the vendor has been seen to answer `completed` for a
 * turn that a later read showed as `failed`. Two spaced reads that agree settle it; `completed` after a request was sent
 * needs three. An answer `failed` and a complete list that was asked for after it and does not hold the session are two witnesses
 * already; then one read is enough, which tells what is there now.
 *
 * @param turn - the ordered turn
 * @param sent - requests for this turn that concern the order; refused ones count as not sent
 * @param sightings - reads since the last request was answered, oldest first, spaced by the caller
 * @param confirming - true while the confirm window after an accepted request is open: then a turn that still looks in
 *   flight is given time instead of another request
 * @param unlisted - there is such a list
 */
export function conclude(
  turn: OrderedTurn,
  sent: readonly SentRequest[],
  sightings: readonly Sighting[],
  confirming: boolean,
  unlisted = false,
): Conclusion {
  const views = sightings.map((sighting) => viewOf(sighting, turn));
  const view = views.at(-1);
  if (view === undefined) return LOOK_AGAIN;

  const effective = sent.filter((request) => request.answer !== 'refused');
  if (view === 'in-flight') return confirming && effective.at(-1)?.answer === 'accepted' ? LOOK_AGAIN : SEND;

  const isWitnessed = unlisted && OVER.has(view) && wasAcceptedAs('failed', effective);
  const needed = isWitnessed ? 1 : view === 'completed' && effective.length > 0 ? 3 : 2;
  const agreeing = views.slice(-needed);
  if (agreeing.length < needed || agreeing.some((other) => other !== view)) return LOOK_AGAIN;

  if (effective.length === 0) return concludeUntouched(view);
  return concludeRequested(view, sightings.at(-1)?.state ?? null, effective, confirming);
}

/** Nothing was sent that could have ended the turn. */
function concludeUntouched(view: Exclude<View, 'in-flight'>): Conclusion {
  switch (view) {
    case 'completed':
    case 'failed':
      return outcome('already-ended', true);
    case 'newer-in-flight':
      return outcome('superseded', true);
    case 'newer-at-rest':
    case 'newer-unclear':
      return outcome('already-ended', true);
    case 'unclear':
      return outcome('not-in-flight', false);
    case 'missing':
      return outcome('gone', false);
    case 'stale':
      return LOOK_AGAIN;
  }
}

const wasAcceptedAs = (state: string, sent: readonly SentRequest[]): boolean =>
  sent.some((request) => request.answer === 'accepted' && request.state === state);

/** At least one request may have ended the turn. */
function concludeRequested(
  view: Exclude<View, 'in-flight'>,
  state: string | null,
  sent: readonly SentRequest[],
  confirming: boolean,
): Conclusion {
  const acceptedAs = (as: string): boolean => wasAcceptedAs(as, sent);

  switch (view) {
    case 'failed':
      // `completed` in the answer and `failed` later is the vendor's lag: an abort leaves `failed`, a natural end would not.
      return outcome('cancelled', true, acceptedAs('failed') || acceptedAs('completed') ? 'strong' : 'probable');
    case 'completed':
      return acceptedAs('failed') ? outcome('cancelled', true, 'strong') : outcome('already-ended', true);
    case 'newer-in-flight':
    case 'newer-at-rest':
    case 'newer-unclear':
      return acceptedAs('failed')
        ? outcome('cancelled', true, 'strong', true)
        : outcome('ended-unattributed', true, null, true);
    case 'unclear':
      // A state that says nothing may be on its way to one that does: wait for the end of the window.
      if (confirming) return LOOK_AGAIN;
      // A help page of the vendor says that a stopped chat shows as idle.
      return state === 'idle' && acceptedAs('failed')
        ? outcome('cancelled', true, 'probable')
        : outcome('not-in-flight', false);
    case 'missing':
      return outcome('gone', false);
    case 'stale':
      return LOOK_AGAIN;
  }
}

/**
 * The turn newer than the ordered one that a request may have hit; null when there is none. Its user message came between
 * our read and the answer, and it does not run any more. The time alone does not say that it is newer: a slow read is booked as
 * early as it may have been. The vendor has no precondition, so this race remains; it is
 * reported. A newer turn that is seen in flight, or that ended normally, was not hit.
 *
 * @param request - vendor's times, ms: of the read before the request; by which it had left (null: not known); of its answer
 *   (null when none was stored)
 */
export function newerTurnPerhapsHit(
  request: { readonly readAtMs: number; readonly leftByMs?: number | null; readonly answeredAtMs: number | null },
  ordered: OrderedTurn,
  sighting: Sighting,
): Turn | null {
  const from = request.readAtMs;
  // The vendor's clock is read in whole seconds.
  const leftBy = request.leftByMs ?? request.readAtMs + LONGEST_UNTIL_LEFT_MS;
  const until = (request.answeredAtMs ?? leftBy + LONGEST_REQUEST_MS) + 1_000;
  const inBetween = ({ startedAtMs }: Turn): boolean =>
    startedAtMs !== null && startedAtMs >= from && startedAtMs <= until;

  const last: Turn = { key: sighting.turnKey ?? '', startedAtMs: sighting.turnStartedAtMs };
  const lastWasSpared = flightOf(sighting.state) === 'in-flight' || sighting.state === 'completed';
  const newer = newerThan(ordered, [...sighting.earlierTurns, last]);
  return newer.find((turn) => inBetween(turn) && !(lastWasSpared && turn === last)) ?? null;
}

/** By their times; where one is not known or they are the same, by their places. All others, where it is in neither. */
function newerThan(ordered: OrderedTurn, turns: readonly Turn[]): Turn[] {
  const place = turns.findIndex(({ key }) => key === ordered.key);
  return turns.filter(({ key, startedAtMs }, n) => {
    if (key === ordered.key) return false;
    if (startedAtMs === null || ordered.startedAtMs === null || startedAtMs === ordered.startedAtMs) return n > place;
    return startedAtMs > ordered.startedAtMs;
  });
}

/** A cancel request is given up on after 100 s: the vendor's own budget is 90 s. */
export const LONGEST_REQUEST_MS = 100_000;
/** A read takes at most 30 s, and a request leaves at most 2 s after it, unless its order says otherwise. */
const LONGEST_UNTIL_LEFT_MS = 32_000;
