import type { Client } from '@temporalio/client';
import { createOwnIds, type OwnIds } from './own-ids.js';
import { startOf, tellToLook } from './starting.js';
import { BULK_CANCELLATION, bulkWorkflowId } from '../../core/contract.js';

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
        ...startOf(bulkWorkflowId(planId), { planId }, `Carries out the bulk plan ${planId}`, { planId }),
        // The ledger says what is left to do: a workflow that somebody ended in Temporal is started again.
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      });
      await ids.check(bulkWorkflowId(planId), BULK_CANCELLATION);
    },

    poke: (planId) => tellToLook(client, bulkWorkflowId(planId)),
  };
}
