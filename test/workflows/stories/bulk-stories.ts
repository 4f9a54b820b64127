import { ApplicationFailure } from '@temporalio/common';
import type { WorkflowHandle } from '@temporalio/client';
import type { BulkActivities } from '../../../activities/bulk-cancellation.js';
import type { CleanupActivities } from '../../../activities/cleanup.js';
import {
  BULK_CANCELLATION,
  BULK_PAUSE_UPDATE,
  BULK_RATE_UPDATE,
  BULK_RESUME_UPDATE,
  bulkWorkflowId,
  LOOK_SIGNAL,
  TASK_QUEUE,
  type BulkState,
  type BulkStatus,
} from '../../../src/core/contract.js';
import type { BulkStep } from '../../../src/engines/bulk/run.js';
import type { bulkCancellation, BulkInput } from '../../../workflows/bulk-cancellation.js';
import { until } from '../../support/embedded-server.js';
import { historiesOf, type History } from '../../support/history.js';
import type { TestTemporal } from '../../support/temporal.js';

/** What the activities of one job do. */
export interface BulkScript {
  /** @param time - how often it was called, from 1 */
  readonly slice: (time: number) => BulkStep | Promise<BulkStep>;
  readonly startCleanup?: (time: number) => { planId: string | null; note: string };
  readonly state?: BulkState;
}

const again: BulkStep = { next: 'again', afterMs: 0 };
const over: BulkStep = { next: 'over' };
const rest: BulkStep = { next: 'rest' };

export const bulkStatusOf = (planId: string, state: BulkState = 'finished'): BulkStatus => ({
  ...{ planId, state, source: 'person', cleanup: null, reason: null, selection: {}, requestedBy: 'ops@host' },
  ...{ createdAt: '2026-03-02T09:00:00.000Z', expiresAt: '2026-03-02T10:00:00.000Z', hash: 'abc' },
  totals: { targets: 3, byState: {}, byAgent: [], agents: 1, leftOut: {}, sample: [], gaps: [] },
  ...{ appliedAt: '2026-03-02T09:01:00.000Z', appliedBy: 'ops@host', finishedAt: '2026-03-02T09:02:00.000Z' },
  ...{ fast: false, evenIfExempt: false, rate: 20, canary: 0, phase: 'done', note: null },
  progress: { waiting: 0, underWay: 0, openCases: 0, outcomes: { cancelled: 3 }, requests: 3 },
});

/** Typed fakes of the activities of a bulk job, so that a renamed activity breaks the tests at compile time. */
export class ScriptedBulk {
  readonly #scripts = new Map<string, BulkScript>();
  readonly #calls = new Map<string, { activity: string; input: unknown }[]>();

  play(planId: string, script: BulkScript): void {
    this.#scripts.set(planId, script);
  }

  calls(planId: string): readonly { activity: string; input: unknown }[] {
    return this.#calls.get(planId) ?? [];
  }

  count(planId: string, activity: string): number {
    return this.calls(planId).filter((call) => call.activity === activity).length;
  }

  readonly activities: BulkActivities & CleanupActivities = {
    cancelBulk: (input) =>
      this.#run('cancelBulk', input.planId, input, ({ slice }, time) => Promise.resolve(slice(time))),
    steerBulk: (input) =>
      this.#run('steerBulk', input.planId, input, () => {
        if (input.action === 'rate' && (input.word as { rate?: unknown }).rate === 0) {
          return Promise.reject(ApplicationFailure.nonRetryable('A rate is above 0.', 'InvalidBulkSteer'));
        }
        return Promise.resolve(bulkStatusOf(input.planId, input.action === 'pause' ? 'paused' : 'running'));
      }),
    reportBulk: (input) =>
      this.#run('reportBulk', input.planId, input, ({ state }) => Promise.resolve(bulkStatusOf(input.planId, state))),
    startCleanup: (input) =>
      this.#run('startCleanup', input.name, input, ({ startCleanup }, time) =>
        Promise.resolve(startCleanup?.(time) ?? { planId: null, note: 'Nothing to end.' }),
      ),
  };

  #run<T>(
    activity: string,
    planId: string,
    input: unknown,
    play: (script: BulkScript, time: number) => Promise<T>,
  ): Promise<T> {
    const calls = this.#calls.get(planId) ?? [];
    this.#calls.set(planId, calls);
    calls.push({ activity, input });
    return play(this.#scripts.get(planId) ?? { slice: () => over }, this.count(planId, activity));
  }
}

type Handle = WorkflowHandle<typeof bulkCancellation>;

interface BulkStory {
  readonly script: (planId: string) => BulkScript;
  readonly input?: (planId: string) => BulkInput;
  readonly tell?: (handle: Handle, slices: () => number) => Promise<void>;
}

/** Courses that a bulk job can take. Their histories are kept, and every later version of the workflow must replay them. */
export const BULK_STORIES: Readonly<Record<string, BulkStory>> = {
  'bulk-in-slices': { script: () => ({ slice: (time) => (time < 3 ? again : over) }) },
  'bulk-paused-and-resumed': {
    script: () => ({ slice: (time) => (time === 1 ? rest : over) }),
    tell: async (handle, slices) => {
      await until(() => slices() === 1);
      await handle.executeUpdate(BULK_RESUME_UPDATE);
    },
  },
  'bulk-woken': {
    script: () => ({ slice: (time) => (time === 1 ? rest : over) }),
    tell: async (handle, slices) => {
      await until(() => slices() === 1);
      await handle.signal(LOOK_SIGNAL);
    },
  },
  'bulk-steered': {
    script: () => ({ slice: (time) => (time === 1 ? { next: 'again', afterMs: 3_600_000 } : over) }),
    tell: async (handle, slices) => {
      await until(() => slices() === 1);
      await handle.executeUpdate(BULK_RATE_UPDATE, { args: [{ rate: 5 }] });
    },
  },
  'bulk-paused-at-work': {
    script: () => ({
      slice: async (time) => {
        if (time > 1) return over;
        await new Promise((resolve) => setTimeout(resolve, 500));
        return again;
      },
    }),
    tell: async (handle, slices) => {
      await until(() => slices() === 1);
      await handle.executeUpdate(BULK_PAUSE_UPDATE, { args: [{ reason: 'is this right?', requestedBy: 'bot' }] });
    },
  },
  'bulk-continued-as-new': { script: () => ({ slice: (time) => (time < 30 ? again : over) }) },
  'cleanup-with-nothing': { script: () => ({ slice: () => over }), input: (planId) => ({ cleanup: planId }) },
  'cleanup-with-a-job': {
    script: (planId) => ({
      slice: () => over,
      startCleanup: () => ({ planId: `${planId}-job`, note: 'Applied.' }),
    }),
    input: (planId) => ({ cleanup: planId }),
  },
};

/** Lets a story happen on a server. @returns the histories of its runs, first to last */
export async function tellBulkStory(
  { script, input = (planId) => ({ planId }), tell }: BulkStory,
  planId: string,
  { env: { client } }: TestTemporal,
  scripted: ScriptedBulk,
): Promise<History[]> {
  scripted.play(planId, script(planId));
  const workflowId = bulkWorkflowId(planId);
  const handle = await client.workflow.start<typeof bulkCancellation>(BULK_CANCELLATION, {
    ...{ workflowId, taskQueue: TASK_QUEUE, args: [input(planId)] },
  });
  const { runId } = await handle.describe();
  await tell?.(handle, () => scripted.count(planId, 'cancelBulk'));
  await handle.result();

  return historiesOf(client, workflowId, runId);
}
