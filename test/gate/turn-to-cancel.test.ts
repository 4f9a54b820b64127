import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EARLY_PROBE_MS, HeldError, PROBE_MS, type Hold } from '../../src/adapters/vendor/hold.js';
import { SessionsError } from '../../src/adapters/vendor/index.js';
import { createLimiter, type Limiter, type Patience } from '../../src/adapters/vendor/limiter.js';
import type { Urgency } from '../../src/adapters/vendor/urgency.js';
import { workerStopping } from '../../src/core/try-again.js';
import { openGateHarness, SESSION, shows, type GateHarness } from '../support/gate-harness.js';
import { FREE_LIMITER } from '../support/free-limiter.js';

const HOUR = 3_600_000;
const processing = shows('processing');
const failed = shows('failed');
const CANCELLED = { outcome: 'cancelled', attribution: 'strong', attempts: 1 };

let harness: GateHarness;

beforeEach(async () => {
  harness = await openGateHarness();
  harness.vendor.reads = () => (harness.vendor.cancelCalls === 0 ? processing : failed);
  harness.vendor.cancels = ['failed'];
});

afterEach(async () => {
  await harness.close();
});

/** Something happens while a cancel request waits for its turn at the limiter, so many times. */
const whenCancelWaits = (happens: () => unknown, times = 1): Limiter => {
  let left = times;
  return {
    ...FREE_LIMITER,
    acquire: async (urgency) => {
      if (urgency !== 'cancel' || left === 0) return;
      left -= 1;
      await happens();
    },
  };
};

describe('a cancel request waits for its turn at the limiter', () => {
  it('as every other request does: it counts, and has the place of its read', async () => {
    const asked: [Urgency, Patience | undefined][] = [];
    const limiter: Limiter = {
      ...FREE_LIMITER,
      acquire: (...how) => {
        asked.push([how[0], how[1]]);
        harness.clock.advance(100);
        return Promise.resolve();
      },
    };
    await harness.order();
    const begunAt = harness.clock.monotonic();
    await harness.worker({ limiter }).carryOut();
    const [first, second, ...others] = asked.map(([urgency]) => urgency);
    expect([first, second]).toEqual(['look', 'cancel']);
    expect(new Set(others)).toEqual(new Set(['confirm']));
    expect(asked[1]?.[1]?.since).toBe(begunAt);
    // No longer than the read is good for.
    expect(asked[1]?.[1]?.holdMs).toBeLessThan(2_000);
    expect(harness.vendor.cancelCalls).toBe(1);
  });

  it('before its row is written, so that nothing stands between that and the request', async () => {
    const orderId = await harness.order();
    let rows: unknown[] | null = null;
    const limiter = whenCancelWaits(async () => (rows = await harness.requests()));
    expect(await harness.worker({ limiter }).carryOut()).toEqual([]);
    expect(rows).toEqual([]);
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
  });

  it('I1: for too long, so nothing is sent, no row stays open, and the next read is taken', async () => {
    const orderId = await harness.order();
    const limiter = whenCancelWaits(() => harness.clock.advance(2_001));
    const waits = await harness.worker({ limiter }).carryOut({
      onWait: async () => {
        expect(harness.vendor.cancelCalls).toBe(0);
        expect((await harness.requests()).filter(({ status }) => status !== 'withdrawn')).toEqual([]);
        expect(await harness.result(orderId)).toMatchObject({ outcome: null, attempts: 0 });
      },
    });
    expect(waits.map(({ reason }) => reason)).toEqual(['ReadTooOld']);
    expect(harness.vendor.readAt.length).toBeGreaterThanOrEqual(3);
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
  });

  it('in vain while the vendor holds requests back: nothing is sent, no row is written, and it is tried again then', async () => {
    const orderId = await harness.order();
    const hold: Hold = { sinceMs: 0, untilMs: 0, operation: 'cancelSession', askedMs: 17_000 };
    const limiter = whenCancelWaits(() => Promise.reject(new HeldError(hold, 17_000)));
    const waits = await harness.worker({ limiter }).carryOut({
      onWait: async () => {
        expect(harness.vendor.cancelCalls).toBe(0);
        expect(await harness.requests()).toEqual([]);
      },
    });
    expect(waits).toMatchObject([{ reason: 'RateLimited', counts: false, afterMs: 17_000 }]);
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
  });

  it('no longer than the worker runs: another one sends it', async () => {
    const orderId = await harness.order();
    const limiter = whenCancelWaits(() => Promise.reject(workerStopping()));
    const waits = await harness.worker({ limiter }).carryOut();
    expect(waits.map(({ reason }) => reason)).toEqual(['WorkerStopping']);
    expect(await harness.requests()).toMatchObject([{ status: 'answered' }]);
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
  });

  it('not behind a hold by lists, where the read of a person’s order was the probe', async () => {
    const limiter = createLimiter(100, harness.clock, { holdMs: PROBE_MS });
    const listTurnedAway = (): void => {
      const error = new SessionsError('rate-limited', { operation: 'listSessions', status: 429, retryAfterMs: HOUR });
      limiter.heard({ operation: 'listSessions', sentAt: harness.clock.monotonic(), tookMs: 1, error });
    };
    const answering: Limiter = {
      ...limiter,
      acquire: async (urgency, patience) => {
        // The lists that its answer let out are turned away before the cancel request is there.
        if (urgency === 'cancel') listTurnedAway();
        await limiter.acquire(urgency, patience);
        const sentAt = harness.clock.monotonic();
        limiter.heard({ operation: 'retrieveSession', sentAt, tookMs: 1, error: null });
      },
    };
    listTurnedAway();
    harness.clock.advance(EARLY_PROBE_MS);
    const orderId = await harness.order({ source: 'person' });
    await harness.worker({ limiter: answering }).carryOut({
      onWait: (wait) => {
        // Only the confirming read, which has time.
        expect(harness.vendor.cancelCalls).toBe(1);
        expect(wait.reason).toBe('RateLimited');
      },
    });
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
  });

  it('in vain behind a hold by what the vendor said to another cancel request', async () => {
    const limiter = createLimiter(100, harness.clock, { holdMs: PROBE_MS });
    let turnedAway = false;
    const answering: Limiter = {
      ...limiter,
      acquire: async (urgency, patience) => {
        if (urgency === 'cancel' && !turnedAway) {
          turnedAway = true;
          const error = new SessionsError('rate-limited', {
            operation: 'cancelSession',
            status: 429,
            retryAfterMs: 9_000,
          });
          limiter.heard({ operation: 'cancelSession', sentAt: harness.clock.monotonic(), tookMs: 1, error });
        }
        await limiter.acquire(urgency, patience);
        limiter.heard({ operation: 'retrieveSession', sentAt: harness.clock.monotonic(), tookMs: 1, error: null });
      },
    };
    const orderId = await harness.order({ sessionId: SESSION });
    const waits = await harness.worker({ limiter: answering }).carryOut();
    expect(waits).toMatchObject([{ reason: 'RateLimited', afterMs: 9_000 }]);
    expect(await harness.requests()).toMatchObject([{ status: 'answered' }]);
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
  });
});
