import type { Meter } from './facts.js';

/**
 * @param total - of the session at the first sight of the turn; null when not known
 * @param before - last total that was seen before
 */
export function startMeter(total: number | null, before: number | null, atMs: number): Meter {
  const empty = { last: null, peak: null, baseline: null, baselineAtMs: null, confirmed: null };
  return readMeter({ ...empty, fromStart: false, before }, total, atMs);
}

/** A null total is no news. */
export function readMeter(meter: Meter, total: number | null, atMs: number): Meter {
  if (total === null) return meter;
  if (meter.baseline === null) {
    // A lagging read can show less than an earlier one did; the turn must not be charged with the difference.
    const baseline = Math.max(total, meter.before ?? 0);
    return { ...meter, last: total, peak: baseline, baseline, baselineAtMs: atMs };
  }
  if (total === meter.last) return meter;
  return { ...meter, last: total, peak: Math.max(total, meter.peak ?? total) };
}

/**
 * A retrieve showed the turn's key, so all that was seen since the turn's first sight was this turn.
 *
 * @param startedAtMs - of the turn's message; null when not known
 * @param isFirstTurn - the session has had no other turn: its usage is all the turn's
 */
export function confirmMeter(meter: Meter, startedAtMs: number | null, isFirstTurn: boolean, gapMs: number): Meter {
  if (isFirstTurn) return { ...meter, baseline: 0, fromStart: true, before: 0, confirmed: meter.last };
  const takenAtStart = startedAtMs !== null && meter.baselineAtMs !== null && meter.baselineAtMs - startedAtMs <= gapMs;
  return { ...meter, fromStart: meter.fromStart || takenAtStart, confirmed: meter.last };
}

/** The totals went down and have not come back. */
export const hasShrunk = ({ last, peak }: Meter): boolean => last !== null && peak !== null && last < peak;
