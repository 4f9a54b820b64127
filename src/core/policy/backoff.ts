/**
 * Wait before the next attempt, in ms: full jitter, so that many cases that failed together do not come back together.
 *
 * @param failures - failed attempts so far, from 1
 * @param capMs - longest wait
 * @param random - a number in [0, 1)
 */
export function backoffMs(failures: number, capMs: number, random: number): number {
  const ceiling = Math.min(capMs, BASE_MS * 2 ** Math.min(failures - 1, 30));
  return Math.max(FLOOR_MS, Math.round(ceiling * random));
}

const BASE_MS = 1_000;
/** Full jitter can draw nearly nothing; a vendor that just failed gets at least this. */
const FLOOR_MS = 250;
