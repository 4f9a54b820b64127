import type { WorkflowHandle } from '@temporalio/client';
import { CASE_QUERY, caseWorkflowId, type CaseStatus } from '../../../src/core/contract.js';
import { createCases } from '../../../src/adapters/temporal/cases.js';
import type { sessionCancellation } from '../../../workflows/session-cancellation.js';
import {
  attemptAfter,
  DONE,
  lookAfter,
  report,
  settledOrder,
  sighting,
  tryAgain,
  watchAfter,
  type CaseScript,
  type ScriptedActivities,
} from '../../support/case-script.js';
import { until } from '../../support/embedded-server.js';
import { historiesOf, type History } from '../../support/history.js';
import type { TestTemporal } from '../../support/temporal.js';

const HOUR = 3_600_000;
/** Low enough that the story which continues as new is short, high enough that no other one does. */
export const STORIES_CONTINUE_AS_NEW_AT = 100;

interface Telling {
  readonly sessionId: string;
  readonly handle: WorkflowHandle<typeof sessionCancellation>;
  readonly join: () => Promise<void>;
  readonly retryNow: () => Promise<void>;
  /** Waits until the case waits for the next try of a pass that failed. */
  readonly backingOff: () => Promise<void>;
  readonly phase: (wanted: CaseStatus['phase']) => Promise<void>;
}

interface Story {
  readonly script: CaseScript;
  readonly searchAttributes?: boolean;
  readonly tell?: (telling: Telling) => Promise<void>;
}

/** Courses that a case can take. Their histories are kept, and every later version of the workflow must replay them. */
export const STORIES: Readonly<Record<string, Story>> = {
  'clean-cancel': {
    script: {
      cancelSession: () => lookAfter(50, 0),
      confirmCancellation: (_input, time) => (time === 1 ? lookAfter(50, 1, [sighting('failed', 'msg_1')]) : DONE),
    },
  },
  'already-ended': {
    script: {
      cancelSession: () => lookAfter(50, 0, [sighting('completed', 'msg_1')]),
      reportCase: ({ sessionId }) => report(settledOrder(sessionId, 'already-ended')),
    },
  },
  'storm-of-failures': {
    script: {
      cancelSession: (_input, time) => {
        if (time <= 3) throw tryAgain('CancelFailed', 20);
        if (time === 4) throw tryAgain('RateLimited', 20);
        if (time === 6) throw tryAgain('ReadTooOld', 20);
        return time === 5 ? lookAfter(20, 0) : lookAfter(30, 0);
      },
      confirmCancellation: (_input, time) => {
        if (time === 1) throw tryAgain('ApiUnavailable', 20);
        if (time === 2) return lookAfter(20, 1, [sighting('processing', 'msg_1')]);
        return time === 3 ? attemptAfter(40) : DONE;
      },
    },
  },
  'join-while-backing-off': {
    script: {
      cancelSession: (_input, time) => {
        if (time === 1) throw tryAgain('CancelFailed', HOUR);
        return lookAfter(20, 0);
      },
      reportCase: ({ sessionId }) => report(settledOrder(sessionId), settledOrder(sessionId)),
    },
    tell: async ({ backingOff, join }) => {
      await backingOff();
      await join();
    },
  },
  'retry-now': {
    script: {
      cancelSession: (_input, time) => {
        if (time === 1) throw tryAgain('AccountRefused', HOUR);
        return DONE;
      },
    },
    tell: async ({ backingOff, retryNow }) => {
      await backingOff();
      await retryNow();
    },
  },
  'join-while-confirming': {
    script: {
      cancelSession: (_input, time) => (time === 1 ? lookAfter(1_000, 0) : DONE),
      confirmCancellation: (_input, time) => (time === 1 ? lookAfter(20, 1) : DONE),
    },
    tell: async ({ phase, join }) => {
      await phase('confirming');
      await join();
    },
  },
  'restart-seen': {
    script: {
      cancelSession: () => lookAfter(20, 0),
      watchForRestart: (_input, time) => (time < 4 ? watchAfter(20, time > 1) : { next: 'done' }),
    },
  },
  'join-while-watching': {
    script: { watchForRestart: (_input, time) => (time === 1 ? watchAfter(HOUR) : { next: 'done' }) },
    tell: async ({ phase, join }) => {
      await phase('watching-for-restart');
      await join();
    },
  },
  'continued-as-new': {
    script: { cancelSession: (_input, time) => (time < 25 ? attemptAfter(0) : lookAfter(20, 0)) },
  },
  'cancelled-by-operator': {
    script: { cancelSession: () => Promise.reject(tryAgain('CancelFailed', HOUR)) },
    tell: async ({ backingOff, handle }) => {
      await backingOff();
      await handle.cancel();
    },
  },
  'without-search-attributes': { script: { cancelSession: () => lookAfter(20, 0) }, searchAttributes: false },
};

/** Lets a story happen on a server. @returns the histories of its runs, first to last */
export async function tellStory(
  { script, searchAttributes = true, tell }: Story,
  sessionId: string,
  temporal: TestTemporal,
  scripted: ScriptedActivities,
): Promise<History[]> {
  scripted.play(sessionId, script);
  const { client } = temporal.env;
  const cases = createCases(client, searchAttributes);
  const workflowId = caseWorkflowId(sessionId);
  const handle = client.workflow.getHandle<typeof sessionCancellation>(workflowId);
  let orders = 0;
  const telling: Telling = {
    sessionId,
    handle,
    join: async () => void (await cases.join(sessionId, `order_${(orders += 1)}`, 30_000)),
    retryNow: async () => void (await cases.retryNow(sessionId)),
    backingOff: () => until(async () => (await handle.describe()).raw.pendingActivities?.[0]?.attempt === 2),
    phase: (wanted) => until(async () => (await handle.query<CaseStatus>(CASE_QUERY)).phase === wanted),
  };
  await telling.join();
  const { runId } = await handle.describe();
  await tell?.(telling);
  // A cancelled case rejects; it has a history all the same.
  await handle.result().catch(() => {});

  return historiesOf(client, workflowId, runId);
}
