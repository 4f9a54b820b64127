import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { systemClock, type Clock } from '../../src/platform/clock.js';
import { EARLY_PROBE_MS, HeldError, PROBE_MS } from '../../src/adapters/vendor/hold.js';
import { LONGEST_HOLD_MS } from '../../src/core/policy/backoff.js';
import {
  createLimiter,
  type Limiter,
  type ListeningLimiter,
  type Patience,
} from '../../src/adapters/vendor/limiter.js';
import { LIST_SLACK_MS, slackFor, type Urgency } from '../../src/adapters/vendor/urgency.js';
import { SessionsError, type SessionsErrorKind, type SessionsOperation } from '../../src/adapters/vendor/index.js';
import { FakeClock } from '../support/scripted-vendor.js';

const HOUR = 3_600_000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Of the timers that a test moves, so that a second takes no second. */
const playedClock: Clock = { wall: () => Date.now(), monotonic: () => Date.now() };
const played = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

describe('the limiter', () => {
  /** What has left, in its order, and when, ms since the beginning of the test. */
  let left: { readonly name: string; readonly atMs: number }[];
  let begunMs: number;

  beforeEach(() => {
    jest.useFakeTimers();
    left = [];
    begunMs = Date.now();
  });

  afterEach(() => {
    jest.useRealTimers();
  });

  const ask = (limiter: Limiter, urgency: Urgency, name: string = urgency, patience: Patience = {}): Promise<void> =>
    limiter
      .acquire(urgency, patience)
      .then(() => void left.push({ name, atMs: Date.now() - begunMs }))
      .catch((error: unknown) => void left.push({ name: `${name}: ${String(error)}`, atMs: Date.now() - begunMs }));
  const names = (): string[] => left.map(({ name }) => name);
  const takeWhatIsFree = async (limiter: Limiter): Promise<void> => {
    const gone = new AbortController();
    const waiting = Array.from({ length: 2_000 }, () => ask(limiter, 'cancel', 'first', { signal: gone.signal }));
    await played(0);
    gone.abort();
    await Promise.all(waiting);
    left = [];
  };

  it('lets the more urgent go first of those that came together', async () => {
    const limiter = createLimiter(10, playedClock);
    await takeWhatIsFree(limiter);
    for (const urgency of ['list', 'confirm', 'look', 'cancel', 'list', 'look'] as const) void ask(limiter, urgency);
    await played(1_000);
    expect(names()).toEqual(['cancel', 'look', 'look', 'confirm', 'list', 'list']);
  });

  it('lets those of one urgency go in the order in which they came', async () => {
    const limiter = createLimiter(100, playedClock);
    await takeWhatIsFree(limiter);
    for (let n = 0; n < 10; n += 1) void ask(limiter, 'confirm', `${n}`);
    await played(200);
    expect(names()).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  });

  it('an urgent one waits for about one place, however many lists wait', async () => {
    const limiter = createLimiter(200, playedClock);
    for (let n = 0; n < 1_000; n += 1) void ask(limiter, 'list');
    await played(2_000);
    for (let n = 0; n < 50; n += 1) {
      left = [];
      void ask(limiter, 'cancel');
      await played(7);
      expect(names()).toContain('cancel');
      await played(13);
    }
  });

  it('a scan of many pages gets every fifth place, where there is no room for all', async () => {
    const limiter = createLimiter(100, playedClock);
    await takeWhatIsFree(limiter);
    const scan = (async () => {
      for (let page = 0; page < 20; page += 1) await Promise.all([ask(limiter, 'list'), ask(limiter, 'list')]);
    })();
    for (let ms = 0; ms < 30_000; ms += 10) {
      void ask(limiter, 'cancel');
      await played(10);
    }
    await scan;
    // One page after the other, each has to wait for half a second first, and not for ten.
    const lists = left.filter(({ name }) => name === 'list');
    expect(lists).toHaveLength(40);
    expect(left.filter(({ atMs }) => atMs <= (lists.at(-1)?.atMs ?? 0)).length).toBeGreaterThanOrEqual(5 * 40);
  });

  it.each([
    ['confirm', 5_000],
    ['look', 1_000],
  ] as const)(
    'a %s waits behind a stream of cancels that takes every place for %i ms, and no longer',
    async (urgency, slackMs) => {
      const limiter = createLimiter(100, playedClock);
      await takeWhatIsFree(limiter);
      void ask(limiter, urgency, 'the one');
      for (let ms = 0; ms < slackMs + 500; ms += 10) {
        void ask(limiter, 'cancel');
        await played(10);
      }
      const waitedMs = left.find(({ name }) => name === 'the one')?.atMs ?? NaN;
      expect(waitedMs).toBeGreaterThanOrEqual(slackMs - 20);
      expect(waitedMs).toBeLessThanOrEqual(slackMs + 20);
    },
  );

  it('lets a list wait as long as it was told, and nothing more urgent for longer', async () => {
    const limiter = createLimiter(100, playedClock, { listSlackMs: 3_000 });
    await takeWhatIsFree(limiter);
    void ask(limiter, 'list', 'the list');
    void ask(limiter, 'confirm', 'the confirming read');
    for (let ms = 0; ms < 3_100; ms += 10) {
      void ask(limiter, 'cancel');
      await played(10);
    }
    expect(names()).toEqual(expect.arrayContaining(['the list', 'the confirming read']));
  });

  it('a cancel request has the place of its read, also where many reads are late', async () => {
    const limiter = createLimiter(100, playedClock);
    await takeWhatIsFree(limiter);
    const waits: number[] = [];
    // So many come at once that the last of them leaves after ten seconds: each read is answered after 50 ms.
    const all = Array.from({ length: 500 }, async () => {
      const since = Date.now();
      await limiter.acquire('look');
      await new Promise((resolve) => setTimeout(resolve, 50));
      const readyMs = Date.now();
      await limiter.acquire('cancel', { since });
      waits.push(Date.now() - readyMs);
    });
    await played(11_000);
    await Promise.all(all);
    expect(waits).toHaveLength(500);
    expect(Math.max(...waits)).toBeLessThan(200);
  });

  it.each([1, 7, 50, 200, 1_000, 10_000])('lets %i a second out, evenly', async (perSecond) => {
    const limiter = createLimiter(perSecond, playedClock);
    await takeWhatIsFree(limiter);
    for (let n = 0; n < 5 * perSecond; n += 1) void ask(limiter, 'list');
    const counts: number[] = [];
    for (let n = 0; n < 8; n += 1) {
      const before = left.length;
      await played(500);
      counts.push(left.length - before);
    }
    for (const count of counts) expect(Math.abs(count - perSecond / 2)).toBeLessThanOrEqual(1 + perSecond / 100);
    expect(left.length).toBeGreaterThanOrEqual(4 * perSecond - 1 - perSecond / 100);
  });

  it('makes up for what a busy event loop missed, but for no more than a moment', async () => {
    const limiter = createLimiter(200, playedClock);
    await takeWhatIsFree(limiter);
    for (let n = 0; n < 1_000; n += 1) void ask(limiter, 'list');
    await played(100);
    left = [];
    // No timer fires while it is busy.
    jest.setSystemTime(Date.now() + 60);
    await played(10);
    expect(left.length).toBeGreaterThanOrEqual(13);
    left = [];
    jest.setSystemTime(Date.now() + 10_000);
    await played(10);
    expect(left.length).toBeGreaterThanOrEqual(20);
    expect(left.length).toBeLessThanOrEqual(25);
  });

  it('whatever comes: the earliest latest start leaves first, at the rate, and all leave', async () => {
    const slackMs = slackFor(LIST_SLACK_MS);
    const arrival = fc.record({
      urgency: fc.constantFrom<Urgency>('cancel', 'look', 'confirm', 'list'),
      afterMs: fc.integer({ min: 0, max: 400 }),
      sinceMs: fc.option(fc.integer({ min: 0, max: 3_000 }), { nil: undefined }),
      givesUpAfterMs: fc.option(fc.integer({ min: 0, max: 3_000 }), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.array(arrival, { maxLength: 80 }),
        async (rate, arrivals) => {
          const limiter = createLimiter(rate, playedClock);
          const waiting = new Map<number, number>();
          const goneAt: number[] = [];
          const all: Promise<void>[] = [];
          for (const [n, { urgency, afterMs, sinceMs, givesUpAfterMs }] of arrivals.entries()) {
            await played(afterMs);
            const since = sinceMs === undefined ? undefined : Date.now() - sinceMs;
            const latestStart = (since ?? Date.now()) + slackMs[urgency];
            waiting.set(n, latestStart);
            const signal = givesUpAfterMs === undefined ? undefined : new AbortController();
            if (signal !== undefined) setTimeout(() => signal.abort(new Error('gave up')), givesUpAfterMs);
            const patience = { ...(since === undefined ? {} : { since }), ...(signal && { signal: signal.signal }) };
            all.push(
              limiter.acquire(urgency, patience).then(
                () => {
                  waiting.delete(n);
                  for (const other of waiting.values()) expect(other).toBeGreaterThanOrEqual(latestStart);
                  goneAt.push(Date.now());
                },
                () => void waiting.delete(n),
              ),
            );
            await played(0);
          }
          // All that came, at this rate.
          await played((arrivals.length * 1_000) / rate + 3_000);
          await Promise.all(all);
          expect(waiting.size).toBe(0);
          const room = 2 + rate / 10;
          for (const [n, at] of goneAt.entries()) {
            const within = goneAt.filter((other, m) => m >= n && other - at <= 1_000).length;
            expect(within).toBeLessThanOrEqual(rate + room);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('gives a thousand places as quickly with many in line as with few', async () => {
    jest.useRealTimers();
    const perPlace = async (inLine: number): Promise<number> => {
      const limiter = createLimiter(1_000_000, systemClock);
      const gone = new AbortController();
      for (let n = 0; n < inLine; n += 1) limiter.acquire('list', { signal: gone.signal }).catch(() => {});
      const begun = performance.now();
      let places = 0;
      const takers = Array.from({ length: 100 }, async () => {
        while (places < 5_000) {
          await limiter.acquire('cancel');
          places += 1;
        }
      });
      await Promise.all(takers);
      const tookMs = performance.now() - begun;
      gone.abort();
      return tookMs / places;
    };
    await perPlace(0);
    const [few, many] = [await perPlace(10), await perPlace(20_000)];
    // What looked at each of them would take some hundred times as long.
    expect(many).toBeLessThan(20 * few + 0.05);
  });

  it('is left at once by those who need not wait any more, and then keeps no process alive', async () => {
    const limiter = createLimiter(1, playedClock);
    await takeWhatIsFree(limiter);
    const gone = new AbortController();
    const waiting = Array.from({ length: 20 }, () => limiter.acquire('look', { signal: gone.signal }));
    const sentAway = Promise.allSettled(waiting);
    gone.abort(new Error('on its way out'));
    for (const one of await sentAway) expect(one).toMatchObject({ reason: { message: 'on its way out' } });
    await expect(limiter.acquire('look', { signal: gone.signal })).rejects.toThrow('on its way out');
    expect(jest.getTimerCount()).toBe(0);
    // The one place of the next second is not for those who left: behind them it would be the twenty-first.
    void ask(limiter, 'look', 'the next');
    await played(1_000);
    expect(names()).toEqual(['the next']);
  });

  it('sends everybody away when the process stops', async () => {
    const stopping = new AbortController();
    const limiter = createLimiter(1, playedClock, { signal: stopping.signal });
    await takeWhatIsFree(limiter);
    const waiting = Promise.allSettled([limiter.acquire('look'), limiter.acquire('confirm')]);
    stopping.abort(new Error('stopping'));
    for (const one of await waiting) expect(one).toMatchObject({ reason: { message: 'stopping' } });
    await expect(limiter.acquire('look')).rejects.toThrow('stopping');
  });
});

describe('when the vendor answers 429', () => {
  let clock: FakeClock;
  let limiter: ListeningLimiter;
  /** Of requests that were let out, in their order. */
  let out: string[];
  /** Of those that were sent away. */
  let away: HeldError[];

  beforeEach(() => {
    clock = new FakeClock(Date.UTC(2026, 10, 29, 12));
    // Fast enough that nobody waits for a place.
    limiter = createLimiter(10_000, clock, { holdMs: PROBE_MS });
    out = [];
    away = [];
  });

  const ask = (name: string, patience: Patience = { holdMs: Infinity }, urgency: Urgency = 'look'): Promise<void> =>
    limiter.acquire(urgency, patience).then(
      () => void out.push(name),
      (error: unknown) => {
        if (!(error instanceof HeldError)) throw error;
        away.push(error);
      },
    );
  /** A request that left now is answered after so long. */
  const answered = (
    kind: SessionsErrorKind | 'ok',
    retryAfterMs: number | null = null,
    tookMs = 100,
    operation: SessionsOperation = 'listSessions',
  ): void => {
    const sentAt = clock.monotonic();
    clock.advance(tookMs);
    hear(kind, sentAt, retryAfterMs, operation);
  };
  const hear = (
    kind: SessionsErrorKind | 'ok',
    sentAt: number,
    retryAfterMs: number | null = null,
    operation: SessionsOperation = 'listSessions',
  ): void => {
    const status = kind === 'connection-failed' ? null : kind === 'rate-limited' ? 429 : 503;
    const error = kind === 'ok' ? null : new SessionsError(kind, { operation, status, retryAfterMs });
    limiter.heard({ operation, sentAt, tookMs: clock.monotonic() - sentAt, error });
  };
  /** Naps in the limiter are on the real clock; somebody who comes and goes has it look at the other one. */
  const wakeUp = async (): Promise<void> => {
    const gone = new AbortController();
    const passing = limiter.acquire('list', { holdMs: Infinity, signal: gone.signal }).catch(() => {});
    await sleep(5);
    gone.abort();
    await passing;
  };

  it('nothing leaves until it is over, however many wait', async () => {
    answered('rate-limited', 30);
    const waiting = [1, 2, 3].map((n) => ask(`${n}`));
    // Longer than the time asked for on the real clock; on the limiter's none has passed.
    await sleep(80);
    expect(out).toEqual([]);
    clock.advance(30);
    await sleep(80);
    expect(out).toEqual(['1']);
    answered('ok');
    await Promise.all(waiting);
    expect(out).toEqual(['1', '2', '3']);
  });

  it.each([
    ['an hour', HOUR, LONGEST_HOLD_MS],
    ['seven seconds', 7_000, 7_000],
    ['no time', 0, 0],
    ['as long as we like', null, 1_000],
  ])('and asks for %s, that is honoured for a minute at most', (_title, asked, expected) => {
    answered('rate-limited', asked);
    const { sinceMs = NaN, untilMs = NaN } = limiter.hold() ?? {};
    expect(untilMs - sinceMs).toBe(expected);
  });

  it('again and again, one probe leaves per minute, and no more', async () => {
    answered('rate-limited', HOUR);
    const waiting = Array.from({ length: 50 }, (_, n) => ask(`${n}`));
    for (let minute = 1; minute <= 10; minute += 1) {
      clock.advance(LONGEST_HOLD_MS - 1);
      void ask(`late in ${minute}`);
      await sleep(5);
      expect(out).toHaveLength(minute - 1);
      clock.advance(1);
      expect(limiter.held()).toBeNull();
      await wakeUp();
      expect(out).toHaveLength(minute);
      answered('rate-limited', HOUR);
    }
    clock.advance(LONGEST_HOLD_MS);
    await wakeUp();
    answered('ok');
    await Promise.all(waiting);
    expect(out.length).toBeGreaterThanOrEqual(50);
    expect(limiter.hold()).toBeNull();
  });

  it('to probes without naming a time, the wait doubles up to a minute', async () => {
    answered('rate-limited');
    const waits: number[] = [];
    for (let n = 0; n < 9; n += 1) {
      clock.advance((limiter.hold()?.untilMs ?? 0) - clock.wall());
      await ask(`probe ${n}`);
      answered('rate-limited', null, 0);
      waits.push((limiter.hold()?.untilMs ?? 0) - clock.wall());
    }
    expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000]);
  });

  it('answers to requests that left before do not end the hold, and their 429 do not count twice', async () => {
    const early = clock.monotonic();
    clock.advance(10);
    answered('rate-limited', 20_000);
    hear('ok', early);
    expect(limiter.held()).toMatchObject({ retryAfterMs: 20_000 });
    hear('rate-limited', early, 20_000);
    expect(limiter.held()).toMatchObject({ retryAfterMs: 20_000 });
    // A probe is out; what left before it is answered first.
    clock.advance(20_000);
    await ask('probe');
    hear('ok', early);
    expect(limiter.hold()).not.toBeNull();
    answered('ok');
    expect(limiter.hold()).toBeNull();
  });

  it('a probe that any other answer came to ends the hold', async () => {
    answered('rate-limited', 1_000);
    clock.advance(1_000);
    await ask('probe');
    answered('server-error');
    expect(limiter.hold()).toBeNull();
  });

  it('a probe that is lost makes way for another one, at once or after some seconds', async () => {
    answered('rate-limited', 0);
    await ask('lost');
    answered('connection-failed');
    await ask('without an answer');
    const waiting = ask('third');
    await sleep(20);
    expect(out).toEqual(['lost', 'without an answer']);
    clock.advance(PROBE_MS);
    await wakeUp();
    await waiting;
    expect(out).toEqual(['lost', 'without an answer', 'third']);
  });

  it('whoever does not want to wait so long is told until when, and why, without ids', async () => {
    const waiting = ask('before', {});
    await waiting;
    answered('rate-limited', HOUR, 0);
    await ask('after', {});
    expect(away).toMatchObject([{ kind: 'rate-limited', sent: false, retryAfterMs: LONGEST_HOLD_MS }]);
    expect(away[0]?.message).toBe(
      'requests are held until 2026-11-29T12:01:00Z: the vendor answered listSessions with 429 (too many requests) and asked to wait 3600 s',
    );
    // A short hold is waited for.
    expect(limiter.held()).not.toBeNull();
    clock.advance(LONGEST_HOLD_MS - PROBE_MS);
    expect(limiter.held()).toBeNull();
  });

  it('those that wait already are sent away when a hold begins', async () => {
    limiter = createLimiter(1, systemClock, { holdMs: PROBE_MS });
    await limiter.acquire('look');
    const waiting = limiter.acquire('look');
    const error = new SessionsError('rate-limited', { operation: 'listAgents', status: 429, retryAfterMs: HOUR });
    limiter.heard({ operation: 'listAgents', sentAt: performance.now(), tookMs: 1, error });
    await expect(waiting).rejects.toThrow(HeldError);
  });

  it('a person’s request may probe before the hold is over, now and then', async () => {
    const person = { mayProbe: true };
    answered('rate-limited', HOUR, 0);
    await ask('too soon', person);
    expect(out).toEqual([]);
    clock.advance(EARLY_PROBE_MS);
    await ask('by itself', {});
    await ask('a person', person);
    await ask('another', person);
    expect(out).toEqual(['a person']);
    answered('rate-limited', HOUR, 0);
    await ask('too soon again', person);
    expect(out).toEqual(['a person']);
    clock.advance(EARLY_PROBE_MS);
    await ask('a third', person);
    answered('ok');
    await ask('by itself', {});
    expect(out).toEqual(['a person', 'a third', 'by itself']);
  });

  it('keeps nothing of those that were sent away', async () => {
    const sendAway = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n += 1) await limiter.acquire('look').catch(() => {});
    };
    const used = (): number => {
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    answered('rate-limited', HOUR);
    // One of them goes on waiting.
    const gone = new AbortController();
    const waiting = limiter.acquire('list', { holdMs: Infinity, signal: gone.signal }).catch(() => {});
    await sendAway(1_000);
    const before = used();
    await sendAway(10_000);
    // They would be some 30 MB.
    expect(used() - before).toBeLessThan(10e6);
    gone.abort();
    await waiting;
  });

  it('listeners hear of its beginning, of each delay, and of its end', async () => {
    const heard: (number | null)[] = [];
    limiter.onHold((hold) => heard.push(hold === null ? null : hold.untilMs - clock.wall()));
    answered('ok');
    answered('rate-limited', 2_000, 0);
    clock.advance(2_000);
    await ask('probe');
    answered('rate-limited', 30_000, 0);
    clock.advance(30_000);
    await ask('probe');
    answered('ok');
    expect(heard).toEqual([2_000, 30_000, null]);
  });

  it('the one that asks whether it is over is the most urgent one, however long others have waited', async () => {
    answered('rate-limited', HOUR);
    const patience = { holdMs: Infinity };
    const waiting = [ask('list', patience, 'list'), ask('confirm', patience, 'confirm')];
    clock.advance(LONGEST_HOLD_MS - 1);
    waiting.push(ask('look', patience, 'look'), ask('cancel', patience, 'cancel'));
    clock.advance(1);
    await wakeUp();
    expect(out).toEqual(['cancel']);
    answered('ok');
    await Promise.all(waiting);
    expect(out).toHaveLength(4);
  });

  it('what is urgent and was sent away has some seconds to come back, before lists ask', async () => {
    answered('rate-limited', 30_000);
    await ask('look', {});
    expect(away).toMatchObject([{ retryAfterMs: 30_000 }]);
    const list = ask('list', { holdMs: Infinity }, 'list');
    clock.advance(30_000 + PROBE_MS - 1);
    await wakeUp();
    expect(out).toEqual([]);
    await ask('look again', {});
    expect(out).toEqual(['look again']);
    answered('ok');
    await list;
  });

  it('and if it does not, the lists ask', async () => {
    answered('rate-limited', 30_000);
    await ask('look', {});
    const list = ask('list', { holdMs: Infinity }, 'list');
    clock.advance(30_000 + PROBE_MS);
    await wakeUp();
    await list;
    expect(out).toEqual(['list']);
  });

  it('a cancel request whose read was just answered is not held back by what was said to a list', async () => {
    const since = clock.monotonic();
    answered('ok', null, 100, 'retrieveSession');
    answered('rate-limited', 30_000);
    await ask('without a read', {}, 'cancel');
    await ask('after its read', { since, holdMs: 0 }, 'cancel');
    expect(out).toEqual(['after its read']);
    expect(away).toHaveLength(1);
    // It was no probe: the hold is as it was.
    answered('ok', null, 100, 'cancelSession');
    expect(limiter.hold()).not.toBeNull();
  });

  it.each(['retrieveSession', 'cancelSession'] as const)('but by what was said to a %s', async (operation) => {
    const since = clock.monotonic();
    answered('rate-limited', 30_000, 100, operation);
    answered('rate-limited', 1_000);
    await ask('after its read', { since, holdMs: 1_000 }, 'cancel');
    expect(out).toEqual([]);
    expect(away).toMatchObject([{ kind: 'rate-limited', sent: false }]);
  });
});

describe('a vendor that answers reads and cancel requests, and 429 to every list', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });

  afterEach(() => {
    jest.useRealTimers();
  });

  it.each([
    ['and asks for an hour', HOUR],
    ['and asks for half a minute', 30_000],
    ['and names no time', null],
  ])('%s: every turn is ended all the same', async (_title, retryAfterMs) => {
    const limiter = createLimiter(50, playedClock, { holdMs: PROBE_MS });
    const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
    const send = async (operation: SessionsOperation): Promise<void> => {
      const sentAt = playedClock.monotonic();
      await wait(30);
      const error =
        operation === 'listSessions'
          ? new SessionsError('rate-limited', { operation, status: 429, retryAfterMs })
          : null;
      limiter.heard({ operation, sentAt, tookMs: 30, error });
    };
    let over = false;
    let lists = 0;
    // Always there, before anybody else.
    const listing = Array.from({ length: 3 }, async () => {
      while (!over) {
        try {
          await limiter.acquire('list');
          lists += 1;
          await send('listSessions');
        } catch (error) {
          if (!(error instanceof HeldError)) throw error;
          await wait(100);
        }
      }
    });
    await played(90_000);
    const listsBefore = lists;
    let ended = 0;
    const ending = Array.from({ length: 20 }, async (_, n) => {
      await wait(n * 1_000);
      for (;;) {
        try {
          const since = playedClock.monotonic();
          await limiter.acquire('look');
          await send('retrieveSession');
          // The ledger's part; lists may leave meanwhile.
          await wait(200);
          await limiter.acquire('cancel', { since, holdMs: 1_500 });
          await send('cancelSession');
          ended += 1;
          return;
        } catch (error) {
          if (!(error instanceof HeldError)) throw error;
          await wait(error.retryAfterMs + 1_000);
        }
      }
    });
    await played(4 * LONGEST_HOLD_MS);
    expect(ended).toBe(20);
    await Promise.all(ending);
    // Each list that is turned away holds lists back, too.
    expect(listsBefore).toBeGreaterThan(0);
    expect(lists - listsBefore).toBeLessThan(100);
    over = true;
    await played(2 * LONGEST_HOLD_MS);
    await Promise.all(listing);
  });
});
