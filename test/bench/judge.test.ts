import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import {
  LIMITS,
  planFleet,
  sessionsIn,
  type FleetShape,
  type PlannedSession,
  type ViolatorKind,
} from '../../bench/fleet.js';
import { judge, type Judgement } from '../../bench/judge.js';
import { recordSessionRequests, type RequestRecord, type RequestsBySession } from '../../bench/session-requests.js';

const HOUR = LIMITS.runtimeMs;

let now: number;
let simulator: Simulator;
let record: RequestRecord;
beforeEach(async () => {
  now = Date.parse('2026-11-30T12:00:00Z');
  simulator = await startSimulator({ slots: 100, now: () => now });
  simulator.world.addAgent({ id: 'agent_0' });
  record = await recordSessionRequests(simulator.world, new Set(['a', 'b', 'c']));
});
afterEach(async () => {
  record.stop();
  await simulator.close();
});

/** A session whose turn reaches its limit in so many ms. */
function due(id: string, kind: ViolatorKind | 'steady', inMs: number): PlannedSession {
  const input = { id, agent: 'agent_0', turnAge: HOUR - inMs };
  simulator.world.addSession(input);
  return { kind, input, cycle: null };
}

async function ask(method: 'GET' | 'POST', path: string): Promise<void> {
  const headers = { authorization: `Bearer ${simulator.apiKey}`, 'x-auth-key': simulator.userId };
  await fetch(`${simulator.url}/${path}`, { method, headers });
}

async function judged(...planned: readonly PlannedSession[]): Promise<Judgement> {
  const requests = (await (await fetch(record.url)).json()) as RequestsBySession;
  return judge(planned, simulator.world.truth(), requests);
}

describe('what the bench of enforcement makes of the record', () => {
  it('takes the lag from the deadline to the first cancel request, and leaves out who was not asked', async () => {
    const planned = [due('a', 'over-runtime', 1_000), due('b', 'over-runtime', 2_000)];
    now += 3_500;
    await ask('POST', 'sessions/a/cancel');
    now += 1_000;
    await ask('POST', 'sessions/a/cancel');
    const { lagMs, violators, mostCancelsOfOneSession } = await judged(...planned);
    expect(lagMs.runtime).toEqual({ count: 1, p50: 2_500, p99: 2_500, max: 2_500 });
    expect(violators).toEqual({ total: 2, asked: 1, ended: 1, early: 0 });
    expect(mostCancelsOfOneSession).toBe(2);
  });

  it('counts requests before a deadline, and those for turns that broke nothing', async () => {
    const planned = [due('a', 'over-runtime', 1_000), due('x', 'steady', HOUR)];
    await ask('POST', 'sessions/a/cancel');
    await ask('POST', 'sessions/x/cancel');
    const { violators, innocentsTouched } = await judged(...planned);
    expect([violators.early, innocentsTouched]).toEqual([1, 1]);
  });

  it('says of a burst when all were asked, and that they were not while one is left', async () => {
    const planned = [due('a', 'burst', 1_000), due('b', 'burst', 1_400)];
    now += 2_000;
    await ask('POST', 'sessions/a/cancel');
    const one = { turns: 2, asked: 1, dueWithinMs: 400, untilAllAskedMs: null };
    expect((await judged(...planned)).burst).toMatchObject(one);
    now += 2_000;
    await ask('POST', 'sessions/b/cancel');
    const { burst, lagMs } = await judged(...planned);
    expect(burst).toEqual({
      ...{ turns: 2, asked: 2, dueWithinMs: 400, untilAllAskedMs: 3_000 },
      lagMs: { count: 2, p50: 1_000, p99: 2_600, max: 2_600 },
    });
    expect(lagMs.runtime).toBeNull();
  });

  it('counts what was asked about a violator from its deadline on, by kind, lists and others apart', async () => {
    const planned = [due('a', 'over-runtime', 60_000), due('b', 'over-runtime', HOUR)];
    await ask('GET', 'sessions/a');
    now += 59_000;
    await ask('GET', 'agents/agent_0/sessions');
    // The read that its cancel request may go by.
    await ask('GET', 'sessions/a');
    now += 1_500;
    await ask('POST', 'sessions/a/cancel');
    await ask('GET', 'sessions/a');
    await ask('GET', 'sessions/a/queue');
    await ask('GET', 'sessions/b');
    const { requestsPerViolator } = await judged(...planned);
    expect(requestsPerViolator).toEqual({
      ...{ violators: 1, mean: 4, max: 4 },
      byKind: { retrieve: { mean: 2, max: 2 }, cancel: { mean: 1, max: 1 }, other: { mean: 1, max: 1 } },
    });
  });

  it('leaves out a violator that its first cancel request did not end', async () => {
    const planned = [due('a', 'over-runtime', 0), due('b', 'over-runtime', 0)];
    simulator.world.addFaults({ sessionId: 'a' }, [{ fault: 'failed-to-abort' }]);
    for (const id of ['a', 'a', 'b']) await ask('POST', `sessions/${id}/cancel`);
    const { violators, requestsPerViolator } = await judged(...planned);
    expect(violators.ended).toBe(2);
    expect(requestsPerViolator).toMatchObject({ violators: 1, max: 1 });
  });
});

describe('the fleet of the bench', () => {
  const shape: FleetShape = {
    ...{ sessions: 100, agents: 10 },
    violators: { runtime: 20, credits: 2, fromMs: 10_000, toMs: 30_000 },
  };

  it('has a burst besides the others, with deadlines within one second', () => {
    const withBurst = { ...shape, burst: { sessions: 8, fromMs: 50_000 } };
    const planned = planFleet(withBurst);
    expect(planned).toHaveLength(108);
    expect(sessionsIn(withBurst)).toBe(108);
    expect(planned.slice(0, 100)).toEqual(planFleet(shape));
    const dueMs = planned.filter(({ kind }) => kind === 'burst').map(({ input }) => HOUR - Number(input.turnAge));
    expect(dueMs).toHaveLength(8);
    expect(Math.min(...dueMs)).toBeGreaterThanOrEqual(50_000);
    expect(Math.max(...dueMs)).toBeLessThan(51_000);
  });
});
