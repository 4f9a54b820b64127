import type { MatchSubject } from './match.js';
import { currentTurn, type Transcript, type Turn } from './turn.js';

/**
 * What one read showed of a session.
 *
 * - `list`: an item of a list scan; it has no messages, so it says nothing about which turn it is
 * - `retrieve`: the session itself, with its last turn
 * - `absent`: a complete list of the session's agent, in flight states only, did not hold it. So it was not in flight
 *   then, as far as lists go. Waits for an approval are seen in no other way, because no list shows them
 */
export interface Observation extends Glimpse {
  /** Null fields are not known; they take nothing away from what is known already. */
  readonly subject: MatchSubject;
  /** Creation of the conversation, ms; a lower bound for the start of any turn, never a start. */
  readonly createdAtMs: number | null;
}

/** The part of an observation that a timeline is made of. */
export interface Glimpse {
  readonly kind: 'list' | 'retrieve' | 'absent';
  /**
   * Vendor's time at which the read was sent, ms since the Unix epoch, from the same clock as the `now` of an assessment
   * (the vendor's `Date` header and monotonic time since then). Not the answer's own `Date`: that has whole seconds.
   */
  readonly atMs: number;
  /**
   * The same for when its answer was there. What it shows was so at some moment between the two: it was *last* seen at `atMs`, and
   * *first* seen here. Left out: at once.
   */
  readonly arrivedMs?: number;
  /** Lower case. Null: not known. */
  readonly state: string | null;
  /** Total credits over the life of the session. Null: not known, which is not zero. */
  readonly credits: number | null;
  /** Total input and output tokens. Null: not known. */
  readonly tokens: number | null;
  /** Null unless this is a retrieve. */
  readonly turn: TurnSight | null;
}

/** The last turn that a retrieve showed. */
export interface TurnSight {
  readonly key: string;
  /** Vendor's time of the turn's user message, ms; null when it carries none. */
  readonly startedAtMs: number | null;
  /** Messages with role `user` in the transcript. */
  readonly userMessages: number;
  /** The transcript shows nothing before it: no other user message, and no answer to anybody else. */
  readonly isFirst: boolean;
}

/** A session as the sessions client gives it. */
export interface SessionView extends MatchSubject {
  readonly state: string | null;
  readonly createdAtMs: number | null;
  readonly transcript: Transcript;
  readonly usage: UsageView | null;
}

interface UsageView {
  readonly creditCost: number | null;
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
}

/** When a read was sent, and when its answer was there; vendor's time, ms since the Unix epoch. Null: not known, or at once. */
type SeenAt = readonly [atMs: number, arrivedMs?: number | null];

export const fromListItem = (session: SessionView, ...at: SeenAt): Observation => observed('list', session, at, null);

export function fromRetrieve(session: SessionView, ...at: SeenAt): Observation {
  const { transcript } = session;
  const last = currentTurn(transcript);
  const { userMessages } = transcript;
  const isFirst = userMessages === 1 && !mayShowEarlierTurn(transcript, last);
  return observed('retrieve', session, at, { ...last, userMessages, isFirst });
}

/** An answer, or whatever else an agent writes, that may be older than the turn. Turns can start without a user message. */
function mayShowEarlierTurn({ others }: Transcript, { startedAtMs }: Turn): boolean {
  if (others === null) return false;
  return others.untimed || startedAtMs === null || (others.firstAtMs !== null && others.firstAtMs < startedAtMs);
}

export const absentFromLists = (atMs: number): Observation => ({
  kind: 'absent',
  atMs,
  state: null,
  credits: null,
  tokens: null,
  turn: null,
  subject: NOTHING_KNOWN,
  createdAtMs: null,
});

const NOTHING_KNOWN: MatchSubject = {
  agentId: null,
  agentName: null,
  creatorId: null,
  creatorEmail: null,
  teamId: null,
};

function observed(
  kind: Glimpse['kind'],
  session: SessionView,
  [atMs, arrivedMs = null]: SeenAt,
  turn: TurnSight | null,
): Observation {
  const { agentId, agentName, creatorId, creatorEmail, teamId } = session;
  return {
    kind,
    atMs,
    ...(arrivedMs !== null && arrivedMs > atMs ? { arrivedMs } : {}),
    state: session.state,
    credits: session.usage?.creditCost ?? null,
    tokens: tokensOf(session.usage),
    turn,
    subject: { agentId, agentName, creatorId, creatorEmail, teamId },
    createdAtMs: session.createdAtMs,
  };
}

/**
 * Cached tokens are inside the input already. One known half is not the total: when the other half appears later it would
 * look like spending of the turn that runs then.
 */
function tokensOf(usage: UsageView | null): number | null {
  if (usage === null || usage.inputTokens === null || usage.outputTokens === null) return null;
  return usage.inputTokens + usage.outputTokens;
}

/** Observation without what a timeline has no use for, so that few bytes are stored. */
export const glimpseOf = ({ kind, atMs, arrivedMs, state, credits, tokens, turn }: Observation): Glimpse => ({
  kind,
  atMs,
  ...(arrivedMs === undefined ? {} : { arrivedMs }),
  state,
  credits,
  tokens,
  turn,
});

/**
 * Total order of glimpses: by time; at the same time the one that tells more comes last. Equal only when they say the same,
 * so that any sequence of the same observations becomes the same timeline.
 */
export function compareGlimpses(a: Glimpse, b: Glimpse): number {
  if (a.atMs !== b.atMs) return a.atMs - b.atMs;
  if (a.kind !== b.kind) return TELLS[a.kind] - TELLS[b.kind];
  const [left, right] = [JSON.stringify(contentOf(a)), JSON.stringify(contentOf(b))];
  return left === right ? 0 : left < right ? -1 : 1;
}

const TELLS = { absent: 0, list: 1, retrieve: 2 } as const;

/** The moment by which what a read shows was so. */
export const shownByMs = ({ atMs, arrivedMs }: Glimpse): number => arrivedMs ?? atMs;

const contentOf = ({ arrivedMs, state, credits, tokens, turn }: Glimpse): unknown => [
  state,
  credits,
  tokens,
  turn === null ? null : [turn.key, turn.startedAtMs, turn.userMessages, turn.isFirst],
  arrivedMs ?? null,
];
