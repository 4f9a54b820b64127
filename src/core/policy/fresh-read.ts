import { viewOf, type Sighting } from './sighting.js';
import { flightOf } from './state.js';

/** A read older than this lets no cancel request out, ms (invariant I1), but for orders of which a person has said otherwise. */
export const FRESH_READ_MS = 2_000;
/**
 * The most that a person may say, ms. The older the read, the likelier it is that another turn runs by now; and what a request
 * may still do is looked for over the times that follow from this one ({@link IN_DOUBT_MS} among them).
 */
export const OLDEST_READ_MS = 60_000;

/**
 * An answer that takes longer than this to arrive is slow, ms: it leaves less than half of {@link FRESH_READ_MS} for what comes
 * after it, or nothing at all.
 */
const SLOW_READ_MS = 1_000;

/** When a read was, and what it showed. Times are monotonic, ms. */
export interface TimedRead {
  readonly sighting: Sighting;
  /** Just before it was sent. */
  readonly sentAt: number;
  /** When the whole answer was there. */
  readonly receivedAt: number;
}

export const isSlow = ({ sentAt, receivedAt }: TimedRead): boolean => receivedAt - sentAt > SLOW_READ_MS;

export const showsTurnInFlight = ({ sighting }: TimedRead): boolean =>
  sighting.turnKey !== null && flightOf(sighting.state) === 'in-flight';

/**
 * The moment from which the age of a read counts, monotonic ms.
 *
 * The vendor may have looked at the session at any moment after the read was sent, so that is where it counts from. A
 * session whose reads are slow (a long transcript, a slow vendor) would then be proof against Curfew for ever. So the age of
 * a slow read counts from its arrival, if the read just before it showed the very same turn in flight: a turn that outlasts
 * one slow read will hardly change within the next. What may still have come in between is found afterwards, because such
 * a request is booked with the time at which its read was sent (event `may-have-hit-newer-turn`).
 *
 * @param before - the read that this one followed at once; null: there was none
 */
export function freshFrom(read: TimedRead, before: TimedRead | null): number {
  if (before === null || !isSlow(read) || !showsTurnInFlight(before) || !showsTurnInFlight(read)) return read.sentAt;
  const turn = { key: before.sighting.turnKey, startedAtMs: before.sighting.turnStartedAtMs };
  return viewOf(read.sighting, turn) === 'in-flight' ? read.receivedAt : read.sentAt;
}

/** How old a read may be that lets a request for an order out, ms. */
export const maxReadAge = (saidMs: number | null | undefined): number =>
  Math.min(Math.max(saidMs ?? 0, FRESH_READ_MS), OLDEST_READ_MS);

/** Whether a read is young enough by itself, with what an order has to spare for all that comes after a read. */
export const isYoungEnough = ({ sentAt, receivedAt }: TimedRead, maxAgeMs: number): boolean =>
  receivedAt - sentAt <= maxAgeMs - FRESH_READ_MS;

/** Vendor's time, ms since the Unix epoch, before which the turn that a read showed was not yet looked for. */
export const notBeforeMs = (read: TimedRead): number =>
  isSlow(read) ? Math.floor(read.sighting.atMs - (read.receivedAt - read.sentAt)) : read.sighting.atMs;
