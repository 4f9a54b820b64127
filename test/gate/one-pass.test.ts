import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { OpenOrder } from '../../src/adapters/ledger/orders.js';
import { attemptCase } from '../../src/engines/cases/case-step.js';
import { openGateHarness, SESSION, shows, type GateHarness } from '../support/gate-harness.js';
import { verdictOf, type RuleWord } from '../support/rule-words.js';

const byPolicy = (policy: string) => ({
  source: 'policy' as const,
  reason: { text: null, policy, policyVersion: 3, limit: null, observed: null },
});
const READS = new Set(['orders.concludedBefore', 'orders.ofTurn', 'requests.forTurn', 'rules.judge']);
const WRITES = new Set(['orders.create', 'orders.bind', 'orders.settle', 'orders.tellNotEnding']);

let harness: GateHarness;

beforeEach(async () => {
  harness = await openGateHarness();
});

afterEach(() => harness.close());

describe('a pass through the gate', () => {
  it('gathers, then decides on all orders at once, then writes, then sends; and asks each rule once', async () => {
    harness.vendor.reads = [shows('processing')];
    harness.vendor.cancels = ['failed'];
    const person = await harness.order();
    const cleared = await harness.order({ ...byPolicy('cleared'), turnKey: 'first' });
    const held = await harness.order({ ...byPolicy('held'), turnKey: 'first' });
    const moved = await harness.order({ ...byPolicy('moved'), turnKey: 'before', turnStartedAtMs: 1 });
    const says: Record<string, RuleWord> = { cleared: 'no-longer-violating', held: 'unknown', moved: 'send' };

    const called: string[] = [];
    const asked: string[] = [];
    const rules = {
      judge: (order: OpenOrder) => {
        called.push('rules.judge');
        asked.push(order.id);
        return Promise.resolve(verdictOf(says[order.policy ?? ''] ?? 'unknown', order));
      },
      judgeService: () => Promise.resolve(null),
      onRestart: () => Promise.resolve(null),
    };
    const hooks = { before: (call: string) => void called.push(call) };
    const { deps } = harness.worker({ rules, hooks });
    expect(await attemptCase(deps, SESSION, `cancel/${SESSION}`, 0)).toMatchObject({ next: 'look' });

    const sentAt = called.indexOf('requests.register');
    const pass = called.slice(0, sentAt);
    expect(sentAt).toBeGreaterThan(0);
    expect(asked.sort()).toEqual([cleared, held, moved].sort());
    const kinds = pass.flatMap((call) => (READS.has(call) ? ['read'] : WRITES.has(call) ? ['write'] : []));
    expect(kinds.lastIndexOf('read')).toBeLessThan(kinds.indexOf('write'));
    expect(pass.filter((call) => WRITES.has(call))).toEqual([
      'orders.create',
      'orders.bind',
      'orders.settle',
      'orders.tellNotEnding',
    ]);
    expect(await harness.result(cleared)).toMatchObject({ outcome: 'no-longer-violating', attempts: 0 });
    expect(await harness.result(person)).toMatchObject({ outcome: null, attempts: 1 });
    expect(await harness.result(held)).toMatchObject({ outcome: null, attempts: 0 });
    expect(await harness.result(moved)).toMatchObject({ outcome: null, attempts: 0 });
    const ofTurn = await harness.ledger.orders.ofTurn(SESSION, 'first');
    expect(ofTurn.map(({ policy, outcome }) => [policy, outcome])).toContainEqual(['moved', null]);
  });

  it('orders the end of a newer turn once for a policy, however many older turns it had ordered', async () => {
    harness.vendor.reads = [shows('processing')];
    harness.vendor.cancels = ['failed'];
    await harness.order({ ...byPolicy('moved'), turnKey: 'oldest', turnStartedAtMs: 1 });
    await harness.order({ ...byPolicy('moved'), turnKey: 'older', turnStartedAtMs: 2 });
    const rules = {
      judge: (order: OpenOrder) => Promise.resolve(verdictOf('send', order)),
      judgeService: () => Promise.resolve(null),
      onRestart: () => Promise.resolve(null),
    };
    const { deps } = harness.worker({ rules });
    await attemptCase(deps, SESSION, `cancel/${SESSION}`, 0);
    expect(await harness.ledger.orders.ofTurn(SESSION, 'first')).toHaveLength(1);
  });
});
