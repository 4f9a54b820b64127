#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { ExitCode, UserError } from '../core/errors.js';
import { isLedgerUnavailable, unavailableAsUserError } from '../adapters/ledger/errors.js';
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
import { leaveForSure } from './interrupt.js';
import { createOutput, writeNews } from './output.js';
import { printableLine, terminalText, words } from '../core/text/printable.js';

// `curfew cases | head` closes the pipe early. That is no failure, and no reason for a worker to stop.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

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

Exit codes: 0 done, 1 failed, 2 wrong usage or invalid file, 3 refused by a safety rule,
4 not reachable (Temporal, API or ledger), 5 finished, but some targets did not end, 130 interrupted.`,
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

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}
leaveForSure();

/** Says what happened and what to do next. A stack trace is shown only on demand, for errors that are ours. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.done : ExitCode.usage;
  const known = isLedgerUnavailable(error) ? unavailableAsUserError(error) : error;
  if (known instanceof UserError) {
    writeNews(words`curfew: ${known.message}\n  next: ${known.next}`);
    if (process.argv.includes('--json')) {
      const { message, next, exitCode } = known;
      createOutput(true).result({ error: { message, next, exitCode } }, null, () => '');
    }
    return known.exitCode;
  }
  const message = error instanceof Error ? error.message : String(error);
  writeNews(
    words`curfew: ${printableLine(message)}\n  next: this is a bug; CURFEW_LOG=debug shows more, and \`curfew doctor\` checks the parts.`,
  );
  if (process.env['CURFEW_LOG'] === 'debug' && error instanceof Error) writeNews(terminalText(error.stack ?? ''));
  return ExitCode.failed;
}
