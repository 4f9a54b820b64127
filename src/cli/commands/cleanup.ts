import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { cleanupsInForce } from '../../engines/cleanup/entries.js';
import { readCleanups } from '../../engines/cleanup/standing.js';
import { UserError } from '../../core/errors.js';
import { belongsTogether } from '../../adapters/temporal/belonging.js';
import { connectClient, resolveTemporal, type TemporalClient } from '../../adapters/temporal/connection.js';
import { cleanupsDocument, cleanupsWords } from '../cleanup-words.js';
import { contextOf, withLedger } from '../context.js';
import { registerCleanupRun } from './cleanup-run.js';

export function registerCleanup(program: Command): void {
  const cleanup = commandNamed(program, 'cleanup').description(
    'The cleanups of the policy file in force. Each is a Schedule in Temporal, which a worker keeps.',
  );
  registerCleanupList(cleanup);
  registerCleanupRun(cleanup);
}

function registerCleanupList(cleanup: Command): void {
  cleanup
    .command('list')
    .summary('each cleanup: what it ends, its next run, the result of its last one')
    .description(
      'The cleanups of the policy file in force: what each selects, its schedule, its next runs, and how the last run came out. Without Temporal it shows what the ledger knows.',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ curfew cleanup list
  $ curfew cleanup list --json | jq '.cleanups[] | {name, next: .schedule.nextRuns[0]}'

To skip runs for a while, pause the Schedule cleanup/NAME in Temporal (its UI, or \`temporal schedule toggle --pause\`).

Exit codes: 0 shown, 1 no policy file is in force, 4 the ledger can't be reached.`,
    )
    .action(async (_options: unknown, command: Command) => {
      const { config, out } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const { version, entries } = await cleanupsInForce(ledger);
        const target = resolveTemporal(config);
        const temporal = entries.length === 0 ? null : await connectClient(target, { retryForMs: 0 }).catch(asProblem);
        const connected = temporal === null || typeof temporal === 'string' ? null : temporal;
        try {
          if (connected !== null) await belongsTogether(ledger, target, connected, false);
          const problem = typeof temporal === 'string' ? temporal : null;
          const cleanups = await readCleanups(ledger, connected?.client ?? null, entries);
          out.result(cleanupsDocument(version, cleanups, problem), { version, cleanups, problem }, (view) =>
            view.cleanups.length === 0
              ? `The policy file in force (version ${view.version}) has no cleanups.`
              : cleanupsWords(view.cleanups, view.problem),
          );
        } finally {
          await connected?.close();
        }
      });
    });
}

/** What the ledger knows is worth showing without Temporal, too. */
function asProblem(error: unknown): string | TemporalClient {
  if (error instanceof UserError) return error.message;
  throw error;
}
