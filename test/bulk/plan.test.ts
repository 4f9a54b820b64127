import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Readable } from 'node:stream';
import { idsFromList, idsFromStream } from '../../src/cli/ids.js';
import { makePlan, type BulkPlanInput, type BulkPlanMade, type BulkPlanProgress } from '../../src/engines/bulk/plan.js';
import { ALL_LIVE, type LiveSelection } from '../../src/engines/bulk/selection.js';
import { createVendorClock } from '../../src/adapters/vendor/vendor-clock.js';
import { PLAN_EXPIRES_MS, type BulkTarget } from '../../src/adapters/ledger/bulk-plans.js';
import { policy } from '../policy/observing.js';
import {
  BEGINNING,
  HOUR,
  MINUTE,
  openFleetHarness,
  SECOND,
  turnSince,
  type FleetHarness,
} from '../support/scripted-fleet.js';
import { FREE_LIMITER } from '../support/free-limiter.js';

let harness: FleetHarness;
beforeEach(async () => {
  harness = await openFleetHarness();
});
afterEach(() => harness.close());

/** Everything that was asked of the vendor. */
const asked = (): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { operation } of harness.fleet.calls) counts[operation] = (counts[operation] ?? 0) + 1;
  return counts;
};
const input = (more: Partial<BulkPlanInput>): BulkPlanInput => ({
  by: 'ops@example.com',
  source: 'person',
  cleanup: null,
  reason: 'incident 42',
  written: { all: true },
  selection: ALL_LIVE,
  ...more,
});
const plan = (
  more: Partial<BulkPlanInput> = {},
  parts: Partial<Pick<FleetHarness, 'ledger'>> = {},
): Promise<BulkPlanMade> =>
  makePlan(
    {
      ledger: parts.ledger ?? harness.ledger,
      fleet: {
        sessions: harness.fleet,
        limiter: FREE_LIMITER,
        vendorClock: createVendorClock(harness.clock),
      },
    },
    input(more),
  );
const select = (more: Partial<LiveSelection>): Partial<BulkPlanInput> => ({ selection: { ...ALL_LIVE, ...more } });
const planIds = (ids: Parameters<typeof idsFromList>[0] | string, more: Partial<BulkPlanInput> = {}) =>
  makePlan(
    { ledger: harness.ledger, fleet: null },
    input({
      selection: {
        kind: 'ids',
        given: typeof ids === 'string' ? idsFromStream(Readable.from([Buffer.from(ids)]), 'ids.txt') : idsFromList(ids),
      },
      ...more,
    }),
  );
const targetsOf = (planId: string): Promise<BulkTarget[]> =>
  harness.ledger.bulk.targets(planId, { afterSeq: -1, limit: 100_000 });
const idsOf = async (planId: string): Promise<string[]> => (await targetsOf(planId)).map(({ sessionId }) => sessionId);
const plansLeft = async (): Promise<number> => (await harness.ledger.bulk.list({ limit: 100 })).length;
const rows = async (): Promise<number> => {
  const { count } = await harness.db
    .selectFrom('bulk_targets')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(count);
};

function threeAgents(): void {
  for (const id of ['agent-1', 'agent-2', 'agent-3']) harness.fleet.agent(id, { name: `name of ${id}` });
  harness.fleet.session('s1', turnSince(BEGINNING - 3 * HOUR), 'agent-1');
  harness.fleet.session('s2', turnSince(BEGINNING - MINUTE, 'queued'), 'agent-1');
  harness.fleet.session('s3', turnSince(BEGINNING - 5 * HOUR, 'queued'), 'agent-2');
  harness.fleet.session('s4', turnSince(BEGINNING - HOUR, 'completed'), 'agent-2');
  harness.fleet.session('s5', turnSince(BEGINNING - 2 * MINUTE), 'agent-3');
}

describe('a plan of live sessions', () => {
  it('freezes what fits, in the order of agents, with totals, hash and expiry; and sends no cancel', async () => {
    threeAgents();
    const { job, live, complete, notices } = await plan();
    expect(job).toMatchObject({
      state: 'planned',
      createdBy: 'ops@example.com',
      reason: 'incident 42',
      selection: { all: true },
      hash: await harness.ledger.bulk.hash(job.planId),
      expiresAtMs: expect.any(Number) as unknown,
      appliedAtMs: null,
    });
    expect(job.planId).toMatch(/^b-[2-9b-df-hj-np-tv-xz]{7}$/);
    expect((job.expiresAtMs ?? 0) - job.createdAtMs).toBeGreaterThanOrEqual(PLAN_EXPIRES_MS);
    expect(job.totals).toEqual({
      targets: 4,
      byState: { queued: 2, processing: 2 },
      byAgent: [
        { agentId: 'agent-1', name: 'name of agent-1', targets: 2 },
        { agentId: 'agent-2', name: 'name of agent-2', targets: 1 },
        { agentId: 'agent-3', name: 'name of agent-3', targets: 1 },
      ],
      agents: 3,
      profile: {
        sessionsCreated: { known: 0, first: null, last: null },
        turnsBegun: { known: 0, first: null, last: null },
        credits: { known: 0, sum: 0 },
        creators: 1,
        byCreator: [{ creator: 'one@example.com', targets: 4 }],
      },
      leftOut: {},
      sample: [
        { sessionId: 's2', agentId: 'agent-1', state: 'queued' },
        { sessionId: 's3', agentId: 'agent-2', state: 'queued' },
        { sessionId: 's5', agentId: 'agent-3', state: 'processing' },
        { sessionId: 's1', agentId: 'agent-1', state: 'processing' },
      ],
      gaps: [],
    });
    expect({ live, complete, notices }).toEqual({ live: 4, complete: true, notices: [] });
    expect(await idsOf(job.planId)).toEqual(['s2', 's1', 's3', 's5']);
    expect(asked()).toEqual({ listTeams: 1, listAgents: 1, listSessions: 6 });
    expect(harness.fleet.cancels).toEqual([]);
  });

  it('means turns that came before the page that showed them was asked for: a list names none', async () => {
    threeAgents();
    const { job } = await plan();
    const targets = await targetsOf(job.planId);
    for (const { turnKey, turnStartedAtMs, seenAtMs, agentId, state } of targets) {
      expect({ turnKey, turnStartedAtMs }).toEqual({ turnKey: null, turnStartedAtMs: null });
      const states = { queued: 0, processing: 1 } as const;
      const lists = harness.fleet.calls.filter(
        ({ operation, subject }) => operation === 'listSessions' && subject === agentId,
      );
      // Our clock and the vendor's agree in this story.
      expect(seenAtMs).toBeLessThanOrEqual(lists[states[state as 'queued']]?.atMs ?? 0);
      expect(seenAtMs).toBeGreaterThanOrEqual(BEGINNING);
    }
  });

  it('lists only the states and agents that can fit', async () => {
    threeAgents();
    const { job } = await plan(select({ states: ['queued'], agents: ['*agent-2', 'agent-3'] }));
    expect(await idsOf(job.planId)).toEqual(['s3']);
    expect(harness.fleet.count('listSessions', 'agent-1')).toBe(0);
    expect(asked()).toEqual({ listTeams: 1, listAgents: 1, listSessions: 2 });
  });

  it('asks for an agent that no list shows, when it is named', async () => {
    threeAgents();
    harness.fleet.session('hidden', turnSince(BEGINNING - HOUR), 'gumball');
    const { job } = await plan(select({ agents: ['gumball'] }));
    expect(await idsOf(job.planId)).toEqual(['hidden']);
  });

  it('says which agents do not exist', async () => {
    threeAgents();
    harness.fleet.fails = ({ operation, subject }) =>
      operation === 'listSessions' && subject === 'suport' ? 'not-found' : null;
    const { job, complete } = await plan(select({ agents: ['suport', 'sales-*'] }));
    expect(complete).toBe(false);
    expect(job.totals).toMatchObject({
      targets: 0,
      gaps: [expect.stringContaining('"sales-*"'), expect.stringMatching(/suport.*no agent/)],
    });
  });

  it('of nothing is sealed as well', async () => {
    harness.fleet.agent('agent-1');
    const { job } = await plan();
    expect(job).toMatchObject({ state: 'planned', totals: { targets: 0, agents: 0, byAgent: [], sample: [] } });
    expect(job.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it('keeps the order of agents, however quickly each is listed, and however many sessions it has', async () => {
    const wanted: string[] = [];
    for (let agent = 0; agent < 12; agent += 1) {
      harness.fleet.agent(`agent-${agent}`);
      for (let one = 0; one < (agent % 3 === 0 ? 1_250 : 3); one += 1) {
        const id = `s${agent}-${one}`;
        harness.fleet.session(id, turnSince(BEGINNING - HOUR), `agent-${agent}`);
        wanted.push(id);
      }
    }
    harness.fleet.during = async ({ subject }) => {
      if (subject === 'agent-0') await new Promise((resolve) => setTimeout(resolve, 10));
    };
    const progress: BulkPlanProgress[] = [];
    const { job } = await plan({ ...select({ states: ['processing'] }), onProgress: (news) => progress.push(news) });
    expect(await idsOf(job.planId)).toEqual(wanted);
    expect(progress.at(-1)).toEqual({ agents: 12, agentsListed: 12, retrieves: 0, targets: wanted.length });
  });

  it('has a session once that changes its state while it is listed', async () => {
    harness.fleet.agent('agent-1');
    harness.fleet.session('s1', () =>
      turnSince(BEGINNING - HOUR, harness.fleet.count('listSessions') > 1 ? 'processing' : 'queued'),
    );
    const { job } = await plan();
    expect(job.totals).toMatchObject({ targets: 1, byState: { queued: 1 } });
  });
});

describe('the time of a turn', () => {
  it('is asked of each session whose turn nobody saw begin, and the turn it rests on is frozen', async () => {
    threeAgents();
    const { job } = await plan(select({ states: ['processing'], runningForMs: HOUR }));
    expect(await targetsOf(job.planId)).toMatchObject([
      {
        sessionId: 's1',
        state: 'processing',
        turnKey: `m@${BEGINNING - 3 * HOUR}`,
        turnStartedAtMs: BEGINNING - 3 * HOUR,
      },
    ]);
    expect(harness.fleet.count('retrieveSession')).toBe(2);
    expect(harness.fleet.cancels).toEqual([]);
  });

  it('is known without a retrieve where our own scans saw the turn', async () => {
    threeAgents();
    await harness.apply([policy({ max_runtime: 9 * HOUR, max_queue_time: 9 * HOUR })]);
    await harness.process().run(2 * MINUTE);
    const before = harness.fleet.count('retrieveSession');
    // It was not there when the last scan looked, so its turn is young, whatever its message says.
    harness.fleet.session('s6', turnSince(BEGINNING - 5 * HOUR), 'agent-3');
    const { job } = await plan(select({ states: ['processing'], runningForMs: 4 * HOUR }));
    expect(await idsOf(job.planId)).toEqual([]);
    expect(harness.fleet.count('retrieveSession')).toBe(before);
  });

  it('is not asked for again where a read of our own has shown it: that turn is frozen', async () => {
    threeAgents();
    await harness.apply([policy({ max_runtime: 2 * HOUR }, { mode: 'observe' })]);
    await harness.process().run(MINUTE);
    const before = harness.fleet.count('retrieveSession');
    const { job } = await plan(select({ states: ['processing'], runningForMs: 3 * HOUR, agents: ['agent-1'] }));
    expect(await targetsOf(job.planId)).toMatchObject([{ sessionId: 's1', turnKey: `m@${BEGINNING - 3 * HOUR}` }]);
    expect(harness.fleet.count('retrieveSession')).toBe(before);
  });

  it('that stays unknown leaves the session out, and says so', async () => {
    harness.fleet.agent('agent-1');
    harness.fleet.session('s1', { state: 'processing', messages: [{ id: 'm1', atMs: null }] });
    const { job } = await plan(select({ runningForMs: HOUR, states: ['processing'] }));
    expect(job.totals?.targets).toBe(0);
    expect(harness.fleet.count('retrieveSession')).toBe(1);
  });

  it('can’t be told without the vendor’s clock, and that is said', async () => {
    threeAgents();
    harness.fleet.dates = () => null;
    const { job } = await plan(select({ runningForMs: HOUR, states: ['processing'] }));
    expect(job.totals).toMatchObject({
      targets: 0,
      gaps: [expect.stringContaining('2 live sessions could not be timed')],
    });
    // Where no time is asked for, none is needed.
    expect((await plan()).job.totals).toMatchObject({ targets: 4, gaps: [] });
  });

  it('leaves out what would need more retrieves than are allowed', async () => {
    threeAgents();
    const { job } = await plan({ ...select({ runningForMs: SECOND, states: ['processing'] }), maxRetrieves: 1 });
    expect(job.totals).toMatchObject({
      targets: 1,
      gaps: [expect.stringContaining('1 live session needed a separate read')],
    });
    expect(harness.fleet.count('retrieveSession')).toBe(1);
  });

  it('leaves out a session that can’t be read, or has ended meanwhile', async () => {
    threeAgents();
    harness.fleet.fails = ({ operation, subject }) =>
      operation === 'retrieveSession' && subject === 's1' ? 'forbidden' : null;
    harness.fleet.reshape = (session, operation) =>
      session.id === 's5' && operation === 'retrieveSession' ? { ...session, state: 'completed' } : session;
    const { job } = await plan(select({ runningForMs: SECOND, states: ['processing'] }));
    expect(job.totals).toMatchObject({ targets: 0, gaps: ['1 live session could not be read, and so not be judged.'] });
  });
});

describe('violators', () => {
  const longest = policy({ max_runtime: HOUR }, { name: 'longest', mode: 'observe' });

  it('are those that a policy in force would end now', async () => {
    threeAgents();
    await harness.apply([longest]);
    const { job } = await plan(select({ violators: { policy: 'longest' } }));
    expect(await targetsOf(job.planId)).toMatchObject([{ sessionId: 's1', turnKey: `m@${BEGINNING - 3 * HOUR}` }]);
  });

  it('of a policy that is not in force, or off, are refused before anything is begun', async () => {
    threeAgents();
    await expect(plan(select({ violators: 'all' }))).rejects.toMatchObject({ name: 'UserError', exitCode: 2 });
    await harness.apply([longest, { ...longest, name: 'sleeping', mode: 'off' }]);
    await expect(plan(select({ violators: { policy: 'longst' } }))).rejects.toMatchObject({
      exitCode: 2,
      next: 'Did you mean longest?',
    });
    await expect(plan(select({ violators: { policy: 'sleeping' } }))).rejects.toMatchObject({ exitCode: 2 });
    expect(await plansLeft()).toBe(0);
    expect(asked()).toEqual({});
  });
});

describe('what goes wrong while the fleet is listed', () => {
  it('is tried again, and a plan misses nothing for it', async () => {
    threeAgents();
    const failed = new Set<string>();
    harness.fleet.fails = ({ operation, subject }) => {
      const call = `${operation} ${subject}`;
      if (failed.has(call)) return null;
      failed.add(call);
      return operation === 'listAgents' ? 'rate-limited' : 'server-error';
    };
    const { job, complete } = await plan();
    expect(job.totals).toMatchObject({ targets: 4, gaps: [] });
    expect(complete).toBe(true);
  });

  it('with one agent stops nothing, and is told', async () => {
    threeAgents();
    harness.fleet.fails = ({ operation, subject }) =>
      operation === 'listSessions' && subject === 'agent-1' ? 'forbidden' : null;
    harness.fleet.unreadable.set('agent-2', 3);
    const { job, complete } = await plan();
    expect(complete).toBe(false);
    expect(await idsOf(job.planId)).toEqual(['s3', 's5']);
    expect(job.totals?.gaps).toEqual([
      expect.stringMatching(/^The sessions of name of agent-1 could not all be listed: .*403/),
      expect.stringMatching(/name of agent-2 .*3 items/),
      expect.stringMatching(/name of agent-2 .*3 items/),
    ]);
  });

  it('with the account ends the plan, and nothing is left of it', async () => {
    threeAgents();
    harness.fleet.fails = ({ operation, subject }) =>
      operation === 'listSessions' && subject === 'agent-3' ? 'unauthorized' : null;
    for (let more = 4; more < 60; more += 1) harness.fleet.agent(`agent-${more}`);
    await expect(plan()).rejects.toMatchObject({ kind: 'unauthorized' });
    expect([await plansLeft(), await rows()]).toEqual([0, 0]);
    // Those that were under way, and no others.
    expect(harness.fleet.count('listSessions')).toBeLessThan(40);
  });

  it('with the ledger ends the plan as well', async () => {
    threeAgents();
    const ledger = {
      ...harness.ledger,
      bulk: { ...harness.ledger.bulk, hash: () => Promise.reject(new Error('the disk is full')) },
    };
    await expect(plan({}, { ledger })).rejects.toThrow('the disk is full');
    expect([await plansLeft(), await rows()]).toEqual([0, 0]);
  });

  it('is also a person who gives up: nothing is left of the plan, and nothing goes on', async () => {
    for (let agent = 0; agent < 40; agent += 1) {
      harness.fleet.agent(`agent-${agent}`);
      harness.fleet.session(`s${agent}`, turnSince(BEGINNING - HOUR), `agent-${agent}`);
    }
    const giveUp = new AbortController();
    harness.fleet.during = ({ subject }) => {
      if (subject === 'agent-9') giveUp.abort(new Error('given up'));
    };
    await expect(plan({ signal: giveUp.signal })).rejects.toThrow('given up');
    expect([await plansLeft(), await rows()]).toEqual([0, 0]);
    const calls = harness.fleet.calls.length;
    expect(calls).toBeLessThan(60);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(harness.fleet.calls).toHaveLength(calls);
  });
});

describe('rules on a plan', () => {
  it('freezes targets over its cap too, but as capped', async () => {
    threeAgents();
    const { job } = await plan({ maxTargets: 3, cleanup: 'stale-queue', source: 'cleanup' });
    expect(job).toMatchObject({ source: 'cleanup', cleanup: 'stale-queue' });
    expect(job.totals).toMatchObject({ targets: 4, leftOut: { capped: 1 } });
    expect((await targetsOf(job.planId)).map(({ status }) => status)).toEqual([
      'waiting',
      'waiting',
      'waiting',
      'capped',
    ]);
  });

  it('keeps exempt sessions as targets, and says how many they are', async () => {
    threeAgents();
    await harness.ledger.exemptions.add({ sessionId: 's1', forMs: HOUR, reason: null, by: 'me' });
    await harness.ledger.exemptions.add({ sessionId: 's4', forMs: HOUR, reason: null, by: 'me' });
    const { job } = await plan();
    expect(job.totals).toMatchObject({ targets: 4, gaps: [expect.stringMatching(/^1 of the targets is exempt/)] });
  });
});

describe('a plan of ids', () => {
  it('asks the vendor nothing, and knows nothing of the sessions', async () => {
    threeAgents();
    const { job, live, complete } = await planIds(['s1', 'elsewhere']);
    expect(asked()).toEqual({});
    expect({ live, complete }).toEqual({ live: null, complete: true });
    expect(job.totals).toEqual({
      targets: 2,
      byState: { unknown: 2 },
      byAgent: [{ agentId: null, name: null, targets: 2 }],
      agents: 0,
      leftOut: {},
      sample: [
        { sessionId: 's1', agentId: null, state: null },
        { sessionId: 'elsewhere', agentId: null, state: null },
      ],
      gaps: [],
    });
    expect(await targetsOf(job.planId)).toMatchObject([
      { sessionId: 's1', turnKey: null, seenAtMs: BEGINNING },
      { sessionId: 'elsewhere', turnKey: null, seenAtMs: BEGINNING },
    ]);
  });

  it('counts and names what was given twice, left blank or malformed', async () => {
    const { job, notices, complete } = await planIds('s1\ns2\n\n# x\ns1\ntwo words\ns3\ns2\ns1\n');
    expect(await idsOf(job.planId)).toEqual(['s1', 's2', 's3']);
    expect(job.totals).toMatchObject({
      targets: 3,
      leftOut: { duplicate: 3, blank: 2, malformed: 1 },
      gaps: ['1 line holds no session id (line 6: "two words").'],
    });
    expect(notices).toEqual(['Given more than once, and planned once: line 5: "s1"; line 8: "s2"; line 9: "s1".']);
    expect(complete).toBe(false);
  });

  it('finds duplicates that are far apart, and names the first five', async () => {
    const ids = Array.from({ length: 3_000 }, (_, index) => `s${index % 2_990}`);
    const { job, notices } = await planIds(ids.join('\n'));
    expect(job.totals).toMatchObject({ targets: 2_990, leftOut: { duplicate: 10 } });
    expect(notices).toEqual([
      'Given more than once, and planned once: line 2991: "s0"; line 2992: "s1"; line 2993: "s2"; line 2994: "s3"; line 2995: "s4"; and 5 more.',
    ]);
  });

  it('counts a session that was given twice once against the cap', async () => {
    const { job } = await planIds(['s1', 's1', 's2', 's3'], { maxTargets: 2 });
    expect((await targetsOf(job.planId)).map(({ sessionId, status }) => [sessionId, status])).toEqual([
      ['s1', 'waiting'],
      ['s2', 'waiting'],
      ['s3', 'capped'],
    ]);
  });

  it('without any usable id leaves nothing behind', async () => {
    await expect(planIds('# nothing\n\n')).rejects.toMatchObject({ name: 'UserError', exitCode: 2 });
    await expect(planIds(`${'s1\n'.repeat(1_500)}\0`)).rejects.toMatchObject({ name: 'UserError', exitCode: 2 });
    expect([await plansLeft(), await rows()]).toEqual([0, 0]);
  });

  it.each([
    ['is not UTF-8', Buffer.from([0x73, 0xff, 0x0a])],
    ['has a line of more than 1 MiB', Buffer.from(`x,${'y'.repeat(1_100_000)}\n`)],
    ['has a quote that is never closed', Buffer.from('s,"x\ns2,y\n')],
  ])('S9: from CSV that %s after a while leaves nothing behind', async (_what, fault) => {
    const rows5000 = Array.from({ length: 5_000 }, (_, n) => `s${n},note\n`).join('');
    const csv = Readable.from([Buffer.from(`id,note\n${rows5000}`), fault]);
    await expect(
      makePlan(
        { ledger: harness.ledger, fleet: null },
        input({ selection: { kind: 'ids', given: idsFromStream(csv, 'ids.csv') } }),
      ),
    ).rejects.toMatchObject({
      name: 'UserError',
      exitCode: 2,
      message: expect.stringContaining('line 500') as unknown,
    });
    expect([await plansLeft(), await rows()]).toEqual([0, 0]);
  });

  it('is given up while it waits for more ids', async () => {
    const giveUp = new AbortController();
    const endless = new Readable({ read: () => undefined });
    endless.push(Buffer.from('s1\n'));
    const made = makePlan(
      { ledger: harness.ledger, fleet: null },
      input({ selection: { kind: 'ids', given: idsFromStream(endless, 'pipe') }, signal: giveUp.signal }),
    );
    setImmediate(() => giveUp.abort(new Error('given up')));
    await expect(made).rejects.toThrow('given up');
    expect(endless.destroyed).toBe(true);
    expect([await plansLeft(), await rows()]).toEqual([0, 0]);
  });
});
