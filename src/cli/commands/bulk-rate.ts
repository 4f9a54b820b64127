import { shell } from '../../core/text/shell.js';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { rateWords } from '../../core/bulk/rate.js';
import { readRate } from '../option-values.js';
import { steer, type Steering } from '../bulk-steering.js';
import { span } from '../output.js';
import { asOption } from '../requester.js';

export function registerBulkRate(bulk: Command): void {
  commandNamed(bulk, 'rate')
    .description(
      'Changes the rate of a bulk job while it runs or is paused. The job slows down by itself when the vendor asks for that (429), or when the workers’ CURFEW_REQUESTS_PER_SECOND allows no more.',
    )
    .argument('<plan>', 'id of the plan, or its beginning')
    .argument('<rate>', 'sessions a second or a minute: 20/s, 0.5/s, 600/min')
    .addOption(asOption())
    .addHelpText('after', '\nExample:\n  $ curfew bulk rate b-7k2m9xq 50/s')
    .action((plan: string, rate: string, _options: unknown, command: Command) =>
      steer(command, plan, { action: 'rate', rate: readRate(rate) }, words),
    );
}

function words({ changed, before, job, status }: Steering): string {
  const { planId, rate } = job;
  const left =
    status.progress.waiting === 0
      ? ''
      : ` At that rate the rest takes at least ${span((status.progress.waiting / rate) * 1_000)}.`;
  const head = changed
    ? `${planId} starts at most ${rateWords(rate)} from now on (${rateWords(before.rate)} before).`
    : `The rate of ${planId} was ${rateWords(rate)} already.`;
  const paused = job.state === 'paused' ? ` It is paused; to resume: ${shell`curfew bulk resume ${planId}`}` : '';
  return `${head}${left}${paused}`;
}
