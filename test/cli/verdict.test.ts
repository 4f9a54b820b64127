import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { compare, NOTHING_TOLD, type Said, type Told, type Verdict } from '../../src/cli/demo/verdict.js';
import type { OrderResult, Outcome } from '../../src/core/contract.js';
import { readPolicyFile } from '../../src/core/policy-file/index.js';

let simulator: Simulator;
beforeEach(async () => {
  simulator = await startSimulator();
  simulator.world.addAgent({ id: 'agent_1' });
});
afterEach(() => simulator.close());

const order = (sessionId: string, turnKey: string | null, outcome: Outcome, attempts: number): OrderResult => ({
  sessionId,
  agentId: null,
  turnKey,
  outcome,
  attribution: null,
  reason: { text: null, policy: null, policyVersion: null, limit: null, observed: null },
  requestedBy: 'someone@example.com',
  attempts,
  orderedAt: new Date().toISOString(),
  endedAt: null,
  lastError: null,
  events: [],
});

/** The verdict on one order of a person. */
const on = (result: OrderResult): Verdict =>
  compare({ sessionId: result.sessionId, orders: [result], standing: null }, simulator.world);

async function cancelFor(sessionId: string): Promise<void> {
  const headers = { authorization: `Bearer ${simulator.apiKey}`, 'x-auth-key': simulator.userId };
  await fetch(`${simulator.url}/sessions/${sessionId}/cancel`, { method: 'POST', headers });
}

/** The demo's table is worth nothing if it can't say no. */
describe("the demo's comparison with the simulator's truth", () => {
  it('agrees with a cancel that ended the ordered turn', async () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1' });
    await cancelFor('s');
    expect(on(order('s', turnKey, 'cancelled', 1)).agree).toBe(true);
  });

  it('takes a request that is written down and did not come for one of a worker that was killed, where one was', async () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1' });
    await cancelFor('s');
    const problems = (requests: number, kills: number): readonly string[] => {
      const said = { sessionId: 's', orders: [order('s', turnKey, 'cancelled', requests)], standing: null };
      return compare(said, simulator.world, { ...NOTHING_TOLD, kills }).problems;
    };
    expect(problems(2, 1)).toEqual([]);
    expect(problems(2, 0)).toEqual(['2 requests are written down, 1 came']);
    expect(problems(3, 1)).toEqual(['3 requests are written down, 1 came']);
    expect(problems(0, 1)).toEqual(['0 requests are written down, 1 came']);
  });

  it('finds a cancel that is claimed, while the turn still runs', () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1' });
    expect(on(order('s', turnKey, 'cancelled', 0)).agree).toBe(false);
  });

  it('finds a natural end that is claimed as ours, and the reverse', async () => {
    const natural = simulator.world.addSession({ id: 'n', agent: 'agent_1' });
    simulator.world.endTurn('n');
    expect(on(order('n', natural.turnKey, 'cancelled', 0)).agree).toBe(false);
    const ours = simulator.world.addSession({ id: 'o', agent: 'agent_1' });
    await cancelFor('o');
    expect(on(order('o', ours.turnKey, 'already-ended', 1)).agree).toBe(false);
  });

  it('finds a newer turn that was harmed, whatever the outcome says', async () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1' });
    simulator.world.endTurn('s');
    simulator.world.startTurn('s');
    await cancelFor('s');
    expect(on(order('s', turnKey, 'already-ended', 1)).agree).toBe(false);
  });

  it('finds a turn that was taken for the ordered one although it began after the order', async () => {
    const orderedAt = new Date(Date.now() - 60_000).toISOString();
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1' });
    await cancelFor('s');
    const result = { ...order('s', turnKey, 'cancelled', 1), orderedAt };
    expect(on(result).agree).toBe(false);
  });

  it('finds requests that were not counted', async () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1' });
    await cancelFor('s');
    await cancelFor('s');
    expect(on(order('s', turnKey, 'cancelled', 1)).agree).toBe(false);
  });
});

const POLICY_FILE = `version: 1
policies:
  - name: runtime
    match: { agents: [agent_1] }
    limits: { max_runtime: 20s, max_queue_time: 15s, max_credits: 40 }
    mode: enforce
`;

describe("the demo's comparison of a fleet under a policy file", () => {
  const { policies } = readPolicyFile(POLICY_FILE, 'fleet.yaml').file;
  const told: Told = { policies, exempt: new Set(['exempt']), since: 0, kills: 0 };
  const problems = (said: Said): readonly string[] => compare(said, simulator.world, told).problems;
  const alone = (sessionId: string, standing: Said['standing']): Said => ({ sessionId, orders: [], standing });
  const byPolicy = (sessionId: string, turnKey: string | null): OrderResult => ({
    ...order(sessionId, turnKey, 'cancelled', 1),
    reason: { text: null, policy: 'runtime', policyVersion: 1, limit: { name: 'max_runtime' }, observed: null },
  });
  const ordered = (sessionId: string, turnKey: string | null): Said => ({
    sessionId,
    orders: [byPolicy(sessionId, turnKey)],
    standing: null,
  });

  it('agrees with a violator that was ended, and with an innocent that was left alone', async () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '25s' });
    await cancelFor('s');
    simulator.world.addSession({ id: 'young', agent: 'agent_1', turnAge: '5s' });
    expect(problems(ordered('s', turnKey))).toEqual([]);
    expect(problems(alone('young', 'within-limits'))).toEqual([]);
  });

  it('finds a turn that was ended although it had broken no limit', async () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '15s' });
    await cancelFor('s');
    expect(problems(ordered('s', turnKey))).toEqual(['a turn was ended that had broken no limit']);
  });

  it('finds a young turn that was charged with the age of its conversation', async () => {
    const past = { age: '90d', earlierTurns: 100, usageBefore: { credits: 4_000 } };
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '2s', ...past });
    await cancelFor('s');
    expect(problems(ordered('s', turnKey))).toEqual(['a turn was ended that had broken no limit']);
  });

  it('finds an exempt session that was ended, however long it ran', async () => {
    const { turnKey } = simulator.world.addSession({ id: 'exempt', agent: 'agent_1', turnAge: '5m' });
    await cancelFor('exempt');
    expect(problems(ordered('exempt', turnKey))).toEqual(['a turn was ended that had broken no limit']);
  });

  it('finds a violator that still runs, whichever limit it breaks', () => {
    simulator.world.addSession({ id: 'runs', agent: 'agent_1', turnAge: '2m' });
    simulator.world.addSession({ id: 'waits', agent: 'agent_1', state: 'queued', turnAge: '2m' });
    const usagePerSecond = { credits: 10 };
    simulator.world.addSession({ id: 'spends', agent: 'agent_1', turnAge: '18s', usagePerSecond });
    expect(problems(alone('runs', 'within-limits'))).toEqual([
      'a turn has been over its max_runtime for 100 s, and still runs',
    ]);
    expect(problems(alone('waits', 'within-limits'))).toEqual([
      'a turn has been over its max_queue_time for 105 s, and still runs',
    ]);
    expect(problems(alone('spends', 'within-limits'))).toEqual([
      'a turn has been over its max_credits for 14 s, and still runs',
    ]);
  });

  it('finds a violator of an earlier turn that nobody had ordered to end', () => {
    simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '2m' });
    simulator.world.endTurn('s');
    expect(problems(alone('s', 'over'))).toEqual([
      'a turn was over its max_runtime for 100 s, and nobody ordered its end',
    ]);
  });

  it('finds a cancel request for a session that nobody had ordered to end, also one without effect', async () => {
    simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '5s' });
    simulator.world.setFaults({ sessionId: 's' }, [{ fault: 'failed-to-abort' }]);
    await cancelFor('s');
    expect(problems(alone('s', 'within-limits'))).toEqual([
      'a cancel request came for a turn that nobody had ordered to end',
      '0 requests are written down, 1 came',
    ]);
  });

  it('finds a session that is said to be at rest, paused, exempt or under no policy, and is not', () => {
    simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '5s' });
    for (const standing of ['over', 'waits-for-approval', 'exempt', 'not-watched'] as const) {
      expect(problems(alone('s', standing))).toHaveLength(1);
    }
  });

  it('counts a turn that was steered from its last message', async () => {
    simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '18s' });
    const { turnKey } = simulator.world.steer('s');
    simulator.world.advanceClock(4_000);
    await cancelFor('s');
    expect(problems(ordered('s', turnKey))).toContain('a turn was ended that had broken no limit');
  });
});
