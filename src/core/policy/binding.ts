import type { OrderedTurn, Sighting } from './sighting.js';

/** A read this soon after the order shows the turn that was meant, even when its message carries no time. */
export const SAME_MOMENT_MS = 10_000;

/** When a read was, on both clocks. All values are ms since the Unix epoch. */
export interface ReadTimes {
  /** Our clock before the read was sent, and after the answer was there. */
  readonly sentMs: number;
  readonly receivedMs: number;
  /** The vendor's `Date` header, which has whole seconds only; null when there was none. */
  readonly serverDateMs: number | null;
  /** What all answers together told: by how much the vendor's clock is ahead of ours, ms. Left out: nothing. */
  readonly vendorAheadMs?: ClockRange | null;
}

export interface ClockRange {
  readonly least: number;
  readonly most: number;
}

/** What the header cuts off, and the longest read that is usual, ms. Of clocks that are known that well the middle will do. */
const NARROW_MS = 3_000;

/**
 * How far the vendor's clock is ahead of ours, ms; 0 when the read can't tell it from ours.
 *
 * The header is cut to whole seconds, so one read gives a range of at least a second; clocks that agree fall into it.
 */
export const vendorClockOffset = (times: ReadTimes): number => middleOf(vendorAhead(times));

const middleOf = ({ least, most }: ClockRange): number =>
  least <= 0 && most >= 0 ? 0 : Math.round((least + most) / 2);

/** The range that a read gives: as wide as the read was long. Other answers may know better. */
function vendorAhead({ sentMs, receivedMs, serverDateMs, vendorAheadMs = null }: ReadTimes): ClockRange {
  if (serverDateMs === null) return vendorAheadMs ?? { least: 0, most: 0 };
  const own = { least: serverDateMs - receivedMs, most: serverDateMs + 999 - sentMs };
  if (vendorAheadMs === null) return own;
  const both = { least: Math.max(own.least, vendorAheadMs.least), most: Math.min(own.most, vendorAheadMs.most) };
  // One of the clocks was set meanwhile: the read is newer.
  return both.least > both.most ? own : both;
}

/** Which turn an order without a turn key means: the one that was the last when the order was given. */
export interface UnboundOrder {
  /** Our clock, ms since the Unix epoch. */
  readonly orderedAtMs: number;
  /** How old a read a person lets this order go by, ms; left out or null: nobody said. */
  readonly maxReadAgeMs?: number | null;
}

/**
 * Finds the turn that an order means.
 *
 * An order given without a turn key ends the turn that was there when it was given, and never a later one: a turn whose
 * user message came after the order is not meant, not even by a moment.
 *
 * @returns the turn; with key null when the session's last turn is newer than the order, or nobody can tell
 */
export function bindOrder(order: UnboundOrder, sighting: Sighting, times: ReadTimes): OrderedTurn {
  const nothingElse: OrderedTurn = { key: null, startedAtMs: null };
  if (sighting.turnKey === null) return nothingElse;
  const thisTurn: OrderedTurn = { key: sighting.turnKey, startedAtMs: sighting.turnStartedAtMs };
  if (sighting.turnStartedAtMs === null) {
    // The unknown is kept: without a time only a read at once after the order can show the turn that was meant.
    return isAtOnce(order, times) ? thisTurn : { ...nothingElse, unidentified: true };
  }
  const aheadMs = vendorAhead(times);
  const afterMs = sighting.turnStartedAtMs - order.orderedAtMs;
  if (aheadMs.most - aheadMs.least <= NARROW_MS) return afterMs <= middleOf(aheadMs) ? thisTurn : nothingElse;
  // A slow read leaves the clocks apart by as much as it took: the middle could take a turn that came seconds after the order.
  if (afterMs > aheadMs.most) return nothingElse;
  return afterMs <= aheadMs.least ? thisTurn : { ...nothingElse, unidentified: true };
}

/**
 * A slow read may show a turn that began as late as its arrival, so that counts. Where a person lets the order go by an older
 * read, a turn that came during the read is what that person put up with: then it is enough that it was sent at once.
 */
function isAtOnce({ orderedAtMs, maxReadAgeMs = null }: UnboundOrder, { sentMs, receivedMs }: ReadTimes): boolean {
  if (receivedMs - orderedAtMs <= SAME_MOMENT_MS) return true;
  return maxReadAgeMs !== null && receivedMs - sentMs <= maxReadAgeMs && sentMs - orderedAtMs <= SAME_MOMENT_MS;
}
