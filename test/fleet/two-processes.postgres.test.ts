import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { policy } from '../policy/observing.js';
import { sharedPostgres } from '../support/shared.js';
import { BEGINNING, MINUTE, openFleetHarness, SECOND, turnSince } from '../support/scripted-fleet.js';

let postgres: Awaited<ReturnType<typeof sharedPostgres>>;
beforeAll(async () => {
  postgres = await sharedPostgres();
}, 120_000);
afterAll(() => postgres.stop());

describe('two processes at once on one PostgreSQL', () => {
  it('I3: give one open order for a policy and a turn, whichever of them finds the violator', async () => {
    const harness = await openFleetHarness(await postgres.createDatabase());
    try {
      const { fleet } = harness;
      fleet.agent('agent-1');
      for (let n = 0; n < 10; n += 1)
        fleet.session(`session-${n}`, turnSince(BEGINNING - 9 * MINUTE - n * 10 * SECOND));
      const rule = policy({ max_runtime: 10 * MINUTE });
      await harness.apply([rule, { ...rule, name: 'other' }]);
      const [one, other] = [harness.process(), harness.process()];
      await Promise.all([one.run(4 * MINUTE), other.run(4 * MINUTE)]);
      const orders = await harness.orders();
      expect(new Set(orders.map((order) => `${order.sessionId} ${order.policy} ${order.turnKey}`)).size).toBe(20);
      expect(orders).toHaveLength(20);
      expect([one.failedRounds(), other.failedRounds()]).toEqual([0, 0]);
    } finally {
      await harness.close();
    }
  }, 120_000);
});
