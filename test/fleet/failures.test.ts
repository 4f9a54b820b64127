import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readCoverage } from '../../src/adapters/ledger/coverage.js';
import { SessionsError, type SessionsOperation } from '../../src/adapters/vendor/index.js';
import { policy } from '../policy/observing.js';
import { ledgerAway } from '../support/gate-harness.js';
import {
  BEGINNING,
  HOUR,
  MINUTE,
  openFleetHarness,
  SCAN_MS,
  SECOND,
  turnSince,
  type FleetHarness,
} from '../support/scripted-fleet.js';
import { HOLD_MS } from '../../src/adapters/ledger/leases.js';

let harness: FleetHarness;

beforeEach(async () => {
  harness = await openFleetHarness();
  harness.fleet.agent('agent-1');
});

afterEach(() => harness.close());

const SESSION = 'session-1';
const at = (ms: number): number => BEGINNING + ms;
const rule = policy({ max_runtime: 10 * MINUTE });
const kinds = async (): Promise<string[]> => (await harness.events()).map(({ kind }) => kind);

describe('a worker that can see nothing of the fleet', () => {
  it.each([
    ['no agents can be listed', (operation: string) => operation === 'listAgents'],
    ['no agent’s sessions can be listed', (operation: string) => operation === 'listSessions'],
  ])('I10: leaves the next round to any worker: %s', async (_what, fails) => {
    const { fleet } = harness;
    fleet.agent('agent-2');
    await harness.apply([rule]);
    const process = harness.process();
    await process.run(MINUTE);
    expect(process.stays()).toBe(true);
    fleet.fails = ({ operation }) => (fails(operation) ? 'server-error' : null);
    await process.run(3 * MINUTE);
    expect(process.stays()).toBe(false);
    fleet.fails = ({ subject }) => (subject === 'agent-2' ? 'server-error' : null);
    await process.run(3 * MINUTE);
    expect(process.stays()).toBe(true);
  });
});

describe('the vendor', () => {
  it('I10: one agent that can’t be listed stops nobody else, and is told once when it lasts', async () => {
    const { fleet } = harness;
    fleet.agent('broken');
    fleet.agent('agent-3');
    fleet.session(SESSION, turnSince(at(-HOUR)), 'agent-3');
    fleet.session('hidden', turnSince(at(-HOUR)), 'broken');
    fleet.fails = ({ subject }) => (subject === 'broken' ? 'server-error' : null);
    await harness.apply([rule]);
    const process = harness.process();
    await process.run(SCAN_MS);
    expect(await harness.orders()).toMatchObject([{ sessionId: SESSION }]);
    expect(await readCoverage(harness.ledger)).toMatchObject({
      completeAtMs: null,
      unreadable: { count: 1, first: [{ agentId: 'broken' }] },
    });
    expect(await harness.events('coverage-lost')).toEqual([]);
    await process.run(10 * MINUTE);
    expect(await harness.events('coverage-lost')).toMatchObject([{ data: { agents: ['broken'], unreadable: 1 } }]);
    expect(await harness.orders()).toHaveLength(1);

    fleet.fails = () => null;
    await process.run(MINUTE);
    expect(await harness.events('coverage-restored')).toHaveLength(1);
    expect(await harness.events('coverage-lost')).toHaveLength(1);
    expect((await harness.orders()).map(({ sessionId }) => sessionId)).toEqual([SESSION, 'hidden']);
  });

  it('I10: refuses the key: nothing is ended, it is told once, and it goes on when the key works again', async () => {
    const { fleet } = harness;
    fleet.agent('agent-2');
    fleet.session(SESSION, turnSince(at(-5 * MINUTE)));
    fleet.session('session-2', turnSince(at(-5 * MINUTE)), 'agent-2');
    await harness.apply([rule]);
    const process = harness.process();
    await process.run(MINUTE);
    fleet.fails = () => 'unauthorized';
    await process.run(20 * MINUTE);
    await harness.process().run(MINUTE);
    expect(await harness.orders()).toEqual([]);
    expect(await kinds()).toEqual(['policy-applied', 'account-refused', 'coverage-lost']);
    fleet.fails = () => null;
    await process.run(2 * MINUTE);
    expect(await harness.orders()).toHaveLength(2);
    expect(await kinds()).toEqual([
      ...['policy-applied', 'account-refused', 'coverage-lost', 'account-accepted', 'coverage-restored'],
    ]);
  });

  it('refuses one session, and one agent’s list, with a code of the account: the account is not called refused', async () => {
    const { fleet } = harness;
    fleet.agent('agent-2');
    fleet.session(SESSION, turnSince(at(-5 * MINUTE)));
    fleet.session('session-2', turnSince(at(-5 * MINUTE)));
    const denied = ({ operation, subject }: { operation: SessionsOperation; subject: string | null }): boolean =>
      (operation === 'retrieveSession' && subject === SESSION) ||
      (operation === 'listSessions' && subject === 'agent-2');
    fleet.fails = (called) =>
      denied(called) ? new SessionsError('account-forbidden', { ...called, status: 403, code: 'policy_denied' }) : null;
    await harness.apply([rule]);
    await harness.process().run(20 * MINUTE);
    expect((await harness.orders()).map(({ sessionId }) => sessionId)).toEqual(['session-2']);
    const told = await kinds();
    expect(told).not.toContain('account-refused');
    expect(told).not.toContain('account-accepted');
    expect(told).toContain('coverage-lost');
    // Neither in a fixed beat, nor often.
    expect(fleet.count('retrieveSession', SESSION)).toBeLessThan(30);
  });

  it('has had too many requests of us: it is asked later, the account is not called refused, nothing is lost', async () => {
    const { fleet } = harness;
    fleet.agent('agent-2');
    fleet.session(SESSION, turnSince(at(-HOUR)));
    fleet.session('session-2', turnSince(at(-HOUR)), 'agent-2');
    let many = true;
    fleet.fails = ({ operation, subject }) =>
      many ? new SessionsError('rate-limited', { operation, subject, status: 429, retryAfterMs: 30_000 }) : null;
    await harness.apply([rule]);
    const process = harness.process();
    await process.run(MINUTE);
    expect(await harness.orders()).toEqual([]);
    expect(await kinds()).toEqual(['policy-applied']);
    many = false;
    await process.run(MINUTE);
    expect(await harness.orders()).toHaveLength(2);
    expect(await kinds()).toEqual(['policy-applied']);
  });

  it('has too many requests at a deadline: the look is put off by as much as it asks, and done then', async () => {
    const { fleet } = harness;
    fleet.session(SESSION, turnSince(at(-HOUR)));
    fleet.fails = ({ operation, subject }) =>
      operation === 'retrieveSession' && harness.clock.vendor() < at(2 * MINUTE)
        ? new SessionsError('rate-limited', { operation, subject, status: 429, retryAfterMs: 30_000 })
        : null;
    await harness.apply([rule]);
    await harness.process().run(4 * MINUTE);
    expect(await harness.orders()).toHaveLength(1);
    expect(fleet.count('retrieveSession')).toBeLessThanOrEqual(6);
    expect(await kinds()).toEqual(['policy-applied']);
  });

  it('knows a session no more: nothing is ordered, and it is not asked for over and over', async () => {
    const { fleet } = harness;
    fleet.session(SESSION, turnSince(at(-MINUTE)));
    fleet.fails = ({ operation }) => (operation === 'retrieveSession' ? 'not-found' : null);
    await harness.apply([rule]);
    const process = harness.process();
    await process.run(5 * MINUTE);
    fleet.lives.delete(SESSION);
    await process.run(HOUR);
    expect(await harness.orders()).toEqual([]);
    expect(fleet.count('retrieveSession')).toBeLessThan(12);
  });

  it('keeps retrieves failing for a while: the session is ended when they work, and not before', async () => {
    const { fleet } = harness;
    fleet.session(SESSION, turnSince(at(-HOUR)));
    fleet.fails = ({ operation }) =>
      operation === 'retrieveSession' && harness.clock.vendor() < at(10 * MINUTE) ? 'server-error' : null;
    await harness.apply([rule]);
    const process = harness.process();
    await process.run(10 * MINUTE - SECOND);
    expect(await harness.orders()).toEqual([]);
    await process.run(2 * MINUTE);
    expect(await harness.orders()).toHaveLength(1);
  });
});

describe('a session that may be over a limit, and can’t be judged', () => {
  const told = async () => (await harness.events()).filter(({ kind }) => kind === 'not-judgeable');

  it.each(['timeout', 'unreadable', 'server-error', 'forbidden'] as const)(
    'is told of within two minutes, once, where each read of it fails: %s',
    async (kind) => {
      const { fleet } = harness;
      fleet.session(SESSION, turnSince(at(-HOUR)));
      fleet.session('session-2', turnSince(at(-MINUTE)));
      fleet.fails = ({ operation, subject }) => (operation === 'retrieveSession' && subject === SESSION ? kind : null);
      await harness.apply([rule]);
      const process = harness.process();
      await process.run(2 * MINUTE + 20 * SECOND);
      expect(await told()).toMatchObject([{ sessionId: SESSION, data: { reason: kind, by: 'fleet' } }]);
      expect(await harness.ledger.unjudged.now({ limit: 10 })).toMatchObject([{ sessionId: SESSION, by: 'fleet' }]);
      await process.run(HOUR);
      expect(await told()).toHaveLength(1);
      fleet.fails = () => null;
      await process.run(5 * MINUTE);
      expect((await harness.orders()).map(({ sessionId }) => sessionId)).toContain(SESSION);
      expect(await harness.ledger.unjudged.now({ limit: 10 })).toEqual([]);
    },
  );

  it('is not told of while the API answers nobody', async () => {
    const { fleet } = harness;
    fleet.session(SESSION, turnSince(at(-HOUR)));
    await harness.apply([rule]);
    fleet.fails = ({ operation }) => (operation === 'retrieveSession' ? 'server-error' : null);
    const process = harness.process();
    await process.run(10 * SECOND);
    fleet.fails = () => 'server-error';
    await process.run(HOUR);
    expect(await told()).toEqual([]);
    expect(await kinds()).toContain('coverage-lost');
  });
});

describe('the vendor’s Date header', () => {
  const limit = policy({ max_runtime: 10 * MINUTE, max_queue_time: 10 * MINUTE, max_continuous_runtime: 12 * MINUTE });
  /** One in each kind of knowledge. All are past their limits eleven minutes after the beginning, not before nine. */
  const populate = (): void => {
    const { fleet } = harness;
    fleet.session('unwatched', turnSince(at(-SECOND)));
    fleet.session('queued', turnSince(at(-SECOND), 'queued'));
    fleet.session('watched', (now) => (now < at(40 * SECOND) ? null : turnSince(at(40 * SECOND))));
  };
  const ALL = ['queued', 'unwatched', 'watched'];

  it.each([
    ['ahead by an hour, for good', HOUR, () => true],
    ['ahead by an hour, in one answer', HOUR, (call: number) => call === 60],
    ['ahead by an hour, in every third answer', HOUR, (call: number) => call % 3 === 0],
    ['back by ten minutes, in one answer', -10 * MINUTE, (call: number) => call === 60],
  ])(
    'I5: jumps %s, while the times of messages don’t: who is within limits lives, who is not is ended',
    async (_how, offMs, when) => {
      populate();
      await harness.apply([limit]);
      const process = harness.process();
      await process.run(5 * MINUTE);
      let calls = 0;
      harness.fleet.dates = () => (when((calls += 1)) ? offMs : 0);
      harness.fleet.session('fresh', (now) => (now < at(6 * MINUTE) ? null : turnSince(at(6 * MINUTE))));
      await process.run(4 * MINUTE);
      expect(await harness.orders()).toEqual([]);
      await process.run(2 * MINUTE);
      expect((await harness.orders()).map(({ sessionId }) => sessionId).sort()).toEqual(ALL);
    },
  );

  it('I5, I10: jumps back by an hour, for good: nobody is ended before the limit, and it goes on by itself', async () => {
    populate();
    await harness.apply([limit]);
    const process = harness.process();
    await process.run(5 * MINUTE);
    harness.fleet.dates = () => -HOUR;
    await process.run(4 * MINUTE);
    expect(await harness.orders()).toEqual([]);
    await process.run(70 * MINUTE);
    expect((await harness.orders()).map(({ sessionId }) => sessionId).sort()).toEqual(ALL);
  });
});

describe('the ledger', () => {
  it('I10: can’t be written: nothing is joined; the next round starts from what it has, and orders once', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    await harness.apply([rule]);
    let away = true;
    const before = (call: string): void => {
      if (away && call === 'facts.store') throw ledgerAway();
    };
    const process = harness.process({ hooks: { before } });
    await process.run(2 * MINUTE);
    expect(process.failedRounds()).toBeGreaterThan(3);
    expect(harness.joined).toEqual([]);
    expect(await harness.orders()).toEqual([]);
    away = false;
    await process.run(2 * MINUTE);
    expect(await harness.orders()).toHaveLength(1);
    expect(harness.joined).toHaveLength(1);
  });

  it.each(['policies.version', 'breakers.open', 'exemptions.running', 'facts.load', 'meta.replace', 'orders.ofTurn'])(
    'I10: fails at %s: nothing is ended, and it goes on by itself',
    async (call) => {
      harness.fleet.session(SESSION, turnSince(at(-HOUR)));
      await harness.apply([rule]);
      let away = true;
      const before = (called: string): void => {
        if (away && called === call) throw ledgerAway();
      };
      const process = harness.process({ hooks: { before } });
      await process.run(MINUTE);
      expect(process.failedRounds()).toBeGreaterThan(0);
      if (call !== 'meta.replace') expect(await harness.orders()).toEqual([]);
      away = false;
      await process.run(MINUTE);
      expect(await harness.orders()).toHaveLength(1);
    },
  );

  it('goes away in the middle of a round: what was under way has come back before the next round begins', async () => {
    const { fleet } = harness;
    fleet.agent('agent-2');
    fleet.session(SESSION, turnSince(at(-MINUTE)));
    fleet.session('session-2', turnSince(at(-MINUTE)), 'agent-2');
    await harness.apply([rule]);
    let rounds = 0;
    let underWay = 0;
    const log: string[] = [];
    const hooks = {
      before: async (call: string) => {
        if (call === 'facts.load') log.push(`load with ${underWay} under way`);
        if (call !== 'facts.store') return;
        underWay += 1;
        const mine = (rounds += 1);
        await new Promise((resolve) => setImmediate(resolve));
        // The second scan: the process remembers a round by then.
        if (mine === 5) {
          underWay -= 1;
          throw ledgerAway();
        }
        if (mine === 6) await new Promise((resolve) => setTimeout(resolve, 50));
      },
      after: (call: string) => void (call === 'facts.store' && (underWay -= 1)),
    };
    const process = harness.process({ hooks });
    await process.run(2 * MINUTE);
    expect(process.failedRounds()).toBe(1);
    expect(log).toEqual(['load with 0 under way', 'load with 0 under way']);
  });

  it('I2: has the order when the process dies before it starts the case: that is the reconciler’s to do', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    await harness.apply([rule]);
    await harness.process({ joinFails: true }).run(5 * SECOND);
    expect(harness.joined).toEqual([]);
    const [order] = await harness.orders();
    expect(order).toMatchObject({ sessionId: SESSION, open: true });
    expect(await harness.ledger.holds.unheld(10)).toEqual([]);
    harness.clock.advance(HOLD_MS);
    expect(await harness.ledger.holds.unheld(10)).toEqual([{ sessionId: SESSION, orderId: order?.id }]);
    await harness.process().run(10 * MINUTE);
    expect(await harness.orders()).toHaveLength(1);
  });

  it('I3: gives one open order for a policy and a turn, when two processes find the violator at the same moment', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    await harness.apply([rule]);
    // Neither has seen the other's order when it writes its own.
    let asked = 0;
    const after = async (call: string): Promise<void> => {
      if (call !== 'orders.ofTurn') return;
      asked += 1;
      while (asked < 2) await new Promise((resolve) => setImmediate(resolve));
    };
    const processes = [harness.process({ hooks: { after } }), harness.process({ hooks: { after } })];
    await Promise.all(processes.map((process) => process.run(SECOND)));
    const orders = await harness.orders();
    expect(asked).toBeGreaterThanOrEqual(2);
    expect(orders).toHaveLength(1);
    expect(new Set(harness.joined.map(({ orderId }) => orderId))).toEqual(new Set([orders[0]?.id]));
  });

  it('I3: gives one open order for a policy and a turn, whichever of two processes at once finds the violator', async () => {
    const { fleet } = harness;
    for (let n = 0; n < 10; n += 1) fleet.session(`session-${n}`, turnSince(at(-9 * MINUTE - n * 10 * SECOND)));
    await harness.apply([rule, { ...rule, name: 'other' }]);
    const [one, other] = [harness.process(), harness.process()];
    await Promise.all([one.run(4 * MINUTE), other.run(4 * MINUTE)]);
    const orders = await harness.orders();
    expect(orders).toHaveLength(20);
    expect(new Set(orders.map(({ sessionId, policy: by, turnKey }) => `${sessionId} ${by} ${turnKey}`)).size).toBe(20);
  });
});
