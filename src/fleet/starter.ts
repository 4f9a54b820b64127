import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { EnforcementInput } from '../../workflows/policy-enforcement.js';
import { ENFORCEMENT_WORKFLOW_ID, POLICY_ENFORCEMENT, TASK_QUEUE } from '../contract.js';
import type { Ledger } from '../ledger/ledger.js';
import type { Logger } from '../telemetry.js';
import { tellWhenNoScanEnds } from './coverage-watch.js';

/** How often it is looked whether policies are in force, ms. */
const LOOK_MS = 2_000;
/** How often it is made sure that the workflow runs, ms: somebody may have terminated it, or Temporal lost its data. */
const ENSURE_MS = 60_000;

/**
 * Keeps the workflow `policyEnforcement` running while policies are in force. Every worker does so; starting it where it runs
 * does nothing. Runs until the signal. What fails is tried again.
 */
export async function keepEnforcing(ledger: Ledger, client: Client, log: Logger, signal: AbortSignal): Promise<void> {
  let ensuredAt: number | null = null;
  let failing = false;
  while (!signal.aborted) {
    try {
      const inForce = await ledger.policies.version();
      if (inForce === null) ensuredAt = null;
      else if (ensuredAt === null || performance.now() - ensuredAt >= ENSURE_MS) {
        await ensure(client);
        // After a start the first scan needs its time.
        if (ensuredAt !== null) await tellWhenNoScanEnds(ledger, log);
        ensuredAt = performance.now();
      }
      failing = false;
    } catch (error) {
      if (!failing) log.warn({ err: error }, 'could not make sure that policies are enforced; trying again');
      failing = true;
      ensuredAt = null;
    }
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

async function ensure(client: Client): Promise<void> {
  const input: EnforcementInput = { memory: null };
  await client.workflow.start(POLICY_ENFORCEMENT, {
    workflowId: ENFORCEMENT_WORKFLOW_ID,
    taskQueue: TASK_QUEUE,
    args: [input],
    workflowIdConflictPolicy: 'USE_EXISTING',
    staticSummary: 'Watches the fleet, and has sessions ended that break a policy',
  });
}
