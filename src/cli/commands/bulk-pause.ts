import { shell } from '../../core/text/shell.js';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { steer, type Steering } from '../bulk-steering.js';
import { count } from '../bulk-words.js';
import { counted } from '../words.js';
import { asOption } from '../requester.js';

export function registerBulkPause(bulk: Command): void {
  commandNamed(bulk, 'pause')
    .description(
      'Pauses a bulk job. Once this returns, no worker sends another cancel request of the job. Requests already sent can’t be called back. Works while Temporal is down. (`curfew pause` holds everything, not only this job.)',
    )
    .argument('<plan>', 'id of the plan, or its beginning')
    .option('--reason <text>', 'why; shown with the job')
    .addOption(asOption())
    .addHelpText('after', '\nExample:\n  $ curfew bulk pause b-7k2m9xq --reason "checking the first results"')
    .action((plan: string, options: { reason?: string }, command: Command) =>
      steer(command, plan, { action: 'pause', reason: options.reason ?? null }, words),
    );
}

function words({ changed, job, status }: Steering): string {
  const { planId } = job;
  const sent = job.counts?.byStatus.sent ?? 0;
  const answered = job.counts?.byStatus.answered ?? 0;
  return [
    changed
      ? `Paused: nothing more of ${planId} is sent.`
      : `${planId} was paused already. ${status.note ?? ''}`.trimEnd(),
    sent === 0
      ? 'No cancel request of it is under way.'
      : `${counted(sent, 'cancel request is', 'cancel requests are')} under way and can’t be called back; their turns may still end.`,
    ...(answered === 0
      ? []
      : [`For ${count(answered)} ${sent === 0 ? '' : 'more '}Curfew is checking whether they ended.`]),
    ...(status.progress.openCases === 0
      ? []
      : [
          `${count(status.progress.openCases)} of its targets, which their first request did not end, have cases; they are held as well.`,
        ]),
    `${counted(status.progress.waiting, 'target waits', 'targets wait')}. To resume: ${shell`curfew bulk resume ${planId}`}`,
  ].join('\n');
}
