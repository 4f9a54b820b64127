import { ApplicationFailure } from '@temporalio/common';
import { notificationWorkflowId } from '../src/core/contract.js';
import type { CaseDependencies } from '../src/engines/cases/case.js';
import { NotDelivered, type Notifier } from '../src/engines/notify/deliver.js';
import { asActivity } from './as-activity.js';

export interface NotificationDependencies extends Pick<CaseDependencies, 'timing'> {
  readonly notifier: Notifier;
}

/** The activity of the workflow `notification`. Safe to run again: a message that may have been taken keeps its id. */
export function createNotificationActivities(deps: NotificationDependencies) {
  return {
    /** Sends one message by a route. @returns whether there is more to tell */
    deliverNotifications: (input: { route: string }): Promise<{ more: boolean }> =>
      asActivity(
        deps,
        async (failures) => {
          try {
            return await deps.notifier.deliverNext(input.route, failures);
          } catch (error) {
            if (!(error instanceof NotDelivered)) throw error;
            throw ApplicationFailure.create({
              type: 'NotDelivered',
              message: error.message,
              nextRetryDelay: error.afterMs,
              // Told in our own log already, once.
              category: 'BENIGN',
            });
          }
        },
        notificationWorkflowId(input.route),
      ),
  };
}

export type NotificationActivities = ReturnType<typeof createNotificationActivities>;
