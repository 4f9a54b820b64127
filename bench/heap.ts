import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import got from 'got';

/** The most that a process had on its heap at the moments that were looked at. */
export interface HeapWatch {
  /** Null where it was never told. */
  readonly peakUsedBytes: number | null;
  readonly peakExternalBytes: number | null;
  readonly looks: number;
}

const EVERY_MS = 1_000;

/** Asks a worker for its heap by its metrics until the signal. */
export async function watchHeap(http: string, signal: AbortSignal): Promise<HeapWatch> {
  // Each request and each wait listens to it.
  setMaxListeners(0, signal);
  let [used, external, looks] = [0, 0, 0];
  while (!signal.aborted) {
    try {
      const text = await got(`${http}/metrics`, { timeout: { request: 20_000 }, retry: { limit: 0 }, signal }).text();
      used = Math.max(used, valueOf(text, 'nodejs_heap_size_used_bytes'));
      external = Math.max(external, valueOf(text, 'nodejs_external_memory_bytes'));
      looks += 1;
    } catch {
      // A worker that is too busy to answer is asked again; one that is gone is told elsewhere.
    }
    await sleep(EVERY_MS, undefined, { signal }).catch(() => {});
  }
  return { peakUsedBytes: used || null, peakExternalBytes: external || null, looks };
}

const valueOf = (metrics: string, name: string): number =>
  Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1] ?? 0);
