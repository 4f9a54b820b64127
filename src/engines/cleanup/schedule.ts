import { createHash } from 'node:crypto';
import type { ScheduleOptions } from '@temporalio/client';
import { BULK_CANCELLATION, cleanupScheduleId, TASK_QUEUE } from '../../core/contract.js';
import type { CleanupEntry } from '../../core/policy/policy.js';
import { asUtc } from '../../core/policy-file/clock-changes.js';

/** A run that could not start within this time is skipped, ms: a night's cleanup is not for the middle of the day. */
export const CATCH_UP_MS = 60 * 60_000;

/** Spreads what would otherwise start in the same second everywhere, ms. */
const JITTER_MS = 60_000;
/** Where it runs several times an hour, ms. The smallest gap that a cron can have is a minute, and this is less than a tenth of it. */
const SHORT_JITTER_MS = 5_000;

/**
 * In a Schedule's memo: it is ours, and only such are changed or removed. Not every server can change a Schedule's memo, so the
 * value may stay under the key it was made with; the name of the field always stands in the clear.
 */
export const MARK = { field: 'curfew', value: 'cleanup' } as const;

/** In the memo of the runs: the mark of the entry that a Schedule was made from. */
export const FINGERPRINT = 'fingerprint';

/** What Temporal is to hold of an entry. What it selects is not in it: each run reads that from the policies in force. */
export type CleanupSchedule = ReturnType<typeof scheduleOf>;

export function scheduleOf({ name, schedule }: CleanupEntry) {
  // Where the clock of the zone makes no difference, it must not disturb the scheduler either.
  const { cron, timezone } = asUtc(schedule) ?? schedule;
  const [minute = ''] = cron.split(' ');
  const hourlyAtMost = /^\d+$/.test(minute);
  const spec = { cronExpressions: [cron], timezone, jitter: hourlyAtMost ? JITTER_MS : SHORT_JITTER_MS };
  const policies = { overlap: 'SKIP', catchupWindow: CATCH_UP_MS, pauseOnFailure: false } as const;
  const action = {
    type: 'startWorkflow',
    workflowType: BULK_CANCELLATION,
    // The server appends the time of the run.
    workflowId: cleanupScheduleId(name),
    taskQueue: TASK_QUEUE,
    args: [{ cleanup: name }],
    staticSummary: `Cleanup ${name}`,
  } as const;
  // A Schedule's own memo can't be updated; the one that its runs get can, and is shown with it.
  const fingerprint = createHash('sha256').update(JSON.stringify({ spec, policies, action })).digest('hex');
  return {
    scheduleId: cleanupScheduleId(name),
    spec,
    policies,
    action: { ...action, memo: { cleanup: name, [FINGERPRINT]: fingerprint } },
    memo: { [MARK.field]: MARK.value },
  } satisfies ScheduleOptions;
}

const PREFIX = cleanupScheduleId('');

/** @returns null for the id of a Schedule that is no cleanup's */
export const cleanupOfSchedule = (scheduleId: string): string | null =>
  scheduleId.startsWith(PREFIX) ? scheduleId.slice(PREFIX.length) : null;
