import { ApplicationFailure } from '@temporalio/common';
import { watchWorkflowId, type WatchAnswer, type WatchStatus } from '../src/core/contract.js';
import { extendWatch, registerWatch, releaseWatch, WatchClosedError } from '../src/engines/watch/change.js';
import type { WatchDependencies } from '../src/engines/watch/dependencies.js';
import { lookAtWatch, WatchUnknownError, type WatchLook } from '../src/engines/watch/look.js';
import { InvalidWatchError } from '../src/engines/watch/request.js';
import { asActivity } from './as-activity.js';

/** The activities of a watch. Each is safe to run again: what it did is in the ledger. */
export function createWatchActivities(deps: WatchDependencies) {
  return {
    /** Writes a watch that someone's code asks for. A request that can't be carried out fails for good, and says why. */
    registerWatch: (input: { request: unknown }): Promise<WatchStatus> =>
      asActivity(deps, () => refusing(() => registerWatch(deps, input.request)), watchOf(input.request)),

    /** Extends or releases an open watch. */
    changeWatch: (input: { sessionId: string; change: 'extend' | 'release'; request: unknown }): Promise<WatchAnswer> =>
      asActivity(deps, () =>
        refusing(() =>
          input.change === 'extend'
            ? extendWatch(deps, input.sessionId, input.request)
            : releaseWatch(deps, input.sessionId, input.request),
        ),
      ),

    /** One look at the watched session, and the order that may follow. */
    lookAtWatch: (input: { sessionId: string }): Promise<WatchLook> =>
      asActivity(
        deps,
        (failures) => refusing(() => lookAtWatch(deps, input.sessionId, failures)),
        watchWorkflowId(input.sessionId),
      ),
  };
}

/** Of the watch that is asked for, as far as that can be read. */
function watchOf(request: unknown): string | undefined {
  const { sessionId } = (request ?? {}) as { readonly sessionId?: unknown };
  return typeof sessionId === 'string' ? watchWorkflowId(sessionId) : undefined;
}

export type WatchActivities = ReturnType<typeof createWatchActivities>;

/** What trying again does not help. */
async function refusing<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof InvalidWatchError) {
      throw ApplicationFailure.nonRetryable(error.message, 'InvalidWatch', {
        field: error.field,
        problem: error.problem,
        next: error.next,
      });
    }
    if (error instanceof WatchClosedError) throw ApplicationFailure.nonRetryable(error.message, 'WatchClosed');
    if (error instanceof WatchUnknownError) throw ApplicationFailure.nonRetryable(error.message, 'WatchUnknown');
    throw error;
  }
}
