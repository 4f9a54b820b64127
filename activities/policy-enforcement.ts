import { Context } from '@temporalio/activity';
import type { CaseDependencies } from '../src/engines/cases/case.js';
import type { Enforcement, Round } from '../src/engines/fleet/enforcement.js';
import { asActivity } from './as-activity.js';

export interface EnforcementActivityDependencies extends Pick<CaseDependencies, 'timing'> {
  readonly enforcement: Enforcement;
  /** Aborted when this worker stops: a round ends early then, and another worker takes over. */
  readonly stopping: AbortSignal;
  /** A task queue that this worker alone takes rounds from. */
  readonly taskQueue: string;
}

/** What the workflow is told of a round. Plain data: it travels through Temporal. */
export type RoundOfWorker =
  | Extract<Round, { next: 'rest' }>
  | (Omit<Extract<Round, { next: 'round' }>, 'stay'> & {
      /**
       * Where the next round finds the worker that did this one; null, or left out by workers of before: any worker may do it,
       * because this one is about to stop, or could see nothing of the fleet.
       */
      readonly taskQueue?: string | null;
    });

/** The activity of `policyEnforcement`. Safe to run again: what it did is in the ledger, and the next round starts from there. */
export function createEnforcementActivities(deps: EnforcementActivityDependencies) {
  return {
    /** One round: scans when a scan is due, looks at sessions at their deadlines, and has violators ended. */
    enforcePolicies: ({ memory }: { readonly memory: string | null }): Promise<RoundOfWorker> =>
      asActivity(deps, async () => {
        const stop = AbortSignal.any([deps.stopping, Context.current().cancellationSignal]);
        const round = await deps.enforcement.round(memory, stop);
        if (round.next === 'rest') return round;
        const { stay, ...next } = round;
        return { ...next, taskQueue: stay && !deps.stopping.aborted ? deps.taskQueue : null };
      }),
  };
}

export type EnforcementActivities = ReturnType<typeof createEnforcementActivities>;
