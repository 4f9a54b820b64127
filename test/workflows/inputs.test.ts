import { randomUUID } from 'node:crypto';
import { WorkflowFailedError, WorkflowUpdateFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  BULK_ABORT_UPDATE,
  BULK_CANCELLATION,
  BULK_PAUSE_UPDATE,
  BULK_RATE_UPDATE,
  BULK_RESUME_UPDATE,
  caseWorkflowId,
  JOIN_UPDATE,
  NOTIFICATION,
  POLICY_ENFORCEMENT,
  RELEASE_UPDATE,
  SESSION_CANCELLATION,
  SESSION_WATCH,
  TASK_QUEUE,
  watchWorkflowId,
} from '../../src/core/contract.js';
import { ScriptedBulk } from './stories/bulk-stories.js';
import { attemptAfter, DONE, ScriptedActivities } from '../support/case-script.js';
import { until } from '../support/embedded-server.js';
import { updateCounts, type History } from '../support/history.js';
import { OBTAIN_LIMIT_MS, startTemporal, type TestTemporal } from '../support/temporal.js';
import { lookAgain, ScriptedWatch } from '../support/watch-script.js';

const HOUR = 3_600_000;
const cases = new ScriptedActivities();
const bulk = new ScriptedBulk();
const watches = new ScriptedWatch();
let temporal: TestTemporal;

beforeAll(async () => {
  temporal = await startTemporal({
    activities: {
      ...cases.activities,
      ...bulk.activities,
      ...watches.activities,
      deliverNotifications: () => ({ more: false }),
      enforcePolicies: () => ({ next: 'rest' }),
    },
  });
}, OBTAIN_LIMIT_MS);
afterAll(() => temporal.stop());

const start = (type: string, workflowId: string, args: unknown[]): Promise<WorkflowHandle> =>
  temporal.env.client.workflow.start(type, { workflowId, taskQueue: TASK_QUEUE, args });

async function failureOf(work: Promise<unknown>): Promise<ApplicationFailure> {
  const error: unknown = await work.then(
    () => new Error('It did not fail.'),
    (reason: unknown) => reason,
  );
  if (error instanceof WorkflowFailedError || error instanceof WorkflowUpdateFailedError) {
    if (error.cause instanceof ApplicationFailure) return error.cause;
  }
  throw error;
}

/** Each of them is a task that Temporal gives to workers again and again, for ever. */
const failedTasks = ({ events }: History): number =>
  (events ?? []).filter(({ workflowTaskFailedEventAttributes: failed }) => failed != null).length;

/** What is no object at all; then what has a field that can't be one, or is far too long. */
const NOTHING: readonly (readonly [string, unknown[]])[] = [
  ['nothing', []],
  ['null', [null]],
  ['a text', ['sess_1']],
  ['a list', [[{ sessionId: 'sess_1' }]]],
  ['an empty object', [{}]],
];
const LONG = 'x'.repeat(201);

describe('a workflow that is started with what it can’t use', () => {
  it.each([
    ...NOTHING.map(([what, args]) => [SESSION_CANCELLATION, what, args] as const),
    [SESSION_CANCELLATION, 'a number for an id', [{ sessionId: 5 }]],
    [SESSION_CANCELLATION, 'an empty id', [{ sessionId: '' }]],
    [SESSION_CANCELLATION, 'an id that is too long', [{ sessionId: LONG }]],
    [SESSION_CANCELLATION, 'a flag that is none', [{ sessionId: 'sess_1', searchAttributes: 'yes' }]],
    [SESSION_CANCELLATION, 'a time that is none', [{ sessionId: 'sess_1', searchAttributes: false, since: 'soon' }]],
    ...NOTHING.map(([what, args]) => [BULK_CANCELLATION, what, args] as const),
    [BULK_CANCELLATION, 'a plan that is an object', [{ planId: { id: 'b-1' } }]],
    [BULK_CANCELLATION, 'a cleanup without a name', [{ cleanup: '' }]],
    [BULK_CANCELLATION, 'far too much', [{ planId: 'b-1', more: 'x'.repeat(20_000) }]],
    ...NOTHING.map(([what, args]) => [NOTIFICATION, what, args] as const),
    [NOTIFICATION, 'a route that is a list', [{ route: ['ops'] }]],
    ...NOTHING.slice(0, 4).map(([what, args]) => [POLICY_ENFORCEMENT, what, args] as const),
    [POLICY_ENFORCEMENT, 'a memory that is an object', [{ memory: {} }]],
    [POLICY_ENFORCEMENT, 'a queue that is not Curfew’s', [{ memory: null, taskQueue: 'elsewhere' }]],
    [SESSION_WATCH, 'a watch to resume without an id', [{ resume: true }]],
    [SESSION_WATCH, 'a watch to resume with a number', [{ resume: true, sessionId: 7 }]],
  ] as const)('fails at once and says why: %s, %s', async (type, _what, args) => {
    const handle = await start(type, `hostile-${randomUUID()}`, [...args]);
    const failure = await failureOf(handle.result());
    expect(failure).toMatchObject({ type: 'InvalidInput', nonRetryable: true });
    expect(failure.message).toMatch(
      new RegExp(`^The workflow ${type} can't be started with this input: .* It takes, for example: \\{`),
    );
    expect(failedTasks(await handle.fetchHistory())).toBe(0);
  });

  it('is a watch that names the field, as before', async () => {
    const handle = await start(SESSION_WATCH, `hostile-${randomUUID()}`, [{ limits: {}, note: 'x'.repeat(20_000) }]);
    expect((await failureOf(handle.result())).type).toBe('InvalidWatch');
  });
});

describe('an update that can’t be read', () => {
  it('of a case is refused before it is in the history, and the case goes on', async () => {
    const sessionId = `sess_${randomUUID()}`;
    cases.play(sessionId, { cancelSession: (_input, time) => (time === 1 ? attemptAfter(HOUR) : DONE) });
    const handle = await start(SESSION_CANCELLATION, caseWorkflowId(sessionId), [
      { sessionId, searchAttributes: false },
    ]);
    await until(() => cases.times(sessionId, 'cancelSession') === 1);
    for (const args of [...NOTHING.map(([, each]) => each), [{ orderId: 5 }], [{ orderId: '' }], [{ orderId: LONG }]]) {
      const failure = await failureOf(handle.executeUpdate(JOIN_UPDATE, { args: args as [unknown] }));
      expect(failure).toMatchObject({ type: 'InvalidUpdate', nonRetryable: true });
      expect(failure.message).toMatch(/^The update join can't be carried out: .* Nothing was changed\./);
    }
    const history = await handle.fetchHistory();
    expect([failedTasks(history), updateCounts(history).accepted]).toEqual([0, 0]);
    expect(await handle.executeUpdate(JOIN_UPDATE, { args: [{ orderId: randomUUID() }] })).toEqual({
      caseId: caseWorkflowId(sessionId),
    });
    await handle.terminate();
  });

  it('of a bulk job is refused before it is in the history, and the job goes on', async () => {
    const planId = `b-${randomUUID()}`;
    bulk.play(planId, { slice: (time) => (time === 1 ? { next: 'rest' } : { next: 'over' }) });
    const handle = await start(BULK_CANCELLATION, `bulk/${planId}`, [{ planId }]);
    await until(() => bulk.count(planId, 'cancelBulk') === 1);
    const refused: [string, unknown[]][] = [
      ...[BULK_PAUSE_UPDATE, BULK_RESUME_UPDATE, BULK_ABORT_UPDATE].flatMap((name): [string, unknown[]][] => [
        [name, ['now']],
        [name, [[]]],
        [name, [{ reason: 5 }]],
        [name, [{ reason: 'x'.repeat(2_001) }]],
        [name, [{ requestedBy: LONG }]],
      ]),
      ...NOTHING.map(([, args]): [string, unknown[]] => [BULK_RATE_UPDATE, args]),
      [BULK_RATE_UPDATE, [{ rate: '20' }]],
      [BULK_RATE_UPDATE, [{ rate: null }]],
    ];
    for (const [name, args] of refused) {
      const failure = await failureOf(handle.executeUpdate(name, { args: args as [unknown] }));
      expect([name, args, failure.type]).toEqual([name, args, 'InvalidBulkSteer']);
    }
    const history = await handle.fetchHistory();
    expect([failedTasks(history), updateCounts(history).accepted]).toEqual([0, 0]);
    expect(bulk.count(planId, 'steerBulk')).toBe(0);
    // All of it may be left out, and null stands for that.
    await handle.executeUpdate(BULK_PAUSE_UPDATE, { args: [null] });
    await handle.executeUpdate(BULK_RESUME_UPDATE);
    await handle.result();
  });

  it('of a watch is refused when it is far too long', async () => {
    const sessionId = `sess_${randomUUID()}`;
    watches.play(sessionId, { lookAtWatch: () => lookAgain(sessionId, HOUR) });
    const handle = await start(SESSION_WATCH, watchWorkflowId(sessionId), [{ sessionId, resume: true }]);
    const failure = await failureOf(handle.executeUpdate(RELEASE_UPDATE, { args: [{ reason: 'x'.repeat(20_001) }] }));
    expect(failure).toMatchObject({ type: 'InvalidWatch' });
    expect(updateCounts(await handle.fetchHistory()).accepted).toBe(0);
    await handle.terminate();
  });
});
