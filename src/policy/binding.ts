import type { OrderedTurn, Sighting } from './sighting.js';

/**
 * Difference between two clocks that cannot be told from none: the vendor's `Date` header has a resolution of one
 * second, and a request takes its time.
 */
export const CLOCK_TOLERANCE_MS = 2_000;

/** A read this soon after the order shows the turn that was meant, even when its message carries no time. */
export const SAME_MOMENT_MS = 10_000;

/** Which turn an order without a turn key means: the one that was the last when the order was given. */
export interface UnboundOrder {
  /** Our clock, ms since the Unix epoch. */
  readonly orderedAtMs: number;
}

/**
 * Finds the turn that an order means.
 *
 * An order given without a turn key ends the turn that was there when it was given, and never a later one: a turn whose
 * user message came after the order is not meant. Until something has been sent, each read binds anew, so that a stale
 * first read does no harm.
 *
 * @param readAtMs - our clock at the read, ms since the Unix epoch; with the sighting's time it gives the clocks' difference
 * @returns the turn; with key null when the session's last turn is known (or must be feared) to be newer than the order
 */
export function bindOrder(order: UnboundOrder, sighting: Sighting, readAtMs: number): OrderedTurn {
  const nothingElse: OrderedTurn = { key: null, startedAtMs: null };
  if (sighting.turnKey === null) return nothingElse;
  const thisTurn: OrderedTurn = { key: sighting.turnKey, startedAtMs: sighting.turnStartedAtMs };
  if (sighting.turnStartedAtMs === null) {
    // The unknown is kept: without a time only a read at once after the order can show the turn that was meant.
    return readAtMs - order.orderedAtMs <= SAME_MOMENT_MS ? thisTurn : nothingElse;
  }
  const orderedAtOnVendorsClock = order.orderedAtMs + (sighting.atMs - readAtMs);
  return sighting.turnStartedAtMs <= orderedAtOnVendorsClock + CLOCK_TOLERANCE_MS ? thisTurn : nothingElse;
}
