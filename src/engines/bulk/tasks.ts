import { setTimeout as sleep } from 'node:timers/promises';
import { isWorkerStopping } from '../../core/try-again.js';

/** Work of one run that goes on side by side. The first failure is kept, for the run to end by. */
export class Tasks {
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | null = null;
  #wake = (): void => {};

  get size(): number {
    return this.#running.size;
  }

  get failed(): boolean {
    return this.#failure !== null;
  }

  begin(work: () => Promise<void>): void {
    const task: Promise<void> = work()
      .catch((error: unknown) => {
        // It still waited for its turn: its row says so, and another worker takes it up.
        if (!isWorkerStopping(error)) this.fail(error);
      })
      .finally(() => {
        this.#running.delete(task);
        this.#wake();
      });
    this.#running.add(task);
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  /** @throws what failed first */
  throwIfFailed(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** Ends a pause. */
  wake(): void {
    this.#wake();
  }

  /** Until something is finished, but not longer than this, ms. */
  async pause(ms: number): Promise<void> {
    const enough = new AbortController();
    const woken = new Promise<void>((resolve) => (this.#wake = resolve));
    await Promise.race([woken, sleep(ms, undefined, { signal: enough.signal }).catch(() => {})]);
    enough.abort();
  }

  /** Until nothing is under way any more. Never throws. */
  async finished(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
