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

/**
 * The turns that a transcript shows, oldest first.
 *
 * The vendor has no turn id: a message with role `user` stands for the turn it started. Where that message has no id, its
 * time or else its ordinal serves, so that a new turn always has another key.
 * The order of messages is not documented, hence times decide where all are there, and places otherwise.
 */
export function turnsOf(messages: readonly MessageHead[]): Turn[] {
  const turns: Turn[] = [];
  for (const message of messages) {
    if (message.role?.toLowerCase() !== 'user') continue;
    const startedAtMs = message.createdAtMs;
    const ordinal = turns.length + 1;
    turns.push({ key: message.id ?? (startedAtMs === null ? `nth:${ordinal}` : `at:${startedAtMs}`), startedAtMs });
  }
  return turns.every(({ startedAtMs }) => startedAtMs !== null)
    ? turns.sort((a, b) => (a.startedAtMs ?? 0) - (b.startedAtMs ?? 0))
    : turns;
}

/** The turn that a transcript shows last. A session that shows no user message has one turn as far as we can tell. */
export function currentTurn(messages: readonly MessageHead[]): Turn {
  return turnsOf(messages).at(-1) ?? { key: 'nth:0', startedAtMs: null };
}
