import { Context } from '@temporalio/activity';
import type { CaseDependencies } from '../src/gate/case-step.js';
import type { Enforcement, Round } from '../src/fleet/enforcement.js';
import { asActivity } from './as-activity.js';

export interface EnforcementActivityDependencies extends Pick<CaseDependencies, 'timing'> {
  readonly enforcement: Enforcement;
  /** Aborted when this worker stops: a round ends early then, and another worker takes over. */
  readonly stopping: AbortSignal;
}

/** The activity of `policyEnforcement`. Safe to run again: what it did is in the ledger, and the next round starts from there. */
export function createEnforcementActivities(deps: EnforcementActivityDependencies) {
  return {
    /** One round: scans when a scan is due, looks at sessions at their deadlines, and has violators ended. */
    enforcePolicies: ({ memory }: { readonly memory: string | null }): Promise<Round> =>
      asActivity(deps, () => {
        const stop = AbortSignal.any([deps.stopping, Context.current().cancellationSignal]);
        return deps.enforcement.round(memory, stop);
      }),
  };
}

export type EnforcementActivities = ReturnType<typeof createEnforcementActivities>;
