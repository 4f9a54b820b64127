import { shell } from '../../core/text/shell.js';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { steer, type Steering } from '../bulk-steering.js';
import { counted } from '../words.js';
import { asOption } from '../requester.js';

export function registerBulkResume(bulk: Command): void {
  commandNamed(bulk, 'resume')
    .description('Resumes a bulk job that was paused, or that paused itself because it went badly.')
    .argument('<plan>', 'id of the plan, or its beginning')
    .addOption(asOption())
    .addHelpText('after', '\nExample:\n  $ curfew bulk resume b-7k2m9xq')
    .action((plan: string, _options: unknown, command: Command) => steer(command, plan, { action: 'resume' }, words));
}

function words({ changed, job, status, pauseSwitch }: Steering): string {
  const { planId } = job;
  return [
    changed
      ? `Resumed: ${planId} continues with ${counted(status.progress.waiting, 'waiting target')}.`
      : `${planId} was not paused.`,
    ...(pauseSwitch.paused ? ['But all of Curfew is paused: nothing leaves until `curfew resume`.'] : []),
    `To follow it: ${shell`curfew bulk status ${planId} --watch`}`,
  ].join('\n');
}
