import type { AgentsWanted } from '../../adapters/vendor/agents.js';
import { assessPolicy } from '../../core/policy/assess.js';
import type { Facts } from '../../core/policy/facts.js';
import { excludes, matchVerdict, teamsNamed, type MatchSubject } from '../../core/policy/match.js';
import { limitsAlone, NO_LIMITS, type Match, type Policy } from '../../core/policy/policy.js';
import type { GivenIds } from './given-ids.js';

/** States in which a turn can be ended. In the order in which they are listed: see `src/adapters/vendor/listing.ts`. */
export const LIVE_STATES = ['queued', 'processing'] as const;
export type LiveState = (typeof LIVE_STATES)[number];

/** What a bulk plan is to end. */
export type BulkSelection = LiveSelection | IdSelection;

/** Sessions that were named one by one. */
interface IdSelection {
  readonly kind: 'ids';
  readonly given: GivenIds;
  /** Of these not, though they were given. */
  readonly exceptSessions?: readonly string[] | null;
}

/** Live sessions that fit every criterion. Null: no such criterion. A list fits where one of its entries does. */
export interface LiveSelection {
  readonly kind: 'live';
  /** Globs on the agent's id or name. */
  readonly agents: readonly string[] | null;
  /** At least one. */
  readonly states: readonly LiveState[];
  /** Queued sessions count only when their turn has waited for at least so long, ms. */
  readonly queuedForMs: number | null;
  /** Processing sessions count only when their turn has run for at least so long, ms. */
  readonly runningForMs: number | null;
  /** Creation of the conversation, vendor time in ms: before this, and not before that. */
  readonly createdBeforeMs: number | null;
  readonly createdAfterMs: number | null;
  /** Globs on the creator's id or e-mail address. */
  readonly creators: readonly string[] | null;
  /** Team ids, exactly. */
  readonly teams: readonly string[] | null;
  /** Rule of a `cleanup` entry. */
  readonly match: Match | null;
  /** Sessions that a policy in force would end now: the one of this name, or any. */
  readonly violators: 'all' | { readonly policy: string } | null;
  /** Not the sessions of these: globs as in `creators`. One whose creator is not known is left out, too. */
  readonly exceptCreators: readonly string[] | null;
  /** Not these sessions, by their exact ids. */
  readonly exceptSessions: readonly string[] | null;
}

/** Every live session. */
export const ALL_LIVE: LiveSelection = {
  kind: 'live',
  agents: null,
  states: LIVE_STATES,
  queuedForMs: null,
  runningForMs: null,
  createdBeforeMs: null,
  createdAfterMs: null,
  creators: null,
  teams: null,
  match: null,
  violators: null,
  exceptCreators: null,
  exceptSessions: null,
};

/** A selection made ready for judging one session after the other. */
export interface Criteria {
  readonly selection: LiveSelection;
  /** Everything that is about who a session belongs to. */
  readonly match: Match;
  /** Whose sessions are left out though all else fits; null: nobody's. */
  readonly except: Match | null;
  /** The times as a policy, so that they are judged by the same rules as limits; null: no times are asked for. */
  readonly times: Policy | null;
  /** Any of these has to say `cancel`; null: violations don't matter. */
  readonly violated: readonly Policy[] | null;
  /** The turn's own time or usage matters, not just what a list shows. */
  readonly aboutTurn: boolean;
}

/** @param policies - those in force */
export function criteriaOf(selection: LiveSelection, policies: readonly Policy[]): Criteria {
  const { agents, creators, teams, match, violators, queuedForMs, runningForMs, exceptCreators } = selection;
  const parts: (Match | null)[] = [
    agents === null ? null : { agents },
    creators === null ? null : { creators },
    teams === null ? null : { teams },
    match,
  ];
  const times =
    queuedForMs === null && runningForMs === null
      ? null
      : limitsAlone('bulk-selection', { ...NO_LIMITS, max_queue_time: queuedForMs, max_runtime: runningForMs });
  const violated = violators === null ? null : policies.filter((policy) => isMeant(policy, violators));
  return {
    selection,
    match: { all: parts.filter((part) => part !== null) },
    except: exceptCreators === null ? null : { creators: exceptCreators },
    times,
    violated,
    aboutTurn: times !== null || violated !== null,
  };
}

const isMeant = ({ name, mode }: Policy, violators: NonNullable<LiveSelection['violators']>): boolean =>
  mode !== 'off' && (violators === 'all' || violators.policy === name);

/** What is known of a session when it is judged. */
export interface Candidate {
  /** As the last read showed it. Null: not known. */
  readonly state: string | null;
  readonly createdAtMs: number | null;
  readonly subject: MatchSubject;
  /** With the last read in them. Null: nothing could be timed, so nothing is known of the turn. */
  readonly facts: Facts | null;
}

export interface Decision {
  /** Null: what is known does not say. Then the session is left alone. */
  readonly fits: boolean | null;
  /** A retrieve can tell more. */
  readonly needsRetrieve: boolean;
  /** Only an exception leaves it out: all else fits. */
  readonly isExcepted?: true;
}

const NO: Decision = { fits: false, needsRetrieve: false };

/**
 * Whether a session fits for certain. Three values, as in matching: one criterion that certainly does not fit is enough for a
 * no, and the unknown selects nothing.
 *
 * @param nowMs - vendor time, not before what the facts have seen
 * @param scanMs - time between two scans of the session's agent, ms
 */
export function decide(criteria: Criteria, candidate: Candidate, nowMs: number, scanMs: number): Decision {
  const parts: Decision[] = [];
  for (const part of [stateFits, ownerFits, creationFits, timeFits, violationFits]) {
    const decision = part(criteria, candidate, nowMs, scanMs);
    if (decision.fits === false) return NO;
    parts.push(decision);
  }
  const isExcepted = criteria.except === null ? false : matchVerdict(criteria.except, candidate.subject);
  if (isExcepted === true) return parts.every((part) => part.fits === true) ? { ...NO, isExcepted } : NO;
  // Whose session it is must be known for certain: an unknown creator may be the one who is to be spared.
  parts.push(known(isExcepted === null ? null : true));
  const fits = parts.every((part) => part.fits === true) ? true : null;
  return { fits, needsRetrieve: fits === null && parts.some(({ needsRetrieve }) => needsRetrieve) };
}

/** What a list leaves out, a retrieve may show. */
const known = (fits: boolean | null): Decision => ({ fits, needsRetrieve: fits === null });

const stateFits = ({ selection }: Criteria, { state }: Candidate): Decision =>
  known(state === null ? null : selection.states.some((wanted) => wanted === state));

const ownerFits = ({ match }: Criteria, { subject }: Candidate): Decision => known(matchVerdict(match, subject));

function creationFits({ selection }: Criteria, { createdAtMs }: Candidate): Decision {
  const { createdBeforeMs, createdAfterMs } = selection;
  if (createdBeforeMs === null && createdAfterMs === null) return known(true);
  if (createdAtMs === null) return known(null);
  return known(createdAtMs < (createdBeforeMs ?? Infinity) && createdAtMs >= (createdAfterMs ?? -Infinity));
}

function timeFits({ times, selection }: Criteria, candidate: Candidate, nowMs: number, scanMs: number): Decision {
  const { state } = candidate;
  const leastMs = state === 'queued' ? selection.queuedForMs : state === 'processing' ? selection.runningForMs : null;
  if (times === null || leastMs === null) return known(true);
  return policyFits(times, candidate, nowMs, scanMs);
}

function violationFits({ violated }: Criteria, candidate: Candidate, nowMs: number, scanMs: number): Decision {
  if (violated === null) return known(true);
  const decisions = violated.map((policy) => policyFits(policy, candidate, nowMs, scanMs));
  if (decisions.some(({ fits }) => fits === true)) return known(true);
  const unknown = decisions.filter(({ fits }) => fits === null);
  return unknown.length === 0 ? NO : { fits: null, needsRetrieve: unknown.some((one) => one.needsRetrieve) };
}

function policyFits(policy: Policy, { facts }: Candidate, nowMs: number, scanMs: number): Decision {
  if (facts === null) return { fits: null, needsRetrieve: false };
  // Exemptions are not asked here: the gate honours them, and the plan says how many there are.
  const { kind, needsRetrieve } = assessPolicy(facts, policy, nowMs, { scanMs });
  if (kind === 'cancel') return { fits: true, needsRetrieve: false };
  // With a retrieve due, "not yet" may be "yes" by now.
  return kind === 'undecided' || needsRetrieve ? { fits: null, needsRetrieve } : NO;
}

/** An agent none of whose sessions can fit. */
export const concernsNone = ({ match, violated }: Criteria, agent: Parameters<typeof excludes>[1]): boolean =>
  excludes(match, agent) || violated?.every((policy) => excludes(policy.match, agent)) === true;

/** The agents to look among: all that the key shows, or those of the teams that are selected. */
export function agentsFor(criteria: Criteria): AgentsWanted {
  const { teams } = criteria.selection;
  const matches = [criteria.match, ...(criteria.violated ?? []).map(({ match }) => match)];
  return {
    own: teams === null,
    shownTeams: teams === null,
    named: matches.flatMap(teamsNamed),
    concerns: (teamId) => !concernsNone(criteria, { id: null, name: null, teamId }),
  };
}
