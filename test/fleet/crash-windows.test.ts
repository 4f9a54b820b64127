import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { RoundRecord } from '../../src/adapters/ledger/facts.js';
import { policy } from '../policy/observing.js';
import {
  BEGINNING,
  MINUTE,
  openFleetHarness,
  SECOND,
  turnSince,
  type FleetHarness,
  type ScriptedFleet,
} from '../support/scripted-fleet.js';

/** What a worker that dies has done so far, and the rest is for others. */
interface Window {
  readonly name: string;
  /** Whether it dies here. @param asked - cancel requests that have reached the vendor */
  readonly dies: (point: string, asked: number, given: readonly unknown[]) => boolean;
}

const at =
  (where: string) =>
  (point: string): boolean =>
    point === where;
const onceAsked =
  (where: string) =>
  (point: string, asked: number): boolean =>
    point === where && asked > 0;

const holdsOrders = ([record]: readonly unknown[]): boolean => (record as RoundRecord).orders.length > 0;

const WINDOWS: readonly Window[] = [
  { name: 'found', dies: (point, _asked, given) => point === 'before facts.store' && holdsOrders(given) },
  { name: 'ordered', dies: (point, _asked, given) => point === 'after facts.store' && holdsOrders(given) },
  { name: 'ordered, before its pass', dies: at('before orders.beginPass') },
  { name: 'in its pass', dies: at('after orders.beginPass') },
  { name: 'permitted, before the row is written', dies: at('before requests.register') },
  { name: 'the row is written', dies: at('after requests.register') },
  { name: 'the request is about to leave', dies: at('before cancelSession') },
  { name: 'the request has arrived', dies: at('during cancelSession') },
  { name: 'the request has had its effect', dies: at('after cancelSession') },
  { name: 'answered, before that is stored', dies: at('before requests.answer') },
  { name: 'answered', dies: at('after requests.answer') },
  { name: 'the wait for a list', dies: onceAsked('before listSessions') },
  { name: 'the list is there', dies: onceAsked('after listSessions') },
  { name: 'before the confirming read', dies: onceAsked('before retrieveSession') },
  { name: 'after the confirming read', dies: onceAsked('after retrieveSession') },
  { name: 'confirmed, before that is stored', dies: at('before orders.settle') },
  { name: 'settled', dies: at('after orders.settle') },
  { name: 'before it lets go', dies: at('before holds.letGo') },
  { name: 'let go, before the case is opened', dies: at('after holds.letGo') },
  { name: 'the case is about to be opened', dies: at('before cases.join') },
  { name: 'the case is opened', dies: at('after cases.join') },
];

/** How the vendor takes the first request; every later one ends the turn, and says so. */
interface Turn {
  readonly name: string;
  readonly answers: string;
  readonly hasEffect: boolean;
}

const TURNS: readonly Turn[] = [
  { name: 'ends at the first request', answers: 'failed', hasEffect: true },
  { name: 'goes on after a 500', answers: 'failed-to-abort', hasEffect: false },
  { name: 'ends, though the answer is a 500', answers: 'failed-to-abort', hasEffect: true },
  { name: 'ends, though the answer says that it is being processed', answers: 'processing', hasEffect: true },
  { name: 'goes on, and the answer says that it is being processed', answers: 'processing', hasEffect: false },
  { name: 'ends, though the answer says that it has completed', answers: 'completed', hasEffect: true },
  { name: 'goes on, though the answer says that it has failed', answers: 'failed', hasEffect: false },
];

const SESSION = 'session-1';
const TURN = 'm';
const LIMIT = MINUTE;
const BEGINS = BEGINNING + 22 * SECOND;
/** The design says so: from the death of a worker until its cases go on, ms. */
const TAKEN_UP_WITHIN_MS = 20 * SECOND;
/** How often the reconciler looks, ms. */
const RECONCILED_EVERY_MS = 4 * SECOND;

let harness: FleetHarness;
beforeEach(async () => {
  harness = await openFleetHarness();
  harness.fleet.agent('agent-1');
  harness.fleet.session(SESSION, (now) => (now < BEGINS ? null : turnSince(BEGINS, 'processing', TURN)));
  await harness.apply([policy({ max_runtime: LIMIT })]);
});
afterEach(() => harness.close());

function vendorTakes(fleet: ScriptedFleet, { answers, hasEffect }: Turn): void {
  fleet.cancelAnswers = (_session, call) => (call === 0 ? answers : 'failed');
  fleet.cancelHasEffect = () => fleet.cancels.length > 1 || hasEffect;
}

/**
 * A worker dies in the window. Another one scans on, and its reconciler looks every four seconds.
 *
 * @param meanwhile - what happens in the moment of the death
 * @returns whether that moment came, and how long after it somebody was at work on the turn again, ms; null: nobody
 */
async function dieAndGoOn(
  { dies }: Window,
  meanwhile = (): void => undefined,
): Promise<{ readonly died: boolean; readonly goesOnAfterMs: number | null }> {
  const { clock, fleet, ledger } = harness;
  let dead = false;
  const dying = harness.process({ carriesOut: true, dies: (point, given) => dies(point, fleet.cancels.length, given) });
  fleet.during = async ({ operation }) => {
    // Once: those who come later live.
    if (dead || operation !== 'cancelSession' || !dies('during cancelSession', fleet.cancels.length, [])) return;
    dying.kill();
    await harness.forever();
  };
  const ended = dying.run(LIMIT + 3 * MINUTE).then(
    () => 'ended' as const,
    () => 'ended' as const,
  );
  const died = (await Promise.race([dying.died, ended])) !== 'ended';
  dead = true;
  const diedAt = clock.vendor();
  fleet.gaveUp(SESSION);
  meanwhile();
  const cancelsBefore = fleet.cancels.length;
  const joinedBefore = harness.joined.length;
  const isSettled = async (): Promise<boolean> => {
    const orders = await harness.orders();
    return orders.length > 0 && orders.every(({ open }) => !open);
  };

  const other = harness.process({ carriesOut: true });
  let goesOnAfterMs: number | null = (await isSettled()) || joinedBefore > 0 ? 0 : null;
  for (let passedMs = 0; passedMs < 4 * MINUTE; passedMs += RECONCILED_EVERY_MS) {
    await other.run(RECONCILED_EVERY_MS);
    if (other.inHand() > 0) goesOnAfterMs ??= clock.vendor() - diedAt;
    const opened = harness.joined.length;
    const opensAt = clock.vendor();
    await harness.takeUp();
    if (harness.joined.length > opened || fleet.cancels.length > cancelsBefore) goesOnAfterMs ??= opensAt - diedAt;
    if (await isSettled()) goesOnAfterMs ??= clock.vendor() - diedAt;
  }
  expect(await ledger.holds.unheld(10)).toEqual([]);
  expect([...harness.cases]).toEqual([]);
  return { died, goesOnAfterMs };
}

/** What the ledger says of the one turn, held against what happened. */
async function expectTheTruth(): Promise<void> {
  const { fleet, ledger, db } = harness;
  const views = await ledger.orders.views({ sessionId: SESSION });
  expect(views).toHaveLength(1);
  expect(await db.selectFrom('outcomes').select('outcome').execute()).toHaveLength(1);
  const [result] = views.map((view) => view.result);
  const requests = await db.selectFrom('requests').selectAll().where('status', '!=', 'withdrawn').execute();
  const byUs = fleet.ends.length > 0;
  expect(fleet.ends.length).toBeLessThanOrEqual(1);
  expect({ turnKey: result?.turnKey, outcome: result?.outcome }).toEqual({
    turnKey: TURN,
    outcome: byUs ? 'cancelled' : 'already-ended',
  });
  // Sure is only what the vendor has said.
  const said = requests.some(({ answer, answer_state: state }) => answer === 'accepted' && state !== 'processing');
  expect(result?.attribution).toBe(byUs ? (said ? 'strong' : 'probable') : null);
  expect(result?.attempts).toBe(requests.length);
  // The row of one that died may be that of a request that never left; nothing has left without one.
  expect(requests.length - fleet.cancels.length).toBeGreaterThanOrEqual(0);
  expect(requests.length - fleet.cancels.length).toBeLessThanOrEqual(1);
  expect(fleet.cancels.length).toBeLessThanOrEqual(2);
  expect(fleet.cancels.every(({ turnKey }) => turnKey === TURN)).toBe(true);
}

/** Windows that the worker never gets to: what is not clear becomes a case, and then that settles it; what is clear needs none. */
function isSkipped({ name }: Window, { answers, hasEffect }: Turn): boolean {
  const becomesCase = !hasEffect || answers === 'failed-to-abort';
  return becomesCase ? /settled|confirmed/.test(name) : /case/.test(name);
}

describe.each(TURNS)('a turn that $name', (turn) => {
  it.each(WINDOWS.filter((window) => !isSkipped(window, turn)))(
    'I2, I3, I4: has one true outcome when its worker dies: $name',
    async (window) => {
      vendorTakes(harness.fleet, turn);
      const { died, goesOnAfterMs } = await dieAndGoOn(window);
      expect(died).toBe(true);
      expect(goesOnAfterMs).not.toBeNull();
      expect(goesOnAfterMs).toBeLessThanOrEqual(TAKEN_UP_WITHIN_MS);
      await expectTheTruth();
    },
  );
});

describe('a turn that ends by itself in the moment in which its worker dies', () => {
  it.each(WINDOWS.filter(({ name }) => !/settled|case|lets go|found|confirm/.test(name)))(
    'I4: is called ended by us if it was, and else not: $name',
    async (window) => {
      const { fleet } = harness;
      const { died } = await dieAndGoOn(window, () => {
        if (fleet.ends.length > 0) return;
        fleet.session(SESSION, { state: 'completed', messages: [{ id: TURN, atMs: BEGINS }] });
      });
      expect(died).toBe(true);
      await expectTheTruth();
    },
  );
});
