import { continueAsNew, proxyActivities, sleep, workflowInfo } from '@temporalio/workflow';
import type { NotificationActivities } from '../activities/notification.js';
import { NOTIFICATION, type NotificationInput } from '../src/core/contract.js';
import { NOTIFICATION_DELIVERY } from '../src/adapters/temporal/timeouts.js';
import { refuseInput, word, type Shape } from './inputs.js';

const INPUT: Shape = { fields: { route: word }, example: '{ "route": "ops" }' };

const { deliverNotifications } = proxyActivities<NotificationActivities>(NOTIFICATION_DELIVERY);

/**
 * Tells by one route what is pending, message by message, until nothing is. Each waits a second: so a burst becomes one
 * message, and Slack's limit of one a second is kept. What is told, and what a failure means, the activity knows.
 */
export async function notification(input: NotificationInput): Promise<void> {
  refuseInput(NOTIFICATION, input, INPUT);
  const { route } = input;
  for (;;) {
    await sleep('1 second');
    const { more } = await deliverNotifications({ route });
    if (!more) return;
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof notification>({ route });
  }
}
