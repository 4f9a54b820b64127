import { describe, expect, it } from '@jest/globals';
import type { Unconfirmed } from '../../src/engines/bulk/dependencies.js';
import { planList, type AgentGroup } from '../../src/engines/bulk/waiting-room.js';

const NOW = 100_000;
const SETTLE_MS = 2_000;

/** So many that were answered so long ago, ms. */
const answered = (count: number, agoMs: number): Unconfirmed[] =>
  Array.from({ length: count }, () => ({ sinceAt: NOW - agoMs }) as Unconfirmed);
const group = (items: Unconfirmed[], more: Partial<AgentGroup> = {}): AgentGroup => ({
  ...{ agentId: 'agent_a', items, pages: 2, looking: false, failures: 0, notBefore: -Infinity },
  ...more,
});
const plan = (waiting: AgentGroup, moreToCome = false) => planList(waiting, NOW, SETTLE_MS, moreToCome);

describe('when an agent is listed', () => {
  it('takes those that have settled, and leaves the younger ones', () => {
    const old = answered(40, SETTLE_MS);
    expect(plan(group([...old, ...answered(5, SETTLE_MS - 1)]))).toEqual({ kind: 'list', items: old });
  });

  it.each<[what: string, waiting: AgentGroup, moreToCome: boolean]>([
    ['none has settled', group(answered(50, SETTLE_MS - 1)), false],
    ['a few have settled, and others will', group([...answered(5, SETTLE_MS), ...answered(1, 0)]), false],
    ['a few have settled, and the job is still at the agent', group(answered(5, SETTLE_MS)), true],
    ['a look is under way', group(answered(50, SETTLE_MS), { looking: true }), false],
    ['the last look failed a moment ago', group(answered(50, SETTLE_MS), { notBefore: NOW + 1 }), false],
  ])('waits where %s', (_what, waiting, moreToCome) => {
    expect(plan(waiting, moreToCome)).toEqual({ kind: 'wait' });
  });

  it('does not let the oldest wait for others for ever', () => {
    const late = answered(1, 15_000);
    expect(plan(group([...late, ...answered(1, 0)]), true)).toEqual({ kind: 'list', items: late });
  });

  it('reads where the lists are longer than that', () => {
    const few = answered(3, SETTLE_MS);
    expect(plan(group(few, { pages: 7 }))).toEqual({ kind: 'read', items: few });
  });
});
