import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, TypedSearchAttributes } from '@temporalio/common';
import { LOOK_SIGNAL, TASK_QUEUE } from '../../core/contract.js';
import { printable } from '../../core/text/printable.js';

/** Of a workflow's summary, in characters: lists show no more. */
const LONGEST_SUMMARY = 200;

const SESSION = defineSearchAttributeKey('CurfewSessionId', SearchAttributeType.KEYWORD);

/** How a workflow of Curfew is started: one that runs under its id already is left alone. */
export const startOf = <Input>(workflowId: string, input: Input, summary: string, memo?: Record<string, string>) =>
  ({
    workflowId,
    taskQueue: TASK_QUEUE,
    args: [input] as [Input],
    workflowIdConflictPolicy: 'USE_EXISTING',
    staticSummary: printable(summary, LONGEST_SUMMARY),
    ...(memo && { memo }),
  }) as const;

/**
 * The same for one that is about a session.
 *
 * @param searchAttributes - the namespace has those of Curfew
 */
export const startForSession = <Input extends { readonly sessionId: string }>(
  workflowId: string,
  input: Input,
  summary: string,
  searchAttributes: boolean,
) => {
  const { sessionId } = input;
  return {
    ...startOf(workflowId, input, summary, { sessionId }),
    ...(searchAttributes && {
      typedSearchAttributes: new TypedSearchAttributes([{ key: SESSION, value: sessionId }]),
    }),
  };
};

/** Has a workflow look into the ledger now. @returns false when none runs under this id */
export async function tellToLook(client: Client, workflowId: string): Promise<boolean> {
  try {
    await client.workflow.getHandle(workflowId).signal(LOOK_SIGNAL);
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
