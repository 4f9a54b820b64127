import { cappedOf, targetsOf, toEnd } from '../../core/bulk/totals.js';
import { isRecent } from '../../core/coverage.js';
import { shell } from '../../core/text/shell.js';
import type { FleetAccess } from '../bulk/live-targets.js';
import { makePlan, type BulkPlanProgress } from '../bulk/plan.js';
import { ALL_LIVE } from '../bulk/selection.js';
import { readCoverage } from '../../adapters/ledger/coverage.js';
import type { BulkJob } from '../../adapters/ledger/bulk-plans.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { Caps, CleanupEntry } from '../../core/policy/policy.js';
import { allowanceOf, type Allowance, type Taken } from '../../core/policy/caps.js';
import { takenBy } from './caps.js';

export interface CleanupPlanDependencies {
  readonly ledger: Ledger;
  readonly fleet: FleetAccess;
}

export interface CleanupPlanInput {
  readonly planId: string;
  readonly by: string;
  readonly onProgress?: (progress: BulkPlanProgress) => void;
  readonly signal?: AbortSignal;
}

/** A sealed plan of what a cleanup would end now. */
export interface CleanupPlan {
  readonly job: BulkJob;
  /** Sessions that it selects. */
  readonly selected: number;
  /** Of these, how many its caps leave alone. */
  readonly capped: number;
  readonly caps: Caps;
  readonly allowance: Allowance;
  /** What earlier jobs of this cleanup took of its caps. */
  readonly taken: Taken;
  /** Live sessions of which its caps allow a share. */
  readonly live: number;
}

/** Jobs that are looked at for what they took of the caps. */
const JOBS_LOOKED_AT = 1_000;

/**
 * Freezes what a cleanup would end now, within its caps. The vendor is only read. Whoever calls applies the plan or discards it.
 *
 * @throws SessionsError when the fleet can't be looked at; the signal's reason
 */
export async function planCleanup(
  { ledger, fleet }: CleanupPlanDependencies,
  entry: CleanupEntry,
  { planId, by, onProgress, signal }: CleanupPlanInput,
): Promise<CleanupPlan> {
  const { caps, select } = entry;
  const earlier = await ledger.bulk.list({ cleanup: entry.name, limit: JOBS_LOOKED_AT });
  const taken = takenBy(earlier, caps, await ledger.now());
  const liveByScans = await liveByLastScan(ledger);
  const plan = (maxTargets: number) =>
    makePlan(
      { ledger, fleet },
      {
        ...{ planId, by, maxTargets, source: 'cleanup', cleanup: entry.name, reason: null },
        selection: { ...ALL_LIVE, ...select },
        written: { cleanup: entry.name, ...select, command: shell`curfew cleanup run ${entry.name}` },
        ...(onProgress === undefined ? {} : { onProgress }),
        ...(signal === undefined ? {} : { signal }),
      },
    );

  let made = await plan(allowanceOf(caps, null, taken).turns);
  // A plan lists no more than it selects from; the scans may know of more.
  const live = Math.max(made.live ?? 0, liveByScans);
  const allowance = allowanceOf(caps, live, taken);
  if (toEnd(made.job) > allowance.turns) {
    // How many are live is known only now. A sealed plan does not change, so it is made again with the tighter bound.
    await ledger.bulk.discard(planId);
    made = await plan(allowance.turns);
  }
  const { job } = made;
  return { job, selected: targetsOf(job), capped: cappedOf(job), caps, allowance, taken, live };
}

/** Live sessions by the last scan of the fleet; 0 when there was none lately. */
async function liveByLastScan(ledger: Ledger): Promise<number> {
  const coverage = await readCoverage(ledger);
  if (coverage === null || !isRecent(coverage.atMs, coverage.scanMs, await ledger.now())) return 0;
  return coverage.live.processing + coverage.live.queued;
}
