import { LONGEST_SUMMARY } from './summary.js';
import { printable } from '../../core/text/printable.js';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { createOwnIds, type OwnIds } from './own-ids.js';
import { BULK_CANCELLATION, bulkWorkflowId, LOOK_SIGNAL, TASK_QUEUE } from '../../core/contract.js';

/** Starts bulk jobs that are in the ledger, and tells running ones that the ledger has news. */
export interface BulkJobs {
  /**
   * Makes sure that the job is at work. Safe to repeat: one that runs is left alone.
   *
   * @throws {StrangerError} when something else runs under the job's id
   */
  ensure(planId: string): Promise<void>;
  /** Has a running job look into the ledger now. @returns false when no such job is at work */
  poke(planId: string): Promise<boolean>;
}

export function createBulkJobs(client: Client, ids: OwnIds = createOwnIds(client)): BulkJobs {
  return {
    async ensure(planId) {
      await client.workflow.start(BULK_CANCELLATION, {
        workflowId: bulkWorkflowId(planId),
        taskQueue: TASK_QUEUE,
        args: [{ planId }],
        workflowIdConflictPolicy: 'USE_EXISTING',
        // The ledger says what is left to do: a workflow that somebody ended in Temporal is started again.
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        memo: { planId },
        staticSummary: printable(`Carries out the bulk plan ${planId}`, LONGEST_SUMMARY),
      });
      await ids.check(bulkWorkflowId(planId), BULK_CANCELLATION);
    },

    async poke(planId) {
      try {
        await client.workflow.getHandle(bulkWorkflowId(planId)).signal(LOOK_SIGNAL);
        return true;
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return false;
        throw error;
      }
    },
  };
}
