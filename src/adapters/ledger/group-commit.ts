import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely';
import { storableText } from '../../core/text/storable.js';
import { TransactionAbortedError } from './errors.js';
import type { FifoLock } from './fifo-lock.js';
import { BEGIN_READ, BEGIN_WRITE, type LibsqlConnection } from './sqlite-connection.js';

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
export class GroupCommit {
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
export class LibsqlTurn implements DatabaseConnection {
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
