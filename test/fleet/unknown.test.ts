import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readCoverage } from '../../src/adapters/ledger/coverage.js';
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
  type ScriptedFleet,
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
const rule = policy({
  max_runtime: 10 * MINUTE,
  max_queue_time: 10 * MINUTE,
  max_continuous_runtime: 20 * MINUTE,
  max_credits: 100,
  max_session_credits: 5_000,
});

const problems = async (): Promise<string[]> =>
  (await readCoverage(harness.ledger))?.unreadable.first.map(({ problem }) => problem) ?? [];

describe('what is not known', () => {
  const blind: Record<string, (fleet: ScriptedFleet) => void> = {
    'no state at all': (fleet) => (fleet.reshape = (session) => ({ ...session, state: null })),
    'a state that nobody knows': (fleet) => (fleet.reshape = (session) => ({ ...session, state: 'pondering' })),
    'a state that nobody knows in the retrieve': (fleet) =>
      (fleet.reshape = (session, operation) =>
        operation === 'retrieveSession' ? { ...session, state: 'pondering' } : session),
    'no Date header anywhere': (fleet) => (fleet.dates = () => null),
    'a page that fails': (fleet) =>
      (fleet.fails = ({ operation }) => (operation === 'listSessions' ? 'server-error' : null)),
    'an agent list that fails': (fleet) =>
      (fleet.fails = ({ operation }) => (operation === 'listAgents' ? 'unreadable' : null)),
    'retrieves that fail': (fleet) =>
      (fleet.fails = ({ operation }) => (operation === 'retrieveSession' ? 'unreadable' : null)),
    'lists that show nothing': (fleet) => fleet.hidden.add(SESSION),
  };

  it.each(Object.entries(blind))('I5: %s ends nothing', async (_what, make) => {
    harness.fleet.session(SESSION, { ...turnSince(at(-HOUR)), credits: 10_000 });
    make(harness.fleet);
    await harness.apply([rule]);
    await harness.process().run(30 * MINUTE);
    expect(await harness.orders()).toEqual([]);
    expect(harness.joined).toEqual([]);
  });

  it('I5: a message without a time is no start: the turn counts from its first sight', async () => {
    harness.fleet.session(SESSION, { state: 'processing', messages: [{ id: 'm', atMs: null }] });
    await harness.apply([policy({ max_runtime: 10 * MINUTE })]);
    const process = harness.process();
    await process.run(10 * MINUTE - SECOND);
    expect(await harness.orders()).toEqual([]);
    await process.run(MINUTE);
    expect(await harness.orders()).toHaveLength(1);
  });

  it('I5: no usage is not zero and no breach: credits end nothing while they are null', async () => {
    const messages = [
      { id: 'old', atMs: at(-HOUR) },
      { id: 'm', atMs: at(-20 * MINUTE) },
    ];
    // Appears late, with all that older turns have spent in it.
    harness.fleet.session(SESSION, (now): Shown => ({
      state: 'processing',
      messages,
      credits: now < at(5 * MINUTE) ? null : 4_000,
    }));
    await harness.apply([policy({ max_credits: 100 })]);
    await harness.process().run(20 * MINUTE);
    expect(await harness.orders()).toEqual([]);
  });

  it('I5: an answer that has lost its messages ends nothing', async () => {
    const { fleet } = harness;
    fleet.session(SESSION, (now) => (now < at(20 * SECOND) ? null : turnSince(at(20 * SECOND))));
    fleet.reshape = (session) => ({ ...session, messages: [], createdAtMs: null });
    await harness.apply([policy({ max_runtime: 10 * MINUTE })]);
    await harness.process().run(9 * MINUTE);
    expect(await harness.orders()).toEqual([]);
  });

  it('I5, I10: lists with items that can’t be read say nothing about what is not in them, and coverage says so', async () => {
    const { fleet } = harness;
    fleet.session(SESSION, turnSince(at(-MINUTE)));
    await harness.apply([policy({ max_runtime: 10 * MINUTE })]);
    const process = harness.process();
    await process.run(MINUTE);
    expect(await problems()).toEqual([]);
    fleet.unreadable.set('agent-1', 2);
    fleet.hidden.add(SESSION);
    await process.run(MINUTE);
    expect(await problems()).toEqual(['2 items of the list could not be read']);
    // What was followed before is followed on: it is dealt with at its deadline.
    await process.run(10 * MINUTE);
    expect(await harness.orders()).toMatchObject([{ sessionId: SESSION }]);
  });

  it('I10: answers without a Date header end nothing, and coverage says so', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    harness.fleet.dates = () => null;
    await harness.apply([rule]);
    await harness.process().run(5 * MINUTE);
    expect(await harness.orders()).toEqual([]);
    expect(await problems()).toEqual([expect.stringContaining('Date header')]);
    expect(await harness.events('coverage-lost')).toHaveLength(1);
  });
});

describe('a list that loses sessions while they run', () => {
  const beginsAt = at(20 * SECOND);
  const life = (now: number): Shown | null => (now < beginsAt ? null : turnSince(beginsAt));

  it('I5: one that is lost half-way to its limit is looked at, and ended at the limit', async () => {
    const { fleet } = harness;
    fleet.session(SESSION, life);
    fleet.session('session-2', (now) => (now < at(8 * MINUTE) ? null : turnSince(at(8 * MINUTE))));
    await harness.apply([policy({ max_runtime: 10 * MINUTE })]);
    const process = harness.process();
    await process.run(7 * MINUTE);
    fleet.hidden.add(SESSION);
    await process.run(3 * MINUTE);
    expect(await harness.orders()).toEqual([]);
    await process.run(2 * MINUTE);
    const [order] = await harness.orders();
    expect(order).toMatchObject({ sessionId: SESSION });
    const lateMs = (order?.orderedAtMs ?? 0) - beginsAt - 10 * MINUTE;
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThan(2 * SCAN_MS);
  });

  it.each([10, 30])(
    'I5: an agent’s list of %d that is empty all at once is doubted: all are ended at their limit',
    async (count) => {
      const { fleet } = harness;
      const ids = Array.from({ length: count }, (_, n) => `session-${n}`);
      for (const id of ids) fleet.session(id, life);
      await harness.apply([policy({ max_runtime: 10 * MINUTE })]);
      const process = harness.process();
      await process.run(2 * MINUTE);
      for (const id of ids) fleet.hidden.add(id);
      await process.run(7 * MINUTE);
      expect(await harness.orders()).toEqual([]);
      await process.run(5 * MINUTE);
      expect((await harness.orders()).map(({ sessionId }) => sessionId).sort()).toEqual([...ids].sort());
    },
  );

  it('I5: a list that shrinks to nothing because all turns have ended ends nothing', async () => {
    const { fleet } = harness;
    for (let n = 0; n < 30; n += 1)
      fleet.session(`session-${n}`, (now) =>
        now < beginsAt ? null : turnSince(beginsAt, now < at(8 * MINUTE) ? 'processing' : 'completed'),
      );
    await harness.apply([policy({ max_runtime: 10 * MINUTE })]);
    await harness.process().run(30 * MINUTE);
    expect(await harness.orders()).toEqual([]);
    expect(fleet.count('retrieveSession')).toBeLessThanOrEqual(30);
  });

  it('I8: what has ended is forgotten, also when a look at its deadline saw the end before the list did', async () => {
    const { fleet } = harness;
    // The deadline lies between two scans, and the end a moment before it.
    const endsAt = beginsAt + 10 * MINUTE + 13 * SECOND;
    fleet.session(SESSION, (now) =>
      now < beginsAt ? null : turnSince(beginsAt, now < endsAt ? 'processing' : 'completed'),
    );
    await harness.apply([policy({ max_runtime: 10 * MINUTE + 7 * SECOND })]);
    await harness.process().run(15 * MINUTE);
    expect(await harness.orders()).toEqual([]);
    expect(fleet.count('retrieveSession')).toBe(1);
    expect((await harness.ledger.facts.of(SESSION))?.stored).toMatchObject({
      listed: false,
      facts: { timeline: { state: 'completed' } },
    });
  });
});

describe('a wait for an approval, which no list shows', () => {
  const key = { messages: [{ id: 'm', atMs: at(-4 * MINUTE) }] };
  /** Runs for 5 minutes when the first scan sees it, waits for half an hour, runs for 4 minutes more. */
  const life = (now: number): Shown => ({
    ...key,
    state:
      now < at(MINUTE)
        ? 'processing'
        : now < at(31 * MINUTE)
          ? 'approval_required'
          : now < at(35 * MINUTE)
            ? 'processing'
            : 'completed',
  });

  it.each([20, 75, 100, 31 * 60 - 10, 31 * 60 - 1, 31 * 60 + 20].map((s) => s * SECOND))(
    'is not run time, also when another process takes over meanwhile (%d ms)',
    async (handOver) => {
      harness.fleet.session(SESSION, life);
      // Far enough not to be asked about when it disappears.
      await harness.apply([policy({ max_runtime: 12 * MINUTE })]);
      await harness.process().run(handOver);
      await harness.process().run(40 * MINUTE);
      expect(await harness.orders()).toEqual([]);
    },
  );

  it('is not run time for a process that remembers all', async () => {
    harness.fleet.session(SESSION, life);
    await harness.apply([policy({ max_runtime: 12 * MINUTE })]);
    await harness.process().run(40 * MINUTE);
    expect(await harness.orders()).toEqual([]);
  });
});
