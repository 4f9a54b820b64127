import { Context } from '@temporalio/activity';
import { bulkWorkflowId, type BulkStatus } from '../src/core/contract.js';
import type { BulkDependencies } from '../src/engines/bulk/dependencies.js';
import { runBulk, type BulkStep } from '../src/engines/bulk/run.js';
import { readBulkStatus } from '../src/engines/bulk/status.js';
import { steerFromCode, type BulkSteerRequest } from '../src/engines/bulk/steer.js';
import { asActivity } from './as-activity.js';

export interface BulkActivityDependencies extends BulkDependencies {
  /** Aborted when this worker stops: the work ends early then, and another worker goes on. */
  readonly stopping: AbortSignal;
}

/**
 * Long enough that a job of a million targets is some hundred activities, short enough that a job moves on to another worker
 * now and then, ms.
 */
const SLICE_MS = 5 * 60_000;

/** The activities of `bulkCancellation`. Safe to run again: what they did is in the ledger. */
export function createBulkActivities(deps: BulkActivityDependencies) {
  return {
    /** Works on the job for some minutes. The heartbeat shows in Temporal where it stands; what counts is in the ledger. */
    cancelBulk: ({ planId }: { readonly planId: string }): Promise<BulkStep> =>
      asActivity(
        deps,
        () =>
          runBulk(deps, planId, {
            stop: AbortSignal.any([deps.stopping, Context.current().cancellationSignal]),
            sliceMs: SLICE_MS,
            onProgress: ({ state, phase, counts }) => Context.current().heartbeat({ state, phase, counts }),
          }),
        bulkWorkflowId(planId),
      ),

    /** A program's word on the job; people use `curfew bulk`. */
    steerBulk: (request: BulkSteerRequest): Promise<BulkStatus> =>
      asActivity(deps, async () => withoutNames(await steerFromCode(deps, request))),

    /** What became of it. */
    reportBulk: ({ planId }: { readonly planId: string }): Promise<BulkStatus | null> =>
      asActivity(deps, async () => {
        const job = await deps.ledger.bulk.get(planId);
        return job === null ? null : withoutNames(await readBulkStatus(deps.ledger, job));
      }),
  };
}

/** Names of agents are people's own words, and creators are people: both stay in the ledger, and Temporal gets ids of agents. */
function withoutNames(status: BulkStatus): BulkStatus {
  const { profile: _profile, ...totals } = status.totals;
  return { ...status, totals: { ...totals, byAgent: totals.byAgent.map((agent) => ({ ...agent, name: null })) } };
}

export type BulkActivities = ReturnType<typeof createBulkActivities>;
