import { LEAST_LIVE_FOR_PERCENT } from '../../adapters/ledger/breakers.js';
import type { BulkJob } from '../../adapters/ledger/bulk-plans.js';
import type { Caps } from '../../core/policy/policy.js';

/** What a cleanup's earlier jobs have taken of its caps. */
export interface Taken {
  /** Turns that jobs of the window were let end. */
  readonly turns: number;
  /** Those of jobs that were over when the live sessions were counted: they count on top of the live ones. */
  readonly over: number;
}

/** How many turns a cleanup may end now, and why not more. */
export interface Allowance {
  /** Not negative. */
  readonly turns: number;
  readonly cap: 'max_cancels' | 'max_percent';
}

/**
 * What the caps leave, by the same reckoning as a policy's breaker: a share counts of all that were live in the window.
 *
 * @param liveSessions - null when they could not all be seen; then the share does not count
 */
export function allowanceOf(caps: Caps, liveSessions: number | null, { turns, over }: Taken): Allowance {
  const byCancels = caps.maxCancels - turns;
  const byPercent =
    liveSessions !== null && liveSessions >= LEAST_LIVE_FOR_PERCENT
      ? Math.floor((caps.maxPercent * (liveSessions + over)) / 100) - turns
      : Infinity;
  return byPercent < byCancels
    ? { turns: Math.max(0, byPercent), cap: 'max_percent' }
    : { turns: Math.max(0, byCancels), cap: 'max_cancels' };
}

/** @param jobs - of one cleanup, those that were not applied included */
export function takenBy(jobs: readonly BulkJob[], { perMs }: Caps, nowMs: number): Taken {
  let turns = 0;
  let over = 0;
  for (const job of jobs) {
    if (job.appliedAtMs === null || job.appliedAtMs <= nowMs - perMs) continue;
    const capped = job.totals?.leftOut['capped'] ?? 0;
    // What an aborted job has not touched, it has not taken.
    const untouched = job.state === 'aborted' ? (job.counts?.byStatus.waiting ?? 0) : 0;
    const taken = (job.totals?.targets ?? 0) - capped - untouched;
    turns += taken;
    if (job.finishedAtMs !== null) over += taken;
  }
  return { turns, over };
}
