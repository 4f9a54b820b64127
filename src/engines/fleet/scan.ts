import pMap from 'p-map';
import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Account } from '../../adapters/vendor/account.js';
import { HeldError } from '../../adapters/vendor/hold.js';
import { LedgerUnavailableError } from '../../adapters/ledger/errors.js';
import type { AgentScan } from '../../adapters/ledger/facts.js';
import { assess } from '../../core/policy/assess.js';
import { absentFromLists, type Observation } from '../../core/policy/observation.js';
import { observe } from '../../core/policy/observe.js';
import { flightOf } from '../../core/policy/state.js';
import { excludes, teamsNamed } from '../../core/policy/match.js';
import type { Policy } from '../../core/policy/policy.js';
import type { Agent, SessionsError } from '../../adapters/vendor/index.js';
import type { AgentsWanted } from '../../adapters/vendor/agents.js';
import { storeFindings, type ActDependencies, type Findings } from './act.js';
import { addAgent, track, type Fleet, type Tracked, type TrackedAgent } from './fleet.js';
import { judgeSession, type JudgeContext } from './judge-session.js';
import {
  listLive,
  liveListOf,
  refusesAccount,
  type ListedSession,
  type ListingDependencies,
  type LiveListing,
} from '../../adapters/vendor/listing.js';
import { mayAsk, retryList } from './list-retry.js';
import { listSight } from '../../adapters/vendor/sights.js';

/** Lists that are asked for at once. Cancel requests wait behind so many at most. */
const LISTS_AT_ONCE = 8;
/** Sessions judged without giving others a turn. */
const CHUNK = 200;
/** An agent without live sessions for so many lists is quiet, and is listed less often: every so many scans. */
const QUIET_AFTER = 4;
const QUIET_SCANS = 4;
/** A list that lost more than half of at least so many sessions at once is doubted. */
const LEAST_TO_DOUBT = 4;
/** Looks at sessions that are missing from one list, at most. */
const MISSING_LOOKS = 20;

export interface ScanDependencies extends ActDependencies, ListingDependencies {
  readonly account: Account;
  /** Our monotonic clock, ms. */
  readonly monotonic: () => number;
  readonly random: () => number;
}

export interface ScanSettings {
  /** Time between the starts of two scans, ms. */
  readonly scanMs: number;
  /** The same for quiet agents: `QUIET_SCANS` scans, less where a policy has a limit so short that it would be late. */
  readonly quietScanMs: number;
}

/** How often to look where nothing is going on. A new turn there must be seen well before its shortest limit. */
export function scanSettings(scanMs: number, policies: readonly Policy[]): ScanSettings {
  const times = policies.flatMap(({ limits }) =>
    [limits.max_runtime, limits.max_continuous_runtime, limits.max_queue_time].filter((limit) => limit !== null),
  );
  const usage = policies.some(
    ({ limits }) => limits.max_credits !== null || limits.max_session_credits !== null || limits.max_tokens !== null,
  );
  // How fast credits are spent is not known before they are.
  const longest = usage ? scanMs : Math.min(QUIET_SCANS * scanMs, ...times.map((limit) => limit / 4));
  return { scanMs, quietScanMs: Math.max(scanMs, longest) };
}

/** An agent none of whose sessions any policy can be about, whoever created them. */
export const concernsNobody = (agent: Parameters<typeof excludes>[1], policies: readonly Policy[]): boolean =>
  policies.every(({ match }) => excludes(match, agent));

/** The agents that policies can be about: a team that none can be about need not be listed. */
export const agentsFor = (policies: readonly Policy[]): AgentsWanted => ({
  own: true,
  shownTeams: true,
  named: policies.flatMap(({ match }) => teamsNamed(match)),
  concerns: (teamId) => !concernsNobody({ id: null, name: null, teamId }, policies),
});

/**
 * Lists the live sessions of the agents that are due, judges each, and stores and acts agent by agent. One agent that can't
 * be listed does not stop the rest.
 *
 * @param contextOf - for an agent's scan interval; asked anew for each, because time goes on
 * @returns the refusal, where the vendor refuses the account; null: it does not
 * @throws LedgerUnavailableError
 */
export async function scanAgents(
  deps: ScanDependencies,
  fleet: Fleet,
  due: readonly TrackedAgent[],
  settings: ScanSettings,
  contextOf: (scanMs: number) => JudgeContext,
  signal: AbortSignal,
): Promise<SessionsError | null> {
  let over = false;
  let refused: SessionsError | null = null;
  let failure: { readonly error: unknown } | null = null;
  const scanOne = async (tracked: TrackedAgent): Promise<void> => {
    const askedAt = deps.monotonic();
    const listing = await listLive(deps, tracked.agent.id);
    if (listing.error !== null && refusesAccount(listing.error)) {
      // One agent's list may be refused for its own sake, while others were read just before.
      if ((await deps.account.concernsAccount(listing.error, settings.quietScanMs)) === true) {
        over = true;
        refused = listing.error;
        await deps.account.refused(listing.error);
      }
    } else if (listing.complete) await deps.account.works();
    if (signal.aborted) return;
    // It was not asked, and the next ones would not be either: the scan says so as a whole.
    if (listing.error instanceof HeldError) {
      over = true;
      return;
    }
    tracked.retry =
      listing.error === null
        ? null
        : retryList(tracked.retry, listing.error, deps.monotonic(), settings.scanMs, deps.random());
    const findings = await takeIn(deps, fleet, tracked, listing, askedAt, settings, contextOf);
    await storeFindings(deps, findings, contextOf(settings.scanMs).rules);
    if (listing.atMs !== null)
      deps.inHand.listed(tracked.agent.id, liveListOf(listing, askedAt), Math.round(listing.atMs));
  };
  await pMap(
    due,
    async (tracked) => {
      if (signal.aborted || over || failure !== null) return;
      // Thrown when all have come back: a round that has failed must not go on writing.
      await scanOne(tracked).catch((error: unknown) => {
        if (error instanceof LedgerUnavailableError) failure ??= { error };
        else if (!signal.aborted) {
          // Of our own making, and no reason to leave the other agents unwatched.
          tracked.scan = { ...tracked.scan, problem: `could not judge what was listed: ${String(error)}` };
          deps.log.error({ agentId: tracked.agent.id, err: error }, 'could not judge the sessions of an agent');
        }
      });
    },
    { concurrency: LISTS_AT_ONCE },
  );
  const failed = failure as { readonly error: unknown } | null;
  if (failed !== null) throw failed.error;
  return refused;
}

/** Agents whose turn it is, those that have waited longest first: a scan that is cut short leaves out others each time. */
export function dueAgents(fleet: Fleet, settings: ScanSettings, nowMonotonic: number): TrackedAgent[] {
  // A scan that starts a moment early is no reason to leave an agent out until the next one.
  const slack = settings.scanMs / 4;
  return [...fleet.agents.values()]
    .filter(({ scannedAt, retry, quiet }) => {
      if (!mayAsk(retry, nowMonotonic)) return false;
      const everyMs = quiet >= QUIET_AFTER ? settings.quietScanMs : settings.scanMs;
      return scannedAt === null || nowMonotonic - scannedAt >= everyMs - slack;
    })
    .sort((a, b) => (a.scannedAt ?? -1) - (b.scannedAt ?? -1) || (a.scan.atMs ?? 0) - (b.scan.atMs ?? 0));
}

/** Takes the agents of a list into the fleet. Those that are gone stay while they have live sessions. */
export function takeInAgents(
  fleet: Fleet,
  agents: readonly Agent[],
  complete: boolean,
  policies: readonly Policy[],
): void {
  const listed = new Set<string>();
  const shown = new Set(agents.map(({ id }) => id));
  for (const agent of agents) {
    if (concernsNobody(agent, policies)) continue;
    listed.add(agent.id);
    const known = fleet.agents.get(agent.id);
    if (known === undefined) addAgent(fleet, agent, neverScanned(agent));
    else if (known.agent.name !== agent.name || known.agent.teamId !== agent.teamId) {
      // The gate knows agents by their last scan.
      const { name, teamId, creatorId } = agent;
      const renamed = addAgent(fleet, agent, { ...known.scan, name, teamId, creatorId });
      Object.assign(renamed, { scannedAt: known.scannedAt, retry: known.retry, quiet: known.quiet });
    }
  }
  if (!complete) return;
  for (const [id, tracked] of fleet.agents) {
    const { sessions } = tracked;
    tracked.gone = !shown.has(id);
    if (listed.has(id) || [...sessions.values()].some((session) => session.listed)) continue;
    fleet.agents.delete(id);
  }
}

const neverScanned = (agent: Agent): AgentScan => ({
  agentId: agent.id,
  name: agent.name,
  teamId: agent.teamId,
  creatorId: agent.creatorId,
  atMs: null,
  scanMs: 0,
  live: 0,
  problem: null,
});

async function takeIn(
  { inHand }: Pick<ScanDependencies, 'inHand'>,
  fleet: Fleet,
  tracked: TrackedAgent,
  listing: LiveListing,
  askedAt: number,
  settings: ScanSettings,
  contextOf: (scanMs: number) => JudgeContext,
): Promise<Findings> {
  const { agent, sessions } = tracked;
  const before = tracked.scan;
  const scanMs = intervalOf(tracked, askedAt, settings);
  const items = new Map(listing.items.map((item) => [item.session.id, item]));
  const touched: Tracked[] = [];
  const events: Findings['events'][number][] = [];
  const cancels: Findings['cancels'][number][] = [];
  const judge = (session: Tracked, seen: readonly Observation[]): void => {
    const consequences = judgeSession(session, seen, contextOf(scanMs));
    touched.push(session);
    events.push(...consequences.events);
    cancels.push(...consequences.cancels.map((verdict) => ({ session, verdict })));
  };

  let count = 0;
  for (const item of items.values()) {
    const session = sessions.get(item.session.id);
    const seen = sightsOf(item, session, agent, before);
    const current = session ?? firstSight(fleet, tracked, item, seen, scanMs);
    current.listed = true;
    current.missed = 0;
    current.missedSinceMs = null;
    judge(current, session === undefined ? seen.slice(1) : seen);
    // What runs there now may have started by itself: only a read shows which turn it is.
    const ended = fleet.endedLately.get(current.sessionId);
    if (ended !== undefined && ended.settledAtMs !== current.restartNoted) current.lookAtMs = contextOf(scanMs).nowMs;
    if ((count += 1) % CHUNK === 0) await yieldToOthers();
  }

  tracked.scannedAt = askedAt;
  if (!listing.complete) {
    if (tracked.gone && listing.error?.kind === 'not-found') return lose(tracked, contextOf(scanMs));
    tracked.scan = { ...before, scanMs, problem: listing.problem };
    return { sessions: touched, scans: [tracked.scan], events, cancels };
  }
  const absent = [...sessions.values()].filter((session) => !items.has(session.sessionId));
  for (const session of absent) {
    // Its end was seen by a look before the list could show it.
    if (!session.listed || isInFlight(session)) continue;
    session.listed = false;
    touched.push(session);
  }
  const missing = absent.filter(isInFlight);
  const newlyMissing = missing.filter((session) => session.listed);
  const runOn = missing.filter(runsUnlisted).length;
  const wasLive = newlyMissing.length + items.size;
  const doubted = wasLive >= LEAST_TO_DOUBT && newlyMissing.length > wasLive / 2;
  let looks = 0;
  for (const session of missing) {
    const isNews = session.listed;
    session.listed = false;
    session.missed += 1;
    if (isNews) session.missedSinceMs = listing.atMs;
    if (isNews) touched.push(session);
    else if (runOn === 0 || session.lookAtMs !== null || session.looking) continue;
    // That it is gone is what its order waits for.
    if (inHand.holds(session.sessionId)) {
      session.lookAtMs = null;
      continue;
    }
    // A list says nothing about what is missing from it. Where a limit is not far, or many are missing at once, or others
    // run on that it has lost, we ask.
    const asks = (doubted || runOn > 0 || isHalfWay(session, contextOf(scanMs))) && looks < MISSING_LOOKS;
    session.lookAtMs = asks ? contextOf(scanMs).nowMs : null;
    if (asks) looks += 1;
  }
  tracked.quiet = items.size + runOn === 0 ? tracked.quiet + 1 : 0;
  const problem = runOn === 0 ? null : `${runOn} sessions that run are missing from the list`;
  tracked.scan = { ...before, atMs: listing.atMs, scanMs, live: items.size, problem };
  return { sessions: touched, scans: [tracked.scan], events, cancels };
}

/** The agent was deleted. Whether its sessions still run, only they can tell; those that are gone too are let go then. */
function lose(tracked: TrackedAgent, { nowMs }: JudgeContext): Findings {
  const lost = [...tracked.sessions.values()].filter((session) => session.listed);
  for (const session of lost) {
    session.listed = false;
    session.lookAtMs = nowMs;
  }
  tracked.scan = { ...tracked.scan, live: 0, problem: null };
  return { sessions: lost, scans: [tracked.scan], events: [], cancels: [] };
}

/** The time since the agent's last list: late scans make a longer interval, and so no gap. At most four times what was planned. */
function intervalOf({ scannedAt, scan, quiet }: TrackedAgent, askedAt: number, settings: ScanSettings): number {
  const planned = quiet >= QUIET_AFTER ? settings.quietScanMs : settings.scanMs;
  if (scannedAt === null) return Math.max(planned, scan.scanMs);
  return Math.round(Math.min(Math.max(planned, askedAt - scannedAt), 4 * planned));
}

/**
 * What a list item shows, with the last complete list that did not hold the session: its turn has begun since.
 *
 * A session that was missed by one list only was perhaps just on the edge between two pages, so that says nothing.
 */
function sightsOf(
  { session, atMs, arrivedMs }: ListedSession,
  known: Tracked | undefined,
  agent: Agent,
  { atMs: lastListMs }: AgentScan,
): Observation[] {
  const sight = listSight(session, agent, atMs, arrivedMs);
  const wasAbsent = known === undefined || (!known.listed && known.missed >= 2);
  return wasAbsent && lastListMs !== null && lastListMs < atMs ? [absentFromLists(lastListMs), sight] : [sight];
}

function firstSight(
  fleet: Fleet,
  agent: TrackedAgent,
  { session }: ListedSession,
  seen: readonly Observation[],
  scanMs: number,
): Tracked {
  const [first] = seen;
  if (first === undefined) throw new Error('A first sight needs an observation.');
  const tracked: Tracked = {
    sessionId: session.id,
    agentId: agent.agent.id,
    facts: observe(null, first, { scanMs }),
    stored: null,
    listed: true,
    storedListed: false,
    missed: 0,
    missedSinceMs: null,
    lookAtMs: null,
    failures: 0,
    putOffUntilMs: null,
    looking: false,
    restartNoted: null,
  };
  track(fleet, agent, tracked);
  return tracked;
}

const isInFlight = ({ facts }: Tracked): boolean => flightOf(facts.timeline.state) === 'in-flight';

/** Missing from more than one list, and a retrieve showed it in flight since. */
const runsUnlisted = ({ listed, missed, missedSinceMs, facts: { timeline } }: Tracked): boolean =>
  !listed &&
  missed >= 2 &&
  timeline.retrievedAtMs === timeline.seenAtMs &&
  (missedSinceMs === null || timeline.seenAtMs > missedSinceMs);

/** Whether some limit would be reached if the turn went on for as long again as it has. */
function isHalfWay({ facts }: Tracked, { rules, nowMs, scanMs }: JudgeContext): boolean {
  if (facts.marks.length > 0) return true;
  const { turn, unbrokenSinceMs } = facts.timeline;
  const fromMs = Math.min(turn?.startedAtMs ?? turn?.firstSeenMs ?? nowMs, unbrokenSinceMs);
  return assess(facts, rules.policies, nowMs + Math.max(0, nowMs - fromMs), { scanMs }).needsRetrieve;
}
