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

export function initialCounts({ totals }: BulkJob): TargetCounts {
  const capped = totals?.leftOut['capped'] ?? 0;
  const waiting = (totals?.targets ?? 0) - capped;
  return { byStatus: { waiting, ...(capped > 0 ? { capped } : {}) }, requests: 0 };
}
