import type { Ledger } from '../../adapters/ledger/ledger.js';
import { keep } from '../../platform/keep.js';
import type { Logger } from '../../platform/telemetry.js';
import { StrangerError } from '../../adapters/temporal/own-ids.js';
import type { BulkJobs } from '../../adapters/temporal/bulk-jobs.js';
import { isUnderWay } from '../../engines/bulk/run.js';

/** How often jobs without a workflow are looked for, ms. */
const EVERY_MS = 30_000;
const MOST = 1_000;

/**
 * Starts the workflows of open bulk jobs: after a crash between the ledger and Temporal, when somebody terminated one, or when
 * Temporal lost its data. One that runs is left alone.
 * Runs until the signal.
 */
export function reconcileBulkJobs(
  ledger: Pick<Ledger, 'bulk'>,
  bulkJobs: Pick<BulkJobs, 'ensure'>,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const pass = async (): Promise<void> => {
    for (const job of await ledger.bulk.list({ states: ['running', 'paused', 'aborted'], limit: MOST })) {
      if (signal.aborted) return;
      if (job.state === 'aborted' && !isUnderWay(job)) continue;
      try {
        await bulkJobs.ensure(job.planId);
      } catch (error) {
        // One whose id is taken keeps no other from its work; and it was told where it was found.
        if (!(error instanceof StrangerError)) throw error;
      }
    }
  };
  return keep('make sure that bulk jobs are at work', EVERY_MS, pass, { log, signal });
}
