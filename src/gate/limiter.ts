import { RateLimiterMemory, RateLimiterQueue } from 'rate-limiter-flexible';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from './clock.js';

/** Spreads requests to the vendor. One per process; the vendor's 429 holds all of them back. */
export interface Limiter {
  /** Waits for a turn. */
  acquire(): Promise<void>;
  /** Nothing leaves for this long. */
  backOff(ms: number): void;
}

/** @param perSecond - requests per second, at least 1 */
export function createLimiter(perSecond: number, clock: Clock): Limiter {
  const queue = new RateLimiterQueue(new RateLimiterMemory({ points: perSecond, duration: 1 }), {
    maxQueueSize: Number.MAX_SAFE_INTEGER,
  });
  let closedUntil = 0;
  return {
    async acquire() {
      await queue.removeTokens(1);
      for (let wait = closedUntil - clock.monotonic(); wait > 0; wait = closedUntil - clock.monotonic()) {
        await sleep(wait);
      }
    },
    backOff(ms) {
      closedUntil = Math.max(closedUntil, clock.monotonic() + ms);
    },
  };
}
