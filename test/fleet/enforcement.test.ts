import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
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

describe('a session that breaks a limit', () => {
  it('is ordered to end at first sight, when it is over its limit already', async () => {
    const { fleet, clock, joined } = harness;
    fleet.session(SESSION, turnSince(at(-HOUR)));
    fleet.session('session-2', turnSince(at(-MINUTE)));
    await harness.apply([rule]);
    await harness.process().run(5 * SECOND);
    const orders = await harness.orders();
    expect(orders).toMatchObject([
      { sessionId: SESSION, turnKey: `m@${at(-HOUR)}`, policy: 'rule', version: 1, open: true },
    ]);
    expect(joined).toEqual([{ sessionId: SESSION, orderId: orders[0]?.id, atMs: expect.any(Number) }]);
    expect(joined[0]?.atMs).toBeLessThan(clock.vendor());
  });

  it('is dealt with at its deadline, not at the next scan after it', async () => {
    const { fleet } = harness;
    const beginsAt = at(10 * SECOND);
    // Half-way between two scans.
    const limitMs = 10 * MINUTE + 7 * SECOND;
    fleet.session(SESSION, (now) => (now < beginsAt ? null : turnSince(beginsAt)));
    await harness.apply([policy({ max_runtime: limitMs })]);
    const process = harness.process();
    await process.run(10 * MINUTE);
    expect(await harness.orders()).toEqual([]);
    await process.run(2 * SCAN_MS);
    const [order] = await harness.orders();
    const firstSeen =
      fleet.calls.find(({ operation, atMs }) => operation === 'listSessions' && atMs >= beginsAt)?.atMs ?? 0;
    const lateMs = (order?.orderedAtMs ?? 0) - (firstSeen + limitMs);
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThan(2 * SECOND);
  });

  it('is found by what it spends, at the scan that shows it and a retrieve', async () => {
    const { fleet } = harness;
    const begins = at(20 * SECOND);
    // One credit a second; the conversation has spent 4,000 before.
    const life = (now: number): Shown =>
      now < begins
        ? { state: 'completed', messages: [{ id: 'old', atMs: at(-HOUR) }], credits: 4_000 }
        : {
            state: 'processing',
            messages: [
              { id: 'old', atMs: at(-HOUR) },
              { id: 'new', atMs: begins },
            ],
            credits: 4_000 + (now - begins) / SECOND,
          };
    fleet.session(SESSION, life);
    await harness.apply([policy({ max_credits: 100 })]);
    await harness.process().run(5 * MINUTE);
    const [order, ...others] = await harness.orders();
    expect(others).toEqual([]);
    expect(order).toMatchObject({
      turnKey: 'new',
      reason: expect.stringMatching(/has spent 1\d\d.* credits in this turn, limit 100/),
    });
    const spentMs = (order?.orderedAtMs ?? 0) - begins;
    expect(spentMs).toBeGreaterThanOrEqual(100 * SECOND);
    expect(spentMs).toBeLessThan(100 * SECOND + 3 * SCAN_MS);
    expect(fleet.count('retrieveSession')).toBeLessThanOrEqual(3);
  });

  it('is found by its time in the queue, and what runs by then is not', async () => {
    const { fleet } = harness;
    fleet.session('waits', (now) => (now < at(20 * SECOND) ? null : turnSince(at(20 * SECOND), 'queued')));
    fleet.session('waited', (now) =>
      now < at(20 * SECOND) ? null : turnSince(at(20 * SECOND), now < at(4 * MINUTE) ? 'queued' : 'processing'),
    );
    await harness.apply([policy({ max_queue_time: 5 * MINUTE })]);
    await harness.process().run(20 * MINUTE);
    expect(await harness.orders()).toMatchObject([
      { sessionId: 'waits', reason: expect.stringContaining('has waited 5m') },
    ]);
  });

  it('is warned once, has its grace, and is ended when that is over', async () => {
    harness.fleet.session(SESSION, (now) => (now < at(20 * SECOND) ? null : turnSince(at(20 * SECOND))));
    await harness.apply([policy({ max_runtime: 10 * MINUTE }, { warnAt: 0.8, graceMs: 2 * MINUTE })]);
    const process = harness.process();
    await process.run(8 * MINUTE);
    expect(await harness.events('warned')).toEqual([]);
    await process.run(4 * MINUTE);
    expect(await harness.events('warned')).toMatchObject([
      { sessionId: SESSION, data: { policy: 'rule', limit: 'max_runtime', turnKey: `m@${at(20 * SECOND)}` } },
    ]);
    expect(await harness.orders()).toEqual([]);
    await process.run(2 * MINUTE);
    const [order] = await harness.orders();
    expect((order?.orderedAtMs ?? 0) - at(20 * SECOND)).toBeGreaterThanOrEqual(12 * MINUTE);
    await process.run(5 * MINUTE);
    expect(await harness.events('warned')).toHaveLength(1);
    expect(await harness.orders()).toHaveLength(1);
  });

  it('I9: leaves in the order what it rests on: rule, version, numbers, the time they were seen, their error', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    await harness.apply([policy({ max_runtime: 20 * MINUTE })]);
    await harness.apply([rule]);
    await harness.process().run(5 * SECOND);
    const [view] = await harness.ledger.orders.views({ sessionId: SESSION });
    expect(view?.result).toMatchObject({
      requestedBy: 'policy rule',
      reason: {
        text: expect.stringMatching(
          /^has run 1h.*limit 10m; counted from its message, of which the first 1h.* were not watched$/,
        ),
        policy: 'rule',
        policyVersion: 2,
        limit: { name: 'max_runtime', value: 10 * MINUTE, unit: 'ms' },
        observed: {
          value: expect.any(Number),
          errorBound: expect.any(Number),
          seenAt: expect.stringMatching(/^2026-01-05T1/),
          turnStartedAt: new Date(at(-HOUR)).toISOString(),
        },
      },
    });
  });

  it('is not looked at by a policy that is off', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    await harness.apply([{ ...rule, mode: 'off' }]);
    await harness.process().run(2 * MINUTE);
    expect(await harness.orders()).toEqual([]);
    expect(await harness.events('would-end')).toEqual([]);
    expect(harness.fleet.count('retrieveSession')).toBe(0);
  });

  it('is named once by a policy that observes, and nothing is ordered', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    await harness.apply([{ ...rule, mode: 'observe' }]);
    const process = harness.process();
    await process.run(10 * MINUTE);
    await harness.process().run(10 * MINUTE);
    expect(await harness.events('would-end')).toMatchObject([
      { sessionId: SESSION, data: { policy: 'rule', mode: 'observe', policyVersion: 1 } },
    ]);
    expect(await harness.orders()).toEqual([]);
    expect(harness.joined).toEqual([]);
  });

  it('is ended by a policy that enforces from now on', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    await harness.apply([{ ...rule, mode: 'observe' }]);
    const process = harness.process();
    await process.run(2 * MINUTE);
    await harness.apply([rule]);
    await process.run(SCAN_MS);
    expect(await harness.orders()).toMatchObject([{ sessionId: SESSION, version: 2 }]);
  });

  it('I6: is left alone while it is exempt', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    await harness.apply([rule]);
    await harness.ledger.exemptions.add({ sessionId: SESSION, forMs: 10 * MINUTE, reason: 'a demo', by: 'ops' });
    const process = harness.process();
    await process.run(9 * MINUTE);
    expect(await harness.orders()).toEqual([]);
    await process.run(2 * MINUTE);
    expect(await harness.orders()).toMatchObject([{ sessionId: SESSION }]);
  });

  it('I8: costs no retrieve and no row for each scan, when it breaks nothing', async () => {
    const { fleet } = harness;
    for (let n = 0; n < 20; n += 1)
      fleet.session(`session-${n}`, (now) => (now < at(20 * SECOND) ? null : turnSince(at(20 * SECOND))));
    await harness.apply([policy({ max_runtime: 8 * HOUR })]);
    const rows: number[] = [];
    const hooks = { before: (call: string) => void (call === 'facts.store' && rows.push(1)) };
    await harness.process({ hooks }).run(HOUR);
    expect(fleet.count('retrieveSession')).toBe(0);
    expect(rows.length).toBeLessThanOrEqual(HOUR / SCAN_MS + 2);
  });
});

describe('which rules count', () => {
  it('rests while none are in force', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    expect(await harness.process().run(MINUTE)).toBe('rest');
    expect(harness.fleet.calls).toEqual([]);
  });

  it('I5: ends nothing by rules that a newer Curfew wrote, and says so', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    await harness.apply([rule]);
    await harness.db.updateTable('policy_versions').set({ schema: 99 }).execute();
    const process = harness.process();
    // Not a round that rests: another worker may be new enough.
    await expect(process.run(5 * MINUTE)).rejects.toThrow(/newer Curfew/);
    expect(harness.fleet.calls).toEqual([]);
    expect(await harness.orders()).toEqual([]);
    expect(process.log.error).toHaveBeenCalledWith({ version: 1 }, expect.stringContaining('newer Curfew'));
  });

  it('observes while the breaker of the policy is open', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    await harness.apply([rule]);
    await harness.db
      .insertInto('breakers')
      .values({ policy: 'rule', opened_at: at(0), reason_json: '{}' })
      .execute();
    await harness.process().run(MINUTE);
    expect(await harness.orders()).toEqual([]);
    expect(await harness.events('would-end')).toMatchObject([{ data: { breaker: 'open' } }]);
  });

  it('puts new rules in force within seconds, for all sessions at once', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    await harness.apply([policy({ max_runtime: 4 * HOUR })]);
    const process = harness.process();
    await process.run(MINUTE);
    await harness.apply([rule]);
    await process.run(SCAN_MS);
    expect(await harness.orders()).toMatchObject([{ version: 2 }]);
  });

  it('never ends a session that the policy may not be about', async () => {
    harness.fleet.session(SESSION, turnSince(at(-HOUR)));
    const unknownTeam = policy({ max_runtime: MINUTE }, { name: 'team', match: { not: { teams: ['team-2'] } } });
    const others = policy(
      { max_runtime: MINUTE },
      { name: 'others', match: { not: { creators: ['one@example.com'] } } },
    );
    await harness.apply([unknownTeam, others]);
    await harness.process().run(5 * MINUTE);
    expect(await harness.orders()).toEqual([]);
  });
});
