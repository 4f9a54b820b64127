import type { BulkJob } from '../../adapters/ledger/bulk-plans.js';
import type { EventToRecord } from '../../adapters/ledger/ledger.js';
import { durationText } from '../../core/policy/reason.js';
import { cappedOf, targetsOf, toEnd } from '../../core/bulk/totals.js';
import type { CleanupPlan } from './plan-cleanup.js';

/** What a run found, in a sentence. */
export function plannedNote(job: BulkJob): string {
  const selected = targetsOf(job);
  const ended = toEnd(job);
  const gaps = job.totals?.gaps.length ?? 0;
  const missing = gaps === 0 ? '' : ' Not all sessions could be judged.';
  if (selected === 0) return `Nothing to end.${missing}`;
  if (ended === selected) return `${turns(selected)} to end.${missing}`;
  return `${turns(selected)} to end, of which its caps allow ${ended}.${missing}`;
}

/** @param plan - null: what the caps were reckoned from is not known any more */
export function cappedEvent(job: BulkJob, plan: CleanupPlan | null): EventToRecord {
  const numbers =
    plan === null
      ? {}
      : { cap: plan.allowance.cap, allowed: plan.allowance.turns, takenBefore: plan.taken.turns, live: plan.live };
  return {
    kind: 'cleanup-capped',
    data: {
      cleanup: job.cleanup,
      plan: job.planId,
      selected: targetsOf(job),
      capped: cappedOf(job),
      ...numbers,
      text: plan === null ? plannedNote(job) : `${plannedNote(job)} ${capsText(plan)}`,
    },
  };
}

/** Which cap leaves some alone, and by which numbers. */
export function capsText({ allowance, caps, live, taken }: CleanupPlan): string {
  const cap =
    allowance.cap === 'max_percent'
      ? `max_percent is ${caps.maxPercent}% of ${live} live sessions`
      : `max_cancels is ${caps.maxCancels}`;
  const before = taken.turns === 0 ? '' : `, and ${taken.turns} were taken before`;
  return `Its cap ${cap} within ${durationText(caps.perMs)}${before}.`;
}

const turns = (count: number): string => `${count} ${count === 1 ? 'turn' : 'turns'}`;
