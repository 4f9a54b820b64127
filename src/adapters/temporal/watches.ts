import type { Client } from '@temporalio/client';
import { createOwnIds, type OwnIds } from './own-ids.js';
import { startForSession, tellToLook } from './starting.js';
import { LOOK_SIGNAL, SESSION_WATCH, watchWorkflowId, type ResumedWatch } from '../../core/contract.js';

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
  const start = (sessionId: string) => {
    const input: ResumedWatch = { sessionId, resume: true };
    return startForSession(watchWorkflowId(sessionId), input, `Watches ${sessionId}`, searchAttributes);
  };
  return {
    async wake(sessionId) {
      await client.workflow.signalWithStart(SESSION_WATCH, { ...start(sessionId), signal: LOOK_SIGNAL });
      await checkId(sessionId);
    },
    async resume(sessionId) {
      await client.workflow.start(SESSION_WATCH, start(sessionId));
      await checkId(sessionId);
    },
    async closed(sessionId) {
      await tellToLook(client, watchWorkflowId(sessionId));
    },
  };
}
