/**
 * Wait before the next attempt, in ms: full jitter, so that many cases that failed together do not come back together.
 *
 * @param failures - failed attempts so far, from 1
 * @param capMs - longest wait
 * @param random - a number in [0, 1)
 */
export function backoffMs(failures: number, capMs: number, random: number): number {
  return Math.max(FLOOR_MS, Math.round(doubled(BASE_MS, failures - 1, capMs) * random));
}

/** A wait, ms, that was doubled so many times, up to a longest one. */
export const doubled = (firstMs: number, times: number, longestMs: number): number =>
  Math.min(longestMs, firstMs * 2 ** Math.min(times, 30));

const BASE_MS = 1_000;
/** Full jitter can draw nearly nothing; a vendor that just failed gets at least this. */
const FLOOR_MS = 250;

/** Longest time for which the vendor's word is taken that it wants no request, ms. Curfew is a guard: it has to look again. */
export const LONGEST_HOLD_MS = 60_000;

/** The wait that a vendor's answer asks for, as far as it is honoured, ms. */
export const honouredMs = ({ retryAfterMs }: { readonly retryAfterMs: number | null }): number =>
  Math.min(retryAfterMs ?? 0, LONGEST_HOLD_MS);

/**
 * Wait before a failed call is made again, ms: as long as the vendor asks, or longer. A request that was held back and not sent
 * waits for the end of the hold, and no longer: nothing has failed.
 */
export function retryAfterMs(
  failed: { readonly kind?: string; readonly sent?: boolean; readonly retryAfterMs: number | null },
  ...backoff: Parameters<typeof backoffMs>
): number {
  const asked = failed.retryAfterMs;
  if (failed.kind === 'rate-limited' && failed.sent === false && asked !== null) return asked;
  return Math.max(honouredMs(failed), backoffMs(...backoff));
}

/** About this time, a quarter more or less: what is held together must not all come back in one beat. */
export const roughly = (ms: number, random: number): number => Math.round(ms * (0.75 + random / 2));
