import type { ScheduleClient } from '@temporalio/client';
import { optionalTsToDate, type Payload } from '@temporalio/common';
import { keyIdOf } from '../../adapters/codec/payload-codec.js';
import { BULK_CANCELLATION, TASK_QUEUE } from '../../core/contract.js';
import { UserError } from '../../core/errors.js';
import { GrpcStatus, hasStatus } from '../../adapters/temporal/grpc-status.js';
import { decodeValue } from './payload-values.js';
import { FINGERPRINT, MARK } from './schedule.js';
import type { Counted } from './skips.js';

/** As Temporal has it: what stands in payloads may be encrypted with a key that is not there any more. */
export type StoredSchedule = Awaited<ReturnType<ScheduleClient['workflowService']['describeSchedule']>>;

/** What Temporal has under an id. Only a Schedule of ours is ever changed or removed. */
export type FoundSchedule = { readonly kind: 'missing' } | { readonly kind: 'foreign' } | OurSchedule;

/** A Schedule that Curfew made, as far as it can be read. */
export interface OurSchedule {
  readonly kind: 'ours';
  /** The mark of the entry that it was made from; null: it has none, or it can't be read. */
  readonly fingerprint: string | null;
  /** Why its runs could not be read either; null: they can. */
  readonly unreadable: UserError | null;
  /** Keys that its runs need. Null among them: something is not encrypted. */
  readonly keyIds: readonly (string | null)[];
  readonly paused: boolean;
  /** What the person who paused it wrote; null: nothing. */
  readonly note: string | null;
  readonly nextRuns: readonly Date[];
  readonly running: boolean;
  /** Since it was made. */
  readonly counted: Counted;
  readonly stored: StoredSchedule;
}

/**
 * Reads a Schedule without needing every key that it was ever under. The SDK's own `describe` decodes all or fails, and the
 * mark that says whose it is may be under a key that was removed long ago: not every server can change it.
 */
export async function findSchedule(client: ScheduleClient, scheduleId: string): Promise<FoundSchedule> {
  const stored = await describeStored(client, scheduleId);
  if (stored === null) return { kind: 'missing' };
  if (!(await isOurs(client, scheduleId, stored))) return { kind: 'foreign' };
  const { state, action } = stored.schedule ?? {};
  const { input, memo, userMetadata } = action?.startWorkflow ?? {};
  const fields = memo?.fields ?? {};
  const payloads = [...(input?.payloads ?? []), ...Object.values(fields), userMetadata?.summary, userMetadata?.details];
  const sent = payloads.filter((payload): payload is Payload => payload != null);
  const values = await Promise.all(sent.map((payload) => valueOf(client, payload)));
  const fingerprint = await valueOf(client, fields[FINGERPRINT]);
  const { info } = stored;
  return {
    kind: 'ours',
    fingerprint: typeof fingerprint === 'string' ? fingerprint : null,
    unreadable: values.find((value): value is UserError => value instanceof UserError) ?? null,
    keyIds: [...new Set(sent.map(keyIdOf))],
    paused: state?.paused === true,
    note: state?.notes == null || state.notes === '' ? null : state.notes,
    nextRuns: (info?.futureActionTimes ?? []).flatMap((time) => optionalTsToDate(time) ?? []),
    running: (info?.runningWorkflows ?? []).length > 0,
    counted: {
      createdAt: optionalTsToDate(info?.createTime)?.toISOString() ?? '',
      overlap: Number(info?.overlapSkipped ?? 0),
      missed: Number(info?.missedCatchupWindow ?? 0),
    },
    stored,
  };
}

/**
 * The mark in its memo says whose a Schedule is. Where the mark's key is gone, its name stands in the clear all the same, and
 * then what the Schedule starts must be what ours start as well.
 */
async function isOurs(
  client: ScheduleClient,
  scheduleId: string,
  { memo, schedule }: StoredSchedule,
): Promise<boolean> {
  const mark = await valueOf(client, memo?.fields?.[MARK.field]);
  if (!(mark instanceof UserError)) return mark === MARK.value;
  const action = schedule?.action?.startWorkflow;
  return (
    action?.workflowId === scheduleId &&
    action.workflowType?.name === BULK_CANCELLATION &&
    action.taskQueue?.name === TASK_QUEUE
  );
}

/** That a payload's key is missing is a fact about the Schedule, and comes back as the value. */
async function valueOf(client: ScheduleClient, payload: Payload | undefined): Promise<unknown> {
  try {
    return payload === undefined ? undefined : await decodeValue(client, payload);
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}

async function describeStored(client: ScheduleClient, scheduleId: string): Promise<StoredSchedule | null> {
  try {
    return await client.workflowService.describeSchedule({ namespace: client.options.namespace, scheduleId });
  } catch (error) {
    if (hasStatus(error, GrpcStatus.notFound)) return null;
    throw error;
  }
}
