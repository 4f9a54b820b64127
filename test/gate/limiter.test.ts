import { beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/platform/clock.js';
import { EARLY_PROBE_MS, HeldError, PROBE_MS } from '../../src/adapters/vendor/hold.js';
import { LONGEST_HOLD_MS } from '../../src/core/policy/backoff.js';
import { createLimiter, type ListeningLimiter, type Patience } from '../../src/adapters/vendor/limiter.js';
import { SessionsError, type SessionsErrorKind } from '../../src/adapters/vendor/index.js';
import { FakeClock } from '../support/scripted-vendor.js';

const HOUR = 3_600_000;

describe('the limiter', () => {
  it('lets what can wait go after what can not, whoever came first, and in the end', async () => {
    const limiter = createLimiter(10, systemClock);
    for (let n = 0; n < 10; n += 1) await limiter.acquire();
    const order: string[] = [];
    const later = [1, 2, 3].map((n) => limiter.acquire('later').then(() => order.push(`later ${n}`)));
    const now = [1, 2, 3, 4].map((n) => limiter.acquire().then(() => order.push(`now ${n}`)));
    await Promise.all([...later, ...now]);
    expect(order.slice(-3)).toEqual(expect.arrayContaining(['later 2', 'later 3']));
    expect(order.filter((one) => one.startsWith('later'))).toEqual(['later 1', 'later 2', 'later 3']);
  });

  it('lets so many out in a second', async () => {
    const limiter = createLimiter(5, systemClock);
    const begun = performance.now();
    await Promise.all(Array.from({ length: 11 }, () => limiter.acquire()));
    expect(performance.now() - begun).toBeGreaterThan(1_800);
  });

  it('is left at once by those who need not wait any more, and then keeps no process alive', async () => {
    const limiter = createLimiter(1, systemClock);
    await limiter.acquire();
    const gone = new AbortController();
    const waiting = Array.from({ length: 20 }, () => limiter.acquire('now', { signal: gone.signal }));
    const begun = performance.now();
    gone.abort(new Error('on its way out'));
    for (const one of waiting) await expect(one).rejects.toThrow('on its way out');
    await expect(limiter.acquire('now', { signal: gone.signal })).rejects.toThrow('on its way out');
    // The one token of the next second is not for those who left: behind them it would be the twenty-first.
    await limiter.acquire();
    expect(performance.now() - begun).toBeLessThan(15_000);
  });

  it('sends everybody away when the process stops', async () => {
    const stopping = new AbortController();
    const limiter = createLimiter(1, systemClock, { signal: stopping.signal });
    await limiter.acquire();
    const waiting = [limiter.acquire(), limiter.acquire('later')];
    stopping.abort(new Error('stopping'));
    for (const one of waiting) await expect(one).rejects.toThrow('stopping');
    await expect(limiter.acquire()).rejects.toThrow('stopping');
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
    limiter = createLimiter(100, clock, { holdMs: PROBE_MS });
    out = [];
    away = [];
  });

  const ask = (name: string, patience: Patience = { holdMs: Infinity }): Promise<void> =>
    limiter.acquire('now', patience).then(
      () => void out.push(name),
      (error: unknown) => {
        if (!(error instanceof HeldError)) throw error;
        away.push(error);
      },
    );
  /** A request that left now is answered after so long. */
  const answered = (kind: SessionsErrorKind | 'ok', retryAfterMs: number | null = null, tookMs = 100): void => {
    const sentAt = clock.monotonic();
    clock.advance(tookMs);
    hear(kind, sentAt, retryAfterMs);
  };
  const hear = (kind: SessionsErrorKind | 'ok', sentAt: number, retryAfterMs: number | null = null): void => {
    const operation = 'listSessions';
    const status = kind === 'connection-failed' ? null : kind === 'rate-limited' ? 429 : 503;
    const error = kind === 'ok' ? null : new SessionsError(kind, { operation, status, retryAfterMs });
    limiter.heard({ operation, sentAt, tookMs: clock.monotonic() - sentAt, error });
  };
  /** Naps in the limiter are on the real clock; somebody who comes and goes has it look at the other one. */
  const wakeUp = async (): Promise<void> => {
    const gone = new AbortController();
    const passing = limiter.acquire('later', { mayProbe: true, signal: gone.signal }).catch(() => {});
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
    await limiter.acquire();
    const waiting = limiter.acquire();
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
});
