import { createHash } from 'node:crypto';
import type { ScheduleOptions } from '@temporalio/client';
import { BULK_CANCELLATION, cleanupScheduleId, TASK_QUEUE } from '../contract.js';
import type { CleanupEntry } from '../policy/policy.js';

/** A run that could not start within this time is skipped, ms: a night's cleanup is not for the middle of the day. */
export const CATCH_UP_MS = 60 * 60_000;

/** Spreads what would otherwise start in the same second everywhere, ms. */
const JITTER_MS = 60_000;
/** Where it runs several times an hour, ms. The smallest gap that a cron can have is a minute, and this is less than a tenth of it. */
const SHORT_JITTER_MS = 5_000;

/** In a Schedule's memo: it is ours, and only such are changed or removed. */
const OURS = { curfew: 'cleanup' } as const;

/** What Temporal is to hold of an entry. What it selects is not in it: each run reads that from the policies in force. */
export type CleanupSchedule = Pick<ScheduleOptions, 'scheduleId' | 'spec' | 'memo'> & {
  readonly action: ScheduleOptions['action'];
  readonly policies: NonNullable<ScheduleOptions['policies']>;
};

export function scheduleOf({ name, schedule: { cron, timezone } }: CleanupEntry): CleanupSchedule {
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
    action: { ...action, memo: { cleanup: name, fingerprint } },
    memo: OURS,
  };
}

/** The mark of the entry that a Schedule was made from; null: it is not as we make them. */
export function fingerprintOf({
  action,
}: {
  readonly action: { readonly memo?: Record<string, unknown> };
}): string | null {
  const fingerprint = action.memo?.['fingerprint'];
  return typeof fingerprint === 'string' ? fingerprint : null;
}

export const isOurs = ({ memo }: { readonly memo?: Record<string, unknown> }): boolean =>
  memo?.['curfew'] === OURS.curfew;

const PREFIX = cleanupScheduleId('');

/** @returns null for the id of a Schedule that is no cleanup's */
export const cleanupOfSchedule = (scheduleId: string): string | null =>
  scheduleId.startsWith(PREFIX) ? scheduleId.slice(PREFIX.length) : null;
