import { formatDuration } from '../core/duration.js';
import type { Logger } from './telemetry.js';
import { pauseUntil } from './pause.js';

/** Workers that started together must not stay in step: a wait is longer or shorter by up to this share. */
const JITTER = 0.1;

export interface Keeping {
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Ends it: a wait at once, a pass under way when that is over. */
  readonly signal: AbortSignal;
  /** Wait before the first pass, ms. */
  readonly firstAfterMs?: number;
}

/**
 * Does something in the background, over and over, one pass after the other. A pass that fails is logged once, until one works
 * again, and the next one comes all the same.
 *
 * @param what - after "could not": "look for lost orders"
 * @param everyMs - wait between the end of a pass and the next one
 * @returns settles when the signal was given and no pass runs any more; never rejects
 */
export async function keep(
  what: string,
  everyMs: number,
  pass: () => Promise<void>,
  { log, signal, firstAfterMs = 0 }: Keeping,
): Promise<void> {
  const pause = (ms: number) => pauseUntil(ms * (1 + JITTER * (2 * Math.random() - 1)), signal);
  let failing = false;
  if (firstAfterMs > 0) await pause(firstAfterMs);
  while (!signal.aborted) {
    try {
      await pass();
      if (failing) log.info(`works again: ${what}`);
      failing = false;
    } catch (error) {
      if (!failing && !signal.aborted) {
        log.warn({ err: error }, `could not ${what}; trying again every ${formatDuration(everyMs)}`);
      }
      failing = true;
    }
    await pause(everyMs);
  }
}
