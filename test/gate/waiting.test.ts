import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EARLY_PROBE_MS, PROBE_MS } from '../../src/adapters/vendor/hold.js';
import { createLimiter } from '../../src/adapters/vendor/limiter.js';
import { DEFAULT_TIMING } from '../../src/core/policy/timing.js';
import { SessionsError } from '../../src/adapters/vendor/index.js';
import {
  cancelFails,
  ledgerAway,
  openGateHarness,
  readFails,
  SESSION,
  shows,
  type GateHarness,
} from '../support/gate-harness.js';
import type { ScriptedVendor } from '../support/scripted-vendor.js';

type CancelScript = ScriptedVendor['cancels'];

const HOUR = 3_600_000;
const processing = shows('processing');
const failed = shows('failed');
const CANCELLED = { outcome: 'cancelled', attribution: 'strong' };
/** As by default, but within what a test can play through. */
const SHORT = { ...DEFAULT_TIMING, giveUpAfterMs: HOUR };

let harness: GateHarness;

beforeEach(async () => {
  harness = await openGateHarness();
});

afterEach(async () => {
  await harness.close();
});

describe('a vendor that fails', () => {
  it.each<[string, CancelScript]>([
    ['answers every request with 500', () => cancelFails('failed-to-abort')],
    ['answers every request with 409', () => cancelFails('conflict')],
    ['accepts every request and ends nothing', () => 'failed'],
  ])('I2: that %s is told of after 5 minutes, once, and given up on after the time set', async (_title, cancels) => {
    harness.vendor.reads = [processing];
    harness.vendor.cancels = cancels;
    const orderId = await harness.order();
    const begun = harness.clock.wall();
    const waits = await harness.worker({ timing: SHORT }).carryOut({
      beforeStep: async (step) => {
        if (step.next !== 'attempt') return;
        const told = await harness.count('not-ending');
        const passed = harness.clock.wall() - begun;
        if (passed < 5 * 60_000) expect(told).toBe(0);
        if (passed > 7 * 60_000) expect(told).toBe(1);
      },
    });
    const passed = harness.clock.wall() - begun;
    expect(passed).toBeGreaterThanOrEqual(HOUR);
    expect(passed).toBeLessThan(HOUR + 3 * 60_000);
    for (const { afterMs } of waits) expect(afterMs).toBeLessThanOrEqual(60_000);

    const result = await harness.result(orderId);
    expect(result).toMatchObject({
      outcome: 'retries-exhausted',
      attribution: null,
      attempts: harness.vendor.cancelCalls,
    });
    expect(result.events.map(({ kind }) => kind)).toEqual(['not-ending', 'retries-exhausted']);
  });

  it('is tried again at growing intervals', async () => {
    harness.vendor.reads = [processing];
    harness.vendor.cancels = () => cancelFails('server-error');
    await harness.order();
    const waits = await harness.worker().carryOut({ onWait: (_wait, count) => (count === 9 ? 'stop' : undefined) });
    expect(waits.map(({ afterMs }) => afterMs)).toEqual([
      500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000,
    ]);
  });

  it.each([
    [
      'the request',
      [processing, processing, failed],
      [cancelFails('rate-limited', { retryAfterMs: 17_000 }), 'failed'],
    ],
    ['a read', [readFails('rate-limited', { retryAfterMs: 17_000 }), processing, failed], ['failed']],
  ] as const)('that answers 429 to %s is left alone as long as it asked for', async (_title, reads, cancels) => {
    harness.vendor.reads = reads;
    harness.vendor.cancels = cancels;
    const orderId = await harness.order();
    expect(await harness.worker().carryOut()).toMatchObject([
      { reason: 'RateLimited', counts: false, afterMs: 17_000 },
    ]);
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
  });

  it.each([
    ['429', readFails('rate-limited', { retryAfterMs: HOUR })],
    ['503', readFails('server-error', { retryAfterMs: HOUR })],
  ])('that wants to be left alone for an hour (%s) is asked again after a minute', async (_title, failure) => {
    harness.vendor.reads = [failure, failed];
    await harness.order();
    expect(await harness.worker().carryOut()).toMatchObject([{ afterMs: 60_000 }]);
  });

  it('whose 429 holds back what others ask, too, keeps a case held until one may leave', async () => {
    // As the machine's: between two looks at it passes no whole number of milliseconds.
    let passed = 0;
    const monotonic = (): number => harness.clock.monotonic() + (passed += 0.3);
    const limiter = createLimiter(100, { wall: harness.clock.wall, monotonic }, { holdMs: PROBE_MS });
    const error = new SessionsError('rate-limited', { operation: 'listSessions', status: 429, retryAfterMs: HOUR });
    limiter.heard({ operation: 'listSessions', sentAt: monotonic(), tookMs: 1, error });
    harness.vendor.reads = [processing, processing, failed];
    harness.vendor.cancels = ['failed'];
    const orderId = await harness.order();
    const [first] = await harness.worker({ limiter }).carryOut({ onWait: () => 'stop' });
    expect(first).toMatchObject({ reason: 'RateLimited', counts: false });
    const [view] = await harness.ledger.orders.views({ sessionId: SESSION, limit: 1 });
    expect(view).toMatchObject({ phase: 'held', result: { outcome: null, lastError: { type: 'RateLimited' } } });
    expect((view?.nextTryAtMs ?? 0) - harness.clock.wall()).toBeCloseTo(60_000, -2);
    expect(await harness.result(orderId)).toMatchObject({ outcome: null });
  });

  it('whose 429 holds back what others ask is asked all the same whether the turn ended that a person ordered to end', async () => {
    const limiter = createLimiter(100, harness.clock, { holdMs: PROBE_MS });
    const heard = (sentAt: number, error: SessionsError | null): void =>
      limiter.heard({ operation: 'listSessions', sentAt, tookMs: 1, error });
    // What leaves is answered.
    const answering = {
      ...limiter,
      acquire: async (...how: Parameters<typeof limiter.acquire>) => {
        await limiter.acquire(...how);
        heard(harness.clock.monotonic(), null);
      },
    };
    harness.vendor.reads = [processing, failed];
    harness.vendor.cancels = ['failed'];
    const orderId = await harness.order({ source: 'person' });
    const waits = await harness.worker({ limiter: answering }).carryOut({
      beforeStep: (step) => {
        if (step.next !== 'look') return;
        const details = { operation: 'listSessions', status: 429, retryAfterMs: HOUR } as const;
        heard(harness.clock.monotonic(), new SessionsError('rate-limited', details));
        harness.clock.advance(EARLY_PROBE_MS);
      },
    });
    expect(waits).toEqual([]);
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
  });

  it('that answers 429 without a time is left alone for the usual wait', async () => {
    harness.vendor.reads = [readFails('rate-limited'), failed];
    await harness.order();
    expect(await harness.worker().carryOut()).toMatchObject([{ reason: 'RateLimited', afterMs: 500 }]);
  });

  it('that names a time with another error gets that time', async () => {
    harness.vendor.reads = [processing, processing, failed];
    harness.vendor.cancels = [cancelFails('conflict', { retryAfterMs: 9_000 }), 'failed'];
    await harness.order();
    expect(await harness.worker().carryOut()).toMatchObject([{ reason: 'CancelFailed', counts: true, afterMs: 9_000 }]);
  });
});

describe('I10: time that is held does not count towards giving up', () => {
  /** Goes on for three times the time after which an order is given up. */
  const LONG = 3 * HOUR;

  it.each([
    ['a key that is refused', readFails('unauthorized')],
    ['an API that is away', readFails('server-error')],
    ['no connection', readFails('connection-failed')],
    ['too many requests', readFails('rate-limited', { retryAfterMs: 600_000 })],
  ])('I10: %s', async (_title, failure) => {
    const heldUntil = harness.clock.wall() + LONG;
    const begunAnew = { at: -1 };
    harness.vendor.reads = (call) => {
      if (harness.clock.wall() < heldUntil) return failure;
      if (begunAnew.at < 0) begunAnew.at = call;
      return call === begunAnew.at ? processing : failed;
    };
    harness.vendor.cancels = ['failed'];
    const orderId = await harness.order();
    const waits = await harness.worker({ timing: SHORT }).carryOut();
    expect(waits.length).toBeGreaterThan(10);
    expect(harness.clock.wall()).toBeGreaterThan(heldUntil);
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
    expect(await harness.count('not-ending')).toBe(0);
  });

  it('I10: the pause switch', async () => {
    await harness.ledger.pauseSwitch.set(true, 'ops', null);
    const heldUntil = harness.clock.wall() + LONG;
    harness.vendor.reads = () => (harness.vendor.cancelCalls === 0 ? processing : failed);
    harness.vendor.cancels = ['failed'];
    const orderId = await harness.order();
    await harness.worker({ timing: { ...SHORT, heldRetryMs: 300_000 } }).carryOut({
      onWait: async () => {
        if (harness.clock.wall() >= heldUntil) await harness.ledger.pauseSwitch.set(false, 'ops', null);
      },
    });
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
    expect(await harness.count('not-ending')).toBe(0);
  });

  it('I10: a ledger that is away', async () => {
    const heldUntil = harness.clock.wall() + LONG;
    const before = (): void => {
      if (harness.clock.wall() < heldUntil) throw ledgerAway();
    };
    harness.vendor.reads = () => (harness.vendor.cancelCalls === 0 ? processing : failed);
    harness.vendor.cancels = ['failed'];
    const orderId = await harness.order();
    await harness.worker({ timing: { ...SHORT, heldRetryMs: 60_000 }, hooks: { before } }).carryOut();
    expect(harness.clock.wall()).toBeGreaterThan(heldUntil);
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
    expect(await harness.count('not-ending')).toBe(0);
  });

  it('time in vain counts on where it was held in between', async () => {
    const minutes = (): number => (harness.clock.wall() - begun) / 60_000;
    const begun = harness.clock.wall();
    harness.vendor.reads = () => (minutes() > 30 && minutes() < 230 ? readFails('server-error') : processing);
    harness.vendor.cancels = () => cancelFails('timeout');
    const orderId = await harness.order();
    await harness.worker({ timing: SHORT }).carryOut();
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'retries-exhausted' });
    expect(minutes()).toBeGreaterThan(258);
    expect(minutes()).toBeLessThan(265);
  });
});

describe('what a waiting case leaves in the ledger', () => {
  const view = async () => (await harness.ledger.orders.views({ sessionId: SESSION }))[0];

  it('says why, and when it goes on', async () => {
    harness.vendor.reads = [processing];
    harness.vendor.cancels = [cancelFails('server-error')];
    await harness.order();
    await harness.worker().carryOut({ onWait: () => 'stop' });
    const now = harness.clock.wall();
    const at = new Date(now).toISOString();
    expect(await view()).toMatchObject({
      phase: 'attempting',
      nextTryAtMs: now + 500,
      decidedAtMs: null,
      result: {
        outcome: null,
        agentId: 'agent-1',
        attempts: 1,
        turnKey: 'first',
        lastError: { type: 'CancelFailed', at },
      },
    });
  });

  it('says so when it is confirming, and when it is held', async () => {
    harness.vendor.reads = [processing, readFails('unauthorized')];
    harness.vendor.cancels = ['failed'];
    await harness.order();
    await harness.worker().carryOut({
      beforeStep: async (_step, count) => {
        if (count === 1) expect(await view()).toMatchObject({ phase: 'confirming', nextTryAtMs: harness.clock.wall() });
      },
      onWait: () => 'stop',
    });
    expect(await view()).toMatchObject({ phase: 'held', nextTryAtMs: harness.clock.wall() + 60_000 });
  });
});
