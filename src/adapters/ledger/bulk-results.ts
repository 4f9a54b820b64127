import { OUTCOMES, type OrderResult, type Outcome } from '../../core/contract.js';
import type { BulkJob, BulkTarget, TargetStatus } from './bulk-plans.js';
import { reasonOfJob } from './bulk-handover.js';
import type { OrderView } from './results.js';

const outcomes: ReadonlySet<string> = new Set(OUTCOMES);

/** Whether the target has its outcome in its own row: no case worked on it. */
export const isOutcome = (status: TargetStatus): status is Outcome => outcomes.has(status);

/** A target of an applied job, in the shape of an order's result. */
export function resultOfTarget(job: BulkJob, target: BulkTarget): OrderResult {
  return {
    sessionId: target.sessionId,
    agentId: target.agentId,
    turnKey: target.turnKey,
    outcome: isOutcome(target.status) ? target.status : null,
    attribution: target.attribution,
    reason: { text: reasonOfJob(job), policy: null, policyVersion: null, limit: null, observed: null },
    requestedBy: job.appliedBy ?? job.createdBy,
    attempts: target.attempts,
    orderedAt: new Date(job.appliedAtMs ?? job.createdAtMs).toISOString(),
    endedAt: target.endedAtMs === null ? null : new Date(target.endedAtMs).toISOString(),
    lastError: target.error,
    events: [],
  };
}

/** A target that has its outcome, as those see it who look back at orders. */
export const viewOfTarget = (job: BulkJob, target: BulkTarget): OrderView => ({
  orderId: `${job.planId}/${target.seq}`,
  phase: 'settled',
  nextTryAtMs: null,
  holder: null,
  decidedAtMs: target.decidedAtMs,
  result: resultOfTarget(job, target),
});
