import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { FinishedRequest } from './index.js';
import type { Clock } from '../../platform/clock.js';
import { createHold, HeldError, PROBE_MS, type Hold } from './hold.js';

/** `now`: a turn is to be ended, or a deadline has come. `later`: a look afterwards, which tells the same a moment later. */
export type Urgency = 'now' | 'later';

/** What can wait waits no longer than this for others, ms. */
const LATER_MS = 5_000;

/** How one request waits. */
export interface Patience {
  /** A hold that lasts longer is not waited for, ms. Default: as the limiter was made. */
  readonly holdMs?: number;
  /** A person waits: it may ask the vendor before a hold is over, now and then. */
  readonly mayProbe?: boolean;
  /** Ends the waiting, with its reason. */
  readonly signal?: AbortSignal;
}

/** Spreads requests to the vendor, and holds them back when it answers 429. One per process. */
export interface Limiter {
  /**
   * Waits for a turn: in order of arrival, but what can wait lets everything else go first, for {@link LATER_MS} at most.
   *
   * @throws HeldError when the vendor holds all requests back for longer than the caller waits; the signal's reason
   */
  acquire(urgency?: Urgency, patience?: Patience): Promise<void>;
  /** What a request without a patience of its own would fail with now; null: it would wait, or leave. */
  held(): HeldError | null;
}

/** A limiter that is told how requests went. */
export interface ListeningLimiter extends Limiter {
  /** To be told of every request of the process. */
  readonly heard: (request: FinishedRequest) => void;
  /** What holds requests back now. */
  hold(): Hold | null;
  /** @param listener - called whenever that changes. Must not throw */
  onHold(listener: (hold: Hold | null) => void): void;
}

export interface LimiterOptions {
  /** A hold that lasts longer is not waited for, ms; {@link PROBE_MS} or more. Default: any is. */
  readonly holdMs?: number;
  /** Ends all waiting, with its reason. */
  readonly signal?: AbortSignal;
}

interface Waiting {
  readonly urgency: Urgency;
  readonly arrivedAt: number;
  readonly holdMs: number;
  readonly mayProbe: boolean;
  go(): void;
  fail(error: Error): void;
}

/** @param perSecond - requests per second, at least 1 */
export function createLimiter(perSecond: number, clock: Clock, options: LimiterOptions = {}): ListeningLimiter {
  const tokens = new RateLimiterMemory({ points: perSecond, duration: 1 });
  const listeners = new Set<(hold: Hold | null) => void>();
  /** In order of arrival. */
  const line = new Set<Waiting>();
  let serving = false;
  let wake = (): void => {};
  const hold = createHold(clock, () => {
    for (const listener of listeners) listener(hold.state());
    sendAwayImpatient();
    wake();
  });
  options.signal?.addEventListener('abort', () => {
    for (const waiting of line) waiting.fail(options.signal?.reason as Error);
    wake();
  });

  return {
    acquire(urgency = 'now', { holdMs = options.holdMs ?? Infinity, mayProbe = false, signal } = {}) {
      return new Promise<void>((resolve, reject) => {
        options.signal?.throwIfAborted();
        signal?.throwIfAborted();
        const leave = (): void => {
          line.delete(waiting);
          signal?.removeEventListener('abort', giveUp);
          // The last one takes the timer along, so that nothing keeps a process that is on its way out.
          if (line.size === 0) wake();
        };
        const giveUp = (): void => waiting.fail(signal?.reason as Error);
        const waiting: Waiting = {
          ...{ urgency, holdMs, mayProbe, arrivedAt: clock.monotonic() },
          go: () => {
            leave();
            resolve();
          },
          fail: (error) => {
            leave();
            reject(error);
          },
        };
        signal?.addEventListener('abort', giveUp);
        line.add(waiting);
        sendAwayImpatient();
        if (!serving) void serve();
        else if (mayProbe) wake();
      });
    },
    held: () => tooLong(options.holdMs ?? Infinity),
    heard: (request) => hold.heard(request),
    hold: () => hold.state(),
    onHold: (listener) => void listeners.add(listener),
  };

  async function serve(): Promise<void> {
    serving = true;
    try {
      while (line.size > 0) {
        const next = nextInLine();
        const waitMs = next === null ? hold.waitMs() : await takeToken();
        if (waitMs > 0) {
          if (line.size > 0) await nap(waitMs);
          sendAwayImpatient();
          continue;
        }
        // Others may have come or gone, or been turned away by the vendor, since the token was asked for.
        const chosen = nextInLine();
        if (chosen === null) continue;
        hold.leave();
        chosen.go();
      }
    } finally {
      serving = false;
    }
  }

  /** Null: all have to wait for the vendor. */
  function nextInLine(): Waiting | null {
    if (hold.waitMs() > 0) {
      return hold.mayProbeEarly() ? first(({ mayProbe }) => mayProbe) : null;
    }
    const now = clock.monotonic();
    return (
      first(({ urgency, arrivedAt }) => urgency === 'later' && now - arrivedAt >= LATER_MS) ??
      first(({ urgency }) => urgency === 'now') ??
      first(() => true)
    );
  }

  function first(fits: (waiting: Waiting) => boolean): Waiting | null {
    for (const waiting of line) if (fits(waiting)) return waiting;
    return null;
  }

  /** @returns ms until there is one; 0: it was taken */
  async function takeToken(): Promise<number> {
    try {
      await tokens.consume('vendor');
      return 0;
    } catch (error) {
      if (error instanceof RateLimiterRes) return Math.max(1, error.msBeforeNext);
      throw error;
    }
  }

  function nap(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  function sendAwayImpatient(): void {
    const mayProbe = hold.mayProbeEarly();
    for (const waiting of line) {
      if (waiting.mayProbe && mayProbe) continue;
      // Probes that get lost one after another must not keep anybody here for ever.
      const isTired = clock.monotonic() - waiting.arrivedAt > waiting.holdMs + PROBE_MS;
      const error = tooLong(isTired ? 0 : waiting.holdMs);
      if (error !== null) waiting.fail(error);
    }
  }

  function tooLong(patienceMs: number): HeldError | null {
    const state = hold.state();
    const waitMs = hold.waitMs();
    return state === null || waitMs <= patienceMs ? null : new HeldError(state, waitMs);
  }
}
