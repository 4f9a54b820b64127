import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  BULK_CANCELLATION,
  BULK_PAUSE_UPDATE,
  BULK_RATE_UPDATE,
  BULK_RESUME_UPDATE,
  bulkWorkflowId,
  TASK_QUEUE,
} from '../../src/core/contract.js';
import type { BulkInput, bulkCancellation } from '../../workflows/bulk-cancellation.js';
import { BULK_STORIES, bulkStatusOf, ScriptedBulk, tellBulkStory } from './stories/bulk-stories.js';
import { until } from '../support/embedded-server.js';
import { continuedAsNew, scheduledActivities, timers } from '../support/history.js';
import { OBTAIN_LIMIT_MS, startTemporal, type TestTemporal } from '../support/temporal.js';

const scripted = new ScriptedBulk();
let temporal: TestTemporal;
beforeAll(async () => {
  temporal = await startTemporal({ activities: scripted.activities, suggestContinueAsNewAt: 60 });
}, OBTAIN_LIMIT_MS);
afterAll(() => temporal.stop());

let planId: string;
beforeEach(() => {
  planId = `b-${randomUUID()}`;
});

const start = (input: BulkInput = { planId }) =>
  temporal.env.client.workflow.start<typeof bulkCancellation>(BULK_CANCELLATION, {
    ...{ workflowId: bulkWorkflowId(planId), taskQueue: TASK_QUEUE, args: [input] },
  });
const slices = (): number => scripted.count(planId, 'cancelBulk');

describe('the workflow of a bulk job', () => {
  it('works slice by slice until the job is over, and gives where it stands', async () => {
    scripted.play(planId, { slice: (time) => (time < 4 ? { next: 'again', afterMs: 0 } : { next: 'over' }) });
    const handle = await start();
    expect(await handle.result()).toEqual(bulkStatusOf(planId));
    expect(scheduledActivities(await handle.fetchHistory())).toEqual([
      ...['cancelBulk', 'cancelBulk', 'cancelBulk', 'cancelBulk'],
      'reportBulk',
    ]);
  });

  it('I8: carries the id of the plan and nothing that grows, and continues as new when the server suggests it', async () => {
    const [first, ...others] = await tellBulkStory(BULK_STORIES['bulk-continued-as-new']!, planId, temporal, scripted);
    expect(others.length).toBeGreaterThan(0);
    expect(first !== undefined && continuedAsNew(first)).toBe(true);
    expect(slices()).toBe(30);
    expect(scripted.calls(planId).every(({ input }) => JSON.stringify(input) === JSON.stringify({ planId }))).toBe(
      true,
    );
  });

  it('rests while the job is paused, and goes on at a word', async () => {
    scripted.play(planId, { slice: (time) => (time === 1 ? { next: 'rest' } : { next: 'over' }) });
    const handle = await start();
    await until(() => slices() === 1);
    expect(await handle.executeUpdate(BULK_RESUME_UPDATE)).toMatchObject({ planId, state: 'running' });
    await handle.result();
    expect(slices()).toBe(2);
    // It would have looked by itself a minute later.
    expect(timers(await handle.fetchHistory())).toEqual([60_000]);
  });

  it('takes a word while a slice is at work, and a word that can’t be read is refused and changes nothing', async () => {
    let go = (): void => {};
    const working = new Promise<void>((resolve) => (go = resolve));
    scripted.play(planId, {
      slice: (time) => (time === 1 ? working.then(() => ({ next: 'over' as const })) : { next: 'over' }),
    });
    const handle = await start();
    await until(() => slices() === 1);
    const word = { reason: 'is this right?', requestedBy: 'bot' };
    expect(await handle.executeUpdate(BULK_PAUSE_UPDATE, { args: [word] })).toMatchObject({ state: 'paused' });
    await expect(handle.executeUpdate(BULK_RATE_UPDATE, { args: [{ rate: 0 }] })).rejects.toThrow();
    go();
    expect(await handle.result()).toMatchObject({ state: 'finished' });
    const steered = scripted.calls(planId).filter(({ activity }) => activity === 'steerBulk');
    expect(steered.map(({ input }) => input)).toEqual([
      { planId, action: 'pause', word },
      { planId, action: 'rate', word: { rate: 0 } },
    ]);
    expect(temporal.warnings.map(({ message }) => message).filter((text) => /unfinished/i.test(text))).toEqual([]);
  });
});

describe('a run of a cleanup', () => {
  it('that finds nothing ends without a job', async () => {
    scripted.play('nightly', { slice: () => ({ next: 'over' }) });
    const handle = await start({ cleanup: 'nightly' });
    expect(await handle.result()).toBeNull();
    const [{ input } = { input: null }] = scripted.calls('nightly');
    expect(input).toMatchObject({ name: 'nightly', runId: expect.stringContaining(bulkWorkflowId(planId)) });
  });

  it('lasts as long as the job of its plan, which is the job that people steer', async () => {
    const name = `cleanup-${randomUUID()}`;
    const jobId = `${planId}-job`;
    scripted.play(name, { slice: () => ({ next: 'over' }), startCleanup: () => ({ planId: jobId, note: 'Applied.' }) });
    scripted.play(jobId, { slice: (time) => (time === 1 ? { next: 'rest' } : { next: 'over' }) });
    const handle = await start({ cleanup: name });
    await until(() => scripted.count(jobId, 'cancelBulk') === 1);
    expect((await handle.describe()).status.name).toBe('RUNNING');
    await temporal.env.client.workflow.getHandle(bulkWorkflowId(jobId)).executeUpdate(BULK_RESUME_UPDATE);
    expect(await handle.result()).toMatchObject({ planId: jobId });
  });

  it('waits for a job that another worker had started already', async () => {
    const name = `cleanup-${randomUUID()}`;
    scripted.play(name, {
      slice: () => ({ next: 'over' }),
      startCleanup: () => ({ planId: `${planId}-job`, note: '' }),
    });
    scripted.play(`${planId}-job`, { slice: (time) => (time === 1 ? { next: 'rest' } : { next: 'over' }) });
    const job = await temporal.env.client.workflow.start<typeof bulkCancellation>(BULK_CANCELLATION, {
      ...{ workflowId: bulkWorkflowId(`${planId}-job`), taskQueue: TASK_QUEUE, args: [{ planId: `${planId}-job` }] },
    });
    const handle = await start({ cleanup: name });
    await until(() => scripted.count(`${planId}-job`, 'reportBulk') === 1);
    expect(await handle.result()).toMatchObject({ planId: `${planId}-job` });
    await job.terminate();
  });
});
