import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { openDatabase } from '../../adapters/ledger/open.js';
import { contextOf, refuseUnusedHome } from '../context.js';

export function registerMigrate(program: Command): void {
  commandNamed(program, 'migrate')
    .description(
      "Creates the ledger's tables, or brings those of an older version up to date. Workers do the same at their start; use this for a restored backup, before any worker runs on it, and with a separate PostgreSQL user that owns the tables. Changes no order, policy or switch.",
    )
    .addHelpText(
      'after',
      `
Example:
  $ CURFEW_DATABASE_URL_FILE=/run/secrets/ledger-owner-url curfew migrate

Running workers of the older version continue, but can't start again. Back up first: docs/upgrading.md.
Exit codes: 0 up to date (also when it was so already), 4 the ledger can't be reached, or is of a newer version.`,
    )
    .action(async (_options: object, command: Command) => {
      const { config, out } = contextOf(command);
      refuseUnusedHome(config);
      const { describe, found, close } = await openDatabase(config.databaseUrl, { migrate: true });
      await close();
      out.result({ ledger: describe, changed: found !== 'current' }, { describe, found }, (view) =>
        WORDS[view.found](view.describe),
      );
    });
}

const WORDS = {
  empty: (ledger: string) => `Created the tables of the ledger at ${ledger}.`,
  older: (ledger: string) => `Brought the tables of the ledger at ${ledger} up to date.`,
  current: (ledger: string) => `The tables of the ledger at ${ledger} are up to date already. Nothing was changed.`,
};
