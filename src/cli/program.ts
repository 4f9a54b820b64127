import { Command } from 'commander';
import { ExitCode } from '../core/errors.js';
import { terminalText } from '../core/text/printable.js';
import { VERSION } from '../platform/version.js';
import { registerBackup } from './commands/backup.js';
import { registerBulk } from './commands/bulk.js';
import { registerCancel } from './commands/cancel.js';
import { registerCases } from './commands/cases.js';
import { registerCleanup } from './commands/cleanup.js';
import { registerCodecServer } from './commands/codec-server.js';
import { registerDemo } from './commands/demo.js';
import { registerDoctor } from './commands/doctor.js';
import { registerExempt } from './commands/exempt.js';
import { registerExplain } from './commands/explain.js';
import { registerHistory } from './commands/history.js';
import { registerMigrate } from './commands/migrate.js';
import { registerPause } from './commands/pause.js';
import { registerPolicy } from './commands/policy.js';
import { registerSimulate } from './commands/simulate.js';
import { registerStatus } from './commands/status.js';
import { registerUp } from './commands/up.js';
import { registerWatch } from './commands/watch.js';
import { INTERRUPTED } from './interrupt.js';

/** What each exit code means, for people. */
export const EXIT_CODES: readonly (readonly [number, string])[] = [
  [ExitCode.done, 'done'],
  [ExitCode.failed, 'failed'],
  [ExitCode.usage, 'wrong usage, or an invalid setting or file'],
  [ExitCode.refused, 'refused by a safety rule'],
  [ExitCode.unreachable, 'Temporal, the API or the ledger can’t be reached, or no worker runs'],
  [ExitCode.someNotEnded, 'finished, but some ordered turn is not known to have ended'],
  [INTERRUPTED, 'interrupted; what was ordered goes on'],
];

/** The whole command line. */
export function createProgram(): Command {
  const program = new Command('curfew')
    .description('Ends Gumloop agent sessions that broke a limit, and makes sure that they really ended.')
    .version(VERSION)
    .option('--json', 'print one JSON document on stdout, and nothing else there')
    .showHelpAfterError('(curfew --help shows the commands)')
    .exitOverride()
    // What was typed wrong is quoted.
    .configureOutput({
      writeErr: (text) => void process.stderr.write(terminalText(text)),
      writeOut: (text) => void process.stdout.write(terminalText(text)),
    })
    .addHelpText(
      'after',
      `
Examples:
  $ curfew demo                               the whole story on a simulator, no key needed
  $ curfew up                                 start Curfew here; leave it running
  $ curfew cancel sess_xYz789AbCd --wait      end the current turn of a session, and check that it ended
  $ curfew pause --reason "incident 42"       no cancel request leaves until \`curfew resume\`

Exit codes:
${EXIT_CODES.map(([code, meaning]) => `  ${String(code).padEnd(4)}${meaning}`).join('\n')}`,
    );

  for (const register of [
    registerDemo,
    registerUp,
    registerCancel,
    registerWatch,
    registerCases,
    registerBulk,
    registerCleanup,
    registerPause,
    registerExempt,
    registerStatus,
    registerExplain,
    registerHistory,
    registerPolicy,
    registerBackup,
    registerMigrate,
    registerDoctor,
    registerSimulate,
    registerCodecServer,
  ]) {
    register(program);
  }
  // Every command takes what the program takes: `curfew cancel ID --json` is what people type.
  for (const command of program.commands) {
    command.exitOverride();
    if (!command.options.some((option) => option.long === '--json')) command.option('--json', 'print JSON on stdout');
    for (const child of command.commands) {
      child.exitOverride();
      child.option('--json', 'print JSON on stdout');
    }
  }
  return program;
}
