import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { BulkJob, BulkTarget, TargetCounts, TargetStatus } from '../../adapters/ledger/bulk-plans.js';
import type { Fate } from '../../core/bulk/brake.js';

/**
 * The targets that go first: spread evenly over the plan, because its first ones are all of one agent. Those that went
 * before a crash count.
 */
export async function canaryOf(ledger: Pick<Ledger, 'bulk'>, job: BulkJob): Promise<BulkTarget[]> {
  const targets = job.totals?.targets ?? 0;
  const missing = Math.min(job.canary, targets) - fatesOf(job.counts).length - underWay(job.counts);
  const chosen = new Map<number, BulkTarget>();
  // Numbers may be left out, so the places are those of a plan without gaps; a second round fills up.
  for (let step = 0; step < missing * 2 && chosen.size < missing; step += 1) {
    const place = Math.floor(((step % missing) * targets) / missing) + (step < missing ? 0 : 1);
    const [target] = await ledger.bulk.targets(job.planId, { afterSeq: place - 1, statuses: ['waiting'], limit: 1 });
    if (target !== undefined) chosen.set(target.seq, target);
  }
  return [...chosen.values()];
}

const underWay = (counts: TargetCounts | null): number =>
  (counts?.byStatus.sent ?? 0) + (counts?.byStatus.answered ?? 0);

const NO_FATE: ReadonlySet<TargetStatus> = new Set<TargetStatus>(['waiting', 'sent', 'answered', 'capped']);

/** What became of the targets so far, one by one. */
export function fatesOf(counts: TargetCounts | null): Fate[] {
  const fates: Fate[] = [];
  for (const [status, count] of Object.entries(counts?.byStatus ?? {}) as [TargetStatus, number][]) {
    if (NO_FATE.has(status)) continue;
    for (let i = 0; i < count; i += 1) fates.push(status as Fate);
  }
  return fates;
}
