import TinyQueue from 'tinyqueue';
import { createPace } from '../../core/pace.js';
import type { Clock } from '../../platform/clock.js';
import { createHold, HeldError, PROBE_MS, type Hold } from './hold.js';
import type { FinishedRequest } from './index.js';
import { compareUrgency, LIST_SLACK_MS, slackFor, type Urgency } from './urgency.js';

/** How one request waits. */
export interface Patience {
  /** A hold that lasts longer is not waited for, ms. Default: as the limiter was made. */
  readonly holdMs?: number;
  /** A person waits: it may ask the vendor before a hold is over, now and then. */
  readonly mayProbe?: boolean;
  /**
   * It goes on from a read that the vendor has just answered: when that one came here, monotonic ms. It keeps that one's place,
   * and what the vendor said to lists meanwhile does not hold it back.
   */
  readonly since?: number;
  /** Ends the waiting, with its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Spreads requests to the vendor, and holds them back when it answers 429. One per process.
 *
 * Each request has a latest start: when it came, and the slack of its urgency. The earliest goes first. That is both:
 *
 * - Priority: a request waits only for those whose latest start is before its own, so a cancel request goes before all lists of
 *   the last seconds. As long as there is room for all, every one leaves by its latest start.
 * - No starvation: whoever comes after a request's latest start goes behind it, however urgent. So only so many can go before
 *   it, and where there is no room for all, all are late alike.
 *
 * A scan is many lists, one page after the other, and would take minutes if each of them waited so long. So where there is no room for
 * all, every fifth place is for a list that has waited for half a second.
 *
 * A cancel request has the place of its read. Otherwise, where many reads are late, they would all go before the cancel requests
 * that they lead to, until each read is too old.
 */
export interface Limiter {
  /**
   * Waits for a turn.
   *
   * @throws HeldError when the vendor holds all requests back for longer than the caller waits; the signal's reason
   */
  acquire(urgency: Urgency, patience?: Patience): Promise<void>;
  /** What an urgent request without a patience of its own would fail with now; null: it would wait, or leave. */
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
  /** Slack of lists, ms. Default: {@link LIST_SLACK_MS}. */
  readonly listSlackMs?: number;
  /** Ends all waiting, with its reason. */
  readonly signal?: AbortSignal;
}

interface Waiting {
  readonly urgency: Urgency;
  readonly arrivedAt: number;
  readonly latestStart: number;
  /** Among those with the same latest start. */
  readonly place: number;
  readonly holdMs: number;
  readonly mayProbe: boolean;
  /** @see Patience.since */
  readonly goesOn: boolean;
  go(): void;
  fail(error: Error): void;
}

/** Every so many places one is for a list that waits. */
const LIST_SHARE = 5;
/** Since so long, ms. */
const LIST_WAITED_MS = 500;
/** Not worth tidying up for. */
const FEW = 100;

const byLatestStart = (a: Waiting, b: Waiting): number => a.latestStart - b.latestStart || a.place - b.place;

/** @param perSecond - requests per second, at least 1: evenly, but what a busy event loop missed is made up for */
export function createLimiter(perSecond: number, clock: Clock, options: LimiterOptions = {}): ListeningLimiter {
  const slackMs = slackFor(options.listSlackMs ?? LIST_SLACK_MS);
  const pace = createPace(perSecond);
  /** When the next one may leave; null: not asked for yet. */
  let leavesAt: number | null = null;
  const listeners = new Set<(hold: Hold | null) => void>();
  const line = new Set<Waiting>();
  /** All of {@link line}, and some that have left it: hardly more of them than of the others. */
  let queue = new TinyQueue<Waiting>([], byLatestStart);
  let places = 0;
  /** In order of arrival. */
  const lists = new Set<Waiting>();
  let leftSinceList = 0;
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
    acquire(urgency, { holdMs = options.holdMs ?? Infinity, mayProbe = false, since, signal } = {}) {
      return new Promise<void>((resolve, reject) => {
        options.signal?.throwIfAborted();
        signal?.throwIfAborted();
        const leave = (): void => {
          line.delete(waiting);
          lists.delete(waiting);
          signal?.removeEventListener('abort', giveUp);
          if (queue.length > 2 * line.size + FEW) queue = new TinyQueue([...line], byLatestStart);
          // The last one takes the timer along, so that nothing keeps a process that is on its way out.
          if (line.size === 0) wake();
        };
        const giveUp = (): void => waiting.fail(signal?.reason as Error);
        const arrivedAt = clock.monotonic();
        const waiting: Waiting = {
          ...{ urgency, holdMs, mayProbe, arrivedAt, goesOn: since !== undefined },
          latestStart: Math.min(since ?? arrivedAt, arrivedAt) + slackMs[urgency],
          place: places++,
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
        queue.push(waiting);
        if (urgency === 'list') lists.add(waiting);
        sendAwayImpatient();
        if (!serving) void serve();
        else if (hold.state() !== null) wake();
      });
    },
    held: () => tooLong(hold.waitMs('look'), options.holdMs ?? Infinity),
    heard: (request) => hold.heard(request),
    hold: () => hold.state(),
    onHold: (listener) => void listeners.add(listener),
  };

  async function serve(): Promise<void> {
    serving = true;
    try {
      while (line.size > 0) {
        const next = nextInLine();
        const waitMs = next === null ? shortestHoldMs() : untilNextLeaves();
        if (next === null || waitMs > 0) {
          await nap(Math.max(1, Math.ceil(waitMs)));
          sendAwayImpatient();
          continue;
        }
        leavesAt = null;
        leftSinceList = next.urgency === 'list' ? 0 : leftSinceList + 1;
        if (!isPastHold(next)) hold.leave();
        next.go();
      }
    } finally {
      serving = false;
    }
  }

  /** Null: all have to wait for the vendor. */
  function nextInLine(): Waiting | null {
    if (hold.state() !== null) {
      // The one that asks whether the hold is over is the most urgent one, however long others have waited.
      const [first] = [...line]
        .filter((waiting) => heldForMs(waiting) === 0)
        .sort((a, b) => compareUrgency(a.urgency, b.urgency) || byLatestStart(a, b));
      return first ?? null;
    }
    const [list] = lists;
    const isListsTurn = leftSinceList >= LIST_SHARE - 1;
    if (isListsTurn && list !== undefined && clock.monotonic() - list.arrivedAt >= LIST_WAITED_MS) return list;
    for (let first = queue.peek(); first !== undefined; first = queue.peek()) {
      if (line.has(first)) return first;
      queue.pop();
    }
    return null;
  }

  function shortestHoldMs(): number {
    let shortestMs = Infinity;
    for (const waiting of line) shortestMs = Math.min(shortestMs, heldForMs(waiting));
    return shortestMs;
  }

  /** Until the vendor may be asked for it, ms; 0: now. */
  function heldForMs(waiting: Waiting): number {
    return isPastHold(waiting) || (waiting.mayProbe && hold.mayProbeEarly()) ? 0 : hold.waitMs(waiting.urgency);
  }

  function isPastHold({ goesOn }: Waiting): boolean {
    return goesOn && hold.isOnlyOfLists();
  }

  /** Ms. Takes the place that is kept until somebody leaves. */
  function untilNextLeaves(): number {
    const now = clock.monotonic();
    leavesAt ??= now + pace.next(now);
    return leavesAt - now;
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
    if (hold.state() === null) return;
    for (const waiting of line) {
      const waitMs = heldForMs(waiting);
      // Probes that get lost one after another must not keep anybody here for ever.
      const isTired = clock.monotonic() - waiting.arrivedAt > waiting.holdMs + PROBE_MS;
      const error = tooLong(waitMs, isTired ? 0 : waiting.holdMs);
      if (error === null) continue;
      hold.sentAway(waiting.urgency);
      waiting.fail(error);
    }
  }

  function tooLong(waitMs: number, patienceMs: number): HeldError | null {
    const state = hold.state();
    return state === null || waitMs <= patienceMs ? null : new HeldError(state, waitMs);
  }
}
