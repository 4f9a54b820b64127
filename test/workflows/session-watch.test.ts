import { randomUUID } from 'node:crypto';
import { WorkflowFailedError, WorkflowUpdateFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  EXTEND_UPDATE,
  RELEASE_UPDATE,
  SESSION_WATCH,
  TASK_QUEUE,
  WATCH_QUERY,
  watchWorkflowId,
  type WatchInput,
  type WatchStatus,
} from '../../src/core/contract.js';
import { createWatches, type Watches } from '../../src/adapters/temporal/watches.js';
import type { sessionWatch } from '../../workflows/session-watch.js';
import { tryAgain } from '../support/case-script.js';
import { until } from '../support/embedded-server.js';
import { continuedAsNew, scheduledActivities, timers } from '../support/history.js';
import { OBTAIN_LIMIT_MS, startTemporal, type TestTemporal } from '../support/temporal.js';
import { invalid, lookAgain, over, ScriptedWatch, statusOf } from '../support/watch-script.js';

const HOUR = 3_600_000;
const scripted = new ScriptedWatch();
let temporal: TestTemporal;
let watches: Watches;

beforeAll(async () => {
  temporal = await startTemporal({ activities: scripted.activities, suggestContinueAsNewAt: 60 });
  watches = createWatches(temporal.env.client, true);
}, OBTAIN_LIMIT_MS);

afterAll(async () => {
  await temporal.stop();
  // The SDK warns (TMPRL1102) when a workflow closes before its handlers have answered.
  expect(temporal.warnings.filter(({ message }) => message.includes('TMPRL'))).toEqual([]);
});

const newSession = (): string => `sess_${randomUUID()}`;
const watchOf = (sessionId: string): WorkflowHandle<typeof sessionWatch> =>
  temporal.env.client.workflow.getHandle(watchWorkflowId(sessionId));

/** Starts a watch as the code of a service does. */
const start = (sessionId: string, input: unknown = { sessionId, limits: { maxRuntime: '20m' } }) =>
  temporal.env.client.workflow.start<typeof sessionWatch>(SESSION_WATCH, {
    workflowId: watchWorkflowId(sessionId),
    taskQueue: TASK_QUEUE,
    args: [input as WatchInput],
  });
const extend = (sessionId: string, request: unknown): Promise<unknown> =>
  watchOf(sessionId).executeUpdate(EXTEND_UPDATE, { args: [request] });
const untilCalled = (sessionId: string, ...names: string[]) =>
  until(() => names.every((name) => scripted.names(sessionId).includes(name)));

async function failureOf(promise: Promise<unknown>): Promise<ApplicationFailure> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof WorkflowFailedError || error instanceof WorkflowUpdateFailedError) {
      if (error.cause instanceof ApplicationFailure) return error.cause;
    }
    throw error;
  }
  throw new Error('It did not fail.');
}

describe('a watch', () => {
  it('registers, looks with the waits that each look asks for, and gives the last status as its result', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      lookAtWatch: (_input, time) => (time < 4 ? lookAgain(sessionId, 100 + time) : over(sessionId)),
    });
    const input = { sessionId, limits: { maxRuntime: '20m' }, reason: 'import' };
    const handle = await start(sessionId, input);
    expect(await handle.result()).toEqual(over(sessionId).status);
    expect(scripted.calls(sessionId)).toEqual([
      { activity: 'registerWatch', input: { request: input } },
      ...[1, 2, 3, 4].map(() => ({ activity: 'lookAtWatch', input: { sessionId } })),
    ]);
    expect(timers(await handle.fetchHistory())).toEqual([101, 102, 103]);
  });

  it('sleeps to its deadline at the cost of one activity and one timer for each look', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, { lookAtWatch: () => lookAgain(sessionId, HOUR) });
    await start(sessionId);
    await untilCalled(sessionId, 'lookAtWatch');
    await until(async () => timers(await watchOf(sessionId).fetchHistory()).length === 1);
    const history = await watchOf(sessionId).fetchHistory();
    expect(scheduledActivities(history)).toEqual(['registerWatch', 'lookAtWatch']);
    expect(timers(history)).toEqual([HOUR]);
    await watchOf(sessionId).terminate();
  });

  it('tells where it stands, from before the first look on', async () => {
    const sessionId = newSession();
    const status = statusOf(sessionId, { lastNote: 'Processing; 12m to go.' });
    scripted.play(sessionId, {
      registerWatch: () => statusOf(sessionId, { phase: 'registered' }),
      lookAtWatch: (_input, time) => lookAgain(sessionId, HOUR, time === 1 ? status : {}),
    });
    await start(sessionId);
    await untilCalled(sessionId, 'lookAtWatch');
    await until(async () => {
      const told = await watchOf(sessionId).query<WatchStatus>(WATCH_QUERY);
      return told.lastNote === status.lastNote;
    });
    await watchOf(sessionId).terminate();
  });

  it('fails with the name of the field when it is asked for something that is not possible', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      registerWatch: () => {
        throw invalid('limits.maxRuntim');
      },
    });
    const failure = await failureOf((await start(sessionId)).result());
    expect(failure).toMatchObject({ type: 'InvalidWatch', details: [{ field: 'limits.maxRuntim' }] });
    expect(failure.message).toContain('limits.maxRuntim is wrong');
  });

  it.each([[null], ['sess_1'], [['sess_1']]])('fails at once when its argument is %j', async (input) => {
    const failure = await failureOf((await start(newSession(), input)).result());
    expect(failure.type).toBe('InvalidWatch');
  });

  it('I10: tries a look again for as long as it fails, however it fails', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      lookAtWatch: (_input, time) => {
        if (time <= 2) throw tryAgain('ApiUnavailable', 20);
        if (time === 3) throw new TypeError('a bug of ours');
        return over(sessionId);
      },
    });
    const handle = await start(sessionId);
    expect((await handle.result()).ending).toBe('at-rest');
    expect(scheduledActivities(await handle.fetchHistory())).toEqual(['registerWatch', 'lookAtWatch']);
  });

  it('ends when the ledger knows nothing of it', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      lookAtWatch: () => {
        throw ApplicationFailure.nonRetryable('The ledger knows no watch.', 'WatchUnknown');
      },
    });
    await watches.resume(sessionId);
    expect((await failureOf(watchOf(sessionId).result())).type).toBe('WatchUnknown');
  });

  it('I8: goes on as new before its history is long, without registering again', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      lookAtWatch: (_input, time) => (time < 30 ? lookAgain(sessionId, 0) : over(sessionId)),
    });
    const handle = await start(sessionId);
    expect((await handle.result()).ending).toBe('at-rest');
    expect(scripted.names(sessionId).filter((name) => name === 'registerWatch')).toHaveLength(1);
    const first = temporal.env.client.workflow.getHandle(watchWorkflowId(sessionId), handle.firstExecutionRunId);
    expect(continuedAsNew(await first.fetchHistory())).toBe(true);
  });
});

describe('an extension and a release', () => {
  it('are carried out by an activity, answered with what they met, and looked at once', async () => {
    const sessionId = newSession();
    const answer = { order: 'given-up' as const, watch: statusOf(sessionId, { limits: { maxRuntime: '40m' } }) };
    scripted.play(sessionId, {
      lookAtWatch: (_input, time) => (time === 1 ? lookAgain(sessionId, HOUR) : over(sessionId)),
      changeWatch: () => answer,
    });
    await start(sessionId);
    await untilCalled(sessionId, 'lookAtWatch');
    const request = { limits: { maxRuntime: '40m' }, requestedBy: 'me@example.com' };
    expect(await extend(sessionId, request)).toEqual(answer);
    await watchOf(sessionId).result();
    expect(scripted.calls(sessionId)).toContainEqual({
      activity: 'changeWatch',
      input: { sessionId, change: 'extend', request },
    });
  });

  it('cut short a look that waits for its next try', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      lookAtWatch: (_input, time) => {
        if (time === 1) throw tryAgain('AccountRefused', HOUR);
        return over(sessionId, { state: 'released', ending: 'released' });
      },
    });
    await start(sessionId);
    await until(async () => {
      const { raw } = await watchOf(sessionId).describe();
      return raw.pendingActivities?.[0]?.attempt === 2;
    });
    await watchOf(sessionId).executeUpdate(RELEASE_UPDATE);
    expect((await watchOf(sessionId).result()).ending).toBe('released');
  });

  it('are refused when they are no request, without a trace in the history', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, { lookAtWatch: () => lookAgain(sessionId, HOUR) });
    await start(sessionId);
    await untilCalled(sessionId, 'lookAtWatch');
    for (const request of ['40m', null, ['40m']]) {
      expect((await failureOf(extend(sessionId, request))).type).toBe('InvalidWatch');
    }
    expect(scripted.names(sessionId)).not.toContain('changeWatch');
    await watchOf(sessionId).terminate();
  });

  it('that can’t be carried out fail with the name of the field, and the watch goes on', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      lookAtWatch: (_input, time) => (time === 1 ? lookAgain(sessionId, HOUR) : over(sessionId)),
      changeWatch: (_input, time) => {
        if (time === 1) throw invalid('limits.maxRuntime');
        return { order: 'none', watch: statusOf(sessionId) };
      },
    });
    await start(sessionId);
    await untilCalled(sessionId, 'lookAtWatch');
    expect(await failureOf(extend(sessionId, { limits: {} }))).toMatchObject({
      type: 'InvalidWatch',
      message: 'limits.maxRuntime is wrong. Write it right.',
    });
    await extend(sessionId, { limits: { maxRuntime: '1h' } });
    expect((await watchOf(sessionId).result()).ending).toBe('at-rest');
  });

  it('wait until the watch is registered', async () => {
    const sessionId = newSession();
    let let_through = (): void => {};
    const registered = new Promise<void>((resolve) => (let_through = resolve));
    scripted.play(sessionId, {
      registerWatch: async () => {
        await registered;
        return statusOf(sessionId);
      },
      lookAtWatch: (_input, time) => (time === 1 ? lookAgain(sessionId, HOUR) : over(sessionId)),
    });
    await start(sessionId);
    await untilCalled(sessionId, 'registerWatch');
    const extended = extend(sessionId, { limits: { maxRuntime: '1h' } });
    await until(async () => (await watchOf(sessionId).fetchHistory()).events?.length !== 0);
    expect(scripted.names(sessionId)).not.toContain('changeWatch');
    let_through();
    await extended;
    await watchOf(sessionId).result();
    expect(scripted.names(sessionId).indexOf('changeWatch')).toBeGreaterThan(0);
  });
});

describe('Curfew’s own commands', () => {
  it('wake a running watch, and start one that does not run', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      lookAtWatch: (_input, time) => (time < 3 ? lookAgain(sessionId, HOUR) : over(sessionId)),
    });
    await watches.wake(sessionId);
    await until(() => scripted.names(sessionId).length === 1);
    await watches.wake(sessionId);
    await until(() => scripted.names(sessionId).length === 2);
    await watches.closed(sessionId);
    await watchOf(sessionId).result();
    expect(scripted.names(sessionId)).toEqual(['lookAtWatch', 'lookAtWatch', 'lookAtWatch']);
    // Over: nobody is there to tell.
    await watches.closed(sessionId);
  });

  it('find a watch open that was registered anew while it closed', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      lookAtWatch: async (_input, time) => {
        if (time === 1) {
          // The ledger says that it is over; before the workflow hears of it, somebody registers it again.
          await watches.wake(sessionId);
          return over(sessionId);
        }
        return over(sessionId, { lastNote: 'the second one' });
      },
    });
    await watches.resume(sessionId);
    expect((await watchOf(sessionId).result()).lastNote).toBe('the second one');
  });

  it('leave a running watch alone when they only make sure that it runs', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, { lookAtWatch: () => lookAgain(sessionId, HOUR) });
    await watches.resume(sessionId);
    await untilCalled(sessionId, 'lookAtWatch');
    await watches.resume(sessionId);
    await until(async () => timers(await watchOf(sessionId).fetchHistory()).length === 1);
    expect(scripted.names(sessionId)).toEqual(['lookAtWatch']);
    await watchOf(sessionId).terminate();
  });
});
