import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  allHandlersFinished,
  ChildWorkflowFailure,
  condition,
  continueAsNew,
  defineSignal,
  defineUpdate,
  executeChild,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { BulkActivities } from '../activities/bulk-cancellation.js';
import type { CleanupActivities } from '../activities/cleanup.js';
import {
  BULK_ABORT_UPDATE,
  BULK_CANCELLATION,
  BULK_PAUSE_UPDATE,
  BULK_RATE_UPDATE,
  BULK_RESUME_UPDATE,
  bulkWorkflowId,
  LOOK_SIGNAL,
  type BulkStatus,
} from '../src/core/contract.js';
import { BULK_CHANGE, BULK_RUN, CLEANUP_START } from '../src/adapters/temporal/timeouts.js';
import { maybe, number, problemOf, refuseInput, refusingUpdate, text, word, type Shape } from './inputs.js';

/** A plan that was applied; or, from a Schedule, the name of a `cleanup` entry, of which each run makes a plan. */
export type BulkInput = { readonly planId: string } | { readonly cleanup: string };

/** The argument of the updates; all of it is optional. */
interface BulkWord {
  readonly reason?: string;
  /** Claimed, not authenticated. */
  readonly requestedBy?: string;
}

const PLAN: Shape = { fields: { planId: word }, example: '{ "planId": "b-2345678" }' };
const CLEANUP: Shape = { fields: { cleanup: word }, example: '{ "cleanup": "stale-queue" }' };
const WORD: Shape = {
  fields: { reason: maybe(text), requestedBy: maybe(word) },
  example: '{ "reason": "the wrong sessions", "requestedBy": "a-service" }',
};
const RATE: Shape = { fields: { rate: number, requestedBy: maybe(word) }, example: '{ "rate": 20 }' };

const pauseUpdate = defineUpdate<BulkStatus, [BulkWord?]>(BULK_PAUSE_UPDATE);
const resumeUpdate = defineUpdate<BulkStatus, [BulkWord?]>(BULK_RESUME_UPDATE);
const abortUpdate = defineUpdate<BulkStatus, [BulkWord?]>(BULK_ABORT_UPDATE);
const rateUpdate = defineUpdate<BulkStatus, [{ readonly rate: number; readonly requestedBy?: string }]>(
  BULK_RATE_UPDATE,
);
const lookSignal = defineSignal(LOOK_SIGNAL);

const { cancelBulk } = proxyActivities<BulkActivities>(BULK_RUN);
const { steerBulk, reportBulk } = proxyActivities<BulkActivities>(BULK_CHANGE);
const { startCleanup } = proxyActivities<CleanupActivities>(CLEANUP_START);

/** A paused job is looked at again now and then: what woke it may have been lost. */
const REST = '1 minute';

/**
 * One bulk job: has its targets ended, some minutes of work at a time, until all are through. The targets are in the ledger,
 * and so is each word of a person; nothing here grows with them.
 *
 * @returns where the job stands at the end; null: there is none, because a cleanup found nothing to do
 */
export async function bulkCancellation(input: BulkInput): Promise<BulkStatus | null> {
  if (problemOf(input, CLEANUP) === null) return cleanUp((input as { cleanup: string }).cleanup);
  refuseInput(BULK_CANCELLATION, input, PLAN);
  return carryOut((input as { planId: string }).planId);
}

async function carryOut(planId: string): Promise<BulkStatus | null> {
  let news = false;
  const steer =
    (action: 'pause' | 'resume' | 'abort' | 'rate') =>
    async (word?: unknown): Promise<BulkStatus> => {
      const status = await steerBulk({ planId, action, word: word ?? null });
      news = true;
      return status;
    };
  setHandler(pauseUpdate, steer('pause'), { validator: ifAny(refusingWord(BULK_PAUSE_UPDATE, WORD)) });
  setHandler(resumeUpdate, steer('resume'), { validator: ifAny(refusingWord(BULK_RESUME_UPDATE, WORD)) });
  setHandler(abortUpdate, steer('abort'), { validator: ifAny(refusingWord(BULK_ABORT_UPDATE, WORD)) });
  setHandler(rateUpdate, steer('rate'), { validator: refusingWord(BULK_RATE_UPDATE, RATE) });
  setHandler(lookSignal, () => {
    news = true;
  });

  for (;;) {
    news = false;
    setCurrentDetails(`At work on the plan ${planId}: \`curfew bulk status ${planId}\`.`);
    const step = await cancelBulk({ planId });
    if (step.next === 'over') break;
    if (step.next === 'rest') {
      setCurrentDetails(`Paused: \`curfew bulk resume ${planId}\` lets it go on.`);
      await condition(() => news, REST);
    } else if (step.afterMs > 0) {
      await condition(() => news, step.afterMs);
    }
    if (workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof bulkCancellation>({ planId });
    }
  }
  await condition(allHandlersFinished);
  return reportBulk({ planId });
}

const refusingWord = (update: string, shape: Shape) => refusingUpdate(update, shape, 'InvalidBulkSteer');

/** All of it may be left out. */
const ifAny =
  (validator: (value: unknown) => void) =>
  (value?: unknown): void => {
    if (value !== undefined && value !== null) validator(value);
  };

/** A run of a Schedule. It lasts as long as its job, so that the next run is skipped while one is at work. */
async function cleanUp(name: string): Promise<BulkStatus | null> {
  const { workflowId, firstExecutionRunId, startTime } = workflowInfo();
  const runId = `${workflowId}/${firstExecutionRunId}`;
  // When it was due, as near as it is known: a worker may have come hours later.
  const { planId, note } = await startCleanup({ name, runId, startedAtMs: startTime.getTime() });
  if (planId === null) {
    setCurrentDetails(note ?? 'Nothing to do.');
    return null;
  }
  setCurrentDetails(`Its job is the plan ${planId}: \`curfew bulk status ${planId}\`.`);
  try {
    return await executeChild(bulkCancellation, {
      workflowId: bulkWorkflowId(planId),
      args: [{ planId }],
      // Whoever ends the run in Temporal has not aborted the job: `curfew bulk abort` does.
      parentClosePolicy: 'ABANDON',
      cancellationType: 'ABANDON',
    });
  } catch (error) {
    // A worker that takes up jobs without a workflow was faster, or somebody ended the job's workflow and such a worker starts
    // it again. The job is in the ledger.
    const known = error instanceof ChildWorkflowFailure || error instanceof WorkflowExecutionAlreadyStartedError;
    if (!known) throw error;
  }
  for (;;) {
    const status = await reportBulk({ planId });
    if (status === null || status.state === 'finished' || status.state === 'aborted') return status;
    await sleep(REST);
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof bulkCancellation>({ cleanup: name });
  }
}
