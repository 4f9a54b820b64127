import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for this long, ms, or until the signal. Never throws. */
export const pauseUntil = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => {});
