import { sql, type Kysely } from 'kysely';
import { ExitCode, UserError } from '../../core/errors.js';
import { dialectOf } from './dialect.js';
import { MIGRATIONS, statementsOf, UNRELEASED } from './migration-texts.js';

/** Names the migrations that a database has seen. */
const MIGRATION_TABLE = 'ledger_migration';

/** "migrat" in ASCII: keeps our lock apart from other users of advisory locks. */
const MIGRATION_LOCK = 0x6d6967726174;
/** Below the time in which a client has to get an answer. */
const MIGRATION_WAIT_MS = 50_000;

/** How the tables of a database compare with those that this version works with; `empty`: there are none. */
export type SchemaState = 'empty' | 'older' | 'current';

/**
 * Looks at the tables, and changes nothing.
 *
 * @throws {UserError} if a newer Curfew wrote the ledger, or the database belongs to something else
 * @throws {LedgerUnavailableError} if the database can't be used right now
 */
export async function schemaState<Database>(db: Kysely<Database>, describe: string): Promise<SchemaState> {
  const executed = await executedMigrations(db, describe);
  refuseUnknown(executed, describe);
  if (executed.length === 0) return 'empty';
  return executed.length === Object.keys(MIGRATIONS).length ? 'current' : 'older';
}

/**
 * Brings the tables up to date, from whatever they are, in one transaction. Safe while other processes do the same: one does
 * it, the others wait.
 *
 * @param last - the last migration that is done
 * @throws {UserError} if a newer Curfew wrote the ledger; nothing is changed
 * @throws {LedgerUnavailableError} if the database can't be used right now
 */
export const migrate = <Database>(
  db: Kysely<Database>,
  describe: string,
  last = Object.keys(MIGRATIONS).at(-1) ?? '',
): Promise<void> =>
  db.transaction().execute(async (trx) => {
    const dialect = dialectOf(trx);
    if (dialect === 'postgres') {
      // Of the transaction and not of the connection: a pooler may lend each transaction another one.
      await sql`set local lock_timeout = ${sql.lit(MIGRATION_WAIT_MS)}`.execute(trx);
      await sql`select pg_advisory_xact_lock(${sql.lit(MIGRATION_LOCK)}::bigint)`.execute(trx);
    }
    // Looked at again: a newer Curfew may have come meanwhile.
    const executed = await executedMigrations(trx, describe);
    refuseUnknown(executed, describe);
    const table = sql.table(MIGRATION_TABLE);
    if (executed.length === 0) {
      await sql`create table if not exists ${table} (name text primary key not null, timestamp text not null)`.execute(
        trx,
      );
    }
    for (const name of Object.keys(MIGRATIONS)) {
      if (executed.includes(name) || name > last) continue;
      for (const statement of statementsOf(name, dialect)) await sql.raw(statement).execute(trx);
      await sql`insert into ${table} (name, timestamp) values (${name}, ${new Date().toISOString()})`.execute(trx);
    }
  });

/** Names of the migrations that this database has seen; empty for a fresh one. */
async function executedMigrations<Database>(db: Kysely<Database>, describe: string): Promise<string[]> {
  const tables = await ownTables(db);
  if (tables.includes(MIGRATION_TABLE)) {
    const { rows } = await sql<{ name: string }>`select name from ${sql.table(MIGRATION_TABLE)} order by name`.execute(
      db,
    );
    return rows.map((row) => row.name);
  }
  if (tables.length > 0) {
    throw new UserError(
      `The database at ${describe} is not a ledger: it holds the tables of something else (${tables.slice(0, 3).join(', ')}). Nothing was changed.`,
      'Set CURFEW_DATABASE_URL to a database of its own; it may be empty.',
      ExitCode.unreachable,
    );
  }
  return [];
}

/** Tables in the place where the ledger's would be made: the file, or the first schema on PostgreSQL's search path. */
async function ownTables<Database>(db: Kysely<Database>): Promise<string[]> {
  const query =
    dialectOf(db) === 'postgres'
      ? sql<{ name: string }>`select tablename as name from pg_tables where schemaname = current_schema() order by 1`
      : sql<{
          name: string;
        }>`select name from sqlite_master where type = 'table' and name not like 'sqlite%' order by 1`;
  const { rows } = await query.execute(db);
  return rows.map((row) => row.name);
}

function refuseUnknown(executed: readonly string[], describe: string): void {
  const unknown = executed.find((name) => !(name in MIGRATIONS));
  if (unknown === undefined) return;
  if (UNRELEASED.includes(unknown)) {
    throw new UserError(
      `The ledger at ${describe} is of a Curfew from before the first release, and its tables can't be brought up to date. Nothing was changed.`,
      'Keep it as a record: the Curfew that wrote it can still read it. To begin a new ledger, set CURFEW_DATABASE_URL to an empty database, or move the file away; then put your policy file in force, and give again what has to go on: pause, exemptions, watches, orders that were open.',
      ExitCode.unreachable,
    );
  }
  throw new UserError(
    `The ledger at ${describe} was written by a newer Curfew (its schema has "${unknown}", which this one does not know). Nothing was changed.`,
    'Run the version of Curfew that wrote it, or a later one.',
    ExitCode.unreachable,
  );
}

/** Why a command leaves the tables of an older version alone: workers of that version could not start again. */
export const olderTables = (describe: string): UserError =>
  new UserError(
    `The tables of the ledger at ${describe} are of an older Curfew, and this command does not change them.`,
    'Start a worker of this version first (it brings them up to date), or run `curfew migrate`. As long as older workers run, use the command of their version: they can not start again once the tables are newer.',
    ExitCode.refused,
  );
