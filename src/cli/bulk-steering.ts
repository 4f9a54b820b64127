import type { Command } from 'commander';
import { readBulkStatus } from '../engines/bulk/status.js';
import type { BulkStatus } from '../core/contract.js';
import { ExitCode, UserError } from '../core/errors.js';
import type { BulkJob } from '../adapters/ledger/bulk-plans.js';
import type { BulkSteer } from '../adapters/ledger/bulk-steering.js';
import type { Ledger } from '../adapters/ledger/ledger.js';
import type { PauseSwitch } from '../adapters/ledger/pause-switch.js';
import { shell } from '../core/text/shell.js';
import { findJob } from './bulk-argument.js';
import { contextOf, withLedger } from './context.js';
import type { Output } from './output.js';

/** What a steering command knows when it has steered. */
export interface Steering {
  /** Whether this command changed anything; it may have stood so already. */
  readonly changed: boolean;
  readonly before: BulkJob;
  readonly job: BulkJob;
  readonly status: BulkStatus;
  /** Of all of Curfew. */
  readonly pauseSwitch: PauseSwitch;
}

/** The steer without who gave it. */
export type SteerTo =
  | { readonly action: 'pause' | 'resume' | 'abort'; readonly reason?: string | null }
  | { readonly action: 'rate'; readonly rate: number };

/**
 * Carries out a steering command: finds the job, lets `check` refuse or ask, writes the word into the ledger, answers, and
 * wakes the workflow. Works while Temporal is down.
 *
 * @throws UserError with exit code 2 for an unknown job, 3 for one that can't be steered so
 */
export async function steer(
  command: Command,
  plan: string,
  to: SteerTo,
  words: (steering: Steering) => string,
  check: (job: BulkJob, ledger: Ledger, out: Output) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const { config, out, by } = contextOf(command);
  const planId = await withLedger(config, async (ledger) => {
    const before = await findJob(ledger, plan);
    const { planId } = before;
    // A job that is through may still have cases to hold or to give up: the ledger knows.
    const mayHaveCases = before.state === 'finished' && (to.action === 'pause' || to.action === 'abort');
    if (!mayHaveCases) refuse(before, to.action);
    await check(before, ledger, out);
    const steered = await ledger.bulk.steer(planId, { ...to, by } satisfies BulkSteer);
    if (steered.kind === 'unknown') throw forgotten(planId);
    if (steered.kind === 'refused') {
      refuse(steered.job, to.action);
      throw new Error(`The ledger refused to ${to.action} the bulk job ${planId} while it is ${steered.job.state}.`);
    }
    const { job } = steered;
    const status = await readBulkStatus(ledger, job);
    const changed = steered.kind === 'done';
    const pauseSwitch = await ledger.pauseSwitch.read();
    out.result({ changed, ...status }, { changed, before, job, status, pauseSwitch }, words);
    return planId;
  });
  // A job at work sees the pause in the ledger before it sends anything more, and one that rests has nothing to send.
  if (to.action === 'pause') return;
  const { nudge } = await import('./bulk-nudge.js');
  await nudge(config, planId, { ensure: to.action === 'resume' });
}

const forgotten = (planId: string): UserError =>
  new UserError(
    `The bulk plan ${planId} has just been removed from the ledger. Nothing was done.`,
    '`curfew bulk status` lists the plans.',
    ExitCode.usage,
  );

/** @throws UserError with exit code 3 when the job is in no state to be steered so */
function refuse({ planId, state }: BulkJob, action: BulkSteer['action']): void {
  if (state === 'building' || state === 'planned') {
    throw new UserError(
      `${planId} was not applied, so there is nothing to ${verb(action)}: nothing is sent for it.`,
      state === 'planned'
        ? `To begin: ${shell`curfew bulk apply ${planId}`}`
        : 'Wait until its plan is complete: curfew bulk status',
      ExitCode.refused,
    );
  }
  const isAgain = action === 'abort' && state === 'aborted';
  if ((state === 'finished' || state === 'aborted') && !isAgain) {
    throw new UserError(
      `${planId} is over already (${state}), so there is nothing to ${verb(action)}.`,
      `What became of each target: ${shell`curfew bulk report ${planId}`}`,
      ExitCode.refused,
    );
  }
}

const verb = (action: BulkSteer['action']): string => (action === 'rate' ? 'set a rate for' : action);
