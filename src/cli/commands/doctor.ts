import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import pc from 'picocolors';
import { ExitCode } from '../../core/errors.js';
import { runChecks, type CheckResult } from '../doctor.js';
import { contextOf } from '../context.js';

export function registerDoctor(program: Command): void {
  commandNamed(program, 'doctor')
    .description('Checks everything that Curfew needs, and says what to do about what is wrong. Changes nothing.')
    .option('--notify', 'send a test message by each notification route of the policies in force')
    .addHelpText(
      'after',
      '\nExamples:\n  $ curfew doctor\n  $ curfew doctor --notify\n\nExit codes: 0 nothing failed (warnings may remain), 1 a cleanup can’t be scheduled or something else uses one of Curfew’s ids in Temporal, 2 a setting is wrong, 3 ledger and Temporal do not belong together, or its\ntables are of an older version, 4 something can’t be reached or no worker runs.\nOnly workers need the key: run it with the settings that `curfew up` or `curfew worker` has.',
    )
    .action(async (options: { notify?: true }, command: Command) => {
      const { config, out } = contextOf(command);
      const checks = await runChecks(config, { notify: options.notify === true });
      out.result({ checks }, checks, (made) => made.map(describe).join('\n'));
      const worst = checks.filter(({ status }) => status === 'failed').map(({ exitCode }) => exitCode);
      process.exitCode = worst.includes(ExitCode.unreachable) ? ExitCode.unreachable : (worst[0] ?? ExitCode.done);
    });
}

const MARKS: Readonly<Record<CheckResult['status'], string>> = {
  ok: pc.green('ok     '),
  warning: pc.yellow('warning'),
  failed: pc.red('failed '),
  skipped: pc.dim('skipped'),
};

const describe = ({ name, status, says, next }: CheckResult): string =>
  `${MARKS[status]}  ${name.padEnd(14)} ${says}${next === null ? '' : `\n${' '.repeat(24)}→ ${next}`}`;
