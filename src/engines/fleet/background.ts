import { setTimeout as sleep } from 'node:timers/promises';

/** Work that goes on side by side. The first failure stops the rest, and is thrown at the end. */
export interface Background {
  begin(work: () => Promise<void>): void;
  size(): number;
  /** Until something is finished, but not longer than this, ms. */
  progress(mostMs: number, signal: AbortSignal): Promise<void>;
  /** Until all is finished. @throws what failed first */
  finished(): Promise<void>;
}

/**
 * Waits for this long, ms, or until the signal. A test has a clock of its own.
 *
 * @param idle - nothing else goes on meanwhile
 */
export type Pause = (ms: number, signal: AbortSignal, idle: boolean) => Promise<void>;

const realPause: Pause = (ms, signal) => sleep(ms, undefined, { signal }).catch(() => {});

/** @param failed - aborted by the first failure */
export function inBackground(failed: AbortController, wait: Pause = realPause): Background {
  const underWay = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | null = null;
  let wake = (): void => {};
  return {
    begin(work) {
      const running = work()
        .catch((error: unknown) => {
          failure ??= { error };
          failed.abort();
        })
        .finally(() => {
          underWay.delete(running);
          wake();
        });
      underWay.add(running);
    },
    size: () => underWay.size,
    async progress(mostMs, signal) {
      const woken = new Promise<void>((resolve) => (wake = resolve));
      const enough = new AbortController();
      const pause = wait(mostMs, AbortSignal.any([signal, enough.signal]), underWay.size === 0);
      await Promise.race([woken, pause]);
      enough.abort();
    },
    async finished() {
      await Promise.all(underWay);
      if (failure !== null) throw failure.error;
    },
  };
}
