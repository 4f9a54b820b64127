import type { Clock } from '../../platform/clock.js';
import type { Limiter } from './limiter.js';
import { SessionsError } from './errors.js';
import type { Answer, SessionsClient } from './index.js';

/**
 * The vendor's time, as far as its answers told it, moved on by our monotonic clock. Turns are judged by it and by no other
 * clock.
 *
 * An answer's `Date` header has whole seconds, so each answer leaves a range for the difference between the vendor's clock
 * and our monotonic one: it was written after the request was sent and before the answer was there, and up to a
 * second is cut off. Ranges of several answers together are narrow. The lower end is what counts: this clock is never ahead
 * of the vendor's, so no turn is taken for older than it is.
 *
 * A clock that jumps ahead would make every turn old at once. So a jump ahead needs a second witness, our wall clock: it was
 * asleep with us, or it agrees. Without one the old time goes on. A jump back is followed at once: it makes turns young.
 */
export interface VendorClock {
  /** Takes note of an answer. */
  note(answer: Pick<Answer<unknown>, 'serverDateMs' | 'sentAt' | 'receivedAt'>): void;
  /** Vendor's time, ms since the Unix epoch, at a moment of our monotonic clock; null while it is not known. */
  at(monotonicMs: number): number | null;
  /**
   * By how much the vendor's clock is ahead of another one of ours that shows `otherMs` at a moment of the monotonic clock, ms;
   * null while it is not known.
   */
  aheadOf(monotonicMs: number, otherMs: number): { readonly least: number; readonly most: number } | null;
  /** Vendor's time now. */
  now(): number | null;
  /** Why it is not known, or not believed, for people; null: all is well. */
  problem(): string | null;
}

const NO_DATE = 'the vendor’s answers carry no usable Date header, so nothing can be timed';
/** A difference that drift and other servers of the vendor's may make, ms. */
const STEP_MS = 5_000;
/** At the start the vendor may be ahead of our wall clock by so much, ms: clocks are set badly, but rarely worse. */
const AHEAD_AT_START_MS = 5 * 60_000;

export function createVendorClock(clock: Clock): VendorClock {
  let least = -Infinity;
  let most = Infinity;
  /** Our wall clock less our monotonic one, when the range was last moved. */
  let wallOffset = 0;
  /** What was not believed: the vendor's clock is ahead of ours by so much, ms. */
  let aheadMs: number | null = null;

  const isKnown = (): boolean => least !== -Infinity;
  const at = (monotonicMs: number): number | null => (isKnown() ? Math.floor(monotonicMs + least) : null);

  /** Whether our wall clock bears out that the vendor's time is not before `from` on the monotonic clock. */
  const isBorneOut = (from: number): boolean => {
    const offset = clock.wall() - clock.monotonic();
    if (!isKnown()) return from <= offset + AHEAD_AT_START_MS;
    // Our monotonic clock stands still while the machine sleeps; the wall clock has jumped with the vendor's then.
    const sleptMs = offset - wallOffset;
    return from - most <= STEP_MS || from <= offset || Math.abs(sleptMs - (from - most)) <= STEP_MS;
  };

  return {
    note({ serverDateMs, sentAt, receivedAt }) {
      if (serverDateMs === null) return;
      const [from, to] = [serverDateMs - receivedAt, serverDateMs + 999 - sentAt];
      if (from > to) return;
      const isAhead = isKnown() ? from > most : true;
      if (isAhead && !isBorneOut(from)) {
        aheadMs = Math.round(from - (isKnown() ? most : clock.wall() - clock.monotonic()));
        return;
      }
      aheadMs = null;
      if (!isKnown() || isAhead || to < least) {
        [least, most] = [from, to];
        wallOffset = clock.wall() - clock.monotonic();
        return;
      }
      least = Math.max(least, from);
      most = Math.min(most, to);
    },
    at,
    aheadOf: (monotonicMs, otherMs) =>
      isKnown() ? { least: least + monotonicMs - otherMs, most: most + monotonicMs - otherMs } : null,
    now: () => at(clock.monotonic()),
    problem() {
      if (aheadMs === null) return isKnown() ? null : NO_DATE;
      const seconds = Math.round(aheadMs / 1000);
      return isKnown()
        ? `the vendor’s Date header jumped ahead by ${seconds} s, and our clocks do not confirm it; using the time before`
        : `the vendor’s Date header is ${seconds} s ahead of this machine’s clock: one of them is wrong, and nothing is timed until they agree; set the clock of this machine`;
    },
  };
}

/**
 * Vendor's time now, with one cheap request, so that it is known where nothing else is asked of the vendor. One that fails
 * leaves what was known before.
 */
export async function askVendorTime(deps: {
  readonly sessions: Pick<SessionsClient, 'listAgents'>;
  readonly limiter: Pick<Limiter, 'acquire'>;
  readonly vendorClock: Pick<VendorClock, 'note' | 'now'>;
}): Promise<number | null> {
  const { sessions, limiter, vendorClock } = deps;
  try {
    await limiter.acquire('confirm');
    vendorClock.note(await sessions.listAgents({ pageSize: 1 }));
  } catch (error) {
    if (!(error instanceof SessionsError)) throw error;
  }
  return vendorClock.now();
}
