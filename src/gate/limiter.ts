import { RateLimiterMemory, RateLimiterQueue } from 'rate-limiter-flexible';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from './clock.js';

/** `now`: a turn is to be ended, or a deadline has come. `later`: a look afterwards, which tells the same a moment later. */
export type Urgency = 'now' | 'later';

/** What can wait waits no longer than this for others, ms. */
const PATIENCE_MS = 5_000;
const LOOK_AGAIN_MS = 20;

/** Spreads requests to the vendor. One per process; the vendor's 429 holds all of them back. */
export interface Limiter {
  /**
   * Waits for a turn: in order of arrival, but what can wait lets everything else go first, for {@link PATIENCE_MS} at most.
   */
  acquire(urgency?: Urgency): Promise<void>;
  /** Nothing leaves for this long. */
  backOff(ms: number): void;
}

/** @param perSecond - requests per second, at least 1 */
export function createLimiter(perSecond: number, clock: Clock): Limiter {
  const queue = new RateLimiterQueue(new RateLimiterMemory({ points: perSecond, duration: 1 }), {
    maxQueueSize: Number.MAX_SAFE_INTEGER,
  });
  let closedUntil = 0;
  let urgent = 0;
  // One by one, so that those behind it never stand before something urgent.
  let lastLater: Promise<unknown> = Promise.resolve();

  const acquireNow = async (): Promise<void> => {
    urgent += 1;
    try {
      await queue.removeTokens(1);
    } finally {
      urgent -= 1;
    }
  };
  const acquireLater = (): Promise<unknown> => {
    const arrived = clock.monotonic();
    const turn = lastLater.then(async () => {
      while (urgent > 0 && clock.monotonic() - arrived < PATIENCE_MS) await sleep(LOOK_AGAIN_MS);
      await queue.removeTokens(1);
    });
    lastLater = turn.catch(() => {});
    return turn;
  };

  return {
    async acquire(urgency = 'now') {
      await (urgency === 'now' ? acquireNow() : acquireLater());
      for (let wait = closedUntil - clock.monotonic(); wait > 0; wait = closedUntil - clock.monotonic()) {
        await sleep(wait);
      }
    },
    backOff(ms) {
      closedUntil = Math.max(closedUntil, clock.monotonic() + ms);
    },
  };
}
