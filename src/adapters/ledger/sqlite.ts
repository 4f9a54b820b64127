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
  #commits: GroupCommit | undefined;

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
    this.#commits = new GroupCommit(connection, this.#lock);
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    if (!(await this.#lock.acquire(this.#limits.queueMs))) {
      // Also what becomes of a query on the database inside a transaction's callback, instead of a wait for ever.
      const detail = `a transaction of this process did not end within ${this.#limits.queueMs / 1000} s`;
      throw new LedgerUnavailableError('busy', this.#path, detail);
    }
    if (this.#connection === undefined || this.#commits === undefined)
      throw new Error('The ledger was used before it was opened.');
    return new LibsqlTurn(this.#connection, this.#commits);
  }

  async beginTransaction(turn: DatabaseConnection): Promise<void> {
    await (turn as LibsqlTurn).begin();
  }

  commitTransaction(turn: DatabaseConnection): Promise<void> {
    (turn as LibsqlTurn).commit();
    return Promise.resolve();
  }

  rollbackTransaction(turn: DatabaseConnection): Promise<void> {
    (turn as LibsqlTurn).rollback();
    return Promise.resolve();
  }

  async releaseConnection(turn: DatabaseConnection): Promise<void> {
    await (turn as LibsqlTurn).end();
  }

  async destroy(): Promise<void> {
    // Lets the transaction under way end; one that takes longer is rolled back.
    if (await this.#lock.acquire(this.#limits.queueMs)) await this.#commits?.commit();
    this.#connection?.close();
  }
}

/** Transactions of this process that reach the disk together. */
interface Group {
  /** Transactions in it that are complete. */
  size: number;
  /** It is to be committed when nobody is at work in it. */
  due: boolean;
  readonly onDisk: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** So many transactions are not kept waiting for more. */
const LARGEST_GROUP = 100;

/**
 * Group commit. To bring a commit to the disk takes milliseconds, in which this process does nothing else. So transactions that
 * come within one turn of the event loop share one: each is a savepoint in a transaction of SQLite, none mixes with another, and
 * none counts as done before they all are on the disk.
 */
class GroupCommit {
  readonly #connection: LibsqlConnection;
  readonly #lock: FifoLock;
  #group: Group | null = null;

  constructor(connection: LibsqlConnection, lock: FifoLock) {
    this.#connection = connection;
    this.#lock = lock;
  }

  /** Null: none is open. */
  get open(): Group | null {
    return this.#group;
  }

  /** The open group, or a new one. To be asked by whoever has the lock. @throws LedgerUnavailableError */
  async join(): Promise<Group> {
    if (this.#group !== null) return this.#group;
    await this.#connection.begin(BEGIN_WRITE);
    const { promise, resolve, reject } = withResolvers();
    // Those who wait for it hear of a failure; perhaps nobody does.
    promise.catch(() => {});
    const group: Group = { size: 0, due: false, onDisk: promise, resolve, reject };
    this.#group = group;
    setImmediate(() => {
      group.due = true;
      // Whoever is at work in it now commits it at the end.
      if (this.#group === group && this.#lock.tryAcquire()) void this.#commitAndLeave();
    });
    return group;
  }

  /** Hands the lock on, and commits before where that is due. */
  leave(): void {
    const group = this.#group;
    if (group !== null && (group.due || group.size >= LARGEST_GROUP)) void this.#commitAndLeave();
    else this.#lock.release();
  }

  async #commitAndLeave(): Promise<void> {
    await this.commit();
    this.#lock.release();
  }

  /** Never throws: those in the group hear of a failure. */
  async commit(): Promise<void> {
    const group = this.#group;
    if (group === null) return;
    try {
      await this.#connection.commit();
      this.#group = null;
      group.resolve();
    } catch (error) {
      this.broken(error);
    }
  }

  /** SQLite has ended the transaction by itself, or can't commit it: nothing of the group is stored. */
  broken(error: unknown): void {
    this.#connection.rollback();
    this.#group?.reject(error);
    this.#group = null;
  }
}

/** One turn with the connection: a query, or a transaction. */
class LibsqlTurn implements DatabaseConnection {
  readonly #connection: LibsqlConnection;
  readonly #commits: GroupCommit;
  #transaction: 'none' | 'running' | 'failed' = 'none';
  /** What it has done, or seen, counts when this is on the disk. */
  #group: Group | null = null;

  constructor(connection: LibsqlConnection, commits: GroupCommit) {
    this.#connection = connection;
    this.#commits = commits;
  }

  async begin(): Promise<void> {
    this.#group = await this.#commits.join();
    this.#connection.exec('savepoint turn');
    this.#transaction = 'running';
  }

  /** It is on the disk when the turn ends. */
  commit(): void {
    this.#assertIntact();
    this.#connection.exec('release turn');
    this.#transaction = 'none';
    if (this.#group !== null) this.#group.size += 1;
  }

  /** Never throws: the error that led to it is the one to report. SQLite may have rolled back by itself (disk full). */
  rollback(): void {
    if (this.#transaction === 'none') return;
    this.#transaction = 'none';
    if (!this.#connection.inTransaction) {
      this.#commits.broken(new TransactionAbortedError());
      return;
    }
    try {
      this.#connection.exec('rollback to turn; release turn');
    } catch (error) {
      this.#commits.broken(error);
    }
  }

  /** @throws LedgerUnavailableError where what was done did not reach the disk */
  async end(): Promise<void> {
    // Ends what a failed commit may have left behind.
    this.rollback();
    const onDisk = this.#group === null || this.#group.size === 0 ? null : this.#group.onDisk;
    this.#commits.leave();
    await onDisk;
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    if (this.#transaction === 'none') return this.#executeAlone<Row>(query);

    const parameters = query.parameters.map(toBindable);
    this.#assertIntact();
    try {
      return this.#connection.run<Row>(query.sql, parameters);
    } catch (error) {
      // As on PostgreSQL: a transaction in which a statement failed can only be rolled back.
      this.#transaction = 'failed';
      if (!this.#connection.inTransaction) this.#commits.broken(this.#connection.translated(error));
      throw this.#connection.translated(error);
    }
  }

  async #executeAlone<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    if (/^\s*pragma\b/i.test(query.sql)) {
      // Some settings can't be changed, or even read, in a transaction.
      await this.#commits.commit();
      return this.#connection.run<Row>(query.sql, []);
    }
    if (isRead(query)) return this.#read<Row>(query);
    await this.begin();
    try {
      const result = await this.executeQuery<Row>(query);
      this.commit();
      return result;
    } catch (error) {
      this.rollback();
      throw error;
    }
  }

  async #read<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    const parameters = query.parameters.map(toBindable);
    // What it sees of an open group is not on the disk yet.
    this.#group = this.#commits.open;
    const isAlone = this.#group === null;
    if (isAlone) await this.#connection.begin(BEGIN_READ);
    try {
      const result = this.#connection.run<Row>(query.sql, parameters);
      if (isAlone) await this.#connection.commit();
      return result;
    } catch (error) {
      if (isAlone) this.#connection.rollback();
      throw this.#connection.translated(error);
    }
  }

  // eslint-disable-next-line require-yield, @typescript-eslint/require-await
  async *streamQuery<Row>(): AsyncIterableIterator<QueryResult<Row>> {
    throw new Error('The ledger does not stream: a slow reader would hold its only connection. Read page by page.');
  }

  /** @throws {TransactionAbortedError} if a statement failed, or SQLite ended the transaction: the rest would run alone */
  #assertIntact(): void {
    if (this.#transaction === 'failed' || !this.#connection.inTransaction) throw new TransactionAbortedError();
  }
}

function withResolvers(): Pick<Group, 'resolve' | 'reject'> & { readonly promise: Promise<void> } {
  let resolve: Group['resolve'] = () => {};
  let reject: Group['reject'] = () => {};
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/*
 * Each statement runs in a transaction that has its lock already, taken by `exec`. libsql does not reset a prepared
 * statement that met a busy database: it would stay active, make every later commit fail, or hold an old snapshot, until
 * it is garbage collected. What `exec` runs is freed at once. Reading something makes SQLite take its snapshot.
 */
const BEGIN_WRITE = 'begin immediate';
const BEGIN_READ = 'begin; select 1 from sqlite_schema limit 1';

class LibsqlConnection {
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
