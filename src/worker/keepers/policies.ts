import type { Client } from '@temporalio/client';
import { type EnforcementInput, ENFORCEMENT_WORKFLOW_ID, POLICY_ENFORCEMENT } from '../../core/contract.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { keep } from '../../platform/keep.js';
import type { Logger } from '../../platform/telemetry.js';
import { createOwnIds, StrangerError, type OwnIds } from '../../adapters/temporal/own-ids.js';
import { startOf } from '../../adapters/temporal/starting.js';
import { tellWhenNoScanEnds } from '../../engines/fleet/coverage-watch.js';

/** How often it is looked whether policies are in force, ms. */
const LOOK_MS = 2_000;
/** How often it is made sure that the workflow runs, ms: somebody may have terminated it, or Temporal lost its data. */
const ENSURE_MS = 60_000;

/** After a start the first scan needs its time, ms. */
const GRACE_MS = 60_000;
/** How often it is looked whether a scan has ended, ms. */
const TELL_MS = 15_000;

/**
 * Keeps the workflow `policyEnforcement` running while policies are in force. Every worker does so; starting it where it runs
 * does nothing. Runs until the signal.
 */
export function keepEnforcing(
  ledger: Ledger,
  client: Client,
  log: Logger,
  signal: AbortSignal,
  ids: OwnIds = createOwnIds(client),
): Promise<void> {
  let inForceSince: number | null = null;
  let ensuredAt: number | null = null;
  let askedAt = 0;
  let obstacle: string | null = null;
  const look = async (): Promise<void> => {
    const inForce = await ledger.policies.version();
    const now = performance.now();
    if (inForce === null) ensuredAt = inForceSince = null;
    else {
      inForceSince ??= now;
      const forMs = now - inForceSince;
      // Before the start, which may fail for as long as no scan ends.
      if (forMs >= GRACE_MS && now - askedAt >= TELL_MS) {
        askedAt = now;
        await tellWhenNoScanEnds(ledger, log, forMs, obstacle);
      }
      if (ensuredAt === null || now - ensuredAt >= ENSURE_MS) {
        await ensure(client);
        await ids.check(ENFORCEMENT_WORKFLOW_ID, POLICY_ENFORCEMENT);
        ensuredAt = now;
      }
      obstacle = null;
    }
  };
  const pass = async (): Promise<void> => {
    try {
      await look();
    } catch (error) {
      ensuredAt = null;
      obstacle = error instanceof Error ? error.message : String(error);
      // A stranger is told where it is found.
      if (!(error instanceof StrangerError)) throw error;
    }
  };
  return keep('make sure that policies are enforced', LOOK_MS, pass, { log, signal });
}

async function ensure(client: Client): Promise<void> {
  const input: EnforcementInput = { memory: null };
  const summary = 'Watches the fleet, and has sessions ended that break a policy';
  await client.workflow.start(POLICY_ENFORCEMENT, startOf(ENFORCEMENT_WORKFLOW_ID, input, summary));
}
