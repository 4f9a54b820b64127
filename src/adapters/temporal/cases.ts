import {
  isGrpcDeadlineError,
  WithStartWorkflowOperation,
  WorkflowNotFoundError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  type Client,
} from '@temporalio/client';
import {
  caseWorkflowId,
  JOIN_UPDATE,
  RETRY_NOW_UPDATE,
  SESSION_CANCELLATION,
  type CaseInput,
} from '../../core/contract.js';
import { createOwnIds, type OwnIds } from './own-ids.js';
import { startForSession } from './starting.js';

/** No worker took up the case in time; it is started all the same, and one will. */
type JoinResult = 'joined' | 'no-worker-yet';

/** Opens cases, and talks to open ones. */
export interface Cases {
  /**
   * Makes sure that a case is at work on this order. Safe to repeat.
   *
   * @param withinMs - how long to wait for a worker's word
   * @param neglected - nobody has looked at the order when it was due, so what answers may be no case
   * @throws {StrangerError} when something else runs under the case's id
   */
  join(sessionId: string, orderId: string, withinMs: number, neglected?: boolean): Promise<JoinResult>;
  /** @returns false when no case is open @throws {StrangerError} when something else runs under its id */
  retryNow(sessionId: string): Promise<boolean>;
}

export function createCases(client: Client, searchAttributes: boolean, ids: OwnIds = createOwnIds(client)): Cases {
  const checkId = (sessionId: string): Promise<void> => ids.check(caseWorkflowId(sessionId), SESSION_CANCELLATION);
  return {
    async join(sessionId, orderId, withinMs, neglected = false) {
      const input: CaseInput = { sessionId, searchAttributes };
      const summary = `Ends the ordered turn of ${sessionId}`;
      const start = new WithStartWorkflowOperation(
        SESSION_CANCELLATION,
        startForSession(caseWorkflowId(sessionId), input, summary, searchAttributes),
      );
      // Unanswered when the update fails; nobody else looks at it.
      start.workflowHandle().catch(() => {});
      try {
        await client.withDeadline(Date.now() + withinMs, () =>
          client.workflow.startUpdateWithStart(JOIN_UPDATE, {
            args: [{ orderId }],
            // No id of ours: the server remembers those of the closed run, and would answer with its result instead of
            // starting the case again. Joining twice does no harm.
            waitForStage: 'ACCEPTED',
            startWorkflowOperation: start,
          }),
        );
      } catch (error) {
        await checkId(sessionId);
        // The case itself is durable by now; it reads its orders from the ledger as soon as a worker takes it up.
        if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isGrpcDeadlineError(error))
          return 'no-worker-yet';
        throw error;
      }
      if (neglected) await checkId(sessionId);
      return 'joined';
    },

    async retryNow(sessionId) {
      // No worker of ours would ever answer for it.
      await checkId(sessionId);
      try {
        await client.workflow.getHandle(caseWorkflowId(sessionId)).executeUpdate(RETRY_NOW_UPDATE);
        return true;
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return false;
        throw error;
      }
    },
  };
}
