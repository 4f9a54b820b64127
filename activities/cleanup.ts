import { Context } from '@temporalio/activity';
import {
  startCleanup,
  type CleanupDependencies,
  type CleanupStart,
  type StartedCleanup,
} from '../src/engines/cleanup/run.js';
import { asActivity } from './as-activity.js';

export interface CleanupActivityDependencies extends CleanupDependencies {
  /** Aborted when this worker stops: another worker begins the run anew then. */
  readonly stopping: AbortSignal;
}

/** The activity of a cleanup's run. Safe to run again: what a try before it has applied is the job of this run. */
export function createCleanupActivities(deps: CleanupActivityDependencies) {
  return {
    /** Makes and applies the plan of one run. Gives the run up by itself, an hour after its time. */
    startCleanup: (start: CleanupStart): Promise<StartedCleanup> =>
      asActivity(deps, (failures) => {
        const { cancellationSignal } = Context.current();
        return startCleanup(deps, start, {
          failures,
          sinceMs: () => Date.now() - start.startedAtMs,
          signal: AbortSignal.any([deps.stopping, cancellationSignal]),
        });
      }),
  };
}

export type CleanupActivities = ReturnType<typeof createCleanupActivities>;
