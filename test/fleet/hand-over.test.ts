import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Policy } from '../../src/core/policy/policy.js';
import { lengthOf, truthAt, type Moment, type Piece } from '../policy/lived-session.js';
import { policy } from '../policy/observing.js';
import {
  BEGINNING,
  MINUTE,
  openFleetHarness,
  SCAN_MS,
  SECOND,
  type FleetHarness,
  type OrderRow,
  type Shown,
} from '../support/scripted-fleet.js';
import '../support/property-seed.js';

const seconds = (min: number, max: number) => fc.integer({ min: min * SECOND, max: max * SECOND });

/** One turn: perhaps a wait, a run with a steering message here and there, perhaps an approval, then rest of any length. */
const turn: fc.Arbitrary<Piece[]> = fc
  .record({
    queue: fc.option(seconds(20, 300)),
    runs: fc.array(fc.record({ lasts: seconds(5, 300), steered: fc.boolean() }), { minLength: 1, maxLength: 3 }),
    // Shorter than this it can hide between two scans.
    approval: fc.option(seconds(90, 400)),
    after: seconds(5, 300),
    rest: seconds(5, 200),
    rate: fc.integer({ min: 0, max: 3 }),
  })
  .map(({ queue, runs, approval, after, rest, rate }) => {
    const piece = (state: Piece['state'], lastsMs: number, message = false): Piece => ({
      ...{ state, lastsMs, message, creditsPerSecond: rate },
    });
    return [
      ...(queue === null ? [] : [piece('queued', queue, true)]),
      ...runs.map(({ lasts, steered }, n) => piece('processing', lasts, n === 0 ? queue === null : steered)),
      ...(approval === null ? [] : [piece('approval_required', approval), piece('processing', after)]),
      piece('completed', rest),
    ];
  });
const life = fc
  .array(turn, { minLength: 1, maxLength: 2 })
  .map((turns): Piece[] => [
    { state: 'completed', lastsMs: MINUTE, message: true, creditsPerSecond: 0 },
    ...turns.flat(),
  ]);
const lives = fc.array(life, { minLength: 4, maxLength: 4 });

const limits = fc.record({
  max_runtime: seconds(60, 400),
  max_queue_time: seconds(60, 250),
  max_credits: fc.integer({ min: 50, max: 800 }),
});
/** One policy for each limit, so that an order tells which one it rests on. */
const rules = fc
  .record({ limits, graceMs: fc.constantFrom(0, MINUTE), warnAt: fc.constantFrom(null, 0.8) })
  .map(({ limits: each, ...more }) =>
    Object.entries(each).map(([name, value]) =>
      policy({ [name]: value }, { ...more, name: name.replaceAll('_', '-') }),
    ),
  );

const shown = ({ state, messages, credits }: Moment): Shown => ({
  ...{ state, credits },
  messages: messages.map(({ id, at }) => ({ id, atMs: BEGINNING + at })),
});
const longest = (all: readonly (readonly Piece[])[]): number => Math.max(...all.map(lengthOf));
const idOf = (n: number): string => `session-${n}`;
const nameOf = ({ sessionId, turnKey, policy: by }: OrderRow): string => `${sessionId} ${turnKey} ${by}`;

/** Each lets hours go by on a real ledger: a few seconds. More of them: PROPERTY_RUNS=100. */
const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 3);

let harness: FleetHarness;
beforeEach(async () => (harness = await openFleetHarness()));
afterEach(() => harness.close());

/** Opens another world, and lets these lives happen in it while processes follow one another. */
async function happen(
  all: readonly (readonly Piece[])[],
  policies: readonly Policy[],
  slices: readonly { readonly runMs: number; readonly awayMs: number }[],
  disturb: (world: FleetHarness) => void = () => undefined,
): Promise<OrderRow[]> {
  await harness.close();
  harness = await openFleetHarness();
  harness.fleet.agent('agent-1');
  for (const [n, pieces] of all.entries()) {
    harness.fleet.session(idOf(n), (now) => shown(truthAt(pieces, now - BEGINNING)));
  }
  disturb(harness);
  await harness.apply(policies);
  const endsAt = BEGINNING + longest(all);
  for (const { runMs, awayMs } of slices) {
    const left = endsAt - harness.clock.vendor();
    if (left <= 0) break;
    await harness.process().run(Math.min(runMs, left));
    harness.clock.advance(awayMs);
  }
  const left = endsAt - harness.clock.vendor();
  if (left > 0) await harness.process().run(left);
  return harness.orders();
}

/** How far the turn of an order is over the limit that it rests on, by the truth when it was ordered. Negative: it is not. */
function excessOf(all: readonly (readonly Piece[])[], order: OrderRow, policies: readonly Policy[]): number {
  const truth = truthAt(all[Number(order.sessionId.split('-')[1])] ?? [], order.orderedAtMs - BEGINNING);
  const { max_runtime, max_queue_time, max_credits } = limitsOf(order, policies);
  if (truth.turnKey !== order.turnKey) return -Infinity;
  if (max_runtime !== null) return truth.state === 'processing' ? truth.turnInStateMs - max_runtime : -Infinity;
  if (max_queue_time !== null) return truth.state === 'queued' ? truth.turnInStateMs - max_queue_time : -Infinity;
  return truth.turnCredits - (max_credits ?? Infinity) + 1e-6;
}

function limitsOf(order: Pick<OrderRow, 'policy'>, policies: readonly Policy[]): Policy['limits'] {
  const found = policies.find(({ name }) => name === order.policy);
  if (found === undefined) throw new Error(`No policy ${order.policy}.`);
  return found.limits;
}

/** Turns that were over a limit for so long that every way of watching must find them, as {@link nameOf} names them. */
function certain(all: readonly (readonly Piece[])[], policies: readonly Policy[]): Set<string> {
  const found = new Set<string>();
  const slack = 4 * SCAN_MS;
  for (const [n, pieces] of all.entries()) {
    for (let at = 0; at < lengthOf(pieces); at += SCAN_MS) {
      const truth = truthAt(pieces, at);
      for (const {
        name,
        graceMs,
        limits: { max_runtime, max_queue_time },
      } of policies) {
        const isOver =
          (max_runtime !== null &&
            truth.state === 'processing' &&
            truth.turnInStateMs > max_runtime + graceMs + slack) ||
          (max_queue_time !== null &&
            truth.state === 'queued' &&
            truth.turnInStateMs > max_queue_time + graceMs + slack);
        if (isOver) found.add(`${idOf(n)} ${truth.turnKey} ${name}`);
      }
    }
  }
  return found;
}

const slices = (mostAwayMs: number) =>
  fc.array(fc.record({ runMs: seconds(1, 240), awayMs: fc.integer({ min: 0, max: mostAwayMs }) }), { maxLength: 12 });

describe('processes that take over from each other by the ledger', () => {
  it('I2: count on where the one before left off', async () => {
    harness.fleet.agent('agent-1');
    const begins = BEGINNING + 40 * SECOND;
    harness.fleet.session('session-0', (now) =>
      now < begins ? null : { state: 'processing', messages: [{ id: 'm', atMs: begins }] },
    );
    await harness.apply([policy({ max_runtime: 10 * MINUTE, max_continuous_runtime: 10 * MINUTE })]);
    for (const runMs of [3 * MINUTE, 5 * MINUTE, MINUTE]) await harness.process().run(runMs);
    await harness.process().run(90 * SECOND);
    expect(await harness.orders()).toHaveLength(0);
    await harness.process().run(MINUTE);
    expect(await harness.orders()).toMatchObject([{ sessionId: 'session-0', turnKey: 'm' }]);
  });

  it('I2: order what one process that remembers all orders, and no other turn, at whatever moments', async () => {
    await fc.assert(
      fc.asyncProperty(lives, rules, slices(0), async (all, policies, parts) => {
        const alone = await happen(all, policies, []);
        const handed = await happen(all, policies, parts);
        const must = certain(all, policies);
        for (const orders of [alone, handed]) {
          expect(orders.filter((order) => excessOf(all, order, policies) < 0)).toEqual([]);
          expect([...must].filter((name) => !orders.some((order) => nameOf(order) === name))).toEqual([]);
          expect(new Set(orders.map(nameOf)).size).toBe(orders.length);
        }
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
  }, 240_000);

  it('I5: order no turn before its limit, and none but the one in flight, when nobody watches for a while and lists fail', async () => {
    const failing = fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 60 });
    const hiding = fc.array(fc.tuple(seconds(0, 900), seconds(10, 300), fc.nat(3)), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(
        lives,
        rules,
        slices(3 * MINUTE),
        failing,
        hiding,
        async (all, policies, parts, failures, hides) => {
          const failed = new Set(failures);
          const orders = await happen(all, policies, parts, ({ fleet, clock }) => {
            fleet.fails = ({ operation, call }) =>
              operation !== 'listAgents' && failed.has(call) ? 'server-error' : null;
            // Lists leave out sessions for a while.
            fleet.during = () => {
              fleet.hidden.clear();
              for (const [from, lasts, n] of hides) {
                const since = clock.vendor() - BEGINNING - from;
                if (since >= 0 && since < lasts) fleet.hidden.add(idOf(n));
              }
            };
          });
          for (const order of orders) {
            const pieces = all[Number(order.sessionId.split('-')[1])] ?? [];
            const at = order.orderedAtMs - BEGINNING;
            const truth = truthAt(pieces, at);
            const { max_runtime, max_queue_time, max_credits } = limitsOf(order, policies);
            expect(truth.turnKey).toBe(order.turnKey);
            const ageMs = at - (truth.messages.at(-1)?.at ?? Infinity);
            expect(ageMs).toBeGreaterThanOrEqual(max_runtime ?? max_queue_time ?? 0);
            if (max_credits !== null) expect(truth.turnCredits + 1e-6).toBeGreaterThanOrEqual(max_credits);
          }
        },
      ),
      { numRuns: RUNS, endOnFailure: true },
    );
  }, 240_000);
});
