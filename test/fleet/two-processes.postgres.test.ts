import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { policy } from '../policy/observing.js';
import { sharedPostgres } from '../support/shared.js';
import {
  BEGINNING,
  MINUTE,
  openFleetHarness,
  SECOND,
  turnSince,
  type FleetHarness,
} from '../support/scripted-fleet.js';

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

describe.each([
  ['SQLite', () => Promise.resolve(undefined)],
  ['PostgreSQL', () => postgres.createDatabase()],
])('two processes on one ledger on %s that carry out what they order', (_name, freshUrl) => {
  const inHarness = (story: (harness: FleetHarness) => Promise<void>) => async (): Promise<void> => {
    const harness = await openFleetHarness(await freshUrl());
    try {
      harness.fleet.agent('agent-1');
      for (let n = 0; n < SESSIONS; n += 1)
        harness.fleet.session(`session-${n}`, turnSince(BEGINNING - 9 * MINUTE - n * 5 * SECOND));
      await harness.apply([policy({ max_runtime: 10 * MINUTE })]);
      await story(harness);
    } finally {
      await harness.close();
    }
  };
  const SESSIONS = 10;

  async function expectOneEach({ fleet, ledger }: FleetHarness): Promise<void> {
    expect(fleet.cancels.map(({ sessionId }) => sessionId).sort()).toEqual([...fleet.lives.keys()].sort());
    expect(fleet.ends).toHaveLength(SESSIONS);
    const results = (await ledger.orders.views({ limit: 100 })).map(({ result }) => result);
    expect(results).toHaveLength(SESSIONS);
    for (const result of results)
      expect(result).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 1 });
  }

  it(
    'I3: at once: one request and one outcome for each turn',
    inHarness(async (harness) => {
      const [one, other] = [harness.process({ carriesOut: true }), harness.process({ carriesOut: true })];
      await Promise.all([one.run(4 * MINUTE), other.run(4 * MINUTE)]);
      await harness.takeUp();
      await other.run(MINUTE);
      await expectOneEach(harness);
      expect([one.inHand(), other.inHand()]).toEqual([0, 0]);
    }),
    120_000,
  );

  it(
    'I3: at once, where the turns break two policies: one request for each turn, and one outcome for each order',
    inHarness(async (harness) => {
      const rule = policy({ max_runtime: 10 * MINUTE });
      await harness.apply([rule, { ...rule, name: 'other' }]);
      const [one, other] = [harness.process({ carriesOut: true }), harness.process({ carriesOut: true })];
      for (let seconds = 0; seconds < 4 * 60; seconds += 4) {
        await Promise.all([one.run(4 * SECOND), other.run(4 * SECOND)]);
        await harness.takeUp();
      }
      expect(harness.fleet.cancels.map(({ sessionId }) => sessionId).sort()).toEqual(
        [...harness.fleet.lives.keys()].sort(),
      );
      const results = (await harness.ledger.orders.views({ limit: 100 })).map(({ result }) => result);
      expect(results).toHaveLength(2 * SESSIONS);
      expect(results.filter(({ outcome, attribution }) => outcome !== 'cancelled' || attribution !== 'strong')).toEqual(
        [],
      );
      expect([one.inHand(), other.inHand()]).toEqual([0, 0]);
    }),
    120_000,
  );

  it(
    'I3: the round moves to the other one while the first still holds orders in hand',
    inHarness(async (harness) => {
      const [one, other] = [harness.process({ carriesOut: true }), harness.process({ carriesOut: true })];
      while (one.inHand() < 2) await one.run(SECOND);
      expect(harness.fleet.cancels.length).toBeGreaterThan(0);
      for (let seconds = 0; seconds < 4 * 60; seconds += 4) {
        await other.run(4 * SECOND);
        await harness.takeUp();
      }
      // The first one lives, and went on with what it held: no case was needed.
      expect(harness.joined).toEqual([]);
      await expectOneEach(harness);
      expect([one.inHand(), other.inHand()]).toEqual([0, 0]);
    }),
    120_000,
  );
});
