import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createAccount } from '../../src/adapters/vendor/account.js';
import {
  cancelFails,
  listFails,
  openGateHarness,
  readFails,
  shows,
  type GateHarness,
} from '../support/gate-harness.js';

const processing = shows('processing');
const failed = shows('failed');
const CANCELLED = { outcome: 'cancelled', attribution: 'strong', attempts: 1 };
const HELD = { reason: 'AccountRefused', counts: false, afterMs: 60_000 };

let harness: GateHarness;

beforeEach(async () => {
  harness = await openGateHarness();
});

afterEach(async () => {
  await harness.close();
});

describe('I10: an account that the vendor refuses', () => {
  it('I10: 401 on reads keeps the order open, is told once, and the case goes on when the key works', async () => {
    harness.vendor.reads = [readFails('unauthorized')];
    harness.vendor.cancels = ['failed'];
    const orderId = await harness.order();
    const waits = await harness.worker().carryOut({
      onWait: async (_wait, count) => {
        expect(await harness.events()).toEqual(['account-refused']);
        expect(await harness.result(orderId)).toMatchObject({ outcome: null, lastError: { type: 'AccountRefused' } });
        if (count < 10) return;
        // The next read is the first of a new script.
        harness.vendor.reads = scriptFromNow(processing, failed);
      },
    });
    expect(waits).toHaveLength(10);
    expect(waits[0]).toMatchObject(HELD);
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
    expect(await harness.events()).toEqual(['account-refused', 'account-accepted']);
  });

  it('I10: 401 on the request keeps the order open, too, and counts as not sent', async () => {
    harness.vendor.reads = [processing, readFails('unauthorized'), processing, failed];
    harness.vendor.cancels = [cancelFails('unauthorized'), 'failed'];
    harness.vendor.agents = () => listFails('unauthorized');
    const orderId = await harness.order();
    const waits = await harness.worker().carryOut();
    expect(waits).toMatchObject([HELD, HELD]);
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 2 });
    expect(await harness.events()).toEqual(['account-refused', 'account-accepted']);
  });

  it.each(['tier_required_pro', 'policy_denied', 'feature_restricted'])(
    'I10: 403 %s is about the account',
    async (code) => {
      harness.vendor.reads = [readFails('account-forbidden', { code }), processing, failed];
      harness.vendor.cancels = ['failed'];
      const orderId = await harness.order();
      expect(await harness.worker().carryOut()).toMatchObject([HELD]);
      expect(await harness.result(orderId)).toMatchObject(CANCELLED);
      expect(await harness.events()).toEqual(['account-refused', 'account-accepted']);
    },
  );

  it('is told once, however many workers and sessions meet it, and told again when it happens again', async () => {
    harness.vendor.reads = [readFails('unauthorized')];
    harness.vendor.cancels = () => 'failed';
    await harness.order();
    await harness.order({ sessionId: 'session-2' });
    const workers = [harness.worker(), harness.worker({}, 'session-2'), harness.worker({}, 'session-2')];
    for (const worker of workers)
      await worker.carryOut({ onWait: (_wait, count) => (count === 2 ? 'stop' : undefined) });
    expect(await harness.events()).toEqual(['account-refused']);

    harness.vendor.reads = scriptFromNow(processing, failed);
    await workers[0]?.carryOut();
    harness.vendor.reads = scriptFromNow(processing, failed);
    await workers[1]?.carryOut();
    expect(await harness.events()).toEqual(['account-refused', 'account-accepted']);

    await harness.order();
    harness.vendor.reads = [readFails('unauthorized')];
    await workers[0]?.carryOut({ onWait: () => 'stop' });
    expect(await harness.count('account-refused')).toBe(2);
  });

  it('a worker that starts while it is refused tells nobody again, and tells when it works', async () => {
    const refused = readFails('unauthorized');
    const { log } = harness.worker().deps;
    await createAccount(harness.ledger, harness.vendor, log).refused(refused);
    const later = createAccount(harness.ledger, harness.vendor, log);
    await later.refused(refused);
    expect(await harness.events()).toEqual(['account-refused']);
    await createAccount(harness.ledger, harness.vendor, log).works();
    expect(await harness.events()).toEqual(['account-refused', 'account-accepted']);
  });

  it('learns within a minute that another worker was refused, and died before it saw the key work again', async () => {
    const { log } = harness.worker().deps;
    let nowMs = 0;
    const survivor = createAccount(harness.ledger, harness.vendor, log, () => nowMs);
    await survivor.works();
    await createAccount(harness.ledger, harness.vendor, log).refused(readFails('unauthorized'));
    nowMs = 59_000;
    await survivor.works();
    expect(await harness.events()).toEqual(['account-refused']);
    nowMs = 61_000;
    await survivor.works();
    expect(await harness.events()).toEqual(['account-refused', 'account-accepted']);
  });

  it('tells nobody that a key works which always did', async () => {
    harness.vendor.reads = [failed];
    await harness.order();
    await harness.worker().carryOut();
    expect(await harness.events()).toEqual([]);
  });
});

describe('403 for a session', () => {
  it.each(['read', 'request'] as const)(
    'on the %s: its orders are forbidden after a minute, with an alert',
    async (where) => {
      harness.vendor.reads = where === 'read' ? [readFails('forbidden')] : [processing];
      harness.vendor.cancels = () => cancelFails('forbidden');
      const ids = [await harness.order(), await harness.order()];
      const begun = harness.clock.wall();
      const waits = await harness.worker().carryOut();
      expect(waits.map(({ reason, counts }) => [reason, counts])).toEqual(waits.map(() => ['Refused', true]));
      expect(harness.clock.wall() - begun).toBeGreaterThanOrEqual(60_000);
      expect(harness.clock.wall() - begun).toBeLessThan(3 * 60_000);
      for (const id of ids) {
        const result = await harness.result(id);
        expect(result).toMatchObject({ outcome: 'forbidden', attribution: null, attempts: harness.vendor.cancelCalls });
        expect(result.events).toMatchObject([
          { kind: 'forbidden', status: 403, on: where === 'read' ? 'read' : 'cancel' },
        ]);
        expect(result.lastError).toMatchObject({ type: 'Refused', refused: [{ status: 403 }] });
      }
      expect(await harness.count('account-refused')).toBe(0);
    },
  );

  it.each([
    ['forbidden', listFails('forbidden')],
    ['without a right to anything', listFails('account-forbidden', { code: 'tier_required_pro' })],
    ['refused altogether', listFails('unauthorized')],
  ])('I10: is about the account when listing agents is %s', async (_title, probe) => {
    harness.vendor.reads = [readFails('forbidden'), readFails('forbidden'), processing, failed];
    harness.vendor.cancels = ['failed'];
    harness.vendor.agents = () => probe;
    const orderId = await harness.order();
    expect(await harness.worker().carryOut()).toMatchObject([HELD, HELD]);
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
    expect(await harness.events()).toEqual(['account-refused', 'account-accepted']);
  });

  it('I10: is held, and nobody is told, while the vendor does not answer what it is about', async () => {
    harness.vendor.reads = [readFails('forbidden'), readFails('forbidden'), processing, failed];
    harness.vendor.cancels = ['failed'];
    harness.vendor.agents = () => listFails('server-error');
    const orderId = await harness.order();
    const waits = await harness.worker().carryOut();
    expect(waits).toMatchObject([{ reason: 'ApiUnavailable', counts: false }, { reason: 'ApiUnavailable' }]);
    expect(await harness.result(orderId)).toMatchObject(CANCELLED);
    expect(await harness.events()).toEqual([]);
  });

  const forbidSessions = async (...sessions: string[]): Promise<void> => {
    harness.vendor.reads = [readFails('forbidden')];
    for (const sessionId of sessions) {
      await harness.order({ sessionId });
      await harness.worker({}, sessionId).carryOut();
      harness.clock.advance(1_000);
    }
  };

  it('I10: is about the account when three sessions were refused alike', async () => {
    await forbidSessions('a', 'b', 'c');
    expect(await harness.count('forbidden')).toBe(3);
    const fourth = await harness.order();
    const waits = await harness.worker().carryOut({ onWait: () => 'stop' });
    expect(waits).toMatchObject([HELD]);
    expect(await harness.result(fourth)).toMatchObject({ outcome: null });
    expect(await harness.count('account-refused')).toBe(1);
  });

  it.each([
    ['two sessions were, and one of them twice', ['a', 'b', 'b'], 0],
    ['three were, but long ago', ['a', 'b', 'c'], 11 * 60_000],
  ])('is about the session when %s', async (_title, sessions, laterMs) => {
    await forbidSessions(...sessions);
    harness.clock.advance(laterMs);
    const orderId = await harness.order();
    await harness.worker().carryOut();
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'forbidden' });
  });

  it('is about the session when another one could be cancelled meanwhile', async () => {
    await forbidSessions('a', 'b');
    harness.vendor.reads = scriptFromNow(processing, failed);
    harness.vendor.cancels = ['failed'];
    await harness.order({ sessionId: 'mine' });
    await harness.worker({}, 'mine').carryOut();
    await forbidSessions('c', 'd');
    expect(await harness.count('forbidden')).toBe(4);
    expect(await harness.count('account-refused')).toBe(0);
  });
});

/** Whatever was read before: these come next, and the last one for ever. */
function scriptFromNow<T>(...replies: [T, ...T[]]): (call: number) => T {
  const begun = harness.vendor.readAt.length;
  return (call) => replies[Math.min(call - begun, replies.length - 1)] ?? replies[0];
}
