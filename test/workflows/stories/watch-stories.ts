import type { WorkflowHandle } from '@temporalio/client';
import {
  EXTEND_UPDATE,
  RELEASE_UPDATE,
  SESSION_WATCH,
  TASK_QUEUE,
  watchWorkflowId,
} from '../../../src/core/contract.js';
import { createWatches } from '../../../src/adapters/temporal/watches.js';
import type { sessionWatch } from '../../../workflows/session-watch.js';
import { tryAgain } from '../../support/case-script.js';
import { until } from '../../support/embedded-server.js';
import { historiesOf, type History } from '../../support/history.js';
import type { TestTemporal } from '../../support/temporal.js';
import { invalid, lookAgain, over, type ScriptedWatch, type WatchScript } from '../../support/watch-script.js';

const HOUR = 3_600_000;

type Handle = WorkflowHandle<typeof sessionWatch>;

interface WatchStory {
  readonly script: (sessionId: string) => WatchScript;
  /** Started by the ledger's word, as Curfew's own command does it. */
  readonly resumed?: boolean;
  readonly tell?: (handle: Handle, calls: () => number, wake: () => Promise<void>) => Promise<void>;
}

/** Courses that a watch can take. Their histories are kept, and every later version of the workflow must replay them. */
export const WATCH_STORIES: Readonly<Record<string, WatchStory>> = {
  'watch-rests': {
    script: (id) => ({ lookAtWatch: (_input, time) => (time < 3 ? lookAgain(id, 50) : over(id)) }),
  },
  'watch-woken': {
    script: (id) => ({ lookAtWatch: (_input, time) => (time < 3 ? lookAgain(id, HOUR) : over(id)) }),
    resumed: true,
    tell: async (_handle, calls, wake) => {
      for (const count of [1, 2]) {
        await until(() => calls() === count);
        await wake();
      }
    },
  },
  'watch-extended': {
    script: (id) => ({ lookAtWatch: (_input, time) => (time === 1 ? lookAgain(id, HOUR) : over(id)) }),
    tell: async (handle, calls) => {
      await until(() => calls() === 2);
      await handle.executeUpdate(EXTEND_UPDATE, { args: [{ limits: { maxRuntime: '40m' } }] });
    },
  },
  'watch-released-while-held': {
    script: (id) => ({
      lookAtWatch: (_input, time) => {
        if (time === 1) throw tryAgain('AccountRefused', HOUR);
        return over(id, { state: 'released', ending: 'released' });
      },
    }),
    tell: async (handle) => {
      await until(async () => (await handle.describe()).raw.pendingActivities?.[0]?.attempt === 2);
      await handle.executeUpdate(RELEASE_UPDATE);
    },
  },
  'watch-refused': {
    script: () => ({
      registerWatch: () => {
        throw invalid('limits.maxRuntim');
      },
    }),
  },
  'watch-continued-as-new': {
    script: (id) => ({ lookAtWatch: (_input, time) => (time < 30 ? lookAgain(id, 0) : over(id)) }),
  },
};

/** Lets a story happen on a server. @returns the histories of its runs, first to last */
export async function tellWatchStory(
  { script, resumed = false, tell }: WatchStory,
  sessionId: string,
  { env: { client } }: TestTemporal,
  scripted: ScriptedWatch,
): Promise<History[]> {
  scripted.play(sessionId, script(sessionId));
  const watches = createWatches(client, true);
  const workflowId = watchWorkflowId(sessionId);
  const handle: Handle = client.workflow.getHandle(workflowId);
  if (resumed) await watches.resume(sessionId);
  else {
    const args: Parameters<typeof sessionWatch> = [{ sessionId, limits: { maxRuntime: '20m' } }];
    await client.workflow.start<typeof sessionWatch>(SESSION_WATCH, { workflowId, taskQueue: TASK_QUEUE, args });
  }
  const { runId } = await handle.describe();
  await tell?.(
    handle,
    () => scripted.calls(sessionId).length,
    () => watches.wake(sessionId),
  );
  // A refused watch rejects; it has a history all the same.
  await handle.result().catch(() => {});

  return historiesOf(client, workflowId, runId);
}
