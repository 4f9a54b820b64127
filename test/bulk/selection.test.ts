import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  agentsFor,
  ALL_LIVE,
  concernsNone,
  criteriaOf,
  decide,
  type Candidate,
  type Decision,
  type LiveSelection,
} from '../../src/engines/bulk/selection.js';
import { absentFromLists, fromListItem, fromRetrieve, type SessionView } from '../../src/core/policy/observation.js';
import { observe } from '../../src/core/policy/observe.js';
import type { Facts } from '../../src/core/policy/facts.js';
import type { Policy } from '../../src/core/policy/policy.js';
import { remember } from '../../src/core/policy/remember.js';
import { assess } from '../../src/core/policy/assess.js';
import { HOUR, MINUTE, policy, SCAN, SECOND, session, T0, user } from '../policy/observing.js';
import { transcriptOf } from '../../src/core/policy/turn.js';

const listed = (view: SessionView, atMs = T0, before: Facts | null = null): Facts =>
  observe(before, fromListItem(view, atMs), SCAN);
const retrieved = (view: SessionView, atMs = T0, before: Facts | null = null): Facts =>
  observe(before, fromRetrieve(view, atMs), SCAN);
const of = (facts: Facts): Candidate => ({
  state: facts.timeline.state,
  createdAtMs: facts.createdAtMs,
  subject: facts.subject,
  facts,
});
/** As a page of a list shows it, without knowing when. */
const untimed = ({
  state,
  createdAtMs,
  transcript: _transcript,
  usage: _usage,
  ...subject
}: SessionView): Candidate => ({
  state,
  createdAtMs,
  subject,
  facts: null,
});
const judge = (
  selection: Partial<LiveSelection>,
  candidate: Candidate,
  policies: readonly Policy[] = [],
  nowMs = candidate.facts?.timeline.seenAtMs ?? T0,
): Decision => decide(criteriaOf({ ...ALL_LIVE, ...selection }, policies), candidate, nowMs, SCAN.scanMs);

const YES: Decision = { fits: true, needsRetrieve: false };
const NO: Decision = { fits: false, needsRetrieve: false };
const ASK: Decision = { fits: null, needsRetrieve: true };

describe('what a list shows', () => {
  const one = session('processing', { createdAtMs: T0 - 2 * HOUR });

  it.each<[string, Partial<LiveSelection>, Partial<SessionView>, Decision]>([
    ['every live session', {}, {}, YES],
    ['a state', { states: ['queued'] }, {}, NO],
    ['another state', { states: ['queued'] }, { state: 'queued' }, YES],
    ['no state that can be ended', {}, { state: 'approval_required' }, NO],
    ['a state that is not known', {}, { state: null }, ASK],
    ['an agent by its id', { agents: ['agent_*'] }, {}, YES],
    ['an agent by its name', { agents: ['x', 'Supp?rt'] }, {}, YES],
    ['another agent', { agents: ['sales-*'] }, {}, NO],
    ['an agent whose name is not known', { agents: ['Supp*'] }, { agentName: null }, ASK],
    ['a creator by id', { creators: ['user_1'] }, {}, YES],
    ['a creator by address', { creators: ['*@EXAMPLE.com'] }, {}, YES],
    ['another creator', { creators: ['user_2'] }, {}, NO],
    ['a creator that is not known', { creators: ['user_1'] }, { creatorId: null, creatorEmail: null }, ASK],
    ['an excepted creator', { exceptCreators: ['user_1'] }, {}, { ...NO, isExcepted: true }],
    ['an excepted creator by address', { exceptCreators: ['*@EXAMPLE.com'] }, {}, { ...NO, isExcepted: true }],
    ['an excepted creator of what does not fit', { exceptCreators: ['user_1'], states: ['queued'] }, {}, NO],
    ['another creator than the excepted one', { exceptCreators: ['user_2'] }, {}, YES],
    ['perhaps an excepted creator', { exceptCreators: ['user_2'] }, { creatorId: null, creatorEmail: null }, ASK],
    ['perhaps one by address', { exceptCreators: ['bo@example.com'] }, { creatorEmail: null }, ASK],
    ['a team', { teams: ['team_9', 'team_1'] }, {}, YES],
    ['a team that is not known', { teams: ['team_1'] }, { teamId: null }, ASK],
    ['created before', { createdBeforeMs: T0 - HOUR }, {}, YES],
    ['created at that very moment', { createdBeforeMs: T0 - 2 * HOUR }, {}, NO],
    ['created after', { createdAfterMs: T0 - 2 * HOUR }, {}, YES],
    ['created too early', { createdAfterMs: T0 - HOUR }, {}, NO],
    ['a creation that is not known', { createdBeforeMs: T0 }, { createdAtMs: null }, ASK],
    ['a rule', { match: { not: { creators: ['user_1'] } } }, {}, NO],
    ['a rule on what is not known', { match: { not: { teams: ['team_2'] } } }, { teamId: null }, ASK],
    ['several criteria, all of them', { agents: ['Support'], creators: ['user_1'], states: ['processing'] }, {}, YES],
    ['several criteria, all but one', { agents: ['Support'], creators: ['user_2'], states: ['processing'] }, {}, NO],
    ['a certain no beside the unknown', { agents: ['sales-*'], teams: ['team_1'] }, { teamId: null }, NO],
  ])('decides on %s', (_what, selection, more, decision) => {
    expect(judge(selection, untimed({ ...one, ...more }))).toEqual(decision);
  });
});

describe('how long the current turn has been in its state', () => {
  const queuedFor = { queuedForMs: 2 * HOUR, states: ['queued'] } as const;
  const waiting = (sinceMs: number): SessionView =>
    session('queued', { createdAtMs: T0 - 90 * HOUR, transcript: transcriptOf([user('m1', sinceMs)]) });

  it('is not told by the age of the conversation: a retrieve is asked for', () => {
    expect(judge(queuedFor, of(listed(waiting(T0 - 3 * HOUR))))).toEqual(ASK);
  });

  it('is told by the message that a retrieve shows', () => {
    expect(judge(queuedFor, of(retrieved(waiting(T0 - 2 * HOUR))))).toEqual(YES);
    expect(judge(queuedFor, of(retrieved(waiting(T0 - 2 * HOUR + SECOND))))).toEqual(NO);
  });

  it('needs no retrieve where the conversation itself is younger', () => {
    const young = session('queued', { createdAtMs: T0 - HOUR });
    expect(judge(queuedFor, of(listed(young)))).toEqual(NO);
  });

  it('needs no retrieve where our own scans saw it come', () => {
    const absent = observe(null, absentFromLists(T0 - HOUR), SCAN);
    expect(judge(queuedFor, of(listed(waiting(T0 - 3 * HOUR), T0, absent)))).toEqual(NO);
  });

  it('counts what our own facts know: a turn that was seen in the queue has not run', () => {
    const running = { runningForMs: HOUR, states: ['processing'] } as const;
    const view = (state: string): SessionView =>
      session(state, { transcript: transcriptOf([user('m1', T0 - 3 * HOUR)]) });
    const before = retrieved(view('queued'), T0 - 30 * MINUTE);
    expect(judge(running, of(retrieved(view('processing'), T0, before))).fits).toBe(false);
    expect(judge(running, of(retrieved(view('processing'), T0))).fits).toBe(true);
  });

  it('stays unknown without a time on the message', () => {
    const untimedMessage = session('queued', {
      createdAtMs: T0 - 90 * HOUR,
      transcript: transcriptOf([user('m1', null)]),
    });
    expect(judge(queuedFor, of(retrieved(untimedMessage))).fits).not.toBe(true);
  });

  it('stays unknown where nothing could be timed', () => {
    expect(judge(queuedFor, untimed(waiting(T0 - 9 * HOUR)))).toEqual({ fits: null, needsRetrieve: false });
  });

  it('narrows only its own state', () => {
    const both = { queuedForMs: 6 * HOUR } as const;
    expect(judge(both, of(listed(session('processing'))))).toEqual(YES);
  });
});

describe('violators', () => {
  const longest = policy({ max_runtime: HOUR });
  const runs = (sinceMs: number): SessionView =>
    session('processing', { transcript: transcriptOf([user('m1', sinceMs)]) });

  it('are those that a policy would end now', () => {
    expect(judge({ violators: 'all' }, of(retrieved(runs(T0 - HOUR))), [longest])).toEqual(YES);
    expect(judge({ violators: 'all' }, of(retrieved(runs(T0 - HOUR + SECOND))), [longest])).toEqual(NO);
  });

  it('are looked at where a list does not tell', () => {
    expect(judge({ violators: 'all' }, of(listed(runs(T0 - HOUR))), [longest])).toEqual(ASK);
  });

  it('count when the policy only observes, never when it is off', () => {
    const long = of(retrieved(runs(T0 - 2 * HOUR)));
    expect(judge({ violators: 'all' }, long, [{ ...longest, mode: 'observe' }])).toEqual(YES);
    expect(judge({ violators: { policy: 'rule' } }, long, [{ ...longest, mode: 'observe' }])).toEqual(YES);
    expect(judge({ violators: 'all' }, long, [{ ...longest, mode: 'off' }])).toEqual(NO);
    expect(judge({ violators: { policy: 'rule' } }, long, [{ ...longest, mode: 'off' }])).toEqual(NO);
  });

  it('count for the policy that is named alone', () => {
    const other = policy({ max_runtime: 9 * HOUR }, { name: 'other' });
    const long = of(retrieved(runs(T0 - 2 * HOUR)));
    expect(judge({ violators: { policy: 'rule' } }, long, [longest, other])).toEqual(YES);
    expect(judge({ violators: { policy: 'other' } }, long, [longest, other])).toEqual(NO);
  });

  it('have their grace', () => {
    const graceful = policy({ max_runtime: HOUR }, { graceMs: 10 * MINUTE });
    const first = retrieved(runs(T0 - 2 * HOUR));
    expect(judge({ violators: 'all' }, of(first), [graceful])).toEqual(NO);
    const marked = remember(first, assess(first, [graceful], T0, SCAN));
    const later = retrieved(runs(T0 - 2 * HOUR), T0 + 10 * MINUTE, marked);
    expect(judge({ violators: 'all' }, of(later), [graceful])).toEqual(YES);
  });

  it('in grace are looked at again when it may be over', () => {
    const graceful = policy({ max_runtime: HOUR }, { graceMs: 10 * MINUTE });
    const first = retrieved(runs(T0 - 2 * HOUR));
    const marked = remember(first, assess(first, [graceful], T0, SCAN));
    let seen = marked;
    for (let atMs = T0; atMs <= T0 + 11 * MINUTE; atMs += SCAN.scanMs) seen = listed(runs(T0 - 2 * HOUR), atMs, seen);
    expect(judge({ violators: 'all' }, of(seen), [graceful], T0 + 11 * MINUTE)).toEqual(ASK);
  });
});

describe('where to look', () => {
  const agent = { id: 'agent_a', name: 'Support', teamId: 'team_1' };
  const none = (selection: Partial<LiveSelection>, policies: readonly Policy[] = []): boolean =>
    concernsNone(criteriaOf({ ...ALL_LIVE, ...selection }, policies), agent);

  it('leaves out agents none of whose sessions can fit', () => {
    expect(none({ agents: ['sales-*'] })).toBe(true);
    expect(none({ agents: ['Supp*'] })).toBe(false);
    expect(none({ creators: ['user_2'] })).toBe(false);
    expect(none({ match: { not: { teams: ['team_1'] } } })).toBe(true);
    expect(none({ violators: 'all' }, [policy({}, { match: { agents: ['sales-*'] } })])).toBe(true);
    expect(none({ violators: 'all' }, [policy({}, { match: { creators: ['user_2'] } })])).toBe(false);
  });

  const lookFor = (some: Partial<LiveSelection>, policies: readonly Policy[] = []) => {
    const { concerns, ...wanted } = agentsFor(criteriaOf({ ...ALL_LIVE, ...some }, policies));
    return { ...wanted, concerned: ['t1', 't2', 't3', 't4'].filter(concerns) };
  };

  it('looks among the agents of all teams, and asks for those that a rule or a policy names', () => {
    const all = { own: true, shownTeams: true };
    expect(lookFor({})).toEqual({ ...all, named: [], concerned: ['t1', 't2', 't3', 't4'] });
    const match = { all: [{ any: [{ teams: ['t3'] }, { agents: ['a'] }] }, { not: { teams: ['t4'] } }] };
    expect(lookFor({ match })).toEqual({ ...all, named: ['t3', 't4'], concerned: ['t1', 't2', 't3'] });
    const violated = policy({}, { match: { teams: ['t2'] } });
    expect(lookFor({ violators: 'all' }, [violated])).toEqual({ ...all, named: ['t2'], concerned: ['t2'] });
  });

  it('looks among the agents of teams that are selected, and no others', () => {
    const none = { own: false, shownTeams: false };
    expect(lookFor({ teams: ['t1', 't2'] })).toEqual({ ...none, named: ['t1', 't2'], concerned: ['t1', 't2'] });
  });
});

/** A value, or not known. */
const perhaps = <T>(known: fc.Arbitrary<T>) => fc.option(known, { nil: null, freq: 3 });
const someIds = fc.subarray(['a', 'b', 'c'], { minLength: 1 });
const times = fc.integer({ min: 0, max: 5 }).map((hours) => T0 - hours * HOUR);

const selections = fc.record<LiveSelection>({
  kind: fc.constant('live'),
  agents: perhaps(someIds),
  states: fc.subarray(['queued', 'processing'], { minLength: 1 }),
  queuedForMs: perhaps(fc.constantFrom(HOUR, 3 * HOUR)),
  runningForMs: perhaps(fc.constantFrom(HOUR, 3 * HOUR)),
  createdBeforeMs: perhaps(times),
  createdAfterMs: perhaps(times),
  creators: perhaps(someIds),
  teams: perhaps(someIds),
  match: perhaps(
    fc.oneof(
      someIds.map((teams) => ({ not: { teams } })),
      someIds.map((agents) => ({ agents })),
    ),
  ),
  violators: fc.constant(null),
  exceptCreators: perhaps(someIds),
  exceptSessions: fc.constant(null),
});
const letters = fc.constantFrom('a', 'b', 'c');
const whole = fc.record({
  state: fc.constantFrom('queued', 'processing'),
  createdAtMs: times,
  agentId: letters,
  agentName: letters,
  creatorId: letters,
  creatorEmail: letters,
  teamId: letters,
  messageAtMs: times,
});
const HIDEABLE = ['state', 'createdAtMs', 'agentId', 'agentName', 'creatorId', 'creatorEmail', 'teamId'] as const;

describe('the unknown', () => {
  const view = ({ messageAtMs, ...shown }: { messageAtMs: number | null } & Record<string, unknown>): SessionView =>
    session('queued', { ...shown, transcript: transcriptOf([user('m1', messageAtMs)]) });

  it('selects nothing that could turn out not to fit, and rules out nothing that could fit', () => {
    fc.assert(
      fc.property(selections, whole, fc.subarray([...HIDEABLE]), whole, (selection, truth, hidden, other) => {
        const criteria = criteriaOf({ ...selection, queuedForMs: null, runningForMs: null }, []);
        const shown = { ...truth, ...Object.fromEntries(hidden.map((field) => [field, null])) };
        // Whatever the hidden fields really are: with these values, a certain answer stays.
        const otherTruth = { ...truth, ...Object.fromEntries(hidden.map((field) => [field, other[field]])) };
        const { fits } = decide(criteria, untimed(view(shown)), T0, SCAN.scanMs);
        const really = decide(criteria, untimed(view(otherTruth)), T0, SCAN.scanMs);
        expect(really.fits).not.toBeNull();
        if (fits !== null) expect(really.fits).toBe(fits);
      }),
      { numRuns: 500 },
    );
  });

  it('about the time of a turn never selects', () => {
    fc.assert(
      fc.property(selections, whole, fc.constantFrom('no-clock', 'list-only'), (selection, truth, lack) => {
        fc.pre((truth.state === 'queued' ? selection.queuedForMs : selection.runningForMs) !== null);
        const candidate = lack === 'no-clock' ? untimed(view(truth)) : of(listed(view(truth)));
        const { fits } = decide(criteriaOf(selection, []), candidate, T0, SCAN.scanMs);
        expect(fits).not.toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('is gone after a retrieve, which selects exactly the turns that are old enough', () => {
    fc.assert(
      fc.property(whole, fc.constantFrom(HOUR, 3 * HOUR), (truth, leastMs) => {
        const times = { queuedForMs: leastMs, runningForMs: leastMs };
        const { fits } = judge(times, of(retrieved(view({ ...truth, createdAtMs: T0 - 9 * HOUR }))));
        expect(fits).toBe(T0 - truth.messageAtMs >= leastMs);
      }),
    );
  });
});
