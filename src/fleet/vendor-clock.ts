import type { Clock } from '../gate/clock.js';
import type { Answer } from '../sessions/index.js';

/**
 * The vendor's time, as far as its answers told it. Our wall clock is never asked: it may jump.
 *
 * An answer's `Date` header has whole seconds, so each answer leaves a range for the difference between the vendor's clock
 * and our monotonic one: it was written after the request was sent and before the answer was there, and up to a
 * second is cut off. Ranges of several answers together are narrow. The lower end is what counts: this clock is never ahead
 * of the vendor's, so no turn is taken for older than it is.
 */
export interface VendorClock {
  /** Takes note of an answer. */
  note(answer: Pick<Answer<unknown>, 'serverDateMs' | 'sentAt' | 'receivedAt'>): void;
  /** Vendor's time, ms since the Unix epoch, at a moment of our monotonic clock; null before the first usable answer. */
  at(monotonicMs: number): number | null;
  /** Vendor's time now. */
  now(): number | null;
}

export function createVendorClock(clock: Pick<Clock, 'monotonic'>): VendorClock {
  let least = -Infinity;
  let most = Infinity;
  const at = (monotonicMs: number): number | null => (least === -Infinity ? null : Math.floor(monotonicMs + least));
  return {
    note({ serverDateMs, sentAt, receivedAt }) {
      if (serverDateMs === null) return;
      const [from, to] = [serverDateMs - receivedAt, serverDateMs + 999 - sentAt];
      if (from > to) return;
      if (from > most || to < least) {
        // The vendor's clock was set, or one of its servers has another time: the newest answer counts.
        [least, most] = [from, to];
        return;
      }
      least = Math.max(least, from);
      most = Math.min(most, to);
    },
    at,
    now: () => at(clock.monotonic()),
  };
}
