/** States that the vendor documents. */
export const SESSION_STATES = ['idle', 'queued', 'processing', 'approval_required', 'completed', 'failed'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/** How a turn ended. `superseded`: it waited for approval when a new message came. */
export type TurnEnd = 'completed' | 'failed' | 'superseded';

/** Who ended a turn: nobody, a hand on the control API, or the request with this id. */
export type EndedBy = 'natural' | 'control' | { readonly requestId: string };

/** When a queued turn moves on: never (until released), as soon as a slot is free, or after so many ms. */
export type LeavesQueue = 'never' | 'slot' | number;

/** What a cancel does with messages that wait. The vendor does not say, so a session can have each. */
type AfterCancel = 'continue-queue' | 'keep-queue' | 'clear-queue';

export interface TurnRecord {
  /** Id of the last user message of this turn. */
  key: string;
  /** Keys that it had before somebody steered it. */
  readonly earlierKeys: string[];
  readonly createdAt: number;
  /** First time in `processing`; null while it has only waited. */
  startedAt: number | null;
  endedAt: number | null;
  endedAs: TurnEnd | null;
  endedBy: EndedBy | null;
  /** Processing time to go until the natural end, ms; null: it never ends by itself. */
  remaining: number | null;
  readonly endsAs: 'completed' | 'failed';
  /** Counts the times it went into processing, so that an outdated natural end is recognised. */
  run: number;
}

export interface MessageRecord {
  readonly id: string;
  readonly role: 'user' | 'assistant';
  readonly text: string;
  readonly at: number;
  /** Text of an error part behind the text. */
  readonly error?: string;
}

interface QueuedMessageRecord {
  readonly id: string;
  readonly text: string;
  readonly at: number;
}

interface AskRecord {
  readonly id: string;
  readonly title: string;
}

/** Spending while processing; `toolCredits` is a part of `credits`. */
export interface Usage {
  readonly credits: number;
  readonly toolCredits: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** What reads show instead of the truth, until a moment. */
interface FrozenView {
  readonly state: SessionState;
  readonly messageCount: number;
  readonly at: number;
  readonly until: number;
}

export interface SessionRecord {
  readonly id: string;
  readonly agentId: string;
  readonly name: string;
  readonly type: string;
  readonly creatorUserId: string;
  readonly triggerId: string | null;
  readonly createdAt: number;
  state: SessionState;
  /** Every change of state, oldest first; the first is the creation. */
  readonly transitions: { readonly at: number; readonly state: SessionState }[];
  /** Spans of processing, oldest first; `to` is null while it goes on. */
  readonly periods: { readonly from: number; to: number | null }[];
  readonly messages: MessageRecord[];
  /** Oldest first; the last one is the turn in flight, if one is. */
  readonly turns: TurnRecord[];
  queue: QueuedMessageRecord[];
  asks: AskRecord[];
  readonly usageBefore: Usage;
  readonly usagePerSecond: Usage;
  readonly afterCancel: AfterCancel;
  /** For turns that nobody described more closely. */
  readonly nextTurns: { readonly runsFor: number | null; readonly endsAs: 'completed' | 'failed' };
  frozen: FrozenView | null;
}

/** The turn that has not ended, paused ones included. */
export function openTurn(session: SessionRecord): TurnRecord | undefined {
  const last = session.turns.at(-1);
  return last?.endedAt === null ? last : undefined;
}

/** Whether a turn runs or waits for a slot: what a cancel would end. */
export function isInFlight(session: SessionRecord): boolean {
  return session.state === 'processing' || session.state === 'queued';
}

export function moveTo(session: SessionRecord, state: SessionState, at: number): void {
  session.state = state;
  session.transitions.push({ at, state });
}
