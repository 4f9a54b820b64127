import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { OpenOrder } from '../../src/adapters/ledger/orders.js';
import type { Read } from '../../src/engines/cases/gate.js';
import { cancelFails, openGateHarness, shows, type GateHarness } from '../support/gate-harness.js';
import { verdictOf, type RuleWord } from '../support/rule-words.js';

const processing = shows('processing');
const failed = shows('failed');
const reason = { text: null, policy: 'no-all-nighters', policyVersion: 3, limit: null, observed: null };

let harness: GateHarness;

beforeEach(async () => {
  harness = await openGateHarness();
});

afterEach(async () => {
  await harness.close();
});

/** Rules that say one thing after the other, and the last one for ever. */
const saying = (...words: RuleWord[]) => {
  const asked: (string | null)[] = [];
  return {
    asked,
    judge: (order: OpenOrder, { sighting }: Read) => {
      asked.push(sighting.state);
      return Promise.resolve(verdictOf(words[Math.min(asked.length, words.length) - 1] ?? 'unknown', order));
    },
    judgeService: () => Promise.resolve(null),
    onRestart: () => Promise.resolve(null),
  };
};

describe('an order that a policy gave', () => {
  it('is sent when the rules still say so on the fresh read', async () => {
    harness.vendor.reads = [shows('queued'), failed];
    harness.vendor.cancels = ['failed'];
    const rules = saying('send');
    const orderId = await harness.order({ source: 'policy', reason });
    await harness.worker({ rules }).carryOut();
    expect(rules.asked).toEqual(['queued']);
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled', reason, attempts: 1 });
  });

  it.each(['no-longer-violating', 'capped'] as const)('is settled as %s, and nothing is sent', async (verdict) => {
    harness.vendor.reads = [processing];
    const orderId = await harness.order({ source: 'policy', reason });
    await harness.worker({ rules: saying(verdict) }).carryOut();
    expect(await harness.result(orderId)).toMatchObject({
      outcome: verdict,
      attribution: null,
      attempts: 0,
      turnKey: 'first',
    });
    expect(await harness.requests()).toEqual([]);
  });

  it('goes on over the cap once a request was sent: half a cancel helps nobody', async () => {
    harness.vendor.reads = [processing, processing, failed];
    harness.vendor.cancels = [cancelFails('timeout'), 'failed'];
    const orderId = await harness.order({ source: 'policy', reason });
    await harness.worker({ rules: saying('send', 'capped') }).carryOut();
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 2 });
  });

  it('is asked about before each request', async () => {
    harness.vendor.reads = [processing];
    harness.vendor.cancels = [cancelFails('timeout')];
    const rules = saying('send', 'no-longer-violating');
    const orderId = await harness.order({ source: 'policy', reason });
    await harness.worker({ rules }).carryOut();
    // Again and again, because the request before may still take effect; only then the order is closed.
    expect(rules.asked.length).toBeGreaterThan(2);
    expect(harness.vendor.cancelCalls).toBe(1);
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'no-longer-violating', attempts: 1 });
  });

  it('I10: is held while its rule is not known here, and goes on when it is', async () => {
    harness.vendor.reads = [processing, processing, processing, failed];
    harness.vendor.cancels = ['failed'];
    const orderId = await harness.order({ source: 'policy', reason });
    const waits = await harness.worker({ rules: saying('unknown', 'unknown', 'send') }).carryOut({
      onWait: async (wait) => {
        expect(wait).toMatchObject({ reason: 'RuleUnknown', counts: false, afterMs: 60_000 });
        expect(wait.message).toContain('"no-all-nighters"');
        expect(await harness.requests()).toEqual([]);
      },
    });
    expect(waits).toHaveLength(2);
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled', attempts: 1 });
  });

  it('I10: is held by a worker that has no policy in force', async () => {
    harness.vendor.reads = [processing];
    await harness.order({ source: 'policy', reason });
    const waits = await harness.worker().carryOut({ onWait: () => 'stop' });
    expect(waits).toMatchObject([{ reason: 'RuleUnknown' }]);
    expect(harness.vendor.cancelCalls).toBe(0);
  });

  it("does not hold a person's order on the same turn", async () => {
    harness.vendor.reads = [processing, failed];
    harness.vendor.cancels = ['failed'];
    const byPolicy = await harness.order({ source: 'policy', reason });
    const byPerson = await harness.order();
    await harness.worker({ rules: saying('unknown') }).carryOut();
    expect(await harness.result(byPerson)).toMatchObject({ outcome: 'cancelled', attempts: 1 });
    // The turn it meant is over, and the request for it is known: that is all that can be said of it.
    expect(await harness.result(byPolicy)).toMatchObject({ outcome: 'cancelled', turnKey: 'first' });
  });
});

describe.each(['person', 'bulk', 'service'] as const)('an order of a %s', (source) => {
  it('is not judged by policies', async () => {
    harness.vendor.reads = [processing, failed];
    harness.vendor.cancels = ['failed'];
    const rules = saying('no-longer-violating');
    const orderId = await harness.order({ source });
    await harness.worker({ rules }).carryOut();
    expect(rules.asked).toEqual([]);
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled' });
  });
});
