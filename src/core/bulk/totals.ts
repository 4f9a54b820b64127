import type { BulkTotals } from '../contract.js';

interface Job {
  readonly totals: Pick<BulkTotals, 'targets' | 'leftOut'> | null;
}

/** Targets of a plan, those that a cap leaves out included. */
export const targetsOf = ({ totals }: Job): number => totals?.targets ?? 0;

/** Targets that a cap leaves out: they are in the plan, and nothing is sent for them. */
export const cappedOf = ({ totals }: Job): number => totals?.leftOut['capped'] ?? 0;

/** Targets that a job may send for. */
export const toEnd = (job: Job): number => targetsOf(job) - cappedOf(job);
