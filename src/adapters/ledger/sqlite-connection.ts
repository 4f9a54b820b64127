import { setTimeout as sleep } from 'node:timers/promises';
import type { QueryResult } from 'kysely';
import Database from 'libsql';
import {
  codeOf,
  LedgerUnavailableError,
  messageOf,
  TransactionAbortedError,
  type UnavailableReason,
} from './errors.js';
import { StatementCache } from './statement-cache.js';

/** Upper bound of the wait between two tries, ms. SQLite keeps no queue: who sleeps longer than others is starved. */
const LONGEST_RETRY_WAIT_MS = 25;

/*
 * Each statement runs in a transaction that has its lock already, taken by `exec`. libsql does not reset a prepared
 * statement that met a busy database: it would stay active, make every later commit fail, or hold an old snapshot, until
 * it is garbage collected. What `exec` runs is freed at once. Reading something makes SQLite take its snapshot.
 */
export const BEGIN_WRITE = 'begin immediate';
export const BEGIN_READ = 'begin; select 1 from sqlite_schema limit 1';

/** The one connection to the file. Whoever uses it has the lock of the driver. */
export class LibsqlConnection {
  readonly #path: string;
  readonly #busyMs: number;
  readonly #db: Database.Database;
  readonly #statements: StatementCache;
  #closed = false;

  constructor(path: string, busyMs: number) {
    this.#path = path;
    this.#busyMs = busyMs;
    try {
      // No waiting inside SQLite: it would hold up the event loop.
      this.#db = new Database(path, { timeout: 0 });
    } catch (error) {
      // libsql gives no code here, only SQLite's number for "can't open" in its message.
      throw new LedgerUnavailableError('unreachable', path, messageOf(error), 'SQLITE_CANTOPEN');
    }
    this.#statements = new StatementCache(this.#db);
  }

  async configure(): Promise<void> {
    // The log lets readers and one writer work side by side.
    await this.#retryWhileBusy(() => this.#db.exec('pragma journal_mode = WAL'));
    const [mode] = this.#db.pragma('journal_mode') as [{ journal_mode: string }];
    if (mode.journal_mode !== 'wal') {
      throw new LedgerUnavailableError('failing', this.#path, 'its file system does not support a write-ahead log');
    }
    // Each commit reaches the disk before it returns (on macOS that takes fullfsync), so that no crash of the machine
    // loses an order. SQLite's habit with a log would be NORMAL, which may lose the last commits.
    await this.#retryWhileBusy(() => this.#db.exec('pragma synchronous = FULL; pragma fullfsync = on'));
    await this.#retryWhileBusy(() => this.#db.exec('pragma foreign_keys = on'));
  }

  async begin(statements: typeof BEGIN_WRITE | typeof BEGIN_READ): Promise<void> {
    await this.#retryWhileBusy(() => {
      try {
        this.#db.exec(statements);
      } catch (error) {
        this.rollback(); // A read begins with two statements, of which one may have been done.
        throw error;
      }
    });
  }

  async commit(): Promise<void> {
    if (!this.inTransaction) throw new TransactionAbortedError();
    await this.#retryWhileBusy(() => this.#db.exec('commit'));
  }

  /** Never throws: the error that led to it is the one to report. SQLite may have rolled back by itself (disk full). */
  rollback(): void {
    if (!this.inTransaction) return;
    try {
      this.#db.exec('rollback');
    } catch {
      // Ends with the connection at the latest; until then, begin fails.
    }
  }

  /** In a transaction, so never busy. */
  exec(statements: string): void {
    try {
      this.#db.exec(statements);
    } catch (error) {
      throw this.translated(error);
    }
  }

  /** @throws as libsql does */
  run<Row>(sql: string, parameters: readonly unknown[]): QueryResult<Row> {
    const { statement, reader } = this.#statements.get(sql);
    // `all` runs to the end: a statement left half-way would keep its snapshot, and the log would grow.
    if (reader) return { rows: statement.all(parameters) as Row[] };
    const { changes, lastInsertRowid } = statement.run(parameters);
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
  }

  translated(error: unknown): unknown {
    return translateSqliteError(error, this.#path);
  }

  close(): void {
    this.rollback(); // Closing alone would leave that, and with it the write lock, to the garbage collector.
    this.#closed = true;
    // libsql finalises statements when they are collected: let go of them first.
    this.#statements.clear();
    this.#db.close();
  }

  /** Not to be asked of libsql after closing: it ends the process over it. */
  get inTransaction(): boolean {
    return !this.#closed && this.#db.inTransaction;
  }

  async #retryWhileBusy<Result>(attempt: () => Result): Promise<Result> {
    const giveUpAt = performance.now() + this.#busyMs;
    for (;;) {
      try {
        return attempt();
      } catch (error) {
        if (!isBusy(error) || performance.now() >= giveUpAt) throw translateSqliteError(error, this.#path);
      }
      // Random, so that processes which were held up by the same writer do not collide again and again.
      await sleep(1 + Math.random() * LONGEST_RETRY_WAIT_MS);
    }
  }
}

/** SQLITE_PROTOCOL is a race for the log's locks among processes that open it. */
function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED|PROTOCOL)/.test(codeOf(error) ?? '');
}

/** Source: https://www.sqlite.org/rescode.html; extended codes start with the name of their primary code. */
const UNAVAILABLE: readonly (readonly [prefix: string, reason: UnavailableReason])[] = [
  ['SQLITE_BUSY', 'busy'],
  ['SQLITE_LOCKED', 'busy'],
  ['SQLITE_PROTOCOL', 'busy'],
  ['SQLITE_FULL', 'full'],
  ['SQLITE_READONLY', 'read-only'],
  ['SQLITE_CANTOPEN', 'unreachable'],
  ['SQLITE_PERM', 'refused'],
  ['SQLITE_IOERR', 'failing'],
  ['SQLITE_NOMEM', 'failing'],
];

function translateSqliteError(error: unknown, path: string): unknown {
  const code = codeOf(error);
  const reason = UNAVAILABLE.find(([prefix]) => code?.startsWith(prefix) === true)?.[1];
  return reason === undefined ? error : new LedgerUnavailableError(reason, path, messageOf(error), code);
}
