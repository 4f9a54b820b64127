import pLimit from 'p-limit';
import { refusesAccount, type ListingCalls, type ListingDependencies } from '../../adapters/vendor/listing.js';
import { scanMsOf, withListSight } from '../../adapters/ledger/stored-facts.js';
import { listSight, readSight, sessionView } from '../../adapters/vendor/sights.js';
import type { TargetToFreeze } from '../../adapters/ledger/bulk-plans.js';
import type { AgentScan, StoredFacts } from '../../adapters/ledger/facts.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { Facts } from '../../core/policy/facts.js';
import type { Observation } from '../../core/policy/observation.js';
import { observe } from '../../core/policy/observe.js';
import { SessionsError, type Agent, type Session, type SessionsClient } from '../../adapters/vendor/index.js';
import { patiently } from '../../adapters/vendor/patience.js';
import { decide, type Candidate, type Criteria } from './selection.js';

const RETRIEVES_AT_ONCE = 8;

export interface FleetAccess extends ListingDependencies {
  readonly sessions: ListingCalls & Pick<SessionsClient, 'retrieveSession'>;
}

export type JudgeDependencies = FleetAccess & { readonly ledger: Pick<Ledger, 'facts' | 'now'> };

/** Live sessions that could not be judged, by why; and the retrieves that were asked for. */
export interface JudgeTally {
  retrieves: number;
  unreadSessions: number;
  overLimit: number;
  undecided: number;
  untimed: number;
  /** Left out by an exception: sessions that fit otherwise, of excepted creators; and excepted sessions that were listed. */
  exceptCreators: number;
  readonly exceptSessions: Set<string>;
}

/** What is seen of a target on the way, for the one who decides. Times are the vendor's, ms; null: not known. */
export interface TargetAbout {
  readonly createdAtMs: number | null;
  readonly turnStartedAtMs: number | null;
  /** Of the session, over its life. */
  readonly credits: number | null;
  /** E-mail address, or else id. */
  readonly creator: string | null;
}

export type FoundTarget = TargetToFreeze & { readonly about: TargetAbout };

/** A page of one agent's live sessions. */
export interface Page {
  readonly sessions: readonly Session[];
  /** Vendor's time at which it was asked for, ms; null: not known. */
  readonly atMs: number | null;
  /** Vendor's time at which it was there, ms; null: not known. */
  readonly arrivedMs: number | null;
  /** When it was asked for, by the ledger's clock. */
  readonly seenAtMs: number;
}

/** Those sessions of a page that fit for certain. */
export type Judge = (agent: Agent, page: Page) => Promise<readonly FoundTarget[]>;

export function createJudge(
  deps: JudgeDependencies,
  criteria: Criteria,
  { maxRetrieves, signal }: { readonly maxRetrieves: number; readonly signal: AbortSignal },
  tally: JudgeTally,
  report: () => void,
): Judge {
  const oneOf = pLimit(RETRIEVES_AT_ONCE);
  const exceptSessions: ReadonlySet<string> = new Set(criteria.selection.exceptSessions ?? []);

  return async (agent, page) => {
    const remembered = await recall(deps, criteria, agent, page);
    const judged = await Promise.all(page.sessions.map((session) => judgeOne(session, agent, page, remembered)));
    return judged.filter((target) => target !== null);
  };

  async function judgeOne(
    session: Session,
    agent: Agent,
    page: Page,
    { scan, facts: stored }: Remembered,
  ): Promise<FoundTarget | null> {
    if (exceptSessions.has(session.id)) {
      tally.exceptSessions.add(session.id);
      return null;
    }
    const scanMs = scanMsOf(scan);
    let facts: Facts | null = null;
    if (page.atMs !== null) {
      facts = withListSight(stored.get(session.id), scan, listSight(session, agent, page.atMs, page.arrivedMs));
    }
    let candidate = candidateOf(session, agent, facts);
    let decision = decide(criteria, candidate, nowFor(deps, facts), scanMs);
    let seenAtMs = page.seenAtMs;
    let isNamed = false;
    let shown = session;
    if (decision.needsRetrieve && (page.atMs !== null || !criteria.aboutTurn)) {
      const read = await oneOf(() => retrieve(session.id, agent));
      // Gone, or counted as not read: left out either way.
      if (read === null) return null;
      if (read.sight !== null) facts = observe(facts, read.sight, { scanMs });
      candidate = candidateOf(read.session, agent, facts);
      decision = decide(criteria, candidate, nowFor(deps, facts), scanMs);
      seenAtMs = read.seenAtMs;
      isNamed = read.sight !== null;
      shown = read.session;
    }
    if (decision.fits === null) {
      if (page.atMs === null && criteria.aboutTurn) tally.untimed += 1;
      else tally.undecided += 1;
    }
    if (decision.isExcepted === true) tally.exceptCreators += 1;
    if (decision.fits !== true) return null;
    // A list shows no turn. Named it is where a read has just shown it, or where the selection rests on its own time.
    const turn = isNamed || criteria.aboutTurn ? (facts?.timeline.turn ?? null) : null;
    return {
      sessionId: session.id,
      agentId: candidate.subject.agentId ?? agent.id,
      state: candidate.state,
      turnKey: turn?.key ?? null,
      turnStartedAtMs: turn?.key == null ? null : turn.startedAtMs,
      seenAtMs,
      about: {
        createdAtMs: candidate.createdAtMs,
        turnStartedAtMs: facts?.timeline.turn?.startedAtMs ?? null,
        credits: shown.usage?.creditCost ?? null,
        creator: candidate.subject.creatorEmail ?? candidate.subject.creatorId,
      },
    };
  }

  async function retrieve(
    sessionId: string,
    agent: Agent,
  ): Promise<{ session: Session; sight: Observation | null; seenAtMs: number } | null> {
    if (tally.retrieves >= maxRetrieves) {
      tally.overLimit += 1;
      return null;
    }
    tally.retrieves += 1;
    report();
    try {
      let seenAtMs = 0;
      await deps.limiter.acquire('confirm');
      const answer = await patiently(deps.limiter, 'confirm', signal, async () => {
        seenAtMs = await deps.ledger.now();
        return deps.sessions.retrieveSession(sessionId, { signal });
      });
      deps.vendorClock.note(answer);
      return { session: answer.value, sight: readSight(deps.vendorClock, answer, agent.id, agent), seenAtMs };
    } catch (error) {
      if (!(error instanceof SessionsError) || refusesAccount(error)) throw error;
      if (error.kind !== 'not-found') tally.unreadSessions += 1;
      return null;
    }
  }
}

const nowFor = ({ vendorClock }: FleetAccess, facts: Facts | null): number =>
  Math.max(vendorClock.now() ?? 0, facts?.timeline.seenAtMs ?? 0);

interface Remembered {
  readonly scan: AgentScan | null;
  readonly facts: ReadonlyMap<string, StoredFacts>;
}

const NOTHING: Remembered = { scan: null, facts: new Map() };

/** What our own scans know of the sessions of a page. Only times and usage need it. */
async function recall(
  { ledger }: JudgeDependencies,
  { aboutTurn }: Criteria,
  agent: Agent,
  { sessions, atMs }: Page,
): Promise<Remembered> {
  if (!aboutTurn || atMs === null || sessions.length === 0) return NOTHING;
  return {
    scan: await ledger.facts.scanOf(agent.id),
    facts: await ledger.facts.among(sessions.map(({ id }) => id)),
  };
}

function candidateOf(session: Session, agent: Agent, facts: Facts | null): Candidate {
  const { state, createdAtMs, ...subject } = sessionView(session, agent.id, agent);
  return facts === null
    ? { state, createdAtMs, subject, facts }
    : { state: facts.timeline.state, createdAtMs: facts.createdAtMs, subject: facts.subject, facts };
}
