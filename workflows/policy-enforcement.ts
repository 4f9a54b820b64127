import { continueAsNew, proxyActivities, setCurrentDetails, sleep, workflowInfo } from '@temporalio/workflow';
import type { EnforcementActivities } from '../activities/policy-enforcement.js';
import { ENFORCEMENT_ROUND } from '../src/temporal/timeouts.js';

export interface EnforcementInput {
  /** Of the worker that did the last round; see `Round`. */
  readonly memory: string | null;
}

const { enforcePolicies } = proxyActivities<EnforcementActivities>(ENFORCEMENT_ROUND);

/**
 * The fleet under the policies in force: round after round, and in between asleep until the next scan or the next deadline,
 * whichever comes first. There is one for all sessions, so a well-behaved session costs Temporal nothing. Closes when no
 * policies are in force; the worker starts it again when some are.
 */
export async function policyEnforcement({ memory }: EnforcementInput): Promise<void> {
  for (;;) {
    const round = await enforcePolicies({ memory });
    if (round.next === 'rest') return;
    memory = round.memory;
    if (round.afterMs > 0) {
      setCurrentDetails('Asleep until the next scan or deadline.');
      await sleep(round.afterMs);
    }
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof policyEnforcement>({ memory });
  }
}
