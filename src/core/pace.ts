/** How fast a bulk job or a process may go. Rates are sessions, or requests, a second. */
export interface Pace {
  /** Ms to wait until the next one may go; 0: now. Takes its place in line. */
  next(nowMs: number): number;
  /** A person set another rate. */
  set(rate: number): void;
  /** The vendor has enough: half as fast from now on, and back up to the full rate within half a minute. */
  slowDown(nowMs: number): void;
  /** What it comes to now. */
  current(nowMs: number): number;
}

/** What was not used while the event loop was busy may be made up for so long, ms. */
const CATCH_UP_MS = 100;
/** From a halved rate back to the full one, ms per half. */
const RECOVERY_MS = 30_000;
/** Several refusals at once are one piece of news, ms. */
const ONE_NEWS_MS = 1_000;
/** However often the vendor refuses, something is tried, as a share of the rate. */
const LEAST = 0.02;

/**
 * Spaces requests evenly, and yields to the vendor as TCP does to a network: half as fast at each refusal, then steadily
 * back up. Knows no clock: the caller says what time it is, ms on any monotonic scale.
 */
export function createPace(rate: number): Pace {
  let full = rate;
  let cut = { share: 1, atMs: -Infinity };
  let nextAtMs = -Infinity;

  const share = (nowMs: number): number =>
    Math.min(1, cut.share + (cut.share === 1 ? 0 : (nowMs - cut.atMs) / RECOVERY_MS / 2));
  const current = (nowMs: number): number => full * share(nowMs);

  return {
    next(nowMs) {
      const atMs = Math.max(nextAtMs, nowMs - CATCH_UP_MS);
      nextAtMs = atMs + 1_000 / current(nowMs);
      return Math.max(0, atMs - nowMs);
    },
    set(rate) {
      if (rate === full) return;
      full = rate;
      // At a slow rate the next place in line may be far off.
      nextAtMs = -Infinity;
    },
    slowDown(nowMs) {
      if (nowMs - cut.atMs < ONE_NEWS_MS) return;
      cut = { share: Math.max(LEAST, share(nowMs) / 2), atMs: nowMs };
    },
    current,
  };
}
