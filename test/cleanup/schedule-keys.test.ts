import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { findSchedule, type OurSchedule } from '../../src/engines/cleanup/found-schedule.js';
import { decodeValue } from '../../src/engines/cleanup/payload-values.js';
import { rewriteSchedule } from '../../src/engines/cleanup/rewrite-schedule.js';
import { scheduleOf } from '../../src/engines/cleanup/schedule.js';
import { syncSchedules } from '../../src/engines/cleanup/schedules.js';
import { readCleanups } from '../../src/engines/cleanup/standing.js';
import { clientConverter, payloadEncryption } from '../../src/adapters/codec/encryption.js';
import { keyIdOf } from '../../src/adapters/codec/payload-codec.js';
import { BULK_CANCELLATION, cleanupScheduleId, TASK_QUEUE } from '../../src/core/contract.js';
import { UserError } from '../../src/core/errors.js';
import type { Ledger } from '../../src/adapters/ledger/ledger.js';
import type { CleanupEntry } from '../../src/core/policy/policy.js';
import { until } from '../support/embedded-server.js';
import { entryOf, log, setStage, type Stage } from './stage.js';

/** A hang limit, ms. */
const LIMIT_MS = 240_000;

const [k1, k2, otherK1] = ['k1', 'k2', 'k1'].map((id) => `${id}: ${randomBytes(32).toString('base64')}`) as [
  string,
  string,
  string,
];

let env: Stage['env'];
let folder: string;
let ledger: Ledger;
let entry: CleanupEntry;

setStage((stage) => {
  ({ env, folder, ledger } = stage);
  entry = entryOf(`stale-${stage.count}`);
});
// The next test's looks would see to it.
afterEach(async () => {
  if (await exists()) await handle().delete();
});

/** A process with these keys, the first of which encrypts; with none, one without encryption. */
function clientWith(...keys: string[]): Client {
  const path = join(folder, `keys-${randomBytes(4).toString('hex')}`);
  if (keys.length > 0) writeFileSync(path, `${keys.join('\n')}\n`, { mode: 0o600 });
  const encryption = payloadEncryption({ CURFEW_CODEC_KEYS_FILE: keys.length > 0 ? path : '' });
  const { connection, namespace } = env;
  const client = new Client({
    connection,
    ...(namespace && { namespace }),
    dataConverter: clientConverter(encryption),
  });
  // A person waits for a list of cleanups for some seconds; a busy machine may take longer.
  return Object.assign(client, { withDeadline: (_at: unknown, call: () => Promise<unknown>) => call() });
}
const sync = (client: Client, entries = [entry], strangers = new Set<string>()): Promise<void> =>
  syncSchedules(ledger, client, log, entries, strangers);
const idOf = (): string => cleanupScheduleId(entry.name);
const handle = () => env.client.schedule.getHandle(idOf());
const stored = () => {
  const { connection, options } = env.client;
  return connection.workflowService.describeSchedule({ namespace: options.namespace, scheduleId: idOf() });
};
const exists = (): Promise<boolean> =>
  stored().then(
    () => true,
    () => false,
  );
async function ours(client: Client): Promise<OurSchedule> {
  const found = await findSchedule(client.schedule, idOf());
  if (found.kind !== 'ours') throw new Error(`expected a Schedule of ours, found ${found.kind}`);
  return found;
}
/** Keys of all that Temporal keeps of the Schedule and its runs, but for the mark that can't be changed. */
async function keysInTemporal(): Promise<(string | null)[]> {
  const { schedule } = await stored();
  const found: Payload[] = [];
  const walk = (value: unknown): void => {
    if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return;
    if ('metadata' in value && 'data' in value) found.push(value as Payload);
    else for (const part of Object.values(value)) walk(part);
  };
  walk(schedule?.action);
  // The argument, two fields of the memo, the summary.
  expect(found).toHaveLength(4);
  return [...new Set(found.map(keyIdOf))];
}
const said = (mock: typeof log.info): unknown[] => mock.mock.calls.map(([, message]) => message);

describe('the Schedule of a cleanup, when another key is the first', () => {
  it(
    'is encrypted with it at the next look, and needs the one before no more',
    async () => {
      await sync(clientWith(k1));
      await handle().pause('a person says so');
      expect(await keysInTemporal()).toEqual(['k1']);
      const rotated = clientWith(k2, k1);
      const before = await rotated.schedule.getHandle(idOf()).describe();

      await sync(rotated);
      expect(await keysInTemporal()).toEqual(['k2']);
      const { spec, policies, action, state, info, memo } = await rotated.schedule.getHandle(idOf()).describe();
      expect({ spec, policies, action, state, memo }).toEqual({
        spec: before.spec,
        policies: before.policies,
        action: before.action,
        state: before.state,
        memo: before.memo,
      });
      expect(state).toMatchObject({ paused: true, note: 'a person says so' });
      expect(said(log.info)).toEqual([
        'scheduled a cleanup',
        'encrypted the Schedule of a cleanup again, under the current key',
      ]);

      const alone = clientWith(k2);
      await sync(alone);
      expect((await ours(alone)).stored.info?.updateTime).toEqual((await stored()).info?.updateTime);
      expect(log.info).toHaveBeenCalledTimes(2);
      const [standing] = await readCleanups(ledger, alone, [entry]);
      expect(standing?.schedule).toMatchObject({ kind: 'scheduled', paused: true, note: 'a person says so' });
      expect(info.lastUpdatedAt).not.toEqual(before.info.lastUpdatedAt);
    },
    LIMIT_MS,
  );

  it(
    'is left alone by looks that find nothing to change',
    async () => {
      await sync(clientWith(k2, k1));
      const before = await stored();
      await sync(clientWith(k2, k1));
      await sync(clientWith(k2));
      expect((await stored()).info?.updateTime).toEqual(before.info?.updateTime);
      expect((await stored()).conflictToken).toEqual(before.conflictToken);
      expect(said(log.info)).toEqual(['scheduled a cleanup']);
    },
    LIMIT_MS,
  );

  it(
    'is encrypted when encryption is switched on, and a worker without keys does not undo it',
    async () => {
      await sync(clientWith());
      expect(await keysInTemporal()).toEqual([null]);
      await sync(clientWith(k1));
      expect(await keysInTemporal()).toEqual(['k1']);

      const problem: unknown = await sync(clientWith()).catch((error: unknown) => error);
      expect(problem).toBeInstanceOf(AggregateError);
      expect((problem as AggregateError).errors).toEqual([expect.any(UserError)]);
      expect(((problem as AggregateError).errors[0] as UserError).message).toContain('no keys are configured here');
      expect(await keysInTemporal()).toEqual(['k1']);
    },
    LIMIT_MS,
  );

  it(
    'keeps a pause that comes between the look and the change: the change waits for the next look',
    async () => {
      await sync(clientWith(k1));
      const rotated = clientWith(k2, k1);
      const { stored: seen } = await ours(rotated);
      await handle().pause('in between');
      await rewriteSchedule(rotated.schedule, scheduleOf(entry), seen);
      expect((await stored()).schedule?.state).toMatchObject({ paused: true, notes: 'in between' });
      await sync(rotated);
      expect((await stored()).schedule?.state).toMatchObject({ paused: true, notes: 'in between' });
      expect(await keysInTemporal()).toEqual(['k2']);
    },
    LIMIT_MS,
  );
});

describe('the Schedule of a cleanup whose key was removed too early', () => {
  it.each([
    ['is not in the file', k2, 'k2', 'which the file of CURFEW_CODEC_KEYS_FILE does not hold'],
    ['is another one of the same id', otherK1, 'k1', "can't be decrypted with the key"],
  ])(
    'is written anew where the key %s: a pause, its note and its counters stay, and its runs can be read',
    async (_which, key, id, why) => {
      await sync(clientWith(k1));
      await handle().trigger('SKIP');
      await until(async () => (await stored()).info?.runningWorkflows?.length === 1);
      await handle().trigger('SKIP');
      await until(async () => Number((await stored()).info?.overlapSkipped) === 1);
      await handle().pause('a person says so');
      const before = await ours(clientWith(k1));

      const without = clientWith(key);
      await sync(without);
      expect(await keysInTemporal()).toEqual([id]);
      const after = await ours(without);
      expect(after).toMatchObject({ unreadable: null, paused: true, note: 'a person says so', running: true });
      expect(after.counted).toEqual(before.counted);
      expect(log.warn.mock.calls.filter(([, message]) => String(message).includes(why))).toEqual([
        [{ cleanup: entry.name, keyIds: ['k1'], keyId: id }, expect.stringContaining('was written again')],
      ]);
      const looks = log.warn.mock.calls.length;
      await sync(without);
      expect(log.warn).toHaveBeenCalledTimes(looks);

      // The mark of its making is still under the key that is gone, and is ours all the same.
      const [running] = after.stored.info?.runningWorkflows ?? [];
      await env.client.workflow.getHandle(running?.workflowId ?? '').terminate();
      await until(async () => (await stored()).info?.runningWorkflows?.length === 0);
      await handle().unpause();
      await handle().trigger('SKIP');
      await until(async () => (await stored()).info?.runningWorkflows?.length === 1);
      const [run] = (await stored()).info?.runningWorkflows ?? [];
      const started = env.client.workflow.getHandle(run?.workflowId ?? '');
      const { events } = await started.fetchHistory();
      const [input] = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
      expect(await decodeValue(without.schedule, input ?? {})).toEqual({ cleanup: entry.name });
      await started.terminate();
    },
    LIMIT_MS,
  );

  it(
    'is removed with its entry all the same',
    async () => {
      await sync(clientWith(k1));
      // The list of Schedules lags behind.
      await until(async () => {
        await sync(clientWith(k2), []);
        return !(await exists());
      });
      expect(said(log.info)).toContain('removed the Schedule of a cleanup that is not in force any more');
    },
    LIMIT_MS,
  );
});

describe('a Schedule that is not ours', () => {
  const ofOurs = () => ({ workflowType: BULK_CANCELLATION, workflowId: idOf(), taskQueue: TASK_QUEUE });
  it.each([
    ['has no mark', {}, {}],
    ['has another mark that can be read', { curfew: 'backup' }, {}],
    ['starts another workflow', { curfew: 'cleanup' }, { workflowType: 'other' }],
    ['starts it on another queue', { curfew: 'cleanup' }, { taskQueue: 'other' }],
    ['starts it under another id', { curfew: 'cleanup' }, { workflowId: 'other' }],
  ])(
    'is never changed or removed, whatever can be read of it: one that %s',
    async (which, memo, different) => {
      await clientWith(k1).schedule.create({
        scheduleId: idOf(),
        spec: { cronExpressions: ['0 1 1 1 *'] },
        memo,
        action: { type: 'startWorkflow', args: ['theirs'], ...ofOurs(), ...different },
      });
      const client = which.includes('can be read') ? clientWith(k2, k1) : clientWith(k2);
      const before = await stored();
      const strangers = new Set<string>();
      await sync(client, [entry], strangers);
      await sync(client, [entry], strangers);
      expect(said(log.error)).toEqual([expect.stringContaining('Curfew did not make')]);
      const [standing] = await readCleanups(ledger, client, [entry]);
      expect(standing?.schedule).toEqual({ kind: 'foreign' });

      await until(async () => {
        const { namespace } = env.client.options;
        const { schedules } = await env.client.connection.workflowService.listSchedules({ namespace });
        return schedules.some(({ scheduleId }) => scheduleId === idOf());
      });
      await sync(client, []);
      expect((await stored()).schedule).toEqual(before.schedule);
      expect((await stored()).conflictToken).toEqual(before.conflictToken);
    },
    LIMIT_MS,
  );
});
