import type { Attribution, Outcome } from '../contract.js';
import { newerTurnPerhapsHit, OVER, type Conclusion, type SentRequest } from './conclusion.js';
import { viewOf, type OrderedTurn, type Sighting } from './sighting.js';

/** A request that was let out, and when: see {@link newerTurnPerhapsHit}. */
type TimedRequest = SentRequest & Parameters<typeof newerTurnPerhapsHit>[0];

/** What became of an ordered turn, and what is to be told of it besides. */
export interface Ending {
  readonly outcome: Outcome;
  readonly attribution: Attribution | null;
  /** Vendor's time at which the turn was first seen over, ms; null: its end was not seen. */
  readonly endedAtMs: number | null;
  readonly news: readonly {
    readonly kind: 'restarted' | 'may-have-hit-newer-turn';
    readonly data: Readonly<Record<string, unknown>>;
  }[];
}

/**
 * The ending that a conclusion gives an order.
 *
 * @param sightings - what it was concluded from: at least one
 * @param unlistedAtMs - vendor's time of an earlier list that did not hold the session any more, ms; null: there was none
 */
export function endingOf(
  { outcome, attribution, over, restarted }: Extract<Conclusion, { kind: 'outcome' }>,
  turn: OrderedTurn,
  sent: readonly TimedRequest[],
  sightings: readonly Sighting[],
  unlistedAtMs: number | null = null,
): Ending {
  const last = sightings.at(-1);
  if (last === undefined) throw new Error('Nothing is concluded without a read.');
  const { turnKey, state } = last;
  const overAt = sightings.find((sighting) => OVER.has(viewOf(sighting, turn))) ?? last;
  const hit = sent
    .filter(({ answer }) => answer !== 'refused')
    .map((request) => newerTurnPerhapsHit(request, turn, last))
    .find((perhaps) => perhaps !== null);
  return {
    ...{ outcome, attribution, endedAtMs: over ? (unlistedAtMs ?? overAt.atMs) : null },
    news: [
      ...(restarted ? [{ kind: 'restarted' as const, data: { turnKey, state } }] : []),
      ...(hit == null ? [] : [{ kind: 'may-have-hit-newer-turn' as const, data: { turnKey: hit.key } }]),
    ],
  };
}

/**
 * The ending of a session that a later, complete list of what is in flight does not hold. A request that was answered with `failed`
 * and such a list are two witnesses; so are a read that showed it at rest, and the list.
 *
 * @param atRest - the read; null: it was the request
 * @param unread - the request left without a read, so nobody knows whether the turn was in flight when it came
 */
export function endingByList(atRest: Sighting | null, unread: boolean, listAtMs: number): Ending {
  return atRest === null
    ? { outcome: 'cancelled', attribution: unread ? 'probable' : 'strong', endedAtMs: listAtMs, news: [] }
    : { outcome: 'already-ended', attribution: null, endedAtMs: atRest.atMs, news: [] };
}
