import { accessSync, closeSync, constants, openSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Kysely, type Dialect } from 'kysely';
import { ExitCode, UserError } from '../../core/errors.js';
import { retrying, type Explained, type RetryOptions } from '../../platform/retrying.js';
import type { LedgerDialect } from './dialect.js';
import { codeOf, isLedgerUnavailable, mayComeUp, messageOf, unavailableAsUserError } from './errors.js';
import { migrate, olderTables, schemaState, type SchemaState } from './migrations.js';
import { describePlace, readPostgresUrl, type PostgresSettings } from './postgres-url.js';
import type { LedgerDatabase } from './schema.js';
import { LibsqlDialect } from './sqlite.js';

export interface OpenedDatabase {
  readonly db: Kysely<LedgerDatabase>;
  readonly dialect: LedgerDialect;
  /** The file's path, or host, port and database; never a password. */
  readonly describe: string;
  /** What its tables were before it was opened; they are current now. */
  readonly found: SchemaState;
  /** Waits for what runs; safe to call twice. */
  readonly close: () => Promise<void>;
}

interface Target {
  readonly kind: LedgerDialect;
  readonly dialect: Dialect;
  readonly describe: string;
}

export interface OpenOptions {
  /**
   * Bring tables of an older version up to date. Default no, they are refused then: workers of the older version that run go
   * on with newer tables, and can't start again. So that is for workers, and for whoever says so.
   */
  readonly migrate?: boolean;
  /** How long to wait for a ledger that can't be reached, or has too many clients; default not at all. */
  readonly waiting?: RetryOptions;
}

/**
 * Opens the ledger. Where nothing is yet (no SQLite file, no tables), it is made: a file for its owner only, in a folder
 * that has to be there.
 *
 * @param url - `postgres://…`, `postgresql://…`, `sqlite:///absolute/path`, `file:///absolute/path`, or a path
 * @throws {UserError} with exit code 2 for a URL that can't be used, 3 for tables of an older version that are to stay so,
 * and 4 if the ledger can't be reached or used
 */
export async function openDatabase(
  url: string,
  { migrate: mayMigrate = false, waiting = {} }: OpenOptions = {},
): Promise<OpenedDatabase> {
  return await retrying(
    waiting,
    async () => open(await targetOf(url.trim()), (found) => found === 'empty' || mayMigrate),
    explain,
  );
}

/**
 * Opens a ledger that is there, and changes nothing.
 *
 * @returns null when there is none yet: no file, or no tables
 * @throws {UserError} as {@link openDatabase}
 */
export async function openDatabaseIfAny(url: string): Promise<OpenedDatabase | null> {
  const place = locateLedger(url);
  if (place.kind === 'sqlite' && isMissingOrEmpty(place.path)) return null;
  try {
    const opened = await open(await targetOf(url.trim()), () => false);
    if (opened.found !== 'empty') return opened;
    await opened.close();
    return null;
  } catch (error) {
    throw explain(error).error;
  }
}

/** @param mayChange - whether the tables may be made, or brought up to date */
async function open(
  { kind, dialect, describe }: Target,
  mayChange: (found: SchemaState) => boolean,
): Promise<OpenedDatabase> {
  const db = new Kysely<LedgerDatabase>({ dialect });
  try {
    const found = await schemaState(db, describe);
    if (found !== 'current' && mayChange(found)) await bringUpToDate(db, describe);
    else if (found === 'older') throw olderTables(describe);
    return { db, dialect: kind, describe, found, close: () => db.destroy() };
  } catch (error) {
    await db.destroy();
    throw openingError(error, describe);
  }
}

async function bringUpToDate(db: Kysely<LedgerDatabase>, describe: string): Promise<void> {
  try {
    await migrate(db, describe);
  } catch (error) {
    if (!isLedgerUnavailable(error) || error.reason !== 'refused') throw error;
    throw new UserError(
      error.message,
      'Its tables have to be made, or brought up to date: run `curfew migrate` once with a CURFEW_DATABASE_URL whose user may do that, then try again.',
      ExitCode.unreachable,
    );
  }
}

/** Looked at from outside: SQLite would write into a file that it opens. */
function isMissingOrEmpty(path: string): boolean {
  try {
    const file = statSync(path);
    return file.isFile() && file.size === 0;
  } catch (error) {
    return codeOf(error) === 'ENOENT';
  }
}

/** Where a ledger is, without its password. */
export type LedgerPlace =
  | { readonly kind: 'sqlite'; readonly path: string; readonly describe: string }
  | ({
      readonly kind: 'postgres';
      /** Host, port and database. */
      readonly describe: string;
    } & Pick<PostgresSettings, 'host' | 'port' | 'user' | 'database' | 'tlsMode' | 'tlsFiles'>);

/**
 * Says where a URL leads to, and touches nothing there.
 *
 * @throws {UserError} with exit code 2 for a URL that can't be used
 */
export function locateLedger(databaseUrl: string): LedgerPlace {
  const url = databaseUrl.trim();
  if (!isPostgres(url)) {
    const path = filePathOf(url);
    return { kind: 'sqlite', path, describe: path };
  }
  const settings = postgresSettings(url);
  const { host, port, user, database, tlsMode, tlsFiles } = settings;
  return { kind: 'postgres', describe: describePlace(settings), host, port, user, database, tlsMode, tlsFiles };
}

/** @throws {UserError} with exit code 2 for a URL, or PG… variables, that can't be used */
export function postgresSettings(url: string): PostgresSettings {
  const read = readPostgresUrl(url, process.env);
  if (!('why' in read)) return read;
  throw new UserError(`${read.setting} can't be used: ${read.why}.`, read.next, ExitCode.usage);
}

/** The path that a URL for SQLite, or a plain path, means. */
function filePathOf(url: string): string {
  const scheme = schemeOf(url);
  if (scheme === 'sqlite' || scheme === 'file') return pathOf(url);
  // Names the scheme alone: the rest may hold a password.
  if (scheme !== undefined) throw unusable(`"${scheme}:" is not a database that Curfew knows`);
  if (url === '') throw unusable('it is empty');
  return resolve(url);
}

/** The driver of PostgreSQL is loaded when it is used: it would cost every command some 40 ms. */
async function targetOf(url: string): Promise<Target> {
  if (!isPostgres(url)) return sqliteTarget(filePathOf(url));
  const settings = postgresSettings(url);
  const { postgresDialect } = await import('./postgres.js');
  return { kind: 'postgres', dialect: postgresDialect(settings), describe: describePlace(settings) };
}

/** A scheme has two letters at least: C:\ is a drive. */
const schemeOf = (url: string): string | undefined => /^([a-z][a-z0-9+.-]+):/i.exec(url)?.[1]?.toLowerCase();

const isPostgres = (url: string): boolean => /^postgres(ql)?$/.test(schemeOf(url) ?? '');

function pathOf(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url.replace(/^sqlite:/i, 'file:'));
    if (parsed.host === '' && /^[a-z]+:\/\/\//i.test(url) && parsed.search === '' && parsed.hash === '') {
      return fileURLToPath(parsed);
    }
  } catch {
    // Falls through to the same advice.
  }
  throw unusable('a SQLite URL has three slashes, an absolute path and no parameters, as sqlite:///var/lib/curfew.db');
}

/** @throws {UserError} if the file can't be made or written */
function sqliteTarget(path: string): Target {
  try {
    makePrivateFile(path);
    if (!statSync(path).isFile()) throw new Error('it is not a regular file');
    accessSync(path, constants.R_OK | constants.W_OK);
    // SQLite puts its log beside the file.
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new UserError(
      `The ledger at ${path} can't be opened: ${messageOf(error)}.`,
      'Make the folder, or its permissions, such that you can write there; or set CURFEW_DATABASE_URL to another place.',
      ExitCode.unreachable,
    );
  }
  return { kind: 'sqlite', dialect: new LibsqlDialect(path), describe: path };
}

/**
 * Makes the file if it is missing, readable and writable for its owner alone; SQLite gives its log the same mode.
 *
 * A file that is there must not be opened here: closing it again would drop the locks that SQLite has on it elsewhere in
 * this process (https://www.sqlite.org/howtocorrupt.html, section 2.2).
 */
function makePrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

function unusable(why: string): UserError {
  return new UserError(
    `CURFEW_DATABASE_URL can't be used: ${why}.`,
    'Give the path of a file, or postgres://user:password@host:5432/database.',
    ExitCode.usage,
  );
}

const explain = (cause: unknown): Explained =>
  isLedgerUnavailable(cause)
    ? { retryable: mayComeUp(cause), error: unavailableAsUserError(cause) }
    : { retryable: false, error: cause };

function openingError(error: unknown, describe: string): unknown {
  if (codeOf(error)?.startsWith('SQLITE_NOTADB') === true) {
    return new UserError(
      `The file ${describe} is not a SQLite database. Nothing was changed.`,
      'Set CURFEW_DATABASE_URL to another path; a missing file is created.',
      ExitCode.unreachable,
    );
  }
  if (codeOf(error)?.startsWith('SQLITE_CORRUPT') === true) {
    return new UserError(
      `The ledger at ${describe} is damaged: ${messageOf(error)}.`,
      'Restore its last backup, or move it away to start a new one.',
      ExitCode.unreachable,
    );
  }
  return error;
}
