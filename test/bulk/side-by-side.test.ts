import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CaseDependencies, Step } from '../../src/engines/cases/case.js';
import { attemptCase, confirmCase } from '../../src/engines/cases/case-step.js';
import { noPoliciesInForce } from '../../src/engines/cases/rules.js';
import { TryAgain } from '../../src/core/try-again.js';
import { NO_METERS } from '../../src/adapters/meters.js';
import type { NewOrder } from '../../src/adapters/ledger/orders.js';
import { openBulkHarness, type BulkHarness } from '../support/bulk-harness.js';

let harness: BulkHarness;
beforeEach(async () => {
  harness = await openBulkHarness();
});
afterEach(() => harness.close());

/** Plays the workflow of a case, until no order is open. */
async function carryOutCase(deps: CaseDependencies, sessionId: string): Promise<void> {
  let step: Step = { next: 'attempt', afterMs: 0 };
  let failures = 0;
  while (step.next !== 'done') {
    await sleep(step.afterMs);
    try {
      step =
        step.next === 'attempt'
          ? await attemptCase(deps, sessionId, `cancel/${sessionId}`, failures)
          : await confirmCase(deps, sessionId, step.sightings, step.look, failures);
      failures = 0;
    } catch (error) {
      if (!(error instanceof TryAgain)) throw error;
      failures += 1;
      await sleep(Math.min(error.afterMs, 1_000));
    }
  }
}

it('I3: a bulk job, a policy’s case and a person’s order on the same sessions have one sender at a time, and each gets its outcome', async () => {
  const ids = harness.sessions(25);
  // Slow enough that they meet.
  harness.faults([
    { fault: 'failed-to-abort', times: 8 },
    { fault: 'lagging-answer', on: 'cancel', delay: '300ms', effectAfter: '150ms', times: 'forever' },
  ]);
  const reason = { text: null, policy: null, policyVersion: null, limit: null, observed: null };
  const common = { evenIfExempt: false, turnKey: null };
  for (const sessionId of ids) {
    const person: NewOrder = { ...common, sessionId, source: 'person', requestedBy: 'ops@host', reason };
    const policy: NewOrder = {
      ...person,
      source: 'policy',
      reason: { ...reason, policy: 'runtime', policyVersion: 1 },
    };
    await harness.ledger.orders.create(person);
    await harness.ledger.orders.create(policy);
  }
  const planId = await harness.plan(ids);
  await harness.apply(planId);

  const deps = {
    ...harness.deps(),
    meters: NO_METERS,
    rules: { ...noPoliciesInForce, judge: () => Promise.resolve({ kind: 'send' as const, permit: null, reason }) },
  };
  const [status] = await Promise.all([harness.carryOut(planId), ...ids.map((id) => carryOutCase(deps, id))]);
  // What the job handed over is a case of the same session.
  await Promise.all(harness.joined.map(({ sessionId }) => carryOutCase(deps, sessionId)));

  const truth = harness.simulator.world.truth();
  expect(ids.map((id) => truth.sessions[id]?.maxConcurrentCancels)).toEqual(ids.map(() => 1));
  expect(ids.map((id) => truth.sessions[id]?.state)).toEqual(ids.map(() => 'failed'));
  const orders = await harness.ledger.orders.views({ limit: 1_000 });
  expect(orders.filter(({ result }) => result.outcome !== 'cancelled').map(({ result }) => result)).toEqual([]);
  expect(orders.length).toBe(2 * ids.length + harness.joined.length);
  const final = await harness.status(planId);
  expect(final.progress).toMatchObject({ waiting: 0, underWay: 0, openCases: 0, outcomes: { cancelled: ids.length } });
  expect(status.state).toBe('finished');
  expect(truth.cancels.filter(({ effect }) => effect)).toHaveLength(ids.length);
}, 120_000);
