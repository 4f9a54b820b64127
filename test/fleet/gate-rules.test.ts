import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { TryAgain } from '../../src/core/try-again.js';
import type { Policy } from '../../src/core/policy/policy.js';
import { policy } from '../policy/observing.js';
import {
  BEGINNING,
  HOUR,
  MINUTE,
  openFleetHarness,
  SCAN_MS,
  SECOND,
  turnSince,
  type FleetHarness,
  type Shown,
} from '../support/scripted-fleet.js';

let harness: FleetHarness;

beforeEach(async () => {
  harness = await openFleetHarness();
  harness.fleet.agent('agent-1');
});

afterEach(() => harness.close());

const SESSION = 'session-1';
const at = (ms: number): number => BEGINNING + ms;
const rule = policy({ max_runtime: 10 * MINUTE });
const messages = (...times: readonly number[]) => times.map((ms) => ({ id: `m@${ms}`, atMs: at(ms) }));
const processing = (...times: readonly number[]): Shown => ({ state: 'processing', messages: messages(...times) });

/** A session that has run for an hour, ordered to end by the policies. */
async function ordered(policies: readonly Policy[] = [rule], shown: Shown = processing(-60 * MINUTE)): Promise<void> {
  harness.fleet.session(SESSION, shown);
  await harness.apply(policies);
  await harness.process().run(5 * SECOND);
  expect(await harness.orders()).toHaveLength(policies.length);
}
const outcomes = async (): Promise<(string | null)[]> => (await harness.orders()).map(({ outcome }) => outcome);
const atOnce = (): boolean => true;

describe('an order of a policy, judged again at the gate', () => {
  it('I1: is sent when the fresh read still shows the ordered turn over its limit', async () => {
    await ordered();
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['cancelled']);
    expect(harness.fleet.cancels).toMatchObject([{ sessionId: SESSION, turnKey: `m@${-60 * MINUTE}` }]);
  });

  it('ends nothing when the session is under its limit by now', async () => {
    await ordered([policy({ max_queue_time: 10 * MINUTE })], { state: 'queued', messages: messages(-60 * MINUTE) });
    harness.fleet.session(SESSION, processing(-60 * MINUTE));
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['no-longer-violating']);
    expect(harness.fleet.cancels).toEqual([]);
  });

  const changes: Record<string, readonly Policy[]> = {
    'was removed': [{ ...rule, name: 'another', limits: { ...rule.limits, max_runtime: 24 * HOUR } }],
    'only observes now': [{ ...rule, mode: 'observe' }],
    'is off now': [{ ...rule, mode: 'off' }],
    'has a longer limit now': [policy({ max_runtime: 3 * HOUR })],
    'is about other sessions now': [{ ...rule, match: { agents: ['agent-2'] } }],
  };
  it.each(Object.entries(changes))('ends nothing when its policy %s', async (_how, now) => {
    await ordered();
    await harness.apply(now);
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['no-longer-violating']);
    expect(harness.fleet.cancels).toEqual([]);
  });

  it('ends nothing when there are no policies any more', async () => {
    await ordered();
    await harness.apply([]);
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['no-longer-violating']);
  });

  const unclear: Record<string, () => unknown> = {
    'the policies are too new': () => harness.db.updateTable('policy_versions').set({ schema: 99 }).execute(),
    'there is no Date header': () => (harness.fleet.dates = () => null),
  };
  it.each(Object.entries(unclear))('I5, I10: is held while %s', async (_why, make) => {
    await ordered();
    await make();
    const waits = await harness.carryOut(SESSION, ({ reason }: TryAgain) => reason === 'RuleUnknown');
    expect(waits).toMatchObject([{ reason: 'RuleUnknown', counts: false }]);
    expect(harness.fleet.cancels).toEqual([]);
    expect(await outcomes()).toEqual([null]);
  });

  it('I5: ends nothing when the read has lost the time of the message, and nothing is remembered', async () => {
    await ordered();
    harness.fleet.session(SESSION, { state: 'processing', messages: [{ id: `m@${-60 * MINUTE}`, atMs: null }] });
    await harness.db.deleteFrom('facts').execute();
    await harness.carryOut(SESSION);
    expect(harness.fleet.cancels).toEqual([]);
  });

  it('I6: ends nothing that was exempted meanwhile', async () => {
    await ordered();
    await harness.ledger.exemptions.add({ sessionId: SESSION, forMs: HOUR, reason: null, by: 'ops' });
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['exempted']);
    expect(harness.fleet.cancels).toEqual([]);
  });

  it('I6: is held by the pause switch', async () => {
    await ordered();
    await harness.ledger.pauseSwitch.set(true, 'ops', 'a storm');
    expect(await harness.carryOut(SESSION, atOnce)).toMatchObject([{ reason: 'Paused' }]);
    expect(harness.fleet.cancels).toEqual([]);
  });
});

describe('a new turn at the gate', () => {
  it('lives when it breaks nothing', async () => {
    await ordered();
    harness.fleet.session(SESSION, processing(-60 * MINUTE, 0));
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['superseded']);
    expect(harness.fleet.cancels).toEqual([]);
  });

  it('is ordered to end at once when it breaks the policy too, by the clock that it can’t stop', async () => {
    harness.fleet.session(SESSION, (now): Shown => processing(...(now < at(22 * MINUTE) ? [0] : [0, 22 * MINUTE])));
    await harness.apply([policy({ max_continuous_runtime: 20 * MINUTE })]);
    await harness.process().run(22 * MINUTE - 2 * SECOND);
    expect(await harness.orders()).toMatchObject([{ turnKey: 'm@0' }]);
    harness.clock.advance(3 * SECOND);
    await harness.carryOut(SESSION);
    expect((await harness.orders()).map(({ turnKey, outcome }) => [turnKey, outcome])).toEqual([
      ['m@0', 'superseded'],
      [`m@${22 * MINUTE}`, 'cancelled'],
    ]);
    expect(harness.fleet.cancels).toMatchObject([{ turnKey: `m@${22 * MINUTE}` }]);
  });

  it('lives when only another policy’s limit, which does not enforce, is broken by it', async () => {
    const clock = policy({ max_continuous_runtime: 20 * MINUTE }, { name: 'clock', mode: 'observe' });
    harness.fleet.session(SESSION, (now): Shown => processing(...(now < at(22 * MINUTE) ? [0] : [0, 22 * MINUTE])));
    await harness.apply([rule, clock]);
    await harness.process().run(20 * MINUTE + 2 * SCAN_MS);
    harness.clock.advance(at(22 * MINUTE) + SECOND - harness.clock.vendor());
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['superseded']);
    expect(harness.fleet.cancels).toEqual([]);
  });

  it('I5: is not taken for one, when the read is an old one, behind what was seen before', async () => {
    harness.fleet.session(SESSION, processing(-60 * MINUTE, -50 * MINUTE));
    await harness.apply([rule]);
    await harness.process().run(5 * SECOND);
    let reads = 0;
    harness.fleet.reshape = (session) =>
      (reads += 1) > 3
        ? session
        : { ...session, transcript: { ...session.transcript, turns: session.transcript.turns.slice(0, 1) } };
    await harness.carryOut(SESSION);
    expect(harness.fleet.cancels).toMatchObject([{ turnKey: `m@${-50 * MINUTE}` }]);
    expect(reads).toBeGreaterThan(4);
  });
});

describe('a session that starts again by itself', () => {
  /** After each end the next waiting message starts a turn, five seconds later. */
  const restless = (): void => {
    const starts = [-60 * MINUTE];
    harness.fleet.session(SESSION, () => processing(...starts));
    harness.fleet.cancelAnswers = () => {
      const next = harness.clock.vendor() - BEGINNING + 5 * SECOND;
      const before = [...starts];
      harness.fleet.session(SESSION, (now): Shown =>
        now < at(next) ? { state: 'failed', messages: messages(...before) } : processing(...before, next),
      );
      starts.push(next);
      return 'failed';
    };
  };

  it.each([
    [{ action: 'report' } as const, 1],
    [{ action: 'cancel', max: 3 } as const, 4],
  ])('is ended again as its policy says: %j', async (onRestart, requests) => {
    await ordered([{ ...rule, onRestart }]);
    restless();
    await harness.carryOut(SESSION);
    const turns = harness.fleet.cancels.map(({ turnKey }) => turnKey);
    expect(turns).toHaveLength(requests);
    expect(new Set(turns).size).toBe(requests);
    expect(harness.fleet.truth(SESSION)?.state).toBe('processing');
    expect(await harness.events('restarted')).toHaveLength(onRestart.action === 'report' ? 1 : 4);
  });

  it('is not ended again by a policy that does not enforce any more', async () => {
    await ordered([{ ...rule, onRestart: { action: 'cancel', max: 3 } }]);
    restless();
    const answers = harness.fleet.cancelAnswers;
    harness.fleet.cancelAnswers = (id, call) => answers(id, call);
    harness.fleet.during = async ({ operation }) => {
      if (operation === 'cancelSession') await harness.apply([{ ...rule, mode: 'observe' }]);
    };
    await harness.carryOut(SESSION);
    expect(harness.fleet.cancels).toHaveLength(1);
  });
});

describe('an order to end what has started again', () => {
  it('I1: is about that turn alone: what a user has begun after it lives', async () => {
    harness.fleet.session(SESSION, processing(-60 * SECOND, -SECOND));
    await harness.apply([{ ...rule, onRestart: { action: 'cancel', max: 5 } }]);
    const limit = { name: 'on_restart', value: 5, restart: 1 };
    await harness.ledger.orders.create({
      ...{ sessionId: SESSION, source: 'policy', requestedBy: 'policy rule', evenIfExempt: false },
      ...{ turnKey: `m@${-60 * SECOND}`, turnStartedAtMs: at(-60 * SECOND) },
      reason: { text: 'started again', policy: 'rule', policyVersion: 1, limit, observed: null },
    });
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['superseded']);
    expect(harness.fleet.cancels).toEqual([]);
  });
});

describe('the caps of a policy', () => {
  const many = async (count: number, caps: Policy['caps']): Promise<void> => {
    for (let n = 0; n < count; n += 1) harness.fleet.session(`session-${n}`, processing(-60 * MINUTE));
    await harness.apply([{ ...rule, caps }]);
    await harness.process().run(SCAN_MS);
    expect(await harness.orders()).toHaveLength(count);
  };
  /** One after the other, while the fleet is scanned on. */
  const carryOutAll = async (): Promise<void> => {
    const process = harness.process();
    for (const { sessionId, open } of await harness.orders()) {
      if (open) await harness.carryOut(sessionId);
      await process.run(SECOND);
    }
  };
  const count = async (outcome: string): Promise<number> => (await outcomes()).filter((one) => one === outcome).length;

  it('let exactly so many out; the next are capped, the breaker opens once, and a person closes it', async () => {
    await many(8, { maxCancels: 5, maxPercent: 100, perMs: HOUR });
    await carryOutAll();
    expect(harness.fleet.cancels).toHaveLength(5);
    expect([await count('cancelled'), await count('capped')]).toEqual([5, 3]);
    expect(await harness.events('breaker-opened')).toMatchObject([
      { data: { policy: 'rule', cap: 'max_cancels', taken: 5 } },
    ]);

    const process = harness.process();
    await process.run(10 * MINUTE);
    // It observes now: nothing is ordered, it says what it would end.
    expect(await harness.orders()).toHaveLength(8);

    await harness.ledger.breakers.close('rule', 'ops');
    await process.run(MINUTE);
    await carryOutAll();
    expect(harness.fleet.cancels).toHaveLength(8);
    expect(await harness.events('breaker-opened')).toHaveLength(1);
    expect(new Set(harness.fleet.cancels.map(({ sessionId }) => sessionId)).size).toBe(8);
  });

  it('are a share of the live sessions, where there are enough of them', async () => {
    for (let n = 100; n < 130; n += 1) harness.fleet.session(`session-${n}`, turnSince(at(-SECOND)));
    await many(10, { maxCancels: 50, maxPercent: 10, perMs: HOUR });
    await carryOutAll();
    expect(harness.fleet.cancels).toHaveLength(4);
    expect(await count('capped')).toBe(6);
    expect(await harness.events('breaker-opened')).toMatchObject([{ data: { cap: 'max_percent', liveSessions: 36 } }]);
  });

  it('of one policy leave another one’s orders alone', async () => {
    harness.fleet.session('session-1', processing(-60 * MINUTE));
    harness.fleet.session('session-2', processing(-60 * MINUTE));
    const strict = { ...rule, name: 'strict', caps: { maxCancels: 0, maxPercent: 100, perMs: HOUR } };
    await harness.apply([rule, strict]);
    await harness.process().run(SCAN_MS);
    await carryOutAll();
    expect(harness.fleet.cancels).toHaveLength(2);
    const rows = await harness.orders();
    expect(rows.filter(({ policy: by }) => by === 'strict').map(({ outcome }) => outcome)).toEqual([
      'capped',
      'capped',
    ]);
    expect(rows.filter(({ policy: by }) => by === 'rule').map(({ outcome }) => outcome)).toEqual([
      'cancelled',
      'cancelled',
    ]);
  });
});

describe('a turn that still breaks its limit after an order', () => {
  const rounds = async (ms: number): Promise<number> => {
    await harness.process().run(ms);
    return (await harness.orders()).length;
  };

  it('is ordered again when its exemption is over', async () => {
    await ordered();
    await harness.ledger.exemptions.add({ sessionId: SESSION, forMs: 10 * MINUTE, reason: null, by: 'ops' });
    await harness.carryOut(SESSION);
    expect(await rounds(8 * MINUTE)).toBe(1);
    expect(await rounds(4 * MINUTE)).toBe(2);
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['exempted', 'cancelled']);
  });

  it.each(['abandoned', 'forbidden', 'gone', 'retries-exhausted'] as const)(
    'is not ordered again by the same policy after `%s`: a person decides',
    async (outcome) => {
      await ordered();
      const [order] = await harness.orders();
      if (outcome === 'forbidden') await refusedTwice();
      const settlement = { attribution: null, attempts: 0, endedAtMs: null, turnKey: null, outcome };
      await harness.ledger.orders.settle({
        settlements: [{ ...settlement, orderId: order?.id ?? '', sessionId: SESSION }],
        events: [],
        alertedOrderIds: [],
      });
      expect(await rounds(30 * MINUTE)).toBe(1);
    },
  );

  /** The vendor refused it twice, and others' cancel requests were accepted meanwhile. */
  const refusedTwice = async (): Promise<void> => {
    const nowMs = await harness.ledger.now();
    await harness.ledger.orders.notePass(SESSION, {
      ...{ phase: 'attempting', nextTryAtMs: null, counts: true },
      error: { type: 'Refused', message: 'HTTP 403', at: new Date(nowMs).toISOString() },
      refusals: [{ on: 'cancel', status: 403, code: null, times: 2, sinceMs: nowMs - 2 * MINUTE, lastMs: nowMs }],
    });
  };

  it('is ordered again after `forbidden` when the vendor accepted no cancel request at all in that time, and alerts once', async () => {
    await ordered();
    harness.fleet.fails = ({ operation }) => (operation === 'cancelSession' ? 'forbidden' : null);
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['forbidden']);
    expect(await rounds(MINUTE)).toBe(1);
    expect(await rounds(2 * MINUTE)).toBe(2);
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['forbidden', 'forbidden']);
    // Spaced ever more widely.
    expect(await rounds(3 * MINUTE)).toBe(2);
    expect(await harness.events('forbidden')).toHaveLength(1);
    harness.fleet.fails = () => null;
    expect(await rounds(2 * MINUTE)).toBe(3);
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['forbidden', 'forbidden', 'cancelled']);
  });

  it('is ordered again after `forbidden` by refused reads, when it can be read again', async () => {
    await ordered();
    harness.fleet.fails = ({ operation }) => (operation === 'retrieveSession' ? 'forbidden' : null);
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['forbidden']);
    expect(await rounds(10 * MINUTE)).toBe(1);
    harness.fleet.fails = () => null;
    expect(await rounds(5 * MINUTE)).toBe(2);
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['forbidden', 'cancelled']);
  });

  it('is ordered again after a while, when the order ended without it', async () => {
    await ordered();
    harness.fleet.reshape = (session) => ({ ...session, state: 'approval_required' });
    await harness.carryOut(SESSION);
    expect(await outcomes()).toEqual(['not-in-flight']);
    harness.fleet.reshape = (session) => session;
    expect(await rounds(30 * SECOND)).toBe(1);
    expect(await rounds(2 * MINUTE)).toBe(2);
  });
});
