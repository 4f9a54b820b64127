import type { Client } from '@temporalio/client';
import { createOwnIds, type OwnIds } from './own-ids.js';
import { startOf } from './starting.js';
import { NOTIFICATION, notificationWorkflowId, type NotificationInput } from '../../core/contract.js';

/** Starts the workflows that tell people. */
export interface Notifications {
  /**
   * Makes sure that a route's workflow is at work.
   *
   * @returns the id of its run; that of a running one if there is one
   * @throws {StrangerError} when something else runs under the route's id
   */
  start(route: string): Promise<string>;
}

/** A start that takes longer is tried again at the next look, ms. */
const START_LIMIT_MS = 10_000;

export function createNotifications(client: Client, ids: OwnIds = createOwnIds(client)): Notifications {
  return {
    async start(route) {
      const input: NotificationInput = { route };
      const handle = await client.withDeadline(Date.now() + START_LIMIT_MS, () =>
        client.workflow.start(
          NOTIFICATION,
          startOf(notificationWorkflowId(route), input, `Tells what happened by the route ${route}`),
        ),
      );
      await ids.check(notificationWorkflowId(route), NOTIFICATION);
      return handle.firstExecutionRunId;
    },
  };
}
