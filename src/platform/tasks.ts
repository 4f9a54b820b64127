/**
 * Waits for this long, ms, or until the signal. A test has a clock of its own.
 *
 * @param idle - nothing else goes on meanwhile
 */
export type Pause = (ms: number, signal: AbortSignal, idle: boolean) => Promise<void>;

interface TasksOptions {
  /** Whether a failure counts. Left out: each does. */
  readonly counts?: (error: unknown) => boolean;
  readonly wait?: Pause | undefined;
}

/** Work that goes on side by side. The first failure is kept, for the whole to end by. */
export class Tasks {
  readonly #running = new Set<Promise<void>>();
  readonly #options: TasksOptions;
  #failure: { readonly error: unknown } | null = null;
  #wake = (): void => {};
  #failed = (): void => {};

  constructor(options: TasksOptions = {}) {
    this.#options = options;
  }

  get size(): number {
    return this.#running.size;
  }

  get failed(): boolean {
    return this.#failure !== null;
  }

  begin(work: () => Promise<void>): void {
    const task: Promise<void> = work()
      .catch((error: unknown) => {
        if (this.#options.counts?.(error) !== false) this.fail(error);
      })
      .finally(() => {
        this.#running.delete(task);
        this.#wake();
      });
    this.#running.add(task);
  }

  fail(error: unknown): void {
    if (this.#failure === null) this.#failed();
    this.#failure ??= { error };
    this.#wake();
  }

  /** Told of the first failure from now on, in the place of whoever was told before; at once, if there was one. */
  onFailure(told: () => void): void {
    this.#failed = told;
    if (this.#failure !== null) told();
  }

  /** @throws what failed first */
  throwIfFailed(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** Ends a pause. */
  wake(): void {
    this.#wake();
  }

  /** Until something is finished, but not longer than this, ms, nor beyond the signal. */
  pause(ms: number, signal?: AbortSignal): Promise<void> {
    const { wait } = this.#options;
    return wait === undefined ? this.#realPause(ms, signal) : this.#pauseBy(wait, ms, signal);
  }

  /** By a timer that is let go of: there are thousands of pauses a second, and one that is aborted costs more than what it waits for. */
  #realPause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const over = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', over);
        resolve();
      };
      const timer = setTimeout(over, ms);
      signal?.addEventListener('abort', over);
      this.#wake = over;
    });
  }

  async #pauseBy(wait: Pause, ms: number, signal: AbortSignal | undefined): Promise<void> {
    const enough = new AbortController();
    const woken = new Promise<void>((resolve) => (this.#wake = resolve));
    const until = signal === undefined ? enough.signal : AbortSignal.any([signal, enough.signal]);
    await Promise.race([woken, wait(ms, until, this.size === 0)]);
    enough.abort();
  }

  /** Until nothing is under way any more. Never throws. */
  async finished(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
