import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { policy } from '../policy/observing.js';
import { ledgerAway } from '../support/gate-harness.js';
import {
  BEGINNING,
  MINUTE,
  openFleetHarness,
  SECOND,
  type FleetHarness,
  type Life,
} from '../support/scripted-fleet.js';
import '../support/property-seed.js';

/** Each lets a quarter of an hour go by on a real ledger: about a second. More of them: PROPERTY_RUNS=100. */
const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 12);
const SESSIONS = 5;
const LIMIT = MINUTE;
/** How long failures, restarts, pauses and exemptions go on, in slices, ms. */
const SLICE_MS = 8 * SECOND;
const SLICES = 45;
/** By then what is open has come to its end, ms: a request may be in doubt for a minute, and waits grow to one. */
const SETTLES_MS = 12 * MINUTE;

const seconds = (min: number, max: number) => fc.integer({ min: min * SECOND, max: max * SECOND });

/** Turns of one session: each begins so long after the one before, and runs so long if nobody ends it. */
const session = fc.array(fc.record({ after: seconds(1, 90), lasts: seconds(10, 400) }), { minLength: 1, maxLength: 3 });

type Turns = readonly { readonly key: string; readonly from: number; readonly to: number }[];

function turnsOf(plan: readonly { readonly after: number; readonly lasts: number }[]): Turns {
  let at = BEGINNING;
  return plan.map(({ after, lasts }, n) => {
    const from = at + after;
    at = from + lasts;
    return { key: `m${n + 1}`, from, to: at };
  });
}

const lifeOf =
  (turns: Turns): Life =>
  (now) => {
    const begun = turns.filter(({ from }) => from <= now);
    const last = begun.at(-1);
    if (last === undefined) return null;
    const messages = begun.map(({ key, from }) => ({ id: key, atMs: from }));
    return { state: now < last.to ? 'processing' : 'completed', messages };
  };

const ANSWERS = ['failed-to-abort', 'server-error', 'timeout', 'processing', 'completed', 'failed'] as const;
type Happening = 'nothing' | 'kill' | 'stop' | 'pause' | 'resume' | 'exempt' | 'second';
const slice = fc.record({
  happens: fc.constantFrom<Happening>(
    'nothing',
    'nothing',
    'nothing',
    'kill',
    'stop',
    'pause',
    'resume',
    'exempt',
    'second',
  ),
  session: fc.nat(SESSIONS - 1),
});
const story = fc.record({
  sessions: fc.array(session, { minLength: SESSIONS, maxLength: SESSIONS }),
  slices: fc.array(slice, { minLength: SLICES, maxLength: SLICES }),
  /** Of one call in so many. */
  ledgerFails: fc.constantFrom(0, 40, 150),
  vendorFails: fc.constantFrom(0, 6, 20),
  cancels: fc.array(fc.record({ answer: fc.constantFrom(...ANSWERS), hasEffect: fc.boolean() }), { maxLength: 12 }),
  luck: fc.array(fc.nat(9_999), { minLength: 50, maxLength: 50 }),
});
type Story = typeof story extends fc.Arbitrary<infer T> ? T : never;

/** What was so, and from when to when. */
interface Interval {
  readonly from: number;
  to: number;
}

interface Happened {
  readonly turns: readonly Turns[];
  readonly paused: readonly Interval[];
  readonly exempt: ReadonlyMap<string, readonly Interval[]>;
  /** Open orders that were in nobody's care when the failures ended. */
  readonly forlorn: readonly string[];
}

const idOf = (n: number): string => `session-${n}`;

async function happen(harness: FleetHarness, told: Story): Promise<Happened> {
  const { clock, fleet, ledger } = harness;
  const turns = told.sessions.map(turnsOf);
  fleet.agent('agent-1');
  for (const [n, each] of turns.entries()) fleet.session(idOf(n), lifeOf(each));
  let drawn = 0;
  const isUnlucky = (oneIn: number): boolean => {
    drawn += 1;
    const luck = told.luck[drawn % told.luck.length] ?? 0;
    return oneIn > 0 && (luck + drawn * 7_919) % oneIn === 0;
  };
  let troubled = true;
  let hasEffect = true;
  fleet.cancelAnswers = (_session, call) => {
    const planned = troubled ? told.cancels[call] : undefined;
    hasEffect = planned?.hasEffect ?? true;
    return planned?.answer ?? 'failed';
  };
  fleet.cancelHasEffect = () => hasEffect;
  fleet.fails = ({ operation }) =>
    troubled && operation !== 'cancelSession' && isUnlucky(told.vendorFails) ? 'server-error' : null;
  const mayFail = (): void => {
    if (troubled && isUnlucky(told.ledgerFails)) throw ledgerAway();
  };
  const begin = () => harness.process({ carriesOut: true, hooks: { before: mayFail, after: mayFail } });

  await harness.apply([policy({ max_runtime: LIMIT })]);
  const paused: Interval[] = [];
  const exempt = new Map<string, Interval[]>();
  let here = begin();
  const pause = async (to: boolean): Promise<void> => {
    await ledger.pauseSwitch.set(to, 'ops', null);
    const last = paused.at(-1);
    if (to) paused.push({ from: clock.vendor(), to: Infinity });
    else if (last?.to === Infinity) last.to = clock.vendor();
  };
  const isPaused = (): boolean => paused.at(-1)?.to === Infinity;
  for (const { happens, session: n } of told.slices) {
    if (happens === 'kill') here.kill();
    if (happens === 'stop') await here.stop();
    // One lives on with what it holds, and another one makes the rounds.
    if (['kill', 'stop', 'second'].includes(happens)) here = begin();
    if (happens === 'pause' && !isPaused()) await pause(true);
    if (happens === 'resume' && isPaused()) await pause(false);
    if (happens === 'exempt') {
      const forMs = 30 * SECOND;
      await ledger.exemptions.add({ sessionId: idOf(n), forMs, reason: null, by: 'ops' });
      const its = exempt.get(idOf(n)) ?? [];
      // It starts when the answer is there, and the clocks of ledger and vendor agree to a second.
      exempt.set(idOf(n), [...its, { from: clock.vendor(), to: clock.vendor() + forMs - 2 * SECOND }]);
    }
    await here.run(SLICE_MS);
    await harness.takeUp();
  }
  troubled = false;
  const forlorn = await forlornOrders(harness);
  if (isPaused()) await pause(false);
  for (let passed = 0; passed < SETTLES_MS; passed += SLICE_MS) {
    await here.run(SLICE_MS);
    await harness.takeUp();
    if (passed > MINUTE && harness.cases.size === 0 && (await harness.orders()).every(({ open }) => !open)) break;
  }
  return { turns, paused, exempt, forlorn };
}

/** Open orders that no worker holds, that are not found, and that have no case. */
async function forlornOrders({ db, ledger, cases }: FleetHarness): Promise<string[]> {
  const found = new Set((await ledger.holds.unheld(100)).map(({ sessionId }) => sessionId));
  const nowMs = await ledger.now();
  const open = await db.selectFrom('orders').selectAll().where('open', '=', 1).execute();
  return open
    .filter((order) => {
      // Held, or let go of for a case that is about to be opened: found when that time is over.
      const isHeld = order.held_until !== null && order.held_until > nowMs && order.held_until <= nowMs + MINUTE;
      return !isHeld && !found.has(order.session_id) && !cases.has(order.session_id);
    })
    .map(({ session_id: sessionId }) => sessionId);
}

const within = (at: number, intervals: readonly Interval[]): boolean =>
  intervals.some(({ from, to }) => at > from && at < to);

async function expectInvariants(harness: FleetHarness, happened: Happened): Promise<void> {
  const { fleet, db } = harness;
  const { turns, paused, exempt, forlorn } = happened;
  expect({ I1: fleet.brokenPromises, I3: fleet.sideBySide }).toEqual({ I1: [], I3: [] });
  expect({ I6: fleet.cancels.filter(({ atMs }) => within(atMs, paused)) }).toEqual({ I6: [] });
  expect({
    I6: fleet.cancels.filter(({ sessionId, atMs }) => within(atMs, exempt.get(sessionId) ?? [])),
  }).toEqual({ I6: [] });

  // The one race that the vendor leaves: between our read and the request the turn ends, and perhaps the next begins.
  const innocent = fleet.cancels.filter(({ sessionId, atMs }) => {
    const its = turns[Number(sessionId.split('-')[1])] ?? [];
    return !its.some(({ from, to }) => atMs - from >= LIMIT && to > atMs - 2 * SECOND && from <= atMs);
  });
  expect({ I5: innocent }).toEqual({ I5: [] });

  expect({ I2: forlorn }).toEqual({ I2: [] });
  const orders = await harness.orders();
  expect({ I2: orders.filter(({ open }) => open) }).toEqual({ I2: [] });
  const outcomes = await db.selectFrom('outcomes').select(['order_id', 'outcome']).execute();
  expect(outcomes.map(({ order_id: id }) => id).sort()).toEqual(orders.map(({ id }) => id).sort());
  // What has left stands in the ledger.
  const written = await db.selectFrom('requests').select('id').where('status', '!=', 'withdrawn').execute();
  expect(written.length).toBeGreaterThanOrEqual(fleet.cancels.length);
  // A turn that a request has ended has an order that says so, or that another turn was there before anybody saw it.
  for (const { sessionId, turnKey } of fleet.ends) {
    const said = orders.filter((order) => order.sessionId === sessionId && order.turnKey === turnKey);
    const outcomesSaid = said.map(({ outcome }) => outcome);
    expect({ I4: [sessionId, turnKey, outcomesSaid], true: outcomesSaid.some((one) => OURS.has(one ?? '')) }).toEqual({
      I4: [sessionId, turnKey, outcomesSaid],
      true: true,
    });
  }
}

const OURS: ReadonlySet<string> = new Set(['cancelled', 'ended-unattributed']);

describe('orders that workers carry out themselves', () => {
  it(
    'I1 to I6: hold whatever lives sessions have, whatever fails, and whoever dies, stops, pauses or exempts',
    async () => {
      let asked = 0;
      await fc.assert(
        fc.asyncProperty(story, async (told) => {
          const harness = await openFleetHarness();
          try {
            await expectInvariants(harness, await happen(harness, told));
            asked += harness.fleet.cancels.length;
          } finally {
            await harness.close();
          }
        }),
        { numRuns: RUNS, endOnFailure: true },
      );
      // Else nothing was tested.
      expect(asked).toBeGreaterThan(RUNS);
    },
    RUNS * 20_000,
  );
});
