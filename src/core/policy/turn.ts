/** The part of a message that identifies a turn. */
export interface MessageHead {
  readonly id: string | null;
  readonly role: string | null;
  readonly createdAtMs: number | null;
}

/** One run inside a session, known by the user message that started it. */
export interface Turn {
  readonly key: string;
  /** ms since the Unix epoch on the vendor's clock; null when the message carries no usable time. */
  readonly startedAtMs: number | null;
}

/** What a transcript tells about turns: of the same size however long the transcript is. */
export interface Transcript {
  /** The last turns, oldest first; at most {@link LAST_TURNS}. */
  readonly turns: readonly Turn[];
  /** Messages with role `user`. */
  readonly userMessages: number;
  /** Of the messages that are neither a user's nor the system's; null: there are none. */
  readonly others: {
    /** Vendor's time of the oldest, ms since the Unix epoch; null: none of them carries a usable time. */
    readonly firstAtMs: number | null;
    /** At least one of them carries no usable time. */
    readonly untimed: boolean;
  } | null;
}

/** A turn can come and go between two reads; more than these would hardly fit between. */
const LAST_TURNS = 5;

/** Takes in a transcript message by message, in the vendor's order, and keeps a few of them. */
export interface TranscriptReader {
  add(message: MessageHead): void;
  transcript(): Transcript;
}

/**
 * The vendor has no turn id: a message with role `user` stands for the turn it started. Where that message has no id, its
 * time or else its ordinal serves, so that a new turn always has another key.
 * The order of messages is not documented, hence times decide where all are there, and places otherwise.
 */
export function readTranscript(): TranscriptReader {
  const lastByPlace: Turn[] = [];
  const lastByTime: (Turn & { readonly startedAtMs: number })[] = [];
  let userMessages = 0;
  let allTimed = true;
  let others: Transcript['others'] = null;

  return {
    add({ id, role, createdAtMs }) {
      const kind = role?.toLowerCase();
      if (kind === 'system') return;
      if (kind !== 'user') {
        const firstAtMs = earlier(others?.firstAtMs ?? null, createdAtMs);
        others = { firstAtMs, untimed: others?.untimed === true || createdAtMs === null };
        return;
      }
      userMessages += 1;
      const key = id ?? (createdAtMs === null ? `nth:${userMessages}` : `at:${createdAtMs}`);
      lastByPlace.push({ key, startedAtMs: createdAtMs });
      if (lastByPlace.length > LAST_TURNS) lastByPlace.shift();
      if (createdAtMs === null) allTimed = false;
      else insertByTime(lastByTime, { key, startedAtMs: createdAtMs });
    },
    transcript: () => ({ turns: [...(allTimed ? lastByTime : lastByPlace)], userMessages, others }),
  };
}

/** Behind those of the same time: then places decide. */
function insertByTime<T extends { readonly startedAtMs: number }>(turns: T[], turn: T): void {
  const behind = turns.findLastIndex(({ startedAtMs }) => startedAtMs <= turn.startedAtMs);
  turns.splice(behind + 1, 0, turn);
  if (turns.length > LAST_TURNS) turns.shift();
}

const earlier = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.min(a, b);

export function transcriptOf(messages: Iterable<MessageHead>): Transcript {
  const reader = readTranscript();
  for (const message of messages) reader.add(message);
  return reader.transcript();
}

/** The turn that a transcript shows last. A session that shows no user message has one turn as far as we can tell. */
export const currentTurn = ({ turns }: Transcript): Turn => turns.at(-1) ?? { key: 'nth:0', startedAtMs: null };
