import { setTimeout as sleep } from 'node:timers/promises';
import {
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryCompiler,
  type QueryResult,
} from 'kysely';
import Database from 'libsql';
import {
  codeOf,
  LedgerUnavailableError,
  messageOf,
  TransactionAbortedError,
  type UnavailableReason,
} from './errors.js';
import { FifoLock } from './fifo-lock.js';
import { StatementCache } from './statement-cache.js';
import { storableText } from '../../core/text/storable.js';

export interface SqliteLimits {
  /** How long to try while another process writes, ms. */
  readonly busyMs: number;
  /** How long to wait for the transactions of this process that came first, ms. */
  readonly queueMs: number;
}

const DEFAULT_LIMITS: SqliteLimits = { busyMs: 10_000, queueMs: 30_000 };

/** Upper bound of the wait between two tries, ms. SQLite keeps no queue: who sleeps longer than others is starved. */
const LONGEST_RETRY_WAIT_MS = 25;

/**
 * SQLite through libsql, for a ledger that several processes of one machine share.
 *
 * Kysely's own SQLite dialect begins transactions deferred, so that one that reads first fails half-way when another
 * process has written meanwhile, and it leaves waiting to SQLite, which blocks the event loop and with it heartbeats.
 * Here each transaction begins immediate, and a busy database is tried again from the event loop.
 */
export class LibsqlDialect implements Dialect {
  constructor(
    private readonly path: string,
    private readonly limits: SqliteLimits = DEFAULT_LIMITS,
  ) {}

  createDriver(): Driver {
    return new LibsqlDriver(this.path, this.limits);
  }

  createQueryCompiler(): QueryCompiler {
    return new SqliteQueryCompiler();
  }

  createAdapter(): SqliteAdapter {
    return new SqliteAdapter();
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new SqliteIntrospector(db);
  }
}

/** One connection, used by one query or transaction at a time: transactions of this process never mix. */
class LibsqlDriver implements Driver {
  readonly #lock = new FifoLock();
  readonly #path: string;
  readonly #limits: SqliteLimits;
  #connection: LibsqlConnection | undefined;

  constructor(path: string, limits: SqliteLimits) {
    this.#path = path;
    this.#limits = limits;
  }

  async init(): Promise<void> {
    const connection = new LibsqlConnection(this.#path, this.#limits.busyMs);
    try {
      await connection.configure();
    } catch (error) {
      connection.close();
      throw error;
    }
    this.#connection = connection;
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    if (!(await this.#lock.acquire(this.#limits.queueMs))) {
      // Also what becomes of a query on the database inside a transaction's callback, instead of a wait for ever.
      const detail = `a transaction of this process did not end within ${this.#limits.queueMs / 1000} s`;
      throw new LedgerUnavailableError('busy', this.#path, detail);
    }
    return this.#open();
  }

  async beginTransaction(): Promise<void> {
    await this.#open().begin();
  }

  async commitTransaction(): Promise<void> {
    await this.#open().commit();
  }

  rollbackTransaction(): Promise<void> {
    this.#open().rollback();
    return Promise.resolve();
  }

  releaseConnection(): Promise<void> {
    // Ends what a failed commit may have left behind, or a transaction that was begun by hand.
    this.#open().rollback();
    this.#lock.release();
    return Promise.resolve();
  }

  async destroy(): Promise<void> {
    // Lets the transaction under way end; one that takes longer is rolled back.
    await this.#lock.acquire(this.#limits.queueMs);
    this.#connection?.close();
  }

  #open(): LibsqlConnection {
    if (this.#connection === undefined) throw new Error('The ledger was used before it was opened.');
    return this.#connection;
  }
}

/*
 * Each statement runs in a transaction that has its lock already, taken by `exec`. libsql does not reset a prepared
 * statement that met a busy database: it would stay active, make every later commit fail, or hold an old snapshot, until
 * it is garbage collected. What `exec` runs is freed at once. Reading something makes SQLite take its snapshot.
 */
const BEGIN_WRITE = 'begin immediate';
const BEGIN_READ = 'begin; select 1 from sqlite_schema limit 1';

class LibsqlConnection implements DatabaseConnection {
  readonly #path: string;
  readonly #busyMs: number;
  readonly #db: Database.Database;
  readonly #statements: StatementCache;
  #transaction: 'none' | 'running' | 'failed' = 'none';
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

  async begin(statements = BEGIN_WRITE): Promise<void> {
    await this.#retryWhileBusy(() => {
      try {
        this.#db.exec(statements);
      } catch (error) {
        this.rollback(); // A read begins with two statements, of which one may have been done.
        throw error;
      }
    });
    this.#transaction = 'running';
  }

  async commit(): Promise<void> {
    this.#assertIntact();
    await this.#retryWhileBusy(() => this.#db.exec('commit'));
    this.#transaction = 'none';
  }

  /** Never throws: the error that led to it is the one to report. SQLite may have rolled back by itself (disk full). */
  rollback(): void {
    this.#transaction = 'none';
    if (!this.#inTransaction) return;
    try {
      this.#db.exec('rollback');
    } catch {
      // Ends with the connection at the latest; until then, begin fails.
    }
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    if (this.#transaction === 'none') return this.#executeAlone<Row>(query);

    const parameters = query.parameters.map(toBindable);
    this.#assertIntact();
    try {
      return this.#run<Row>(query.sql, parameters);
    } catch (error) {
      // As on PostgreSQL: a transaction in which a statement failed can only be rolled back.
      this.#transaction = 'failed';
      throw translateSqliteError(error, this.#path);
    }
  }

  async #executeAlone<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    // Some settings can't be changed, or even read, in a transaction.
    if (/^\s*pragma\b/i.test(query.sql)) return { rows: this.#db.prepare(query.sql).all([]) as Row[] };
    await this.begin(isRead(query) ? BEGIN_READ : BEGIN_WRITE);
    try {
      const result = await this.executeQuery<Row>(query);
      await this.commit();
      return result;
    } catch (error) {
      this.rollback();
      throw error;
    }
  }

  // eslint-disable-next-line require-yield, @typescript-eslint/require-await
  async *streamQuery<Row>(): AsyncIterableIterator<QueryResult<Row>> {
    throw new Error('The ledger does not stream: a slow reader would hold its only connection. Read page by page.');
  }

  close(): void {
    const cutOff = this.#transaction !== 'none';
    this.rollback(); // Closing alone would leave that, and with it the write lock, to the garbage collector.
    if (cutOff) this.#transaction = 'failed';
    this.#closed = true;
    // libsql finalises statements when they are collected: let go of them first.
    this.#statements.clear();
    this.#db.close();
  }

  #run<Row>(sql: string, parameters: readonly unknown[]): QueryResult<Row> {
    const { statement, reader } = this.#statements.get(sql);
    // `all` runs to the end: a statement left half-way would keep its snapshot, and the log would grow.
    if (reader) return { rows: statement.all(parameters) as Row[] };
    const { changes, lastInsertRowid } = statement.run(parameters);
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
  }

  /** @throws {TransactionAbortedError} if a statement failed, or SQLite ended the transaction: the rest would run alone */
  #assertIntact(): void {
    if (this.#transaction === 'failed' || !this.#inTransaction) throw new TransactionAbortedError();
  }

  /** Not to be asked of libsql after closing: it ends the process over it. */
  get #inTransaction(): boolean {
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

function isRead(query: CompiledQuery): boolean {
  return query.query.kind === 'SelectQueryNode' || /^\s*select\b/i.test(query.sql);
}

/**
 * Values as libsql can bind them.
 *
 * @throws {TypeError} for what a column can't hold. A boolean has to be caught here: libsql ends the process over it.
 */
function toBindable(value: unknown): string | number | bigint | null {
  switch (typeof value) {
    case 'string':
      return storableText(value);
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`The ledger stores no ${value}.`);
      // libsql binds each number as REAL, which SQLite shows where no column converts it back.
      return Number.isSafeInteger(value) ? BigInt(value) : value;
    case 'bigint':
      return value;
    case 'undefined':
      return null;
    default:
      if (value === null) return null;
      throw new TypeError(`The ledger stores no ${typeof value}; booleans are 0 or 1, objects are JSON text.`);
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
