import type { Client, WorkflowHandle } from '@temporalio/client';

export type History = Awaited<ReturnType<WorkflowHandle['fetchHistory']>>;
type Event = NonNullable<History['events']>[number];

/** Histories of a workflow that goes on as new, first run to last. */
export async function historiesOf(client: Client, workflowId: string, firstRunId: string): Promise<History[]> {
  const histories: History[] = [];
  for (let runId: string | null | undefined = firstRunId; runId;) {
    const history: History = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    histories.push(history);
    runId = history.events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId;
  }
  return histories;
}

function attributes<K extends keyof Event>(history: History, name: K): NonNullable<Event[K]>[] {
  const found: NonNullable<Event[K]>[] = [];
  for (const event of history.events ?? []) {
    const value = event[name];
    if (value != null) found.push(value);
  }
  return found;
}

/** Durations of the timers that a workflow started, ms, in order. */
export const timers = (history: History): number[] =>
  attributes(history, 'timerStartedEventAttributes').map(
    ({ startToFireTimeout }) =>
      Number(startToFireTimeout?.seconds ?? 0) * 1_000 + (startToFireTimeout?.nanos ?? 0) / 1e6,
  );

/** Names of the activities that a workflow scheduled, in order. */
export const scheduledActivities = (history: History): string[] =>
  attributes(history, 'activityTaskScheduledEventAttributes').map(({ activityType }) => activityType?.name ?? '');

export const updateCounts = (history: History): { accepted: number; completed: number } => ({
  accepted: attributes(history, 'workflowExecutionUpdateAcceptedEventAttributes').length,
  completed: attributes(history, 'workflowExecutionUpdateCompletedEventAttributes').length,
});

export const searchAttributeUpserts = (history: History): number =>
  attributes(history, 'upsertWorkflowSearchAttributesEventAttributes').length;

export const continuedAsNew = (history: History): boolean =>
  attributes(history, 'workflowExecutionContinuedAsNewEventAttributes').length > 0;
