import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { OrderResult, Outcome } from '../../src/core/contract.js';
import { readPolicyFile } from '../../src/core/policy-file/index.js';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { judgeSoak, type SoakEvidence } from './oracle.js';
import { SOAK_POLICIES } from './users.js';

let simulator: Simulator;
beforeEach(async () => {
  simulator = await startSimulator();
  simulator.world.addAgent({ id: 'agent_1', name: 'crowd-1' });
});
afterEach(() => simulator.close());

const { policies } = readPolicyFile(SOAK_POLICIES(['exempt'], '2099-01-01T00:00:00Z'), 'soak.yaml').file;

/** Kinds of disagreement that are found. */
function kindsIn(evidence: Partial<SoakEvidence>): string[] {
  const { world } = simulator;
  const sessionIds = world.sessionsOf('agent_1').map(({ id }) => id);
  const nothing = { orders: [], requests: [], reads: [], struck: [], kills: 0, dueMs: 60_000 };
  const exempt = new Set(['exempt']);
  const { disagreements } = judgeSoak({ world, sessionIds, policies, exempt, ...nothing, ...evidence });
  return Object.keys(disagreements).filter((kind) => (disagreements[kind] ?? []).length > 0);
}

/** A policy's order, the row of its one request, and the read before it. */
function carriedOut(sessionId: string, turnKey: string | null, outcome: Outcome, attempts = 1): Partial<SoakEvidence> {
  const order: OrderResult = {
    ...{ sessionId, agentId: null, turnKey, outcome, attribution: outcome === 'cancelled' ? 'strong' : null },
    reason: { text: 'a test', policy: 'runtime', policyVersion: 1, limit: { name: 'max_runtime' }, observed: null },
    ...{ requestedBy: 'policy runtime', attempts, orderedAt: new Date().toISOString(), endedAt: null },
    ...{ lastError: null, events: [] },
  };
  const row = { sessionId, turnKey: turnKey ?? '', withdrawn: false, answered: true };
  return {
    orders: [order],
    requests: Array.from({ length: attempts }, () => row),
    reads: [{ sessionId, at: simulator.world.now(), state: 'processing', turnKey }],
  };
}

async function cancel(sessionId: string): Promise<void> {
  const headers = { authorization: `Bearer ${simulator.apiKey}`, 'x-auth-key': simulator.userId };
  await fetch(`${simulator.url}/sessions/${sessionId}/cancel`, { method: 'POST', headers });
}

/** A soak proves nothing if its judge can't say no. */
describe("the soak's comparison of ledger and simulator", () => {
  it('finds nothing where a violator was ended and an innocent was not', async () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '50s' });
    simulator.world.addSession({ id: 'young', agent: 'agent_1', turnAge: '20s' });
    simulator.world.addSession({ id: 'exempt', agent: 'agent_1', turnAge: '20m' });
    const evidence = carriedOut('s', turnKey, 'cancelled');
    await cancel('s');
    expect(kindsIn(evidence)).toEqual([]);
  });

  it('finds an innocent that was ended', async () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '20s' });
    const evidence = carriedOut('s', turnKey, 'cancelled');
    await cancel('s');
    expect(kindsIn(evidence)).toEqual(['wronglyEnded']);
  });

  it('finds a violator that nobody ordered to end, whether it runs or has ended', () => {
    simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '5m' });
    expect(kindsIn({})).toEqual(['missed']);
    simulator.world.endTurn('s');
    expect(kindsIn({})).toEqual(['missed']);
  });

  it('finds a violator that runs on, though Curfew says that it is over', () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '5m' });
    expect(kindsIn(carriedOut('s', turnKey, 'already-ended', 0))).toEqual(['I2', 'stillRuns']);
  });

  it('finds an order without an outcome', () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '50s' });
    const { orders = [], ...rest } = carriedOut('s', turnKey, 'cancelled', 0);
    const open = orders.map((order): OrderResult => ({ ...order, outcome: null }));
    expect(kindsIn({ ...rest, orders: open })).toContain('I2');
  });

  it('finds a request that nobody ordered, and that no row tells of', async () => {
    simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '20s' });
    simulator.world.addFaults({ sessionId: 's' }, [{ fault: 'failed-to-abort' }]);
    await cancel('s');
    expect(kindsIn({})).toEqual(['I1', 'requestWithoutOrder', 'requestsDiffer']);
  });

  it('finds a row of a request that never came', () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '50s', runsFor: '0s' });
    simulator.world.endTurn('s');
    expect(kindsIn(carriedOut('s', turnKey, 'already-ended'))).toEqual(['I4', 'requestsDiffer']);
  });

  it('finds an outcome that the vendor gave no reason for', () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1', turnAge: '50s' });
    const evidence = carriedOut('s', turnKey, 'forbidden', 0);
    expect(kindsIn(evidence)).toEqual(['untrueOutcome']);
    expect(
      kindsIn({ ...evidence, struck: [{ operation: 'cancel', fault: 'forbidden-session', sessionId: 's' }] }),
    ).toEqual([]);
  });
});
