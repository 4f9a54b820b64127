import type { Transcript } from '../../core/policy/turn.js';

/**
 * What the rest of Curfew knows of the vendor's agents and sessions. Every field that any generation of the API may
 * leave out, null or spell in a new way is nullable here: null means "not known", never "zero" or "none".
 */

/**
 * A session as one read showed it. Message text is dropped at the border: nothing behind it needs it, and Temporal and
 * the ledger must never hold it.
 */
export interface Session {
  readonly id: string;
  readonly agentId: string | null;
  readonly agentName: string | null;
  readonly name: string | null;
  /** Channel, an open set: `api`, `web`, `slack`, … */
  readonly type: string | null;
  /** Lower case and trimmed. Unknown values are kept as they are, and so is null. */
  readonly state: string | null;
  /** Creation of the conversation, never of the turn; ms since the Unix epoch. */
  readonly createdAtMs: number | null;
  /** Empty in list items. */
  readonly transcript: Transcript;
  /** Totals over the life of the session. Null when the server did not send any (older generations never do). */
  readonly usage: Usage | null;
  readonly creatorId: string | null;
  readonly creatorEmail: string | null;
  /** Team of the agent. */
  readonly teamId: string | null;
  /** The trigger that started it. Null: none, or the server is of a generation that does not say. */
  readonly triggerId: string | null;
  /** For display only: the vendor does not say where it counts from. */
  readonly queuePosition: number | null;
}

/** Each is null until the vendor has recorded something; null is not zero. */
export interface Usage {
  /** All credits; the two partial costs below are contained in it. */
  readonly creditCost: number | null;
  readonly toolCreditCost: number | null;
  readonly flowCreditCost: number | null;
  /** Cached tokens are contained in it. */
  readonly inputTokens: number | null;
  readonly cachedInputTokens: number | null;
  readonly cacheWriteInputTokens: number | null;
  readonly outputTokens: number | null;
  readonly reasoningTokens: number | null;
}

export interface Agent {
  readonly id: string;
  readonly name: string | null;
  readonly teamId: string | null;
  readonly creatorId: string | null;
  readonly isActive: boolean | null;
}

/** A message that waits for the end of the turn, without its text. */
export interface QueuedMessage {
  readonly id: string | null;
  /** Lower case; `queued` or `editing` so far. */
  readonly state: string | null;
  readonly position: number | null;
  /** Ms since the Unix epoch. */
  readonly createdAtMs: number | null;
}

/** What starts sessions of an agent by itself: a schedule, a webhook, an integration. */
export interface Trigger {
  readonly id: string;
  /** Lower case; an open set. */
  readonly type: string | null;
  readonly enabled: boolean | null;
  /** After so many failed runs in a row the vendor switches it off. */
  readonly maxFailures: number | null;
}

export interface TriggerPage {
  readonly triggers: readonly Trigger[];
  /** Null on the last page. */
  readonly nextCursor: string | null;
}

export interface AgentPage {
  readonly agents: readonly Agent[];
  /** Null on the last page. */
  readonly nextCursor: string | null;
  /** Items that had no usable id: they are missing from `agents`, so the list is incomplete if this is not 0. */
  readonly unreadable: number;
}

/** A team that the caller is a member of. */
export interface Team {
  readonly id: string;
  readonly name: string | null;
}

export interface TeamPage {
  readonly teams: readonly Team[];
  /** Null on the last page. The vendor documents no paging of teams; a server that has some is followed. */
  readonly nextCursor: string | null;
  /** Items that had no usable id: they are missing from `teams`, so the list is incomplete if this is not 0. */
  readonly unreadable: number;
}

export interface SessionPage {
  readonly sessions: readonly Session[];
  /** Null on the last page. */
  readonly nextCursor: string | null;
  /** Items that had no usable id: they are missing from `sessions`, so the list is incomplete if this is not 0. */
  readonly unreadable: number;
}

/** Answer to a cancel request. The vendor fills nothing else that means anything. */
export interface CancelAnswer {
  readonly id: string;
  /** As in {@link Session.state}. It does not prove who ended the turn, nor that it has ended. */
  readonly state: string | null;
}

/** What came back, and when. */
export interface Answer<T> {
  readonly value: T;
  readonly status: number;
  /** The `Date` header, ms since the Unix epoch, to the second; null when absent or unusable. */
  readonly serverDateMs: number | null;
  /** Monotonic ms (`performance.now()`) just before sending. */
  readonly sentAt: number;
  /** Monotonic ms after the whole body was read. */
  readonly receivedAt: number;
}

interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface ListAgentsOptions extends CallOptions {
  readonly cursor?: string;
  /** 1 to 100. Without page size and cursor the vendor answers with the whole list. */
  readonly pageSize?: number;
  /** Wins over the team of the credentials. Without any, only the caller's own agents are listed. */
  readonly teamId?: string;
}

export interface ListTeamsOptions extends CallOptions {
  readonly cursor?: string;
}

export interface ListSessionsOptions extends CallOptions {
  /** One state per request. */
  readonly state?: string;
  /** Belongs to the filters and order it came with: repeat them. */
  readonly cursor?: string;
  /** 1 to 100; the vendor's default is 20. */
  readonly pageSize?: number;
  readonly creatorUserId?: string;
  readonly sortOrder?: string;
}

interface ListTriggersOptions extends CallOptions {
  readonly cursor?: string;
}

export interface CancelOptions extends CallOptions {
  /**
   * Latest moment (monotonic ms, `performance.now()`) at which the request may still leave. When no connection is ready
   * by then, nothing is sent and the call fails as `connection-failed`. It keeps a slow connection from turning a fresh
   * decision into a stale request.
   */
  readonly sendBefore?: number;
}

/** The vendor's API, as far as Curfew uses it. Every method rejects with a `SessionsError` and nothing else. None retries. */
export interface SessionsClient {
  /** Team that every request names, because the credentials do (`GUMLOOP_TEAM_ID`): no other one can be asked for. Null: none. */
  readonly teamId: string | null;
  /** The caller's teams. Older servers know no such path (404). */
  listTeams(options?: ListTeamsOptions): Promise<Answer<TeamPage>>;
  listAgents(options?: ListAgentsOptions): Promise<Answer<AgentPage>>;
  listSessions(agentId: string, options?: ListSessionsOptions): Promise<Answer<SessionPage>>;
  retrieveSession(sessionId: string, options?: CallOptions): Promise<Answer<Session>>;
  cancelSession(sessionId: string, options?: CancelOptions): Promise<Answer<CancelAnswer>>;
  listQueue(sessionId: string, options?: CallOptions): Promise<Answer<readonly QueuedMessage[]>>;
  /** Known from the vendor's Python package 0.5.9; older servers answer 404. */
  listTriggers(agentId: string, options?: ListTriggersOptions): Promise<Answer<TriggerPage>>;
}
