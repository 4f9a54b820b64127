import type { AgentScan, StoredFacts, StoredFleet } from '../../adapters/ledger/facts.js';
import type { EndedTurn } from '../../adapters/ledger/ended-turns.js';
import type { Facts } from '../../core/policy/facts.js';
import type { Agent } from '../../adapters/vendor/index.js';
import type { ListRetry } from './list-retry.js';
import { asOfLastScan } from '../../adapters/ledger/stored-facts.js';
import { agentOfScan } from '../../adapters/vendor/sights.js';

/** One session as this process follows it. */
export interface Tracked {
  readonly sessionId: string;
  readonly agentId: string | null;
  facts: Facts;
  /** Facts as the ledger has them; null: not stored yet. */
  stored: Facts | null;
  /** In the last complete list of its agent, or in a later incomplete one. */
  listed: boolean;
  storedListed: boolean;
  /** Complete lists in a row that did not hold it. */
  missed: number;
  /** Vendor time, ms, of the first of those; null: not known to this process, or none. */
  missedSinceMs: number | null;
  /** Vendor time, ms, at which only a retrieve can tell more; null: the next scan will do. */
  lookAtMs: number | null;
  /** Retrieves that failed in a row. */
  failures: number;
  /** Vendor time, ms, before which it is not retrieved again after such a failure, whatever lists show; null: none. */
  putOffUntilMs: number | null;
  looking: boolean;
  /** The end after which it was seen to have started again, and that was noted: when its order was settled, ledger's clock, ms. */
  restartNoted: number | null;
  /** Vendor time, ms, of the last judgement while it was exempt; left out: none by this process. */
  exemptAtMs?: number;
}

/** One agent as this process scans it. */
export interface TrackedAgent {
  readonly agent: Agent;
  scan: AgentScan;
  /** Our monotonic clock, ms: when the last list was asked for; null: never by this process. */
  scannedAt: number | null;
  /** Null: its last list did not fail. */
  retry: ListRetry | null;
  /** Complete lists in a row without a live session. */
  quiet: number;
  /** The list of agents does not hold it any more. */
  gone: boolean;
  readonly sessions: Map<string, Tracked>;
}

/** All that is followed. Lives in one process at a time, and is rebuilt from the ledger in another one. */
export interface Fleet {
  readonly agents: Map<string, TrackedAgent>;
  readonly sessions: Map<string, Tracked>;
  /** Sessions whose turn was ended so short a time ago that they may start again by themselves. */
  endedLately: ReadonlyMap<string, Pick<EndedTurn, 'queued' | 'settledAtMs'>>;
}

export function fleetOf({ facts, scans }: StoredFleet): Fleet {
  const fleet: Fleet = { agents: new Map(), sessions: new Map(), endedLately: new Map() };
  for (const scan of scans) addAgent(fleet, agentOfScan(scan), scan);
  for (const stored of facts) {
    const agent = stored.agentId === null ? undefined : fleet.agents.get(stored.agentId);
    track(fleet, agent, restored(stored, agent?.scan ?? null));
  }
  return fleet;
}

const restored = (stored: StoredFacts, scan: AgentScan | null): Tracked => ({
  sessionId: stored.sessionId,
  agentId: stored.agentId,
  facts: asOfLastScan(stored, scan),
  stored: stored.facts,
  listed: stored.listed,
  storedListed: stored.listed,
  missed: stored.listed ? 0 : missedBy(stored, scan),
  missedSinceMs: null,
  lookAtMs: null,
  failures: 0,
  putOffUntilMs: null,
  looking: false,
  restartNoted: null,
});

/** At least so many lists in a row did not hold it: more than one, when the last of them came more than two scans after its sight. */
const missedBy = ({ facts: { timeline } }: StoredFacts, scan: AgentScan | null): number =>
  scan?.atMs != null && scan.atMs - timeline.seenAtMs > 2 * scan.scanMs ? 2 : 1;

export function addAgent(fleet: Fleet, agent: Agent, scan: AgentScan): TrackedAgent {
  const sessions = fleet.agents.get(agent.id)?.sessions ?? new Map<string, Tracked>();
  const tracked: TrackedAgent = { agent, scan, scannedAt: null, retry: null, quiet: 0, gone: false, sessions };
  fleet.agents.set(agent.id, tracked);
  return tracked;
}

export function track(fleet: Fleet, agent: TrackedAgent | undefined, session: Tracked): void {
  fleet.sessions.set(session.sessionId, session);
  agent?.sessions.set(session.sessionId, session);
}

/** A session that has not been live for so long is forgotten by the process; the ledger keeps its facts. Ms. */
export const FORGET_AFTER_MS = 60 * 60_000;

export function forgetOld(fleet: Fleet, nowMs: number): void {
  for (const [id, session] of fleet.sessions) {
    if (session.listed || session.lookAtMs !== null || session.looking) continue;
    if (nowMs - session.facts.timeline.seenAtMs < FORGET_AFTER_MS) continue;
    fleet.sessions.delete(id);
    if (session.agentId !== null) fleet.agents.get(session.agentId)?.sessions.delete(id);
  }
}
