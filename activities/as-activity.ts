import { Context, heartbeat, type Info } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { CaseDependencies } from '../src/engines/cases/case.js';
import { TryAgain } from '../src/core/try-again.js';
import { LedgerUnavailableError } from '../src/adapters/ledger/errors.js';
import { aboutWorkflow, logAbout } from '../src/platform/log-context.js';
import { spanOfStep } from '../src/platform/tracing/spans.js';

/** Shows the server every so often that this worker is alive, ms. A quarter of the heartbeat timeout. */
const HEARTBEAT_MS = 2_000;

/**
 * Runs a step under a background heartbeat, and translates what it throws into Temporal's terms.
 *
 * @param ownId - id of the workflow that this step is for, where it has one of its own: see {@link refuseOthersId}
 */
export async function asActivity<T>(
  deps: Pick<CaseDependencies, 'timing'>,
  step: (failures: number) => Promise<T>,
  ownId?: string,
): Promise<T> {
  if (ownId !== undefined) refuseOthersId(Context.current().info, ownId);
  const timer = setInterval(() => heartbeat(), HEARTBEAT_MS);
  try {
    heartbeat();
    return await inScope(Context.current().info, step);
  } catch (error) {
    throw toFailure(deps, error);
  } finally {
    clearInterval(timer);
  }
}

/**
 * Under `cancel/A` the orders of A are carried out. A case that was started there for B would keep them waiting, while it does
 * what the case of B does already. Under an id that is none of ours it is in nobody's way.
 *
 * @throws {ApplicationFailure} that ends the workflow, so that the right one can be started
 */
function refuseOthersId({ workflowExecution }: Info, ownId: string): void {
  const workflowId = workflowExecution?.workflowId ?? '';
  const kind = workflowId.slice(0, workflowId.indexOf('/') + 1);
  if (kind === '' || workflowId === ownId || !ownId.startsWith(kind)) return;
  throw ApplicationFailure.nonRetryable(
    `A workflow that is for ${ownId} was started as ${workflowId}, where it would block the right one. So it was closed.`,
    'InvalidInput',
  );
}

/** What the step logs names what it is about; so does its span, where spans are recorded. */
function inScope<T>(info: Info, step: (failures: number) => Promise<T>): Promise<T> {
  const { attempt, activityType, workflowExecution } = info;
  const run = (): Promise<T> => step(attempt - 1);
  if (workflowExecution === undefined) return run();
  const { workflowId, runId } = workflowExecution;
  const about = aboutWorkflow(workflowId);
  const attributes = {
    'curfew.workflow_id': workflowId,
    'curfew.attempt': attempt,
    ...(about.sessionId === undefined ? {} : { 'curfew.session_id': about.sessionId }),
    ...(about.caseId === undefined ? {} : { 'curfew.case_id': about.caseId }),
    ...(about.planId === undefined ? {} : { 'curfew.plan_id': about.planId }),
  };
  return spanOfStep({ name: activityType, workflowId, runId, attributes }, () => logAbout(about, run));
}

function toFailure(deps: Pick<CaseDependencies, 'timing'>, error: unknown): unknown {
  if (error instanceof TryAgain) {
    return ApplicationFailure.create({
      type: error.reason,
      message: error.message,
      nextRetryDelay: error.afterMs,
      // Held by ourselves or the account: expected, and told elsewhere.
      ...(error.counts ? {} : { category: 'BENIGN' as const }),
    });
  }
  if (error instanceof LedgerUnavailableError) {
    return ApplicationFailure.create({
      type: 'LedgerUnavailable',
      message: `${error.message} Nothing ends without the ledger; this continues when it is back.`,
      nextRetryDelay: deps.timing.heldRetryMs,
    });
  }
  return error;
}
