import type { Client } from '@temporalio/client';
import { optionalTsToMs } from '@temporalio/common';
import { TASK_QUEUE } from '../../core/contract.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { shell } from '../../core/text/shell.js';
import { GrpcStatus, hasStatus } from './grpc-status.js';
import type { Stranger } from './stranger-notes.js';

/** What Curfew has to do under an id of its own is kept from being done. */
export class StrangerError extends UserError {
  constructor(readonly stranger: Stranger) {
    super(stranger.says, stranger.next, ExitCode.refused);
  }
}

/** Looks at an id now. @returns null when nothing is wrong with it */
export type LookAtId = () => Promise<Stranger | null>;

/**
 * Makes sure that what runs under our ids is ours. Who may write to the namespace can start any workflow under `policy-enforcement`
 * or `cancel/ID`: starting ours there, with "use the existing one", goes well then, and does nothing.
 */
export interface OwnIds {
  /**
   * To be called after a workflow was started under an id of ours, or did not answer there.
   *
   * @throws {StrangerError} when something else runs there. When Temporal can't be asked, nothing is said
   */
  check(workflowId: string, type: string): Promise<void>;
  /** The same for what is no workflow, such as a Schedule. */
  readonly found: (stranger: Stranger, again: LookAtId) => void;
}

/** For a program that only wants to know: nothing is kept. */
export const createOwnIds = (client: Client, onFound?: OwnIds['found']): OwnIds => ({
  async check(workflowId, type) {
    const look = (): Promise<Stranger | null> => strangerAt(client, workflowId, type);
    const stranger = await look().catch(() => null);
    if (stranger === null) return;
    onFound?.(stranger, look);
    throw new StrangerError(stranger);
  },
  found: (stranger, again) => onFound?.(stranger, again),
});

/** A person, or another start, waits for the answer, ms. */
const PATIENCE_MS = 5_000;
const RUNNING = 1;
/** Ours begin at once; a workflow that does not may be put off for years, ms. */
const BEGINS_WITHIN_MS = 60_000;
/** A task that fails so often in a row will do so again. With the waits in between that is a minute or more. */
const FAILING_FROM = 6;

/** What is wrong with the workflow that runs under an id; null: nothing, or none runs. @throws what Temporal answers */
export async function strangerAt(client: Client, workflowId: string, type: string): Promise<Stranger | null> {
  const { namespace } = client.options;
  const execution = { workflowId };
  try {
    // Not by the SDK's own `describe`: that decodes the memo, which may be anything.
    const described = await client.withDeadline(Date.now() + PATIENCE_MS, () =>
      client.workflowService.describeWorkflowExecution({ namespace, execution }),
    );
    const { workflowExecutionInfo: info, pendingWorkflowTask: task } = described;
    if (Number(info?.status) !== RUNNING || info == null) return null;
    const startMs = optionalTsToMs(info.startTime) ?? 0;
    const why = whatIsWrong(type, {
      type: info.type?.name ?? '',
      taskQueue: info.taskQueue ?? '',
      delayMs: (optionalTsToMs(info.executionTime) ?? startMs) - startMs,
      failures: Number(task?.attempt ?? 1) - 1,
    });
    return why === null ? null : strangerOf(client, workflowId, why);
  } catch (error) {
    if (hasStatus(error, GrpcStatus.notFound)) return null;
    throw error;
  }
}

/** A workflow that runs, as Temporal describes it. */
export interface RunningWorkflow {
  readonly type: string;
  readonly taskQueue: string;
  /** From its start to its first task. */
  readonly delayMs: number;
  /** Of the workflow task that is due, in a row. */
  readonly failures: number;
}

/** @returns what keeps it from doing the work of our workflow of this type, after "it"; null: nothing */
export function whatIsWrong(type: string, found: RunningWorkflow): string | null {
  if (found.type !== type) return `has the type ${JSON.stringify(found.type)}, not ${type}`;
  if (found.taskQueue !== TASK_QUEUE) {
    return `is on the task queue ${JSON.stringify(found.taskQueue)}, not ${JSON.stringify(TASK_QUEUE)}, so no worker of Curfew takes it up`;
  }
  if (found.delayMs > BEGINS_WITHIN_MS) {
    return `was started with a delay of ${Math.round(found.delayMs / 1_000)} s, and does nothing until then`;
  }
  // A worker that crashes again and again looks the same; ending the workflow costs nothing then either.
  if (found.failures >= FAILING_FROM) return `has failed ${found.failures} times in a row to do its next step`;
  return null;
}

function strangerOf(client: Client, id: string, why: string): Stranger {
  const { namespace } = client.options;
  // The connection that we make, of the SDK's own class, knows where it leads.
  const { options } = client.connection as { readonly options?: { readonly address?: string } };
  const address = options?.address === undefined ? '' : ` ${shell`--address ${options.address}`}`;
  const command = shell`temporal workflow terminate --workflow-id ${id} --reason ${'in the way of Curfew'} --namespace ${namespace}`;
  return {
    id,
    says: `The workflow that runs as ${id} ${why}: so Curfew can't do the work of that id.`,
    next: `Nothing is lost. End it, and a worker starts the right one within two minutes. ${command}${address}`,
  };
}
