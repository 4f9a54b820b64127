import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { compare } from '../../src/cli/demo/verdict.js';
import type { OrderResult, Outcome } from '../../src/contract.js';

let simulator: Simulator;
beforeEach(async () => {
  simulator = await startSimulator();
  simulator.world.addAgent({ id: 'agent_1' });
});
afterEach(() => simulator.close());

const said = (sessionId: string, turnKey: string | null, outcome: Outcome, attempts: number): OrderResult => ({
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

async function cancelFor(sessionId: string): Promise<void> {
  const headers = { authorization: `Bearer ${simulator.apiKey}`, 'x-auth-key': simulator.userId };
  await fetch(`${simulator.url}/sessions/${sessionId}/cancel`, { method: 'POST', headers });
}

/** The demo's table is worth nothing if it can't say no. */
describe("the demo's comparison with the simulator's truth", () => {
  it('agrees with a cancel that ended the ordered turn', async () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1' });
    await cancelFor('s');
    expect(compare(said('s', turnKey, 'cancelled', 1), simulator.world.truth()).agree).toBe(true);
  });

  it('finds a cancel that is claimed, while the turn still runs', () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1' });
    expect(compare(said('s', turnKey, 'cancelled', 0), simulator.world.truth()).agree).toBe(false);
  });

  it('finds a natural end that is claimed as ours, and the reverse', async () => {
    const natural = simulator.world.addSession({ id: 'n', agent: 'agent_1' });
    simulator.world.endTurn('n');
    expect(compare(said('n', natural.turnKey, 'cancelled', 0), simulator.world.truth()).agree).toBe(false);
    const ours = simulator.world.addSession({ id: 'o', agent: 'agent_1' });
    await cancelFor('o');
    expect(compare(said('o', ours.turnKey, 'already-ended', 1), simulator.world.truth()).agree).toBe(false);
  });

  it('finds a newer turn that was harmed, whatever the outcome says', async () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1' });
    simulator.world.endTurn('s');
    simulator.world.startTurn('s');
    await cancelFor('s');
    expect(compare(said('s', turnKey, 'already-ended', 1), simulator.world.truth()).agree).toBe(false);
  });

  it('finds a turn that was taken for the ordered one although it began after the order', async () => {
    const orderedAt = new Date(Date.now() - 60_000).toISOString();
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1' });
    await cancelFor('s');
    const result = { ...said('s', turnKey, 'cancelled', 1), orderedAt };
    expect(compare(result, simulator.world.truth()).agree).toBe(false);
  });

  it('finds requests that were not counted', async () => {
    const { turnKey } = simulator.world.addSession({ id: 's', agent: 'agent_1' });
    await cancelFor('s');
    await cancelFor('s');
    expect(compare(said('s', turnKey, 'cancelled', 1), simulator.world.truth()).agree).toBe(false);
  });
});
