import {
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryCompiler,
} from 'kysely';
import { LedgerUnavailableError } from './errors.js';
import { FifoLock } from './fifo-lock.js';
import { GroupCommit, LibsqlTurn } from './group-commit.js';
import { LibsqlConnection } from './sqlite-connection.js';

export interface SqliteLimits {
  /** How long to try while another process writes, ms. */
  readonly busyMs: number;
  /** How long to wait for the transactions of this process that came first, ms. */
  readonly queueMs: number;
}

const DEFAULT_LIMITS: SqliteLimits = { busyMs: 10_000, queueMs: 30_000 };

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
