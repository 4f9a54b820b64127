import type { AgentScan } from '../ledger/facts.js';
import type { SessionView } from '../../core/policy/observation.js';
import type { Agent, Session } from './index.js';

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
