import type { BulkJob } from '../../adapters/ledger/bulk-plans.js';
import type { Taken } from '../../core/policy/caps.js';
import { toEnd } from '../../core/bulk/totals.js';
import type { Caps } from '../../core/policy/policy.js';

/** What a cleanup's earlier jobs have taken of its caps. @param jobs - of one cleanup, those that were not applied included */
export function takenBy(jobs: readonly BulkJob[], { perMs }: Caps, nowMs: number): Taken {
  let turns = 0;
  let over = 0;
  for (const job of jobs) {
    if (job.appliedAtMs === null || job.appliedAtMs <= nowMs - perMs) continue;
    // What an aborted job has not touched, it has not taken.
    const untouched = job.state === 'aborted' ? (job.counts?.byStatus.waiting ?? 0) : 0;
    const taken = toEnd(job) - untouched;
    turns += taken;
    if (job.finishedAtMs !== null) over += taken;
  }
  return { turns, over };
}
