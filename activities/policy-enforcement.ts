import { Context } from '@temporalio/activity';
import type { CaseDependencies } from '../src/gate/case-step.js';
import type { Enforcement, Round } from '../src/fleet/enforcement.js';
import { asActivity } from './as-activity.js';

export interface EnforcementActivityDependencies extends Pick<CaseDependencies, 'timing'> {
  readonly enforcement: Enforcement;
  /** Aborted when this worker stops: a round ends early then, and another worker takes over. */
  readonly stopping: AbortSignal;
  /** A task queue that this worker alone takes rounds from. */
  readonly taskQueue: string;
}

/** A round, and who remembers it. Left out by workers of before: any worker may do the next one. */
export type RoundOfWorker = Round & {
  /** Where the next round finds the worker that did this one; null: it is about to stop. */
  readonly taskQueue?: string | null;
};

/** The activity of `policyEnforcement`. Safe to run again: what it did is in the ledger, and the next round starts from there. */
export function createEnforcementActivities(deps: EnforcementActivityDependencies) {
  return {
    /** One round: scans when a scan is due, looks at sessions at their deadlines, and has violators ended. */
    enforcePolicies: ({ memory }: { readonly memory: string | null }): Promise<RoundOfWorker> =>
      asActivity(deps, async () => {
        const stop = AbortSignal.any([deps.stopping, Context.current().cancellationSignal]);
        const round = await deps.enforcement.round(memory, stop);
        return { ...round, taskQueue: deps.stopping.aborted ? null : deps.taskQueue };
      }),
  };
}

export type EnforcementActivities = ReturnType<typeof createEnforcementActivities>;
