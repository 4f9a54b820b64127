/**
 * The sessions of the bulk vendor. All are in the same turn until a cancel request ends them at once; nothing else ever happens.
 *
 * Two typed arrays hold everything about a session, so that a million of them fit. Sessions of an agent are a range of indexes,
 * and finding live ones skips over the ended, so a page of a list costs what it holds.
 */
export class BulkFleet {
  readonly #cancels: Uint8Array;
  /** Of an ended session, one further on that may be live; of a live one, itself. Paths get shorter as they are walked. */
  readonly #skip: Uint32Array;
  readonly #perAgent: number;
  ended = 0;
  cancelledAgain = 0;
  /** Of the first cancel request and of the last one, ms since the Unix epoch; null: there was none. */
  firstCancelMs: number | null = null;
  lastCancelMs: number | null = null;

  constructor(
    readonly agents: number,
    readonly sessions: number,
  ) {
    this.#cancels = new Uint8Array(sessions);
    this.#skip = Uint32Array.from({ length: sessions + 1 }, (_, index) => index);
    this.#perAgent = Math.max(1, Math.ceil(sessions / agents));
  }

  agentOf(session: number): number {
    return Math.floor(session / this.#perAgent);
  }

  /** First index, and the one after the last. */
  rangeOf(agent: number): [first: number, end: number] {
    return [Math.min(agent * this.#perAgent, this.sessions), Math.min((agent + 1) * this.#perAgent, this.sessions)];
  }

  isLive(session: number): boolean {
    return this.#cancels[session] === 0;
  }

  /** @returns the first live session at or after this index, or the number of sessions */
  liveFrom(session: number): number {
    let at = session;
    for (let next = this.#skip[at] ?? at; next !== at; next = this.#skip[at] ?? at) {
      const further = this.#skip[next] ?? next;
      this.#skip[at] = further;
      at = further;
    }
    return at;
  }

  cancel(session: number): void {
    const before = this.#cancels[session] ?? 0;
    this.lastCancelMs = Date.now();
    this.firstCancelMs ??= this.lastCancelMs;
    this.#cancels[session] = Math.min(before + 1, 255);
    if (before === 0) {
      this.#skip[session] = session + 1;
      this.ended += 1;
    } else if (before === 1) this.cancelledAgain += 1;
  }

  /** @returns the first session at or after this index that is in the state; any state without one */
  nextIn(state: string | null, from: number, end: number): number {
    if (state === 'processing') return this.liveFrom(from);
    let at = from;
    if (state === 'failed') while (at < end && this.isLive(at)) at += 1;
    return state === 'failed' || state === null ? at : end;
  }
}
