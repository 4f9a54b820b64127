import { usageAt, type Look } from './look.js';
import type { MessageRecord, SessionRecord } from './session.js';
import { iso } from '../src/core/times.js';

/** A trigger as the world keeps it. */
export interface TriggerRecord {
  readonly id: string;
  readonly type: string;
  readonly maxFailures: number;
  enabled: boolean;
  /** Runs that failed since the last one that did not. */
  failuresInRow: number;
  lastRunAt: number | null;
}

/** An agent as the world keeps it. */
export interface AgentRecord {
  readonly id: string;
  readonly name: string;
  readonly teamId: string | null;
  readonly creatorUserId: string;
  readonly createdAt: number;
  readonly triggerCount: number;
  readonly triggers: readonly TriggerRecord[];
  readonly tools: readonly string[];
  readonly flows: readonly string[];
  active: boolean;
}

/** A team as the world keeps it. */
export interface TeamRecord {
  readonly id: string;
  readonly name: string;
  readonly member: boolean;
  readonly listed: boolean;
}

const creator = (id: string) => ({
  id,
  first_name: 'Sim',
  last_name: 'User',
  email: `${id}@example.com`,
  profile_picture: null,
});

export function agentOnWire(agent: AgentRecord, lastUsedAt: number | null, lastUpdatedAt: number | null) {
  return {
    id: agent.id,
    name: agent.name,
    description: null,
    team_id: agent.teamId,
    is_active: agent.active,
    model_name: 'auto',
    system_prompt: null,
    tools: agent.tools.map((server) => ({ type: 'gumcp_server', server_id: server })),
    resources: agent.flows.map((flow) => ({ type: 'flow', saved_item_id: flow })),
    skill_ids: null,
    metadata: {},
    folder_id: null,
    type: 'agent',
    created_at: iso(agent.createdAt),
    active_trigger_count: agent.triggerCount + agent.triggers.filter(({ enabled }) => enabled).length,
    creator: creator(agent.creatorUserId),
    last_used_at: lastUsedAt === null ? null : iso(lastUsedAt),
    last_updated_at: lastUpdatedAt === null ? null : iso(lastUpdatedAt),
  };
}

export const triggerOnWire = ({ id, type, enabled, maxFailures, lastRunAt }: TriggerRecord) => ({
  id,
  type,
  enabled,
  status: enabled ? 'active' : 'disabled',
  max_failures: maxFailures,
  last_run_at: lastRunAt === null ? null : iso(lastRunAt),
});

/**
 * A message of the transcript. Assistant text sits in `parts` while `content` is null, and an aborted run leaves a part of
 * type error: so observed at the vendor.
 */
function messageOnWire(message: MessageRecord, creatorUserId: string) {
  const common = { id: message.id, role: message.role, created_at: iso(message.at) };
  if (message.role === 'user') return { ...common, content: message.text, creator_id: creatorUserId, parts: null };
  const parts: object[] = message.text === '' ? [] : [{ type: 'text', text: message.text }];
  if (message.error !== undefined) parts.push({ type: 'error', text: message.error });
  return { ...common, content: null, creator_id: null, parts };
}

function usageOnWire(session: SessionRecord, at: number) {
  const usage = usageAt(session, at);
  return {
    credit_cost: usage?.credits ?? null,
    tool_credit_cost: usage?.toolCredits ?? null,
    flow_credit_cost: usage === null ? null : 0,
    input_tokens: usage?.inputTokens ?? null,
    cached_input_tokens: usage === null ? null : 0,
    cache_write_input_tokens: usage === null ? null : 0,
    output_tokens: usage?.outputTokens ?? null,
    reasoning_tokens: usage === null ? null : 0,
  };
}

/** A list item: no messages, queue position or open asks. */
export function summaryOnWire(session: SessionRecord, agent: AgentRecord, seen: Look) {
  return {
    id: session.id,
    agent_id: session.agentId,
    name: session.name,
    type: session.type,
    messages: [] as object[],
    created_at: iso(session.createdAt),
    state: seen.state,
    agent_name: agent.name,
    creator: creator(session.creatorUserId),
    usage: usageOnWire(session, seen.usageAt),
    // Only newer generations know it.
    ...(session.triggerId === null ? {} : { trigger_id: session.triggerId }),
  };
}

/** The full session of retrieve, create, send and approvals. */
export function sessionOnWire(session: SessionRecord, agent: AgentRecord, seen: Look) {
  return {
    ...summaryOnWire(session, agent, seen),
    messages: session.messages
      .slice(0, seen.messageCount)
      .map((message) => messageOnWire(message, session.creatorUserId)),
    agent_team_id: agent.teamId,
    agent_creator_user_id: agent.creatorUserId,
    agent_icon_url: null,
    agent_tools: [] as object[],
    participants: { [session.creatorUserId]: { first_name: 'Sim', last_name: 'User' } },
    pending_approvals:
      seen.state === 'approval_required'
        ? session.asks.map((ask) => ({
            action_request_id: ask.id,
            type: 'tool_approval',
            title: ask.title,
            reason: null,
            recipient_user_id: null,
            tool_name: null,
            server_label: null,
            display_fields: null,
            questions: null,
          }))
        : [],
  };
}

/** The answer of cancel: the whole envelope, of which only `id`, `agent_id` and `state` mean anything. */
export function cancelledOnWire(session: SessionRecord, state: string) {
  return {
    session: {
      id: session.id,
      agent_id: session.agentId,
      messages: [],
      created_at: null,
      state,
      agent_name: null,
      agent_team_id: null,
      agent_creator_user_id: null,
      agent_icon_url: null,
      agent_tools: [],
      participants: {},
      creator: null,
    },
    queue_position: null,
  };
}

export function queueOnWire(session: SessionRecord) {
  return session.queue.map((message, index) => ({
    id: message.id,
    input: message.text,
    state: 'queued',
    position: index + 1,
    created_at: iso(message.at),
    updated_at: iso(message.at),
  }));
}
