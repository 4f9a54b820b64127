import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { homePaths } from '../../platform/home.js';
import { backupSqliteLedger } from '../../adapters/ledger/backup.js';
import { locateLedger, type LedgerPlace } from '../../adapters/ledger/open.js';
import { contextOf } from '../context.js';

export function registerBackup(program: Command): void {
  commandNamed(program, 'backup')
    .description(
      'Writes a copy of the ledger, as it is at one moment, into a new file. Workers may run. For a ledger on PostgreSQL, prints the pg_dump command to run instead.',
    )
    .argument('<file>', 'the copy; must not exist yet')
    .addHelpText(
      'after',
      `
Example:
  $ curfew backup "ledger-$(date +%F).db"

Only its owner can read the copy: it says who ended what, and why. It holds no key. To restore it: docs/backup.md.
Exit codes: 0 done, 1 the copy could not be written, 2 the file exists, or the ledger is on PostgreSQL, 4 no ledger there.`,
    )
    .action((file: string, _options: object, command: Command) => {
      const { config, out } = contextOf(command);
      const place = locateLedger(config.databaseUrl);
      if (place.kind === 'postgres') throw useItsOwnTools(place, file);
      if (!existsSync(place.path)) throw noneThere(place.path, homePaths(config.home).ledger);
      const target = resolve(file);
      const bytes = backupSqliteLedger(place.path, target);
      out.result(
        { ledger: place.path, file: target, bytes },
        { ledger: place.path, file: target, bytes },
        (copy) => `Copied the ledger ${copy.ledger}\n  to ${copy.file} (${copy.bytes} bytes).`,
      );
    });
}

const noneThere = (path: string, inHome: string): UserError =>
  new UserError(
    `There is no ledger at ${path}. Nothing was written.`,
    path === inHome
      ? 'Set CURFEW_HOME or CURFEW_DATABASE_URL as your worker has it; `curfew up` creates a ledger.'
      : 'Set CURFEW_DATABASE_URL as your worker does.',
    ExitCode.unreachable,
  );

/** The command without the password, which neither screens nor lists of processes are to show. */
function useItsOwnTools(place: LedgerPlace & { kind: 'postgres' }, file: string): UserError {
  const { host, port, user, database, describe } = place;
  const to = [`--host=${host}`, `--port=${port}`, `--username=${user}`];
  const words = [...tlsVariables(place), 'pg_dump', '--format=custom', `--file=${file}`, ...to, database];
  return new UserError(
    `The ledger is on PostgreSQL, at ${describe}; its own tools copy it while Curfew runs. Nothing was written.`,
    `Run: ${words.map(quoted).join(' ')} (it asks for the password, or takes it from PGPASSWORD or ~/.pgpass).`,
    ExitCode.usage,
  );
}

/** TLS as the ledger's connection has it, in PostgreSQL's own terms. */
function tlsVariables({ tlsMode, tlsFiles }: LedgerPlace & { kind: 'postgres' }): string[] {
  if (tlsMode === 'disable') return [];
  const { rootCert, client } = tlsFiles;
  return [
    'env',
    // PostgreSQL's own clients check nothing in that mode, as long as they have no file of authorities.
    `PGSSLMODE=${tlsMode === 'no-verify' ? 'require' : tlsMode}`,
    ...(tlsMode === 'no-verify' ? [] : [`PGSSLROOTCERT=${rootCert ?? 'system'}`]),
    ...(client === null ? [] : [`PGSSLCERT=${client.cert}`, `PGSSLKEY=${client.key}`]),
  ];
}

/** As a POSIX shell reads it back. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
