import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'libsql';
import { ExitCode, UserError } from '../../core/errors.js';
import { codeOf, messageOf } from './errors.js';

/** How long to wait for a worker that writes, ms. Readers and writers hardly meet: the log lets them work side by side. */
const BUSY_MS = 30_000;

/** A table that every ledger has. */
const KNOWN_TABLE = 'ledger_migration';

/**
 * Copies a SQLite ledger as it is at one moment, while workers go on writing to it. The copy is one file, for its owner only,
 * without free space, and was read through once.
 *
 * It is written beside its place and moved there when it is whole: nothing half-written is taken for a backup, and nothing
 * that is there is replaced.
 *
 * @param ledger - path of the ledger's file
 * @param target - path of the copy; its folder is there, the file is not
 * @returns size of the copy, bytes
 * @throws {UserError} when the ledger is not there, is none, or the copy can't be written; then nothing is left of it
 */
export function backupSqliteLedger(ledger: string, target: string): number {
  if (existsSync(target)) throw isThere(target);
  const partial = `${target}.partial-${randomBytes(4).toString('hex')}`;
  // Made by us, because SQLite would give it the mode of other files.
  make(partial, target);
  try {
    copy(ledger, partial);
    check(partial);
    writeThrough(partial, 'r+');
    // Somebody may have been quicker.
    make(target, target);
    renameSync(partial, target);
    if (process.platform !== 'win32') writeThrough(dirname(target), 'r');
    return statSync(target).size;
  } catch (error) {
    for (const left of [partial, `${partial}-journal`]) rmSync(left, { force: true });
    if (error instanceof UserError) throw error;
    throw new UserError(
      `The ledger at ${ledger} could not be copied to ${target}: ${messageOf(error)}. The ledger is unchanged, and no copy was left.`,
      'Check the space and the permissions of that folder, and try again.',
      ExitCode.failed,
    );
  }
}

const isThere = (target: string): UserError =>
  new UserError(
    `${target} exists already. Nothing was written.`,
    'Name a file that does not exist, for example with the date in it.',
    ExitCode.usage,
  );

function make(path: string, target: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw isThere(target);
    throw new UserError(
      `${target} can't be made: ${messageOf(error)}. Nothing was written.`,
      'Name a file in a folder that exists and that you can write to.',
      ExitCode.usage,
    );
  }
}

function copy(ledger: string, target: string): void {
  const source = open(ledger);
  try {
    const [found] = source
      .prepare(`select count(*) as tables from sqlite_schema where type = 'table' and name = ?`)
      .all([KNOWN_TABLE]) as [{ tables: number }];
    if (found.tables === 0) throw noLedger(ledger);
    // One read transaction: what is committed meanwhile is not in it, and waits for nobody.
    source.exec(`vacuum into '${target.replaceAll("'", "''")}'`);
  } finally {
    source.close();
  }
}

function open(path: string): Database.Database {
  try {
    return new Database(path, { timeout: BUSY_MS, fileMustExist: true });
  } catch (error) {
    throw new UserError(
      `The ledger at ${path} can't be opened: ${messageOf(error)}. Nothing was written.`,
      'Set CURFEW_HOME or CURFEW_DATABASE_URL as your worker does.',
      ExitCode.unreachable,
    );
  }
}

const noLedger = (path: string): UserError =>
  new UserError(
    `The file ${path} is not a ledger. Nothing was written.`,
    'Set CURFEW_HOME or CURFEW_DATABASE_URL as your worker does.',
    ExitCode.unreachable,
  );

/** Reads the copy through: a damaged one is of no use, and says that the ledger may be, too. */
function check(path: string): void {
  const db = open(path);
  try {
    const rows = db.prepare('pragma integrity_check(1)').all([]) as { integrity_check: string }[];
    const said = rows[0]?.integrity_check;
    if (said !== 'ok') throw new Error(`the copy is damaged (${said}), and so the ledger may be, too`);
  } finally {
    db.close();
  }
}

/** A backup that a power cut takes away is none. */
function writeThrough(path: string, flags: 'r' | 'r+'): void {
  const file = openSync(path, flags);
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
