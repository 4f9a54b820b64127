import { cappedOf, toEnd } from '../../core/bulk/totals.js';
import type { BulkJob, TargetCounts, TargetStatus } from './bulk-plans.js';

/** The counters of a job while a transaction changes them. */
export interface Counting {
  readonly byStatus: { [Status in TargetStatus]?: number };
  requests: number;
}

export const countsOf = (job: BulkJob): Counting => {
  const { byStatus, requests } = job.counts ?? initialCounts(job);
  return { byStatus: { ...byStatus }, requests };
};

export function move({ byStatus }: Counting, from: TargetStatus, to: TargetStatus): void {
  byStatus[from] = (byStatus[from] ?? 0) - 1;
  byStatus[to] = (byStatus[to] ?? 0) + 1;
}

export function initialCounts(job: BulkJob): TargetCounts {
  const capped = cappedOf(job);
  return { byStatus: { waiting: toEnd(job), ...(capped > 0 ? { capped } : {}) }, requests: 0 };
}
