import pMap from 'p-map';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { keep } from '../../platform/keep.js';
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
export function reconcileWatches(
  ledger: Pick<Ledger, 'watches' | 'now'>,
  watches: Pick<Watches, 'resume'>,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  let booted = false;
  const pass = async (): Promise<void> => {
    // At boot nobody is known to be at work on anything.
    const dueBefore = booted ? (await ledger.now()) - OVERDUE_AFTER_MS : Number.MAX_SAFE_INTEGER;
    await resumeOverdue(ledger, watches, log, dueBefore, signal);
    booted = true;
  };
  return keep('look for watches that are overdue', EVERY_MS, pass, { log, signal });
}

/** One pass. Fails only where the ledger does. */
export async function resumeOverdue(
  ledger: Pick<Ledger, 'watches'>,
  watches: Pick<Watches, 'resume'>,
  log: Logger,
  dueBefore: number,
  signal: AbortSignal,
): Promise<void> {
  const overdue = await ledger.watches.overdue(dueBefore, BATCH);
  if (overdue.length > 0) log.info({ sessions: overdue.length }, 'taking up watches');
  await pMap(
    overdue,
    async (sessionId) => {
      if (signal.aborted) return;
      await watches.resume(sessionId).catch((error: unknown) => {
        log.warn({ sessionId, err: error }, 'could not start a watch; trying again in a minute');
      });
    },
    { concurrency: AT_ONCE },
  );
}
