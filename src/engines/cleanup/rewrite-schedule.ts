import { randomUUID } from 'node:crypto';
import { encodeScheduleOverlapPolicy, type ScheduleClient } from '@temporalio/client';
import { msNumberToTs, type Payload } from '@temporalio/common';
import { keyIdOf } from '../../adapters/codec/payload-codec.js';
import type { StoredSchedule } from './found-schedule.js';
import { encodeValue } from './payload-values.js';
import type { CleanupSchedule } from './schedule.js';

/**
 * Makes a Schedule what it is to be, with every payload of its runs under the key that encrypts now. Its state stays: what a
 * person has paused stays paused. So do its counters and its knowledge of the run at work, which would be lost if it were
 * deleted and made again; and there is no moment at which a crash would leave none, or one that isn't paused.
 *
 * The SDK's own `update` needs to decode the old payloads first. This sends the token of what was read as well: where a
 * person has paused it meanwhile, Temporal passes over the change, and the next look does it.
 */
export async function rewriteSchedule(
  client: ScheduleClient,
  { scheduleId, spec, policies, action }: CleanupSchedule,
  { schedule, conflictToken }: StoredSchedule,
): Promise<void> {
  const { namespace, identity } = client.options;
  await client.workflowService.updateSchedule({
    namespace,
    identity,
    requestId: randomUUID(),
    scheduleId,
    conflictToken,
    schedule: {
      spec: {
        cronString: [...spec.cronExpressions],
        timezoneName: spec.timezone,
        jitter: msNumberToTs(spec.jitter),
      },
      policies: {
        overlapPolicy: encodeScheduleOverlapPolicy(policies.overlap) ?? null,
        catchupWindow: msNumberToTs(policies.catchupWindow),
        pauseOnFailure: policies.pauseOnFailure,
      },
      action: {
        startWorkflow: {
          workflowId: action.workflowId,
          workflowType: { name: action.workflowType },
          taskQueue: { name: action.taskQueue },
          input: { payloads: await Promise.all(action.args.map((value) => encodeValue(client, value))) },
          memo: { fields: await encodeFields(client, action.memo) },
          userMetadata: { summary: await encodeValue(client, action.staticSummary) },
          header: schedule?.action?.startWorkflow?.header ?? null,
        },
      },
      state: schedule?.state ?? null,
    },
  });
}

/** @returns null: payloads are not encrypted */
export const currentKeyId = async (client: ScheduleClient): Promise<string | null> =>
  keyIdOf(await encodeValue(client, null));

async function encodeFields(client: ScheduleClient, values: object): Promise<Record<string, Payload>> {
  const fields = Object.entries(values).map(async ([name, value]) => [name, await encodeValue(client, value)] as const);
  return Object.fromEntries(await Promise.all(fields));
}
