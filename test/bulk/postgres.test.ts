import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBulkHarness, type BulkHarness } from '../support/bulk-harness.js';
import { sharedPostgres } from '../support/shared.js';

/** The same job on the other database: what differs there is locks, and how many rows are written by one statement. */
let postgres: Awaited<ReturnType<typeof sharedPostgres>>;
let harness: BulkHarness;
beforeAll(async () => {
  postgres = await sharedPostgres();
}, 120_000);
afterAll(() => postgres.stop());
beforeEach(async () => {
  harness = await openBulkHarness({ databaseUrl: await postgres.createDatabase() });
});
afterEach(() => harness.close());

const asked = (ids: readonly string[]): number[] => ids.map((id) => harness.simulator.world.truth(id).cancels.length);
const requests = (): number => harness.simulator.world.requestCounts().requests.cancel;

describe('a bulk job with its ledger on PostgreSQL', () => {
  it('ends each of its targets once, hands over what did not end, and counts them all', async () => {
    const ids = harness.sessions(300, {}, 3);
    harness.faults([{ fault: 'failed-to-abort', times: 5 }]);
    const planId = await harness.plan(ids);
    await harness.apply(planId, { canary: 20 });
    const { state, progress } = await harness.carryOut(planId);
    expect(state).toBe('finished');
    expect(progress).toEqual({ waiting: 0, underWay: 0, openCases: 5, outcomes: { cancelled: 295 }, requests: 300 });
    expect(asked(ids)).toEqual(ids.map(() => 1));
    const targets = await harness.targets(planId);
    expect(targets.filter(({ status }) => status === 'cancelled')).toHaveLength(295);
    expect(targets.filter(({ status }) => status === 'case').every(({ orderId }) => orderId !== null)).toBe(true);
  });

  it('I6: steering and departures take turns: once a pause is written, no request of the job leaves', async () => {
    const ids = harness.sessions(400);
    const planId = await harness.plan(ids);
    await harness.apply(planId, { rate: 100 });
    const working = harness.slice(planId);
    while (requests() < 50) await sleep(20);
    await harness.ledger.bulk.steer(planId, { action: 'pause', by: 'ops@host' });
    const letOut = (await harness.status(planId)).progress.requests;
    expect(await working).toEqual({ next: 'rest' });
    expect(requests()).toBe(letOut);
    expect(letOut).toBeLessThan(400);
    await harness.ledger.bulk.steer(planId, { action: 'resume', by: 'ops@host' });
    await harness.ledger.bulk.steer(planId, { action: 'rate', by: 'ops@host', rate: 5_000 });
    expect((await harness.carryOut(planId)).progress.outcomes).toEqual({ cancelled: 400 });
  });

  it('I3: two jobs on the same sessions ask one after the other, and each has its outcomes', async () => {
    const ids = harness.sessions(60);
    harness.faults([{ fault: 'lagging-answer', on: 'cancel', delay: '200ms', effectAfter: '100ms', times: 'forever' }]);
    const plans = await Promise.all([harness.plan(ids), harness.plan([...ids].reverse())]);
    for (const planId of plans) await harness.apply(planId);
    const [first, second] = await Promise.all(plans.map((planId) => harness.carryOut(planId)));
    const ended = (status: typeof first): number =>
      Object.values(status?.progress.outcomes ?? {}).reduce((sum, count) => sum + count, 0);
    expect([ended(first), ended(second)]).toEqual([60, 60]);
    const { sessions } = harness.simulator.world.truth();
    expect(ids.map((id) => sessions[id]?.maxConcurrentCancels)).toEqual(ids.map(() => 1));
  });
});
