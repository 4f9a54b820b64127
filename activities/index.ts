import { type CaseResult, caseWorkflowId } from '../src/core/contract.js';
import { attemptCase, confirmCase } from '../src/engines/cases/case-step.js';
import type { CaseDependencies, Step } from '../src/engines/cases/case.js';
import { watchForRestart, type WatchStep } from '../src/engines/cases/restart-watch.js';
import type { Sighting } from '../src/core/policy/sighting.js';
import type { SessionsClient } from '../src/adapters/vendor/index.js';
import { asActivity } from './as-activity.js';

export interface ActivityDependencies extends CaseDependencies {
  readonly sessions: SessionsClient;
}

/** More orders than this on one session make no result for people; the ledger has them all. */
const RESULT_ORDERS = 50;

/**
 * The activities of a case. Each is one step, safe to run again: what it did is in the ledger, and the next run reads
 * that first.
 */
export function createActivities(deps: ActivityDependencies) {
  return {
    /** One pass through the gate. An already ended session is success. */
    cancelSession: (input: { sessionId: string }): Promise<Step> =>
      asActivity(
        deps,
        (failures) => attemptCase(deps, input.sessionId, caseWorkflowId(input.sessionId), failures),
        caseWorkflowId(input.sessionId),
      ),

    /** One confirming read after a request. */
    confirmCancellation: (input: { sessionId: string; look: number; sightings: readonly Sighting[] }): Promise<Step> =>
      asActivity(deps, (failures) => confirmCase(deps, input.sessionId, input.sightings, input.look, failures)),

    /** One look whether an ended session has started again. */
    watchForRestart: (input: { sessionId: string; look: number; queued: boolean }): Promise<WatchStep> =>
      asActivity(deps, (failures) => watchForRestart(deps, input.sessionId, input.look, input.queued, failures)),

    /** What became of the session's orders since the case began. */
    reportCase: (input: { sessionId: string; since: string }): Promise<CaseResult> =>
      asActivity(deps, async () => {
        const views = await deps.ledger.orders.views({ sessionId: input.sessionId, limit: RESULT_ORDERS });
        const since = Date.parse(input.since);
        return {
          orders: views
            .filter(({ decidedAtMs }) => decidedAtMs !== null && decidedAtMs >= since)
            .map(({ result }) => result)
            .reverse(),
        };
      }),
  };
}

export type Activities = ReturnType<typeof createActivities>;
