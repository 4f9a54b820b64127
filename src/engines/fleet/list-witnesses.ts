import { verdictOfList, type LiveList } from '../../core/policy/list-witness.js';

/** What the lists of an agent said of a session that was asked to end. */
export type ListSaid =
  /** A complete list that was asked for after the answer does not hold it. `atMs`: vendor's time of the list */
  | { readonly kind: 'unlisted'; readonly atMs: number }
  | { readonly kind: 'listed' }
  /** No such list came. */
  | { readonly kind: 'nothing' };

interface Waiting {
  /** Monotonic, ms: of the answer. */
  readonly sinceAt: number;
  readonly say: (said: ListSaid) => void;
}

/** Sessions that wait for the next complete list of their agent. */
export class ListWitnesses {
  readonly #settleMs: number;
  readonly #byAgent = new Map<string, Map<string, Waiting>>();

  /** @param settleMs - a list tells what was answered at least so long before it was asked for */
  constructor(settleMs: number) {
    this.#settleMs = settleMs;
  }

  /**
   * Waits for what the next list says.
   *
   * @param sinceAt - monotonic, ms: of the answer
   * @param patience - how long
   */
  async wait(
    agentId: string,
    sessionId: string,
    sinceAt: number,
    patience: (signal: AbortSignal) => Promise<void>,
  ): Promise<ListSaid> {
    const enough = new AbortController();
    const waiting = this.#byAgent.get(agentId) ?? new Map<string, Waiting>();
    this.#byAgent.set(agentId, waiting);
    const said = new Promise<ListSaid>((resolve) => waiting.set(sessionId, { sinceAt, say: resolve }));
    try {
      return await Promise.race([said, patience(enough.signal).then((): ListSaid => ({ kind: 'nothing' }))]);
    } finally {
      enough.abort();
      waiting.delete(sessionId);
      if (waiting.size === 0) this.#byAgent.delete(agentId);
    }
  }

  /** @param atMs - vendor's time of the list, ms */
  listed(agentId: string, list: LiveList, atMs: number): void {
    for (const [sessionId, { sinceAt, say }] of this.#byAgent.get(agentId) ?? []) {
      const verdict = verdictOfList(list, { sessionId, sinceAt }, this.#settleMs);
      if (verdict !== 'nothing') say(verdict === 'over' ? { kind: 'unlisted', atMs } : { kind: 'listed' });
    }
  }
}
