import type { AgentScan } from '../ledger/facts.js';
import { fromListItem, fromRetrieve, type Observation, type SessionView } from '../../core/policy/observation.js';
import type { Agent, Answer, Session } from './index.js';
import type { VendorClock } from './vendor-clock.js';

/**
 * A session as policies see it. Lists and transcripts leave out what the list of agents tells: name and team. The agent's
 * own creator is not the session's.
 */
export function sessionView(session: Session, agentId: string | null, agent: Agent | null): SessionView {
  return {
    state: session.state,
    createdAtMs: session.createdAtMs,
    transcript: session.transcript,
    usage: session.usage,
    agentId: session.agentId ?? agentId,
    agentName: agent?.name ?? session.agentName,
    creatorId: session.creatorId,
    creatorEmail: session.creatorEmail,
    teamId: session.teamId ?? agent?.teamId ?? null,
  };
}

/** An agent as its last scan knew it. */
export const agentOfScan = ({ agentId, name, teamId, creatorId }: AgentScan): Agent => ({
  id: agentId,
  name,
  teamId,
  creatorId,
  isActive: null,
});

/** What an item of an agent's list showed. Times are the vendor's, ms. */
export const listSight = (session: Session, agent: Agent, atMs: number, arrivedMs: number | null): Observation =>
  fromListItem(sessionView(session, agent.id, agent), atMs, arrivedMs);

/**
 * What a read showed.
 *
 * @param notBeforeMs - vendor's time, ms, after which the read is known to be; its own clock may be a little behind
 * @returns null: the vendor's time is not known, so nothing can be timed
 */
export function readSight(
  vendorClock: Pick<VendorClock, 'at'>,
  { value, sentAt, receivedAt }: Pick<Answer<Session>, 'value' | 'sentAt' | 'receivedAt'>,
  agentId: string | null,
  agent: Agent | null,
  notBeforeMs = 0,
): Observation | null {
  const atMs = vendorClock.at(sentAt);
  if (atMs === null) return null;
  return fromRetrieve(sessionView(value, agentId, agent), Math.max(atMs, notBeforeMs), vendorClock.at(receivedAt));
}
