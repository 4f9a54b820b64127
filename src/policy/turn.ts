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
 * The turn that a transcript shows last.
 *
 * The vendor has no turn id: the last message with role `user` stands for the turn it started. Where that message has
 * no id, its time or else its ordinal serves, so that a new turn always has another key.
 * The order of messages is not documented, hence a later time wins over a later place.
 */
export function currentTurn(messages: readonly MessageHead[]): Turn {
  let last: MessageHead | null = null;
  let count = 0;
  for (const message of messages) {
    if (message.role?.toLowerCase() !== 'user') continue;
    count += 1;
    const earlier = last?.createdAtMs != null && message.createdAtMs != null && message.createdAtMs < last.createdAtMs;
    if (!earlier) last = message;
  }
  if (last === null) return { key: 'nth:0', startedAtMs: null };
  const key = last.id ?? (last.createdAtMs === null ? `nth:${count}` : `at:${last.createdAtMs}`);
  return { key, startedAtMs: last.createdAtMs };
}
