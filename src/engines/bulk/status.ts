import { OUTCOMES, type BulkProgress, type BulkStatus, type BulkTotals, type Outcome } from '../../core/contract.js';
import { cappedOf, toEnd } from '../../core/bulk/totals.js';
import type { CaseOutcomes } from '../../adapters/ledger/bulk-cases.js';
import type { BulkJob, TargetCounts } from '../../adapters/ledger/bulk-plans.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { iso } from '../../core/times.js';

const NO_TOTALS: BulkTotals = { targets: 0, byState: {}, byAgent: [], agents: 0, leftOut: {}, sample: [], gaps: [] };
export const NO_CASES: CaseOutcomes = { open: 0, outcomes: {} };

/** Where a job stands, with what became of those of its targets that cases work on. */
export async function readBulkStatus(ledger: Pick<Ledger, 'bulk'>, job: BulkJob): Promise<BulkStatus> {
  // Reading them costs a look at every target; a job without any saves that.
  const handedOver = (job.counts?.byStatus.case ?? 0) > 0;
  return bulkStatus(job, handedOver ? await ledger.bulk.caseOutcomes(job.planId) : NO_CASES);
}

export function bulkStatus(job: BulkJob, cases: CaseOutcomes): BulkStatus {
  const totals = job.totals ?? NO_TOTALS;
  return {
    planId: job.planId,
    state: job.state,
    source: job.source,
    cleanup: job.cleanup,
    reason: job.reason,
    selection: job.selection,
    requestedBy: job.createdBy,
    createdAt: iso(job.createdAtMs),
    expiresAt: job.expiresAtMs === null ? null : iso(job.expiresAtMs),
    hash: job.hash,
    totals,
    appliedAt: job.appliedAtMs === null ? null : iso(job.appliedAtMs),
    appliedBy: job.appliedBy,
    finishedAt: job.finishedAtMs === null ? null : iso(job.finishedAtMs),
    fast: job.fast,
    evenIfExempt: job.evenIfExempt,
    rate: job.rate,
    canary: job.canary,
    phase: job.phase,
    note: job.note,
    progress: progressOf(job.counts, totals, cases),
  };
}

function progressOf(counts: TargetCounts | null, totals: BulkTotals, cases: CaseOutcomes): BulkProgress {
  if (counts === null) {
    const capped = cappedOf({ totals });
    return {
      waiting: toEnd({ totals }),
      underWay: 0,
      openCases: 0,
      outcomes: capped > 0 ? { capped } : {},
      requests: 0,
    };
  }
  const { byStatus } = counts;
  const outcomes: { [Name in Outcome]?: number } = {};
  for (const outcome of OUTCOMES) {
    const count = (byStatus[outcome] ?? 0) + (cases.outcomes[outcome] ?? 0);
    if (count > 0) outcomes[outcome] = count;
  }
  return {
    waiting: byStatus.waiting ?? 0,
    underWay: (byStatus.sent ?? 0) + (byStatus.answered ?? 0),
    openCases: cases.open,
    outcomes,
    requests: counts.requests,
  };
}
