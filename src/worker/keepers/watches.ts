import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { Logger } from '../../platform/telemetry.js';
import type { Watches } from '../../adapters/temporal/watches.js';

/** How often watches that nobody looks at are searched for, ms. */
const EVERY_MS = 60_000;
/** A watch that was due longer ago than this has lost its workflow, ms. Longer than any look takes when all is well. */
const OVERDUE_AFTER_MS = 90_000;
const BATCH = 5_000;
const AT_ONCE = 10;

/**
 * Starts watches again whose workflow was lost: a crash between the ledger and Temporal, a terminated workflow, a deleted
 * Temporal database. Starting one that runs already does no harm.
 *
 * Runs until the signal: at once for all open watches, then every minute for those overdue.
 */
export async function reconcileWatches(
  ledger: Pick<Ledger, 'watches' | 'now'>,
  watches: Pick<Watches, 'resume'>,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  // At boot nobody is known to be at work on anything.
  let dueBefore = Number.MAX_SAFE_INTEGER;
  while (!signal.aborted) {
    await resumeOverdue(ledger, watches, log, dueBefore, signal);
    await sleep(EVERY_MS, undefined, { signal }).catch(() => {});
    dueBefore = (await ledger.now().catch(() => Date.now())) - OVERDUE_AFTER_MS;
  }
}

/** One pass. What fails is logged, and tried again in the next one. */
export async function resumeOverdue(
  ledger: Pick<Ledger, 'watches'>,
  watches: Pick<Watches, 'resume'>,
  log: Logger,
  dueBefore: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    const overdue = await ledger.watches.overdue(dueBefore, BATCH);
    if (overdue.length > 0) log.info({ sessions: overdue.length }, 'taking up watches');
    for (let first = 0; first < overdue.length && !signal.aborted; first += AT_ONCE) {
      const batch = overdue.slice(first, first + AT_ONCE);
      const starts = await Promise.allSettled(batch.map((sessionId) => watches.resume(sessionId)));
      for (const [index, start] of starts.entries()) {
        if (start.status === 'fulfilled') continue;
        const sessionId = batch[index];
        log.warn({ sessionId, err: start.reason as unknown }, 'could not start a watch; trying again in a minute');
      }
    }
  } catch (error) {
    log.warn({ err: error }, 'could not look for watches that are overdue; trying again in a minute');
  }
}
