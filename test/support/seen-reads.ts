import type { Session } from '../../src/adapters/vendor/index.js';
import { currentTurn } from '../../src/core/policy/turn.js';

interface Seen {
  readonly sentAt: number;
  readonly receivedAt: number;
  /** Of the turn that it showed in flight; null: none. */
  readonly turnKey: string | null;
}

/** Invariant I1, watched from the vendor's side: what a cancel request goes by. Times are monotonic, ms. */
export class SeenReads {
  readonly #seen = new Map<string, readonly Seen[]>();

  note(
    sessionId: string,
    sentAt: number,
    receivedAt: number,
    session: Pick<Session, 'state' | 'transcript'> | null,
  ): void {
    const inFlight = session?.state === 'processing' || session?.state === 'queued';
    const turnKey = session !== null && inFlight ? currentTurn(session.transcript).key : null;
    this.#seen.set(sessionId, [...(this.#seen.get(sessionId) ?? []), { sentAt, receivedAt, turnKey }].slice(-2));
  }

  /**
   * What a request that leaves now breaks; null: nothing.
   *
   * @param maxAgeMs - how old the read may be, as a person has said
   */
  brokenBy(sessionId: string, leavesAt: number, maxAgeMs = 2_000): string | null {
    const [last, before] = [...(this.#seen.get(sessionId) ?? [])].reverse();
    if (last === undefined || last.turnKey === null) {
      return `I1: a cancel request for ${sessionId} left without a turn seen in flight`;
    }
    if (leavesAt - last.sentAt <= maxAgeMs) return null;
    const wasSlow = last.receivedAt - last.sentAt > 1_000;
    const seenTwice = before?.turnKey === last.turnKey;
    if (wasSlow && seenTwice && leavesAt - last.receivedAt <= maxAgeMs) return null;
    return `I1: a cancel request for ${sessionId} left on an old read`;
  }
}
