import { shell } from '../../core/text/shell.js';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { ExitCode, UserError } from '../../core/errors.js';
import type { BulkJob } from '../../adapters/ledger/bulk-plans.js';
import { steer, type Steering } from '../bulk-steering.js';
import { count } from '../bulk-words.js';
import { counted } from '../words.js';
import { ask, isYes, someoneIsThere } from '../confirm.js';
import { asOption } from '../requester.js';

export function registerBulkAbort(bulk: Command): void {
  commandNamed(bulk, 'abort')
    .description(
      'Stops a bulk job for good: targets without a request stay untouched, and the report says so. Requests that were sent are followed to their end. Works while Temporal is down.',
    )
    .argument('<plan>', 'id of the plan, or its beginning')
    .option('--reason <text>', 'why; shown with the job')
    .option('--yes', 'do not ask')
    .addOption(asOption())
    .addHelpText('after', '\nExample:\n  $ curfew bulk abort b-7k2m9xq --reason "wrong agents"')
    .action((plan: string, options: { reason?: string; yes?: boolean }, command: Command) =>
      steer(command, plan, { action: 'abort', reason: options.reason ?? null }, words, async (job) => {
        if (options.yes !== true && job.state !== 'aborted') await confirm(job);
      }),
    );
}

/** @throws UserError with exit code 3 unless a person says yes */
async function confirm({ planId, counts, totals }: BulkJob): Promise<void> {
  if (!someoneIsThere()) {
    throw new UserError(
      'Not an interactive terminal; nothing was changed.',
      `${shell`curfew bulk abort ${planId} --yes`}, or to hold it for now: ${shell`curfew bulk pause ${planId}`}`,
      ExitCode.refused,
    );
  }
  const waiting = counts === null ? (totals?.targets ?? 0) : (counts.byStatus.waiting ?? 0);
  const answer = await ask(
    `You can’t resume an aborted job; about ${waiting === 1 ? '1 target stays' : `${count(waiting)} targets stay`} untouched. Abort ${planId}? [y/N] `,
  );
  if (isYes(answer)) return;
  throw new UserError(
    'Not confirmed: nothing was changed, and the job is as before.',
    `To hold it for now: ${shell`curfew bulk pause ${planId}`}`,
    ExitCode.refused,
  );
}

function words({ changed, job, status }: Steering): string {
  const { planId } = job;
  const { waiting, underWay, outcomes } = status.progress;
  const { abandoned = 0 } = outcomes;
  return [
    changed
      ? `Aborted: ${planId} sends nothing more.`
      : `${planId} was aborted already. ${status.note ?? ''}`.trimEnd(),
    `${counted(waiting, 'target stays', 'targets stay')} untouched.`,
    ...(underWay === 0 ? [] : [`For ${count(underWay)} a request was sent; Curfew follows them to their end.`]),
    ...(abandoned === 0 ? [] : [`${count(abandoned)} were given up: a request was sent, and they may still run.`]),
    `What became of each: ${shell`curfew bulk report ${planId}`}`,
  ].join('\n');
}
