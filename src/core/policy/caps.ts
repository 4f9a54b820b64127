import type { Caps } from './policy.js';

/** With fewer live sessions a percentage says nothing. */
export const LEAST_LIVE_FOR_PERCENT = 20;

/** What a policy or a cleanup has taken of its caps in their window. */
export interface Taken {
  /** Turns that were let end. */
  readonly turns: number;
  /** Those of them that were over when the live sessions were counted: they count on top of the live ones. */
  readonly over: number;
}

/** Why a breaker opened: so many turns were let out in the window, and one more would be over the cap. */
export interface BreakerReason {
  readonly cap: 'max_cancels' | 'max_percent';
  readonly capValue: number;
  readonly taken: number;
  readonly perMs: number;
  readonly liveSessions: number | null;
}

/** How many turns may end now, and which cap lets no more. */
export interface Allowance {
  /** Not negative. */
  readonly turns: number;
  readonly cap: BreakerReason['cap'];
}

/**
 * How many turns each cap still lets end; below 0: it was lowered. The percentage is of all that were live in the window: those
 * that are, and those that we ended before they were counted.
 */
function leftOf(caps: Caps, liveSessions: number | null, { turns, over }: Taken) {
  // All of them is no limit, and what ends while they are counted must not look like more than all.
  const percentCounts = caps.maxPercent < 100 && liveSessions !== null && liveSessions >= LEAST_LIVE_FOR_PERCENT;
  return {
    byCancels: caps.maxCancels - turns,
    byPercent: percentCounts ? Math.floor((caps.maxPercent * (liveSessions + over)) / 100) - turns : Infinity,
  };
}

/** @param liveSessions - null when they could not all be seen; then the percentage does not count */
export function allowanceOf(caps: Caps, liveSessions: number | null, taken: Taken): Allowance {
  const { byCancels, byPercent } = leftOf(caps, liveSessions, taken);
  return byPercent < byCancels
    ? { turns: Math.max(0, byPercent), cap: 'max_percent' }
    : { turns: Math.max(0, byCancels), cap: 'max_cancels' };
}

/** Which cap one more turn would break; null: none. @param liveSessions - as of {@link allowanceOf} */
export function capReached(caps: Caps, liveSessions: number | null, taken: Taken): BreakerReason | null {
  const { byCancels, byPercent } = leftOf(caps, liveSessions, taken);
  const reason = { taken: taken.turns, perMs: caps.perMs, liveSessions };
  if (byCancels < 1) return { cap: 'max_cancels', capValue: caps.maxCancels, ...reason };
  if (byPercent < 1) return { cap: 'max_percent', capValue: caps.maxPercent, ...reason };
  return null;
}
