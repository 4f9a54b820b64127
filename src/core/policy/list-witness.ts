/** The live sessions of one agent, as far as they could be listed. */
export interface LiveList {
  readonly ids: ReadonlySet<string>;
  /** It was read to its end, and nothing in it was unreadable. */
  readonly complete: boolean;
  /** Monotonic, ms: its first page was asked for then, or later. */
  readonly askedAt: number;
}

/** A session whose turn ended, as far as one witness says: the answer to a cancel request, or a read. */
export interface OneWitness {
  readonly sessionId: string;
  /** Monotonic, ms: when that witness had spoken. */
  readonly sinceAt: number;
}

/**
 * - `over`: nothing of the session is in flight any more. With the first witness that makes two
 * - `live`: something is still, or again, in flight; only reads tell what
 * - `nothing`: the list was asked for too soon, or does not say what it leaves out
 */
export type ListVerdict = 'over' | 'live' | 'nothing';

/**
 * What a list of an agent's live sessions says about a session that one witness calls ended. Bulk jobs ask for such lists, the watch over the
 * fleet has them from its scans. The ending that `over` comes to: `endingByList`.
 *
 * @param settleMs - reads and lists may lag behind an answer: only a list asked for so much later counts
 */
export function verdictOfList(list: LiveList, { sessionId, sinceAt }: OneWitness, settleMs: number): ListVerdict {
  if (list.askedAt - sinceAt < settleMs) return 'nothing';
  if (list.ids.has(sessionId)) return 'live';
  return list.complete ? 'over' : 'nothing';
}
