import { toEnd } from '../../core/bulk/totals.js';
import { shell } from '../../core/text/shell.js';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { readBulkStatus } from '../../engines/bulk/status.js';
import type { BulkStatus } from '../../core/contract.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { DEFAULT_CANARY, DEFAULT_RATE, type BulkJob } from '../../adapters/ledger/bulk-plans.js';
import type { Applied, BulkApplication } from '../../adapters/ledger/bulk-steering.js';
import { intentWords, planAnewCommand } from '../bulk-apply-words.js';
import { findJob } from '../bulk-argument.js';
import { readRate, wholeNumber } from '../option-values.js';
import { followAndTell } from '../bulk-follow.js';
import { count, jobWords, nextWords, paceWords } from '../bulk-words.js';
import { ask, isYes, someoneIsThere } from '../confirm.js';
import { contextOf, type CommandContext } from '../context.js';
import { withControlPlane, type ControlPlane } from '../control-plane.js';
import { iso } from '../../core/times.js';
import { asOption } from '../requester.js';

export interface ApplyOptions {
  readonly rate?: string;
  readonly canary: number;
  readonly fast?: boolean;
  readonly evenIfExempt?: boolean;
  readonly yes?: boolean;
  readonly wait?: boolean;
}

export function registerBulkApply(bulk: Command): void {
  commandNamed(bulk, 'apply')
    .description(
      'Shows what a plan would end, asks, and carries it out: exactly its targets, once. A few go first; if those go badly, the job pauses itself. The job is durable: it continues without this command. Applying the same plan again is the same job.',
    )
    .argument('<plan>', 'id of the plan, or its beginning')
    .option('--rate <rate>', `sessions a second or a minute, at most: 20/s, 600/min (default ${DEFAULT_RATE}/s)`)
    .option('--canary <n>', 'targets that go first; 0: none', wholeNumber, DEFAULT_CANARY)
    .option('--fast', 'skip the read before each cancel: about twice as fast, less safe')
    .option('--even-if-exempt', 'also end sessions that are exempt')
    .option('--yes', 'do not ask')
    .option('--wait', 'wait until the job finishes')
    .addOption(asOption())
    .addHelpText(
      'after',
      `
Examples:
  $ curfew bulk apply b-7k2m9xq --wait
  $ curfew bulk apply b-7k2m9xq --rate 50/s --canary 25
  $ curfew bulk apply b-7k2m9xq --yes --wait --json | jq .progress.outcomes

For more targets than CURFEW_BULK_TYPE_ABOVE (500) you type their exact number. Ctrl-C with --wait leaves the job running.

Exit codes: without --wait 0 when started; with --wait 0 when every target ended, 5 when some did not, 3 when the job
stopped itself; 2 unknown plan, 3 not confirmed, expired or changed, 4 when Curfew can't be reached.`,
    )
    .action(async (plan: string, options: ApplyOptions, command: Command) => {
      process.exitCode = await applyBulkPlan(plan, options, contextOf(command));
    });
}

/** Shows what a plan would end, asks, and carries it out. @returns the exit code */
export async function applyBulkPlan(
  plan: string,
  options: ApplyOptions,
  { config, out, by }: CommandContext,
): Promise<number> {
  const application: BulkApplication = {
    by,
    rate: options.rate === undefined ? DEFAULT_RATE : readRate(options.rate),
    canary: options.canary,
    fast: options.fast === true,
    evenIfExempt: options.evenIfExempt === true,
  };
  return withControlPlane(config, async (plane) => {
    const { ledger } = plane;
    const job = await findJob(ledger, plan);
    const before = await readBulkStatus(ledger, job);
    if (job.state === 'planned' && toEnd(before) === 0) {
      out.result(
        before,
        before,
        ({ planId }) => `${planId} has no targets, so there is nothing to end. Nothing was started.`,
      );
      return ExitCode.done;
    }
    refuseUnlessReady(job, await ledger.now());
    if (job.state === 'planned') {
      const pauseSwitch = await ledger.pauseSwitch.read();
      if (options.yes !== true || !out.json) {
        out.show(
          { status: { ...before, ...application }, pauseSwitch },
          (view) => `${intentWords(view.status, view.pauseSwitch)}\n`,
        );
      }
      if (options.yes !== true) await confirm(job.planId, toEnd(before), config.bulkTypeAbove, options);
    }

    const applied = await ledger.bulk.apply(job.planId, application);
    refuseIfNotApplied(applied, job.planId);
    const running = applied.job.state === 'running' || applied.job.state === 'paused';
    const kept = running && !(await ensured(plane, job.planId));
    if (kept) {
      out.say('The job is in the ledger, but Temporal did not answer. A worker takes it up within a minute or two.');
    }
    const again = applied.kind === 'same-job';
    if (options.wait === true) {
      if (again) out.say(`${job.planId} was applied before: it is the same job.`);
      return await followAndTell(ledger, job.planId, out, { lines: false });
    }
    const [status, nowMs] = [await readBulkStatus(ledger, applied.job), await ledger.now()];
    out.result(status, { status, nowMs, again }, appliedWords);
    return ExitCode.done;
  });
}

const appliedWords = (view: {
  readonly status: BulkStatus;
  readonly nowMs: number;
  readonly again: boolean;
}): string => {
  const { status, nowMs, again } = view;
  return again
    ? `It was applied before, so this is the same job; nothing was changed.\n\n${jobWords(status, nowMs)}`
    : `Started: ${status.planId}, ${count(toEnd(status))} targets, ${paceWords(status)}.\n${nextWords(status, nowMs)}`;
};

/** The ledger has the job; this only saves the time until a worker finds it there. */
async function ensured({ bulkJobs }: ControlPlane, planId: string): Promise<boolean> {
  try {
    await bulkJobs.ensure(planId);
    return true;
  } catch {
    return false;
  }
}

/** Before anybody is asked. @throws UserError with exit code 3 */
function refuseUnlessReady(job: BulkJob, nowMs: number): void {
  if (job.state === 'building') throw stillBuilding(job.planId);
  if (job.state === 'planned' && job.expiresAtMs !== null && nowMs > job.expiresAtMs) throw expired(job);
}

function refuseIfNotApplied(
  applied: Applied,
  planId: string,
): asserts applied is Extract<Applied, { kind: 'started' | 'same-job' }> {
  switch (applied.kind) {
    case 'started':
    case 'same-job':
      return;
    case 'unknown':
      throw new UserError(
        `The bulk plan ${planId} has just been removed from the ledger. Nothing was started.`,
        'Plan again: curfew bulk plan --help',
        ExitCode.usage,
      );
    case 'not-sealed':
      throw stillBuilding(planId);
    case 'expired':
      throw expired(applied.job);
    case 'changed':
      throw new UserError(
        `The targets of ${planId} are not those that were planned: someone changed them in the ledger. Nothing was started.`,
        `Plan again: ${planAnewCommand(applied.job)}`,
        ExitCode.refused,
      );
  }
}

const stillBuilding = (planId: string): UserError =>
  new UserError(
    `The targets of ${planId} are still being collected, or whoever collected them left. Nothing was started.`,
    'Wait until `curfew bulk plan` has printed its totals, or plan again.',
    ExitCode.refused,
  );

const expired = (job: BulkJob): UserError =>
  new UserError(
    `${job.planId} is too old: it could be applied until ${iso(job.expiresAtMs ?? job.createdAtMs)}, because sessions change. Nothing was started.`,
    `Plan again: ${planAnewCommand(job)}`,
    ExitCode.refused,
  );

/** @throws UserError with exit code 3 unless a person says yes, or types the number where there are many */
async function confirm(planId: string, targets: number, typeAbove: number, options: ApplyOptions): Promise<void> {
  const confirmed = `${shell`curfew bulk apply ${planId}`}${optionWords(options)} --yes`;
  if (!someoneIsThere()) {
    throw new UserError(
      'Not an interactive terminal; nothing was started.',
      `Check the plan above, then confirm with --yes: ${confirmed}`,
      ExitCode.refused,
    );
  }
  const many = targets > typeAbove;
  const answer = await ask(
    many
      ? `To end them, type how many targets there are: `
      : `End ${targets === 1 ? 'this turn' : `these ${count(targets)} turns`}? [y/N] `,
  );
  if (isConfirmed(answer, targets, typeAbove)) return;
  throw new UserError(
    many && answer !== ''
      ? 'That is not the number of targets: nothing was started.'
      : 'Not confirmed: nothing was started.',
    `The plan stays until it expires. To look at it: ${shell`curfew bulk status ${planId}`}`,
    ExitCode.refused,
  );
}

/** A `y` is enough for a few; many want their number, with or without separators. */
export const isConfirmed = (answer: string, targets: number, typeAbove: number): boolean =>
  targets > typeAbove ? answer.replaceAll(/[,\s]/g, '') === String(targets) : isYes(answer);

/** The options as they were typed, for the command to type next. */
function optionWords({ rate, canary, fast, evenIfExempt, wait }: ApplyOptions): string {
  return [
    ...(rate === undefined ? [] : [shell` --rate ${rate}`]),
    ...(canary === DEFAULT_CANARY ? [] : [` --canary ${canary}`]),
    ...(fast === true ? [' --fast'] : []),
    ...(evenIfExempt === true ? [' --even-if-exempt'] : []),
    ...(wait === true ? [' --wait'] : []),
  ].join('');
}
