import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { SessionsOperation } from '../../src/adapters/vendor/index.js';
import { policy } from '../policy/observing.js';
import { chance, failureFrom, sampled, statuses } from '../support/refusal-answers.js';
import {
  BEGINNING,
  HOUR,
  MINUTE,
  openFleetHarness,
  SCAN_MS,
  SECOND,
  turnSince,
  type Called,
  type FleetHarness,
} from '../support/scripted-fleet.js';

let harness: FleetHarness;
beforeEach(async () => {
  harness = await openFleetHarness();
  const { fleet } = harness;
  fleet.teams = [{ id: 'team-1', name: 'research' }];
  for (const [id, teamId] of [
    ['agent-1', null],
    ['agent-2', null],
    ['agent-3', 'team-1'],
  ] as const) {
    fleet.agent(id, { teamId });
    fleet.session(`session of ${id}`, turnSince(BEGINNING - HOUR), id);
  }
  await harness.apply([policy({ max_runtime: 10 * MINUTE })]);
});
afterEach(() => harness.close());

const SCANS = (10 * MINUTE) / SCAN_MS;
const concerns =
  (operation: SessionsOperation, subject: string | null) =>
  (called: Called): boolean =>
    called.operation === operation && called.subject === subject;

interface Course {
  /** Requests for the list in ten minutes, and the times between them, ms. */
  readonly asked: number;
  readonly gaps: readonly number[];
  readonly ordered: readonly string[];
  readonly told: readonly string[];
}

/** Ten minutes in which some calls are answered so. */
async function course(status: number, fails: (called: Called) => boolean, code?: string): Promise<Course> {
  const { fleet } = harness;
  fleet.fails = (called) =>
    fails(called) ? failureFrom(called.operation, { status, ...(code === undefined ? {} : { code }) }) : null;
  await harness.process({ random: chance() }).run(10 * MINUTE);
  const at = fleet.calls.filter(fails).map(({ atMs }) => atMs);
  const orders = await harness.orders();
  const events = await harness.events();
  return {
    asked: at.length,
    gaps: at.slice(1).map((time, index) => time - (at[index] ?? 0)),
    ordered: orders.map(({ sessionId }) => sessionId.replace('session of ', '')).sort(),
    told: events.map(({ kind }) => kind).filter((kind) => kind !== 'policy-applied'),
  };
}

/** Scans come in a beat; a list that fails is left out of them, now once, now several times. */
function expectSpaced({ gaps }: Course): void {
  const late = gaps.filter((gap) => gap > SECOND).slice(3);
  expect(new Set(late.map((gap) => Math.round(gap / SCAN_MS))).size).toBeGreaterThan(1);
  for (const gap of gaps) expect(gap).toBeLessThan(7 * SCAN_MS);
}

const ALL_STATUSES = statuses(400, 599);
const everyKind = (operation: SessionsOperation): number[] => sampled(operation, ALL_STATUSES);

describe('every status, for ten minutes: how often the list is asked for, and what becomes of the fleet', () => {
  it.each(everyKind('listSessions'))('one agent’s list, %i: the other agents are watched on', async (status) => {
    const run = await course(status, concerns('listSessions', 'agent-2'));
    expectSpaced(run);
    expect(run.asked).toBeLessThan(SCANS * 0.8);
    expect(run.ordered).toEqual(['agent-1', 'agent-3']);
    expect(run.told).toEqual(['coverage-lost']);
  });

  it.each(everyKind('listAgents'))('the caller’s own agents, %i', async (status) => {
    const run = await course(status, concerns('listAgents', null));
    expectSpaced(run);
    expect(run.asked).toBeLessThan(SCANS * 0.8);
    expect(run.told).toContain('coverage-lost');
  });

  it.each(everyKind('listAgents'))('one team’s agents, %i: the others are watched on', async (status) => {
    const run = await course(status, concerns('listAgents', 'team-1'));
    expectSpaced(run);
    expect(run.asked).toBeLessThan(SCANS * 0.8);
    expect(run.ordered).toEqual(['agent-1', 'agent-2']);
  });

  it.each(everyKind('listTeams'))('the list of teams, %i: the caller’s own agents are watched', async (status) => {
    const run = await course(status, concerns('listTeams', null));
    expectSpaced(run);
    expect(run.asked).toBeLessThan(SCANS * 0.8);
    expect(run.ordered).toEqual(['agent-1', 'agent-2']);
  });

  it.each([401, 403])('everything, %i: told once, and asked for a few times a minute', async (status) => {
    const run = await course(status, () => true);
    expectSpaced(run);
    expect(run.asked).toBeLessThan(SCANS * 1.5);
    expect(run.ordered).toEqual([]);
    expect(run.told.filter((kind) => kind === 'account-refused')).toHaveLength(status === 401 ? 1 : 0);
    expect(run.told.filter((kind) => kind === 'coverage-lost')).toHaveLength(1);
  });
});

it.each([429, 503])('a list that failed with %i for ten minutes is read within five scans after', async (status) => {
  await course(status, concerns('listSessions', 'agent-2'));
  harness.fleet.fails = () => null;
  await harness.process({ random: chance() }).run(5 * SCAN_MS);
  expect((await harness.orders()).map(({ sessionId }) => sessionId)).toContain('session of agent-2');
});

it('sessions that were all listed before the account was refused are not asked for one after another', async () => {
  const { fleet } = harness;
  for (let index = 0; index < 60; index += 1) fleet.agent(`more-${index}`);
  const process = harness.process({ random: chance() });
  await process.run(2 * SCAN_MS);
  const before = fleet.calls.length;
  fleet.fails = (called) => failureFrom(called.operation, { status: 401 });
  await process.run(10 * MINUTE);
  expect(fleet.calls.length - before).toBeLessThan(SCANS * 2);
});
