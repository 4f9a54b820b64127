import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readCoverage } from '../../src/adapters/ledger/coverage.js';
import { planPolicies } from '../../src/engines/fleet/plan.js';
import { createVendorClock } from '../../src/adapters/vendor/vendor-clock.js';
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

let harness: FleetHarness;

beforeEach(async () => {
  harness = await openFleetHarness();
  const { fleet } = harness;
  fleet.agent('mine');
  fleet.agent('research', { teamId: 'team-1' });
  fleet.session('session-mine', turnSince(at(-HOUR)), 'mine');
  fleet.session('session-1', turnSince(at(-HOUR)), 'research');
  fleet.teams = [{ id: 'team-1', name: 'Research' }];
});

afterEach(() => harness.close());

const at = (ms: number): number => BEGINNING + ms;
const ofTeam = policy({ max_runtime: 10 * MINUTE }, { match: { teams: ['team-1'] } });
const ofAll = policy({ max_runtime: 10 * MINUTE });
const ordered = async (): Promise<string[]> => (await harness.orders()).map(({ sessionId }) => sessionId).sort();
const coverage = () => readCoverage(harness.ledger);

describe('a policy', () => {
  it('on a team ends what breaks it there, and nothing of the caller’s own', async () => {
    await harness.apply([ofTeam]);
    await harness.process().run(MINUTE);
    expect(await ordered()).toEqual(['session-1']);
    await harness.carryOut('session-1');
    expect(await harness.orders()).toMatchObject([{ outcome: 'cancelled' }]);
    expect(harness.fleet.cancels).toMatchObject([{ sessionId: 'session-1' }]);
    expect(await coverage()).toMatchObject({
      agents: 2,
      teams: { source: 'listed', watched: { count: 1, first: [{ id: 'team-1', name: 'Research', agents: 1 }] } },
    });
  });

  it('on all agents watches those of every team that the vendor shows', async () => {
    await harness.apply([ofAll]);
    await harness.process().run(MINUTE);
    expect(await ordered()).toEqual(['session-1', 'session-mine']);
  });

  it.each([
    ['the server knows no list of teams', null],
    ['the list of teams does not show it', []],
  ])('on a team watches it although %s', async (_why, teams) => {
    harness.fleet.teams = teams;
    await harness.apply([ofTeam]);
    await harness.process().run(3 * MINUTE);
    expect(await ordered()).toEqual(['session-1']);
    expect((await coverage())?.completeAtMs).toBe((await coverage())?.atMs);
    expect(await harness.events('coverage-lost')).toEqual([]);
  });

  it('on a team that the key does not show is named in the coverage, which stays complete', async () => {
    const { fleet } = harness;
    fleet.fails = ({ subject }) => (subject === 'team-9' ? 'forbidden' : null);
    await harness.apply([policy({ max_runtime: 10 * MINUTE }, { match: { teams: ['team-9', 'team-1'] } })]);
    const process = harness.process();
    await process.run(5 * MINUTE);
    expect(await coverage()).toMatchObject({
      teams: { notShown: [{ id: 'team-9', problem: expect.stringContaining('403') }], unreadable: { count: 0 } },
    });
    expect((await coverage())?.completeAtMs).toBe((await coverage())?.atMs);
    expect(await ordered()).toEqual(['session-1']);
    expect(process.stays()).toBe(true);
    expect(await harness.events('coverage-lost')).toEqual([]);
    expect(await harness.events('account-refused')).toEqual([]);
  });

  it('with a key of one team sees that one alone, and asks for no other', async () => {
    const { fleet } = harness;
    fleet.teamId = 'team-1';
    await harness.apply([policy({ max_runtime: 10 * MINUTE }, { match: { teams: ['team-9', 'team-1'] } })]);
    await harness.process().run(MINUTE);
    expect(await ordered()).toEqual(['session-1']);
    expect(fleet.count('listTeams')).toBe(0);
    expect(fleet.count('listAgents', 'team-9')).toBe(0);
    expect(await coverage()).toMatchObject({ teams: { source: 'one-team', notShown: [{ id: 'team-9' }] } });
  });
});

describe('a list that fails', () => {
  it('I5: of a team stops no other, loses no agent, keeps the round here, and is told once when it lasts', async () => {
    const { fleet } = harness;
    fleet.agent('sales', { teamId: 'team-2' });
    // Over two hours when the list of the other team fails already.
    fleet.session('session-2', turnSince(at(-118 * MINUTE)), 'sales');
    fleet.teams = [...(fleet.teams ?? []), { id: 'team-2', name: null }];
    await harness.apply([policy({ max_runtime: 2 * HOUR })]);
    const process = harness.process();
    await process.run(MINUTE);
    fleet.fails = ({ operation, subject }) =>
      operation === 'listAgents' && subject === 'team-1' ? 'server-error' : null;
    await process.run(5 * MINUTE);
    expect(await ordered()).toEqual(['session-2']);
    expect(process.stays()).toBe(true);
    const lost = await coverage();
    expect(lost).toMatchObject({
      ...{ agents: 3, problem: null, live: { processing: 3 } },
      teams: { unreadable: { count: 1, first: [{ id: 'team-1', name: 'Research' }] } },
    });
    expect(lost?.completeAtMs).not.toBe(lost?.atMs);
    expect(await harness.events('coverage-lost')).toMatchObject([
      { data: { problem: expect.stringContaining('The agents of team Research can') } },
    ]);
    // Known agents are still watched.
    await process.run(HOUR);
    expect(await ordered()).toEqual(['session-1', 'session-2', 'session-mine']);

    fleet.fails = () => null;
    await process.run(2 * MINUTE);
    expect(await harness.events('coverage-restored')).toHaveLength(1);
  });

  it('I5: of teams keeps those that were known, in a process that begins as well', async () => {
    const { fleet } = harness;
    await harness.apply([policy({ max_runtime: 2 * HOUR })]);
    await harness.process().run(MINUTE);
    fleet.fails = ({ operation }) => (operation === 'listTeams' ? 'forbidden' : null);
    fleet.agent('newcomer', { teamId: 'team-1' });
    fleet.session('session-new', turnSince(at(-3 * HOUR)), 'newcomer');
    await harness.process().run(2 * MINUTE);
    expect(await ordered()).toEqual(['session-new']);
    expect(await coverage()).toMatchObject({ teams: { source: 'failed', problem: expect.stringContaining('403') } });
    expect(await harness.events('account-refused')).toEqual([]);
  });

  it('of a team is asked for again by itself; what will not change waits for its minute', async () => {
    const { fleet } = harness;
    await harness.apply([ofAll]);
    const process = harness.process();
    fleet.fails = ({ operation, subject }) =>
      operation === 'listAgents' && subject === 'team-1' ? 'server-error' : null;
    await process.run(MINUTE - SECOND);
    expect([fleet.count('listTeams'), fleet.count('listAgents') - fleet.count('listAgents', 'team-1')]).toEqual([1, 1]);
    expect(fleet.count('listAgents', 'team-1')).toBe(4);
    fleet.fails = ({ operation, subject }) => (operation === 'listAgents' && subject === 'team-1' ? 'forbidden' : null);
    await process.run(3 * MINUTE);
    expect(fleet.count('listAgents', 'team-1')).toBeLessThanOrEqual(4 + 4);
  });
});

it('lists of teams and of their agents are asked for as rarely as that of the own agents', async () => {
  const { fleet } = harness;
  await harness.apply([policy({ max_runtime: 2 * HOUR })]);
  await harness.process().run(20 * MINUTE);
  const teams = fleet.count('listTeams');
  expect(teams).toBeLessThanOrEqual(21);
  expect(teams).toBeGreaterThanOrEqual(19);
  expect(fleet.count('listAgents', 'team-1')).toBe(teams);
  expect(fleet.count('listAgents')).toBe(2 * teams);
});

it('a plan sees the agents of teams, and says which it does not see', async () => {
  const { fleet, clock } = harness;
  fleet.fails = ({ subject }) => (subject === 'team-9' ? 'not-found' : null);
  const plan = await planPolicies(
    {
      sessions: fleet,
      limiter: { acquire: () => Promise.resolve(), held: () => null },
      vendorClock: createVendorClock(clock),
    },
    {
      policies: [policy({ max_runtime: 10 * MINUTE }, { match: { teams: ['team-1', 'team-9'] } })],
      ...{ openBreakers: new Set<string>(), known: null, exempt: new Set<string>() },
      endedRuns: [],
      permitsTaken: () => Promise.resolve(0),
      maxRetrieves: 10,
      onProgress: () => undefined,
    },
  );
  expect(plan.policies).toMatchObject([{ endNow: 1 }]);
  expect(plan.sessions[0]).toMatchObject({ sessionId: 'session-1' });
  expect(plan.coverage).toMatchObject({
    ...{ agents: 2, complete: true, problem: null },
    teams: { watched: { count: 1 }, notShown: [{ id: 'team-9', problem: expect.stringContaining('404') }] },
  });
});
