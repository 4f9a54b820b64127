import { LONGEST_SUMMARY } from './summary.js';
import { printable } from '../../core/text/printable.js';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, TypedSearchAttributes } from '@temporalio/common';
import { createOwnIds, type OwnIds } from './own-ids.js';
import { LOOK_SIGNAL, SESSION_WATCH, TASK_QUEUE, watchWorkflowId, type ResumedWatch } from '../../core/contract.js';

const SESSION = defineSearchAttributeKey('CurfewSessionId', SearchAttributeType.KEYWORD);

/**
 * Starts watches that are in the ledger, and tells running ones that the ledger has news. `wake` and `resume` throw a
 * `StrangerError` when something else runs under the watch's id.
 */
export interface Watches {
  /** Makes sure that the watch is at work, and looks now. */
  wake(sessionId: string): Promise<void>;
  /** Makes sure that the watch is at work; one that runs is left alone. */
  resume(sessionId: string): Promise<void>;
  /** The watch was released: a running one closes at once. */
  closed(sessionId: string): Promise<void>;
}

export function createWatches(client: Client, searchAttributes: boolean, ids: OwnIds = createOwnIds(client)): Watches {
  const checkId = (sessionId: string): Promise<void> => ids.check(watchWorkflowId(sessionId), SESSION_WATCH);
  const startOf = (sessionId: string) => {
    const input: ResumedWatch = { sessionId, resume: true };
    return {
      workflowId: watchWorkflowId(sessionId),
      taskQueue: TASK_QUEUE,
      args: [input] as [ResumedWatch],
      workflowIdConflictPolicy: 'USE_EXISTING',
      memo: { sessionId },
      staticSummary: printable(`Watches ${sessionId}`, LONGEST_SUMMARY),
      ...(searchAttributes
        ? { typedSearchAttributes: new TypedSearchAttributes([{ key: SESSION, value: sessionId }]) }
        : {}),
    } as const;
  };
  return {
    async wake(sessionId) {
      await client.workflow.signalWithStart(SESSION_WATCH, { ...startOf(sessionId), signal: LOOK_SIGNAL });
      await checkId(sessionId);
    },
    async resume(sessionId) {
      await client.workflow.start(SESSION_WATCH, startOf(sessionId));
      await checkId(sessionId);
    },
    async closed(sessionId) {
      try {
        await client.workflow.getHandle(watchWorkflowId(sessionId)).signal(LOOK_SIGNAL);
      } catch (error) {
        if (!(error instanceof WorkflowNotFoundError)) throw error;
      }
    },
  };
}
