import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HOLD_MS } from '../../src/adapters/ledger/leases.js';
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
  type Shown,
} from '../support/scripted-fleet.js';

let harness: FleetHarness;

beforeEach(async () => {
  harness = await openFleetHarness();
  harness.fleet.agent('agent-1');
});

afterEach(() => harness.close());

const SESSION = 'session-1';
const TURN = 'm@begin';
const at = (ms: number): number => BEGINNING + ms;
const LIMIT = 10 * MINUTE;
const rule = policy({ max_runtime: LIMIT });
/** Begins under watch, half-way between two scans, and is over its limit between two others. */
const BEGINS = at(22 * SECOND);
const runs = (): void =>
  harness.fleet.session(SESSION, (now) => (now < BEGINS ? null : turnSince(BEGINS, 'processing', TURN)));
const requestsFor = (operation: 'retrieveSession' | 'cancelSession' | 'listQueue'): number =>
  harness.fleet.count(operation, SESSION);

const results = async () => (await harness.ledger.orders.views({ sessionId: SESSION })).map(({ result }) => result);

describe('a violator that ends at the first request', () => {
  it('is asked from the round that found it, confirmed by a list and one read, and never becomes a case', async () => {
    runs();
    await harness.apply([rule]);
    const process = harness.process({ carriesOut: true });
    await process.run(LIMIT + MINUTE);
    expect(harness.fleet.cancels).toMatchObject([{ sessionId: SESSION, turnKey: TURN }]);
    const firstSeenAt = harness.fleet.calls.find(
      ({ operation, atMs }) => operation === 'listSessions' && atMs >= BEGINS,
    );
    const lateMs = (harness.fleet.cancels[0]?.atMs ?? 0) - ((firstSeenAt?.atMs ?? 0) + LIMIT);
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThan(2 * SECOND);
    expect(await results()).toMatchObject([
      { outcome: 'cancelled', attribution: 'strong', attempts: 1, turnKey: TURN, agentId: 'agent-1', events: [] },
    ]);
    expect(harness.joined).toEqual([]);
    expect(process.inHand()).toBe(0);
  });

  it('costs a look, the cancel request, and one read', async () => {
    runs();
    await harness.apply([rule]);
    await harness.process({ carriesOut: true }).run(LIMIT + MINUTE);
    expect([requestsFor('retrieveSession'), requestsFor('cancelSession'), requestsFor('listQueue')]).toEqual([2, 1, 0]);
  });

  it('leaves the scans after it complete, so that shares of the fleet go on to count', async () => {
    for (let n = 0; n < 6; n += 1) {
      const begins = BEGINS + n * 20 * SECOND;
      harness.fleet.session(`session-${n}`, (now) => (now < begins ? null : turnSince(begins)));
    }
    await harness.apply([rule]);
    const process = harness.process({ carriesOut: true });
    for (let minute = 0; minute < 16; minute += 1) {
      await process.run(MINUTE);
      expect(await harness.ledger.facts.scanOf('agent-1')).toMatchObject({ problem: null });
    }
    expect(harness.fleet.cancels).toHaveLength(6);
    expect(harness.fleet.count('retrieveSession')).toBe(12);
    expect(await harness.events('coverage-lost')).toEqual([]);
  });

  it('I4: is not called ended by the answer alone, nor by a list that was asked for before it', async () => {
    runs();
    await harness.apply([rule]);
    const process = harness.process({ carriesOut: true });
    while (harness.fleet.cancels.length === 0) await process.run(SECOND);
    expect(await results()).toMatchObject([{ outcome: null }]);
    const lists = harness.fleet.count('listSessions');
    while (harness.fleet.count('listSessions') === lists) await process.run(SECOND);
    await process.run(SECOND);
    expect(await results()).toMatchObject([{ outcome: 'cancelled' }]);
  });

  it('is told when a newer turn may have been hit, though a list confirms the end', async () => {
    const { fleet } = harness;
    runs();
    await harness.apply([rule]);
    // Somebody writes between our read and the request, and the request takes that turn.
    fleet.during = ({ operation }) => {
      if (operation !== 'cancelSession') return;
      const now = harness.clock.vendor();
      const messages = [
        { id: TURN, atMs: BEGINS },
        { id: 'newer', atMs: now - 5 },
      ];
      fleet.session(SESSION, { state: 'processing', messages });
    };
    await harness.process({ carriesOut: true }).run(LIMIT + MINUTE);
    const [result] = await results();
    expect(result).toMatchObject({ outcome: 'cancelled', attribution: 'strong' });
    expect(result?.events.map(({ kind }) => kind)).toContain('may-have-hit-newer-turn');
    expect(harness.joined).toEqual([]);
  });

  it('I1: is read again where the look was too slow to go by', async () => {
    const { fleet, clock } = harness;
    runs();
    await harness.apply([rule]);
    let slow = true;
    fleet.during = ({ operation }) => {
      if (operation === 'retrieveSession' && slow) clock.advance(2_500);
      if (operation === 'retrieveSession') slow = false;
    };
    await harness.process({ carriesOut: true }).run(LIMIT + MINUTE);
    expect(await results()).toMatchObject([{ outcome: 'cancelled', attempts: 1 }]);
    expect(requestsFor('retrieveSession')).toBe(3);
  });
});

describe('what is not clear after the first request', () => {
  it.each(['failed-to-abort', 'server-error', 'timeout'])('becomes a case after %s', async (failure) => {
    runs();
    harness.fleet.cancelAnswers = () => failure;
    await harness.apply([rule]);
    const process = harness.process({ carriesOut: true });
    await process.run(LIMIT + 2 * MINUTE);
    expect(harness.fleet.cancels).toHaveLength(1);
    expect(harness.joined).toMatchObject([{ sessionId: SESSION }]);
    expect(process.inHand()).toBe(0);
    expect(await results()).toMatchObject([{ outcome: null, attempts: 1, lastError: { type: 'CancelFailed' } }]);
    harness.fleet.cancelAnswers = () => 'failed';
    await harness.carryOut(SESSION);
    expect(await results()).toMatchObject([{ outcome: 'cancelled', attempts: 2 }]);
  });

  it('is confirmed by spaced reads where the answer was not `failed`', async () => {
    const { fleet } = harness;
    runs();
    fleet.cancelAnswers = () => {
      const messages = [{ id: TURN, atMs: BEGINS }];
      fleet.session(SESSION, (now) => ({
        state: now < BEGINS + LIMIT + 8 * SECOND ? 'completed' : 'failed',
        messages,
      }));
      return 'completed';
    };
    await harness.apply([rule]);
    await harness.process({ carriesOut: true }).run(LIMIT + 2 * MINUTE);
    expect(await results()).toMatchObject([{ outcome: 'cancelled', attribution: 'strong', attempts: 1 }]);
    expect(harness.joined).toEqual([]);
  });

  it('becomes a case when the turn goes on past the confirm window, whatever the answer said', async () => {
    runs();
    harness.fleet.cancelAnswers = () => 'processing';
    await harness.apply([rule]);
    await harness.process({ carriesOut: true }).run(LIMIT + 2 * MINUTE);
    expect(harness.fleet.cancels).toHaveLength(1);
    expect(harness.joined).toMatchObject([{ sessionId: SESSION }]);
    expect(await results()).toMatchObject([{ outcome: null }]);
  });

  it('is read where a list still shows the session, and becomes a case when the same turn goes on', async () => {
    const { fleet } = harness;
    runs();
    await harness.apply([rule]);
    fleet.cancelsEnd = false;
    const process = harness.process({ carriesOut: true });
    await process.run(LIMIT + 2 * MINUTE);
    expect(fleet.cancels).toHaveLength(1);
    expect(harness.joined).toMatchObject([{ sessionId: SESSION }]);
    expect(await results()).toMatchObject([{ outcome: null }]);
    expect(process.inHand()).toBe(0);
  });

  it('I6: does not leave while Curfew is paused, and becomes a case', async () => {
    runs();
    await harness.apply([rule]);
    await harness.ledger.pauseSwitch.set(true, 'ops', 'incident');
    await harness.process({ carriesOut: true }).run(LIMIT + 2 * MINUTE);
    expect(harness.fleet.cancels).toEqual([]);
    expect(harness.joined).toMatchObject([{ sessionId: SESSION }]);
    expect(await results()).toMatchObject([{ outcome: null, lastError: { type: 'Paused' } }]);
  });

  it('I6: is settled as exempted or capped at the gate, without a case', async () => {
    for (let n = 0; n < 30; n += 1)
      harness.fleet.session(`session-${n}`, (now) => (now < BEGINS ? null : turnSince(BEGINS)));
    await harness.apply([{ ...rule, caps: { maxCancels: 5, maxPercent: 100, perMs: HOUR } }]);
    await harness.process({ carriesOut: true }).run(LIMIT + 2 * MINUTE);
    const orders = await harness.orders();
    const outcomes = orders.map(({ outcome }) => outcome);
    expect(harness.fleet.cancels).toHaveLength(5);
    expect(outcomes.filter((outcome) => outcome === 'cancelled')).toHaveLength(5);
    expect(outcomes.filter((outcome) => outcome !== 'cancelled' && outcome !== 'capped')).toEqual([]);
    expect(harness.joined).toEqual([]);
  });

  it('is not asked about a turn that has ended between the look and the gate', async () => {
    const { fleet } = harness;
    runs();
    await harness.apply([rule]);
    const hooks = {
      before: (call: string): void => {
        if (call !== 'orders.beginPass' || fleet.truth(SESSION)?.state === 'completed') return;
        // So slowly that the look is too old to be gone by.
        harness.clock.advance(1_500);
        fleet.session(SESSION, { state: 'completed', messages: [{ id: TURN, atMs: BEGINS }] });
      },
    };
    await harness.process({ carriesOut: true, hooks }).run(LIMIT + 2 * MINUTE);
    expect(fleet.cancels).toEqual([]);
    expect(await results()).toMatchObject([{ outcome: 'already-ended' }]);
    expect(harness.joined).toEqual([]);
  });
});

describe('I3: who holds an order', () => {
  const untilAsked = async (process: ReturnType<FleetHarness['process']>): Promise<void> => {
    while (harness.fleet.cancels.length === 0) await process.run(SECOND);
  };

  it('I2: what a dead worker held is found ten seconds later, and a case goes on with it', async () => {
    runs();
    await harness.apply([rule]);
    const dying = harness.process({
      carriesOut: true,
      hooks: { before: (call) => (call === 'requests.answer' ? new Promise(() => {}) : undefined) },
    });
    void dying.run(LIMIT + MINUTE).catch(() => {});
    while (harness.fleet.cancels.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(await harness.ledger.holds.unheld(10)).toEqual([]);
    harness.clock.advance(HOLD_MS);
    expect(await harness.ledger.holds.unheld(10)).toMatchObject([{ sessionId: SESSION }]);
    await harness.carryOut(SESSION);
    expect(harness.fleet.cancels).toHaveLength(1);
    expect(await results()).toMatchObject([{ outcome: 'cancelled', attribution: 'probable' }]);
  });

  it('I3: a case that a person’s order opens while the request is under way sends none beside it', async () => {
    runs();
    await harness.apply([rule]);
    const waits: (readonly string[])[] = [];
    harness.fleet.during = async ({ operation }) => {
      if (operation !== 'cancelSession' || waits.length > 0) return;
      await harness.ledger.orders.create({
        ...{ sessionId: SESSION, source: 'person', requestedBy: 'ana', evenIfExempt: false, turnKey: null },
        reason: { text: 'now', policy: null, policyVersion: null, limit: null, observed: null },
      });
      waits.push([]);
      const refused = await harness.carryOut(SESSION, () => true);
      waits.push(refused.map(({ reason }) => reason));
    };
    await harness.process({ carriesOut: true }).run(LIMIT + MINUTE);
    expect(waits).toEqual([[], ['SenderBusy']]);
    expect(harness.fleet.cancels).toHaveLength(1);
    await harness.carryOut(SESSION);
    expect(await results()).toMatchObject([{ outcome: 'cancelled' }, { outcome: 'cancelled' }]);
    expect(harness.fleet.cancels).toHaveLength(1);
  });

  it('I2: an order that was dropped for want of the ledger gets its case, though its worker has others in hand', async () => {
    const DROPPED = 'session-dropped';
    const { fleet } = harness;
    for (const id of [SESSION, DROPPED])
      fleet.session(id, (now) => (now < BEGINS ? null : turnSince(BEGINS, 'processing', TURN)));
    // There is always another one: each is being confirmed when the next is found.
    for (let n = 1; n < 8; n += 1)
      fleet.session(`later-${n}`, (now) =>
        now < BEGINS + n * 8 * SECOND ? null : turnSince(BEGINS + n * 8 * SECOND, 'processing', TURN),
      );
    await harness.apply([rule]);
    const hooks = {
      before: (call: string): void => {
        if (call === 'orders.beginPass' && dropped === 0) {
          dropped = harness.clock.vendor();
          throw ledgerAway();
        }
      },
    };
    let dropped = 0;
    const process = harness.process({ carriesOut: true, hooks });
    while (dropped === 0) await process.run(SECOND);
    await process.run(HOLD_MS + 2 * SECOND);
    expect(process.inHand()).toBeGreaterThan(0);
    expect(await harness.ledger.holds.unheld(10)).toHaveLength(1);
  });

  it('I3: two policies on one turn are one request, one confirmation, and no case', async () => {
    runs();
    await harness.apply([rule, { ...rule, name: 'other' }]);
    const process = harness.process({ carriesOut: true });
    await process.run(LIMIT + 2 * MINUTE);
    expect(harness.fleet.cancels).toHaveLength(1);
    expect(harness.joined).toEqual([]);
    expect(await results()).toMatchObject([
      { outcome: 'cancelled', attribution: 'strong', attempts: 1 },
      { outcome: 'cancelled', attribution: 'strong', attempts: 1 },
    ]);
    expect(process.inHand()).toBe(0);
  });

  it('a worker that stops lets go at once', async () => {
    runs();
    await harness.apply([rule]);
    const process = harness.process({ carriesOut: true });
    await untilAsked(process);
    expect(process.inHand()).toBe(1);
    await process.stop();
    expect(process.inHand()).toBe(0);
    expect(await harness.ledger.holds.unheld(10)).toMatchObject([{ sessionId: SESSION }]);
  });

  it('a worker that stops with a request under way does not wait for lists that nobody asks for any more', async () => {
    runs();
    await harness.apply([rule]);
    const process = harness.process({ carriesOut: true });
    const stopped: Promise<void>[] = [];
    harness.fleet.during = ({ operation }) => {
      if (operation === 'cancelSession') stopped.push(process.stop());
    };
    await untilAsked(process);
    await Promise.all(stopped);
    expect(process.inHand()).toBe(0);
    expect(await harness.ledger.holds.unheld(10)).toMatchObject([{ sessionId: SESSION }]);
  });

  it('a person’s order on the same session takes the case along, and nothing is sent twice', async () => {
    runs();
    await harness.apply([rule]);
    const process = harness.process({ carriesOut: true });
    await untilAsked(process);
    await harness.ledger.orders.create({
      ...{ sessionId: SESSION, source: 'person', requestedBy: 'ana', evenIfExempt: false, turnKey: null },
      reason: { text: 'now', policy: null, policyVersion: null, limit: null, observed: null },
    });
    await harness.carryOut(SESSION);
    await process.run(MINUTE);
    expect(harness.fleet.cancels).toHaveLength(1);
    expect(process.inHand()).toBe(0);
    expect(await results()).toMatchObject([{ outcome: expect.any(String) }, { outcome: 'cancelled' }]);
    expect(await harness.ledger.holds.unheld(10)).toEqual([]);
  });
});

describe('a session that starts again after its end', () => {
  const restartsBy = (agoMs: number): void => {
    harness.fleet.cancelAnswers = () => {
      const endedAt = harness.clock.vendor();
      const first = { id: TURN, atMs: BEGINS };
      const second = { id: 'second', atMs: endedAt + agoMs };
      harness.fleet.session(SESSION, (now): Shown =>
        now < endedAt + agoMs
          ? { state: 'failed', messages: [first] }
          : harness.fleet.cancels.length > 1
            ? { state: 'failed', messages: [first, second] }
            : { state: 'processing', messages: [first, second] },
      );
      return 'failed';
    };
  };

  it('is reported by the next scan', async () => {
    runs();
    restartsBy(5 * SECOND);
    await harness.apply([rule]);
    await harness.process({ carriesOut: true }).run(LIMIT + 2 * MINUTE);
    const [result] = await results();
    expect(result).toMatchObject({ outcome: 'cancelled', attribution: 'strong' });
    expect(result?.events.filter(({ kind }) => kind === 'restarted')).toHaveLength(1);
    expect(harness.fleet.cancels).toHaveLength(1);
    expect(harness.joined).toEqual([]);
  });

  it('is reported when that was after its end was confirmed', async () => {
    runs();
    restartsBy(40 * SECOND);
    await harness.apply([rule]);
    await harness.process({ carriesOut: true }).run(LIMIT + 3 * MINUTE);
    const [result] = await results();
    expect(result?.events.map(({ kind }) => kind)).toEqual(['restarted']);
    expect(harness.fleet.cancels).toHaveLength(1);
  });

  it.each([
    [9, true],
    [12, false],
    [20, false],
  ])(
    'is its own doing within ten seconds of the answer, however late the end is seen: after %d s',
    async (s, itself) => {
      runs();
      restartsBy(s * SECOND);
      await harness.apply([{ ...rule, onRestart: { action: 'cancel', max: 3 } }]);
      await harness.process({ carriesOut: true }).run(LIMIT + 3 * MINUTE);
      expect(harness.fleet.cancels).toHaveLength(itself ? 2 : 1);
      expect((await results()).flatMap(({ events }) => events).map(({ kind }) => kind)).toContain('restarted');
    },
  );

  it('is ended as often as the policy says, and not once more', async () => {
    const { fleet, clock } = harness;
    runs();
    const messages = [{ id: TURN, atMs: BEGINS }];
    fleet.cancelAnswers = () => {
      const endedAt = clock.vendor();
      const next = { id: `after-${fleet.cancels.length}`, atMs: endedAt + 5 * SECOND };
      const [before, after] = [[...messages], [...messages, next]];
      messages.push(next);
      fleet.session(SESSION, (now): Shown =>
        now < next.atMs ? { state: 'failed', messages: before } : { state: 'processing', messages: after },
      );
      return 'failed';
    };
    await harness.apply([{ ...rule, onRestart: { action: 'cancel', max: 3 } }]);
    await harness.process({ carriesOut: true }).run(LIMIT + 5 * MINUTE);
    expect(fleet.cancels.map(({ turnKey }) => turnKey)).toEqual([TURN, 'after-0', 'after-1', 'after-2']);
  });

  it('is ended again where the policy says so, and costs no case', async () => {
    runs();
    restartsBy(5 * SECOND);
    await harness.apply([{ ...rule, onRestart: { action: 'cancel', max: 3 } }]);
    await harness.process({ carriesOut: true }).run(LIMIT + 2 * MINUTE);
    expect(harness.fleet.cancels).toMatchObject([{ turnKey: TURN }, { turnKey: 'second' }]);
    expect(await results()).toMatchObject([
      { outcome: 'cancelled', turnKey: 'second', reason: { limit: { name: 'on_restart', restart: 1 } } },
      { outcome: 'cancelled', turnKey: TURN },
    ]);
    expect(harness.joined).toEqual([]);
  });
});

it('scans that come too seldom to confirm anything in time are not waited for', async () => {
  runs();
  await harness.apply([rule]);
  await harness.process({ carriesOut: true, scanMs: 4 * SCAN_MS }).run(LIMIT + 2 * MINUTE);
  expect(await results()).toMatchObject([{ outcome: 'cancelled', attribution: 'strong' }]);
  expect(requestsFor('retrieveSession')).toBe(3);
  expect(harness.joined).toEqual([]);
});
