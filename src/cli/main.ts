#!/usr/bin/env node
import { CommanderError } from 'commander';
import { ExitCode, UserError } from '../core/errors.js';
import { isLedgerUnavailable, unavailableAsUserError } from '../adapters/ledger/errors.js';
import { leaveForSure } from './interrupt.js';
import { createProgram } from './program.js';
import { createOutput, writeNews } from './output.js';
import { printableLine, terminalText, words } from '../core/text/printable.js';

// The code is built into few files: traces are to name the sources. Each command is loaded after this.
if (process.env['CURFEW_LOG'] === 'debug') process.setSourceMapsEnabled(true);

// `curfew cases | head` closes the pipe early. That is no failure, and no reason for a worker to stop.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

try {
  await createProgram().parseAsync();
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
