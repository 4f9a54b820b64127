/** A lock that is handed on in the order in which it was asked for. */
export class FifoLock {
  #held = false;
  /** In order of arrival; a Set, so that one who gives up leaves without a search. */
  readonly #waiting = new Set<() => void>();

  /**
   * @param limitMs - how long to wait, ms
   * @returns whether the lock is held now; then {@link release} has to follow
   */
  acquire(limitMs: number): Promise<boolean> {
    if (!this.#held) {
      this.#held = true;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const admit = (): void => {
        clearTimeout(giveUp);
        resolve(true);
      };
      const giveUp = setTimeout(() => {
        this.#waiting.delete(admit);
        resolve(false);
      }, limitMs);
      this.#waiting.add(admit);
    });
  }

  /** Takes it if nobody has it, and does not wait. @returns as {@link acquire} */
  tryAcquire(): boolean {
    if (this.#held) return false;
    this.#held = true;
    return true;
  }

  release(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#held = false;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
