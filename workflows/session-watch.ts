import { ApplicationFailure } from '@temporalio/common';
import {
  ActivityFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  defineUpdate,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { WatchActivities } from '../activities/session-watch.js';
import {
  EXTEND_UPDATE,
  LOOK_SIGNAL,
  RELEASE_UPDATE,
  SESSION_WATCH,
  WATCH_QUERY,
  type WatchAnswer,
  type WatchExtension,
  type WatchInput,
  type WatchRelease,
  type WatchStatus,
  type ResumedWatch,
} from '../src/core/contract.js';
import { WATCH_CHANGE, WATCH_LOOK } from '../src/adapters/temporal/timeouts.js';
import type { WatchLook } from '../src/engines/watch/look.js';
import { problemOf, refuseInput, word, type Shape } from './inputs.js';

const RESUMED: Shape = { fields: { sessionId: word }, example: '{ "sessionId": "sess_1", "resume": true }' };

const extendUpdate = defineUpdate<WatchAnswer, [WatchExtension]>(EXTEND_UPDATE);
const releaseUpdate = defineUpdate<WatchAnswer, [WatchRelease]>(RELEASE_UPDATE);
const lookSignal = defineSignal(LOOK_SIGNAL);
const watchQuery = defineQuery<WatchStatus | null>(WATCH_QUERY);

const { registerWatch, changeWatch } = proxyActivities<WatchActivities>(WATCH_CHANGE);
const { lookAtWatch } = proxyActivities<WatchActivities>(WATCH_LOOK);

/**
 * Watches one session until it is at rest, gone or released, and orders the end of a turn that breaks a limit; a case then ends
 * it. The ledger remembers limits, facts and order, so this can be lost and started again. In between it sleeps.
 */
export async function sessionWatch(input: WatchInput | ResumedWatch): Promise<WatchStatus> {
  refuseUnreadable(input);
  // What a registration says is read by the activity, which can name the field.
  if ('resume' in input) refuseInput(SESSION_WATCH, input, RESUMED);
  let status: WatchStatus | null = null;
  let registered = 'resume' in input;
  // News that the last look did not know of.
  let woken = false;
  let interruptLook = (): void => {};

  const wake = (): void => {
    woken = true;
    interruptLook();
  };
  const enter = (next: WatchStatus): void => {
    status = next;
    setCurrentDetails(next.lastNote);
  };
  const change = async (kind: 'extend' | 'release', request: unknown): Promise<WatchAnswer> => {
    await condition(() => registered);
    try {
      const answer = await changeWatch({ sessionId: input.sessionId, change: kind, request });
      enter(answer.watch);
      wake();
      return answer;
    } catch (error) {
      throw causeOf(error);
    }
  };

  setHandler(watchQuery, () => status);
  setHandler(lookSignal, wake);
  setHandler(extendUpdate, (request) => change('extend', request), { validator: refuseUnreadable });
  setHandler(releaseUpdate, (request) => change('release', request), {
    validator: (request: WatchRelease | undefined) => {
      if (request !== undefined) refuseUnreadable(request);
    },
  });

  if (!('resume' in input)) {
    try {
      enter(await registerWatch({ request: input }));
    } catch (error) {
      throw causeOf(error);
    }
    registered = true;
  }

  /** A look, tried until it comes through. News cut a wait before the next try short. */
  const look = async (): Promise<WatchLook> => {
    for (;;) {
      woken = false;
      const scope = new CancellationScope({ cancellable: true });
      let interrupted = false;
      interruptLook = () => {
        interrupted = true;
        scope.cancel();
      };
      try {
        return await scope.run(() => lookAtWatch({ sessionId: input.sessionId }));
      } catch (error) {
        if (!(interrupted && error instanceof ActivityFailure)) throw causeOf(error);
      } finally {
        interruptLook = () => {};
      }
    }
  };

  for (;;) {
    const step = await look();
    enter(step.status);
    if (step.next === 'done') {
      await condition(allHandlersFinished);
      // Registered anew while it closed: then it is open again.
      if (!woken) return step.status;
    } else {
      if (step.afterMs > 0) await condition(() => woken, step.afterMs);
      if (workflowInfo().continueAsNewSuggested) {
        await condition(allHandlersFinished);
        await continueAsNew<typeof sessionWatch>({ sessionId: input.sessionId, resume: true });
      }
    }
  }
}

/** What it is about is told by the activity, which can name the field; here only what is no request at all. */
function refuseUnreadable(request: unknown): void {
  const problem = problemOf(request, { fields: {} });
  if (problem === null) return;
  throw ApplicationFailure.nonRetryable(
    `The request can't be carried out: ${problem}. For example: { limits: { maxRuntime: "30m" } }`,
    'InvalidWatch',
  );
}

/** The failure itself, for those who asked: not that an activity of ours failed with it. */
const causeOf = (error: unknown): unknown =>
  error instanceof ActivityFailure && error.cause instanceof ApplicationFailure ? error.cause : error;
