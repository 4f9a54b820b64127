import pMap from 'p-map';
import { capReached, type BreakerReason } from '../../core/policy/caps.js';
import type { StoredFleet } from '../../adapters/ledger/facts.js';
import type { Facts } from '../../core/policy/facts.js';
import { assess } from '../../core/policy/assess.js';
import { observe } from '../../core/policy/observe.js';
import type { Policy } from '../../core/policy/policy.js';
import { SessionsError, type Agent, type SessionsClient } from '../../adapters/vendor/index.js';
import { listVisibleAgents } from '../../adapters/vendor/agents.js';
import { teamsCoverage, type TeamsCoverage } from '../../adapters/ledger/coverage.js';
import { namedButNotFound } from './coverage-watch.js';
import { listLive, type ListingCalls, type ListingDependencies } from '../../adapters/vendor/listing.js';
import { asTheyCount } from './rules-in-force.js';
import { agentsFor, concernsNobody } from './scan.js';
import { compareStandings, standingsAbout, type PolicyStanding } from '../../core/policy/standing.js';
import { scanMsOf, withListSight } from '../../adapters/ledger/stored-facts.js';
import { listSight, readSight } from '../../adapters/vendor/sights.js';
import { triggersAtRisk, type TriggerAtRisk } from './triggers-at-risk.js';
import type { EndedRuns } from '../../adapters/ledger/ended-runs.js';

const AT_ONCE = 8;

export interface PlanDependencies extends ListingDependencies {
  readonly sessions: ListingCalls & Pick<SessionsClient, 'retrieveSession' | 'listTriggers'>;
}

export interface PlanInput {
  readonly policies: readonly Policy[];
  /** Names of policies whose breaker is open: they observe, whatever the file says. */
  readonly openBreakers: ReadonlySet<string>;
  /** What the ledger remembers of the fleet; null: there is none, and all is seen for the first time. */
  readonly known: StoredFleet | null;
  /** Sessions that no policy may end now. */
  readonly exempt: ReadonlySet<string>;
  /** Runs of triggers that were ended lately. */
  readonly endedRuns: readonly EndedRuns[];
  /** Permits that a policy has taken in its present window. */
  readonly permitsTaken: (policy: Policy) => Promise<number>;
  /** Retrieves at most. */
  readonly maxRetrieves: number;
  readonly onProgress: (progress: PlanProgress) => void;
}

export interface PlanProgress {
  readonly agents: number;
  readonly agentsListed: number;
  readonly live: number;
  readonly retrieves: number;
  readonly retrievesDone: number;
}

/** What policies would do now, and next. Nothing was sent or written for it. */
export interface Plan {
  /** Vendor's time, ms. */
  readonly nowMs: number;
  readonly policies: readonly PlannedPolicy[];
  /** Live sessions that some policy is about, the most urgent first. */
  readonly sessions: readonly PlannedSession[];
  readonly triggersAtRisk: readonly TriggerAtRisk[];
  readonly coverage: PlanCoverage;
}

export interface PlannedPolicy {
  readonly policy: Policy;
  /** Live sessions that it is about. */
  readonly matching: number;
  readonly endNow: number;
  readonly inGrace: number;
  readonly warned: number;
  readonly undecided: number;
  readonly exempt: number;
  /** Vendor time, ms, at which the next one is due by a time limit; null: none is. */
  readonly nextDueAtMs: number | null;
  readonly breakerOpen: boolean;
  /** Its caps would stop it before all are ended; null: they would not. */
  readonly capped: { readonly after: number; readonly of: number; readonly reason: BreakerReason } | null;
}

export interface PlannedSession {
  readonly sessionId: string;
  readonly agentId: string;
  readonly agentName: string | null;
  readonly facts: Facts;
  /** Of the policies that may be about it, the most urgent first. */
  readonly standings: readonly PolicyStanding[];
}

interface PlanCoverage {
  /** Agents that the key shows. */
  readonly agents: number;
  /** Of these, agents whose sessions no policy can be about: they were not listed. */
  readonly agentsNotConcerned: number;
  readonly unreadable: readonly { readonly agentId: string; readonly name: string | null; readonly problem: string }[];
  readonly notFound: readonly string[];
  readonly teams: TeamsCoverage;
  readonly live: { readonly processing: number; readonly queued: number };
  /** Nothing is missing: all lists were read. */
  readonly complete: boolean;
  /** Why the list of the caller's own agents is not complete; null when it is. For those of teams: `teams`. */
  readonly problem: string | null;
  readonly retrieves: { readonly wanted: number; readonly done: number; readonly failed: number };
}

interface Seen {
  readonly sessionId: string;
  readonly agent: Agent;
  readonly scanMs: number;
  readonly triggerId: string | null;
  facts: Facts;
}

/**
 * Looks at the fleet once, and judges it by the given policies. Reads only: lists, and a retrieve where nothing else can
 * tell.
 *
 * @throws SessionsError when no agents can be listed at all
 */
export async function planPolicies(deps: PlanDependencies, input: PlanInput): Promise<Plan> {
  const policies = asTheyCount(input.policies, input.openBreakers);
  const seenAgents = await listVisibleAgents(deps, agentsFor(policies));
  const { agents, failure } = seenAgents;
  if (failure !== null) throw failure;
  const concerned = agents.filter((agent) => !concernsNobody(agent, policies));

  const progress = { agents: concerned.length, agentsListed: 0, live: 0, retrieves: 0, retrievesDone: 0 };
  const report = (): void => input.onProgress({ ...progress });
  const scans = new Map(input.known?.scans.map((scan) => [scan.agentId, scan]));
  const stored = new Map(input.known?.facts.map((facts) => [facts.sessionId, facts]));
  const seen: Seen[] = [];
  const unreadable: PlanCoverage['unreadable'][number][] = [];
  report();
  await pMap(
    concerned,
    async (agent) => {
      const listing = await listLive(deps, agent.id);
      // A refused account is not a problem of one agent.
      if (listing.error?.accountWide === true && listing.error.kind !== 'rate-limited') throw listing.error;
      if (!listing.complete) unreadable.push({ agentId: agent.id, name: agent.name, problem: listing.problem ?? '' });
      const scan = scans.get(agent.id) ?? null;
      const scanMs = scanMsOf(scan);
      for (const { session, atMs, arrivedMs } of listing.items) {
        const facts = withListSight(stored.get(session.id), scan, listSight(session, agent, atMs, arrivedMs));
        seen.push({ sessionId: session.id, agent, scanMs, triggerId: session.triggerId, facts });
      }
      progress.agentsListed += 1;
      progress.live = seen.length;
      report();
    },
    { concurrency: AT_ONCE },
  );

  const isExempt = (session: Seen): boolean => input.exempt.has(session.sessionId);
  const needing = seen.filter((session) => {
    const nowMs = nowFor(deps, session);
    return assess(session.facts, policies, nowMs, { scanMs: session.scanMs, exempt: isExempt(session) }).needsRetrieve;
  });
  const asked = needing.slice(0, input.maxRetrieves);
  progress.retrieves = asked.length;
  let failed = 0;
  await pMap(
    asked,
    async (session) => {
      if (!(await retrieve(deps, session))) failed += 1;
      progress.retrievesDone += 1;
      report();
    },
    { concurrency: AT_ONCE },
  );

  const nowMs = deps.vendorClock.now() ?? Date.now();
  const sessions = seen
    .map((session) => plannedSession(session, policies, nowMs, isExempt(session)))
    .filter(({ standings }) => standings.length > 0)
    .sort((a, b) => compareFirst(a.standings, b.standings));
  const complete = seenAgents.complete && unreadable.length === 0;
  const triggerOf = new Map(seen.map(({ sessionId, triggerId }) => [sessionId, triggerId]));
  const endingRuns = sessions.flatMap(({ sessionId, agentId, standings }) => {
    const triggerId = triggerOf.get(sessionId) ?? null;
    const ends = standings.some(({ verdict, policy }) => verdict.kind === 'cancel' && policy.mode === 'enforce');
    return ends && triggerId !== null ? [{ sessionId, agentId, triggerId }] : [];
  });
  return {
    nowMs,
    policies: await Promise.all(
      input.policies.map(async (policy) =>
        plannedPolicy(
          policy,
          sessions,
          complete ? seen.length : null,
          await input.permitsTaken(policy),
          input.openBreakers.has(policy.name),
        ),
      ),
    ),
    sessions,
    triggersAtRisk: await triggersAtRisk(deps, endingRuns, input.endedRuns, nowMs),
    coverage: {
      agents: agents.length,
      agentsNotConcerned: agents.length - concerned.length,
      unreadable,
      notFound: seenAgents.complete ? namedButNotFound(policies, agents) : [],
      teams: teamsCoverage(seenAgents.teams),
      live: liveByState(seen),
      complete,
      problem: seenAgents.own?.problem ?? null,
      retrieves: { wanted: needing.length, done: asked.length - failed, failed },
    },
  };
}

const nowFor = ({ vendorClock }: PlanDependencies, { facts }: Seen): number =>
  Math.max(vendorClock.now() ?? 0, facts.timeline.seenAtMs);

/** @returns false when it could not be read: then the verdict stays as it is */
async function retrieve(deps: PlanDependencies, session: Seen): Promise<boolean> {
  try {
    await deps.limiter.acquire('confirm');
    const answer = await deps.sessions.retrieveSession(session.sessionId);
    deps.vendorClock.note(answer);
    const sight = readSight(deps.vendorClock, answer, session.agent.id, session.agent);
    if (sight === null) return false;
    session.facts = observe(session.facts, sight, { scanMs: session.scanMs });
    return true;
  } catch (error) {
    if (!(error instanceof SessionsError)) throw error;
    return false;
  }
}

function plannedSession(
  { sessionId, agent, facts, scanMs }: Seen,
  policies: readonly Policy[],
  nowMs: number,
  exempt: boolean,
): PlannedSession {
  const standings = standingsAbout(facts, policies, nowMs, { scanMs, exempt });
  return { sessionId, agentId: agent.id, agentName: agent.name, facts, standings };
}

function compareFirst([a]: readonly PolicyStanding[], [b]: readonly PolicyStanding[]): number {
  if (a === undefined || b === undefined) return 0;
  return compareStandings(a, b);
}

function plannedPolicy(
  policy: Policy,
  sessions: readonly PlannedSession[],
  liveSessions: number | null,
  taken: number,
  breakerOpen: boolean,
): PlannedPolicy {
  const mine = sessions.flatMap(({ standings }) => standings.find((one) => one.policy.name === policy.name) ?? []);
  const count = (test: (standing: PolicyStanding) => boolean): number => mine.filter(test).length;
  const endNow = count(({ verdict }) => verdict.kind === 'cancel');
  const due = mine.flatMap(({ verdict, endsAtMs }) =>
    verdict.kind === 'cancel' || endsAtMs === null ? [] : [endsAtMs],
  );
  return {
    policy,
    breakerOpen,
    matching: mine.length,
    endNow,
    inGrace: count(({ verdict }) => verdict.note === 'in-grace'),
    warned: count(({ verdict }) => verdict.kind === 'warn' && verdict.note !== 'in-grace'),
    undecided: count(({ verdict }) => verdict.kind === 'undecided'),
    exempt: count(({ verdict }) => verdict.note === 'exempt'),
    nextDueAtMs: due.length === 0 ? null : due.reduce((earliest, at) => Math.min(earliest, at)),
    capped: breakerOpen ? null : cappedAfter(policy, endNow, liveSessions, taken),
  };
}

/** Takes permits as the gate would, one for each turn. */
function cappedAfter(policy: Policy, of: number, liveSessions: number | null, taken: number): PlannedPolicy['capped'] {
  for (let after = 0; after < of; after += 1) {
    const reason = capReached(policy.caps, liveSessions, { turns: taken + after, over: taken });
    if (reason !== null) return { after, of, reason };
  }
  return null;
}

function liveByState(seen: readonly Seen[]): PlanCoverage['live'] {
  const count = (state: string): number => seen.filter(({ facts }) => facts.timeline.state === state).length;
  return { processing: count('processing'), queued: count('queued') };
}
