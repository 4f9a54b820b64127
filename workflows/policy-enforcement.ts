import {
  ActivityFailure,
  CancellationScope,
  continueAsNew,
  proxyActivities,
  setCurrentDetails,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { EnforcementActivities, RoundOfWorker } from '../activities/policy-enforcement.js';
import { fleetTaskQueue, POLICY_ENFORCEMENT, type EnforcementInput } from '../src/core/contract.js';
import { ENFORCEMENT_ROUND, ENFORCEMENT_ROUND_AT_HOME } from '../src/adapters/temporal/timeouts.js';
import { maybe, refuseInput, word, type Shape } from './inputs.js';

const INPUT: Shape = {
  fields: {
    memory: maybe(word),
    // Rounds are for workers of Curfew: on any other queue they would be anybody's.
    taskQueue: maybe(
      (value) => word(value) ?? (String(value).startsWith(fleetTaskQueue('')) ? null : 'is no worker’s'),
    ),
  },
  example: '{ "memory": null }',
};

/**
 * The fleet under the policies in force: round after round, and in between asleep until the next scan or the next deadline,
 * whichever comes first. There is one for all sessions, so a well-behaved session costs Temporal nothing. Closes when no
 * policies are in force; the worker starts it again when some are.
 *
 * A worker that has done a round remembers the fleet, and another one would list all of it anew. So the next round goes to the
 * task queue of that worker alone, and to any worker when it doesn't take it.
 */
export async function policyEnforcement(input: EnforcementInput): Promise<void> {
  refuseInput(POLICY_ENFORCEMENT, input, INPUT);
  let { memory = null, taskQueue = null } = input;
  for (;;) {
    const round = await nextRound(memory, taskQueue);
    if (round.next === 'rest') return;
    memory = round.memory;
    taskQueue = round.taskQueue ?? null;
    if (round.afterMs > 0) {
      setCurrentDetails('Asleep until the next scan or deadline.');
      await sleep(round.afterMs);
    }
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof policyEnforcement>({ memory, taskQueue });
  }
}

async function nextRound(memory: string | null, taskQueue: string | null): Promise<RoundOfWorker> {
  if (taskQueue !== null) {
    const atHome = proxyActivities<EnforcementActivities>({ ...ENFORCEMENT_ROUND_AT_HOME, taskQueue });
    try {
      return await atHome.enforcePolicies({ memory });
    } catch (error) {
      // Gone, or something is wrong with it. A round that was cut short there may run again elsewhere.
      if (!(error instanceof ActivityFailure) || CancellationScope.current().consideredCancelled) throw error;
    }
  }
  return proxyActivities<EnforcementActivities>(ENFORCEMENT_ROUND).enforcePolicies({ memory });
}
