import {
  PostgresDialect,
  type Dialect,
  type PostgresCursor,
  type PostgresPool,
  type PostgresPoolClient,
  type PostgresQueryResult,
} from 'kysely';
import pg from 'pg';
import {
  codeOf,
  LedgerUnavailableError,
  messageOf,
  TransactionAbortedError,
  type UnavailableReason,
} from './errors.js';
import { wayInFailure } from './connection-failure.js';
import { passwordOf } from './postgres-password.js';
import { tlsOptions } from './postgres-tls.js';
import { describePlace, type PostgresSettings } from './postgres-url.js';
import { storableText } from '../../core/text/storable.js';

export interface PostgresLimits {
  /** How long to try to connect, or to wait for a free connection, ms. */
  readonly connectMs: number;
  /** How long to wait for a lock, ms. */
  readonly lockMs: number;
  /**
   * How long to wait for an answer, ms; a network that swallows packets would else hold a caller for many minutes. A little
   * later PostgreSQL ends the statement as well.
   */
  readonly answerMs: number;
  /** After how long PostgreSQL ends a transaction whose process does nothing (stopped, cut off), ms. It holds locks. */
  readonly idleInTransactionMs: number;
}

const DEFAULT_LIMITS: PostgresLimits = {
  connectMs: 10_000,
  lockMs: 10_000,
  answerMs: 60_000,
  idleInTransactionMs: 30_000,
};

/** A worker with many sessions needs few: transactions take milliseconds. */
const MAX_CONNECTIONS = 10;

/**
 * PostgreSQL through a pool of connections. A lost connection fails the query that meets it; the next one connects anew.
 *
 * Between two transactions nothing is left on a connection: no SET, prepared statement, session lock, LISTEN or temporary
 * table. A pooler such as PgBouncer may lend it to another client then, or give us another one.
 *
 * @throws {UserError} with exit code 2 for certificates that can't be used
 */
export function postgresDialect(settings: PostgresSettings, limits: PostgresLimits = DEFAULT_LIMITS): Dialect {
  const { host, port, user, database, applicationName, options } = settings;
  const pool = new pg.Pool({
    // All of it, so that nothing is left for the driver to look up.
    ...{ host, port, user, database, password: () => passwordOf(settings), ssl: tlsOptions(settings) },
    ...{ sslnegotiation: settings.directTls ? 'direct' : 'postgres', enableChannelBinding: settings.channelBinding },
    ...(options === null ? {} : { options }),
    application_name: applicationName ?? 'curfew',
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: settings.connectMs ?? limits.connectMs,
    query_timeout: limits.answerMs,
    keepAlive: true,
    types: { getTypeParser },
    Client: LettingGoClient,
  });
  return new PostgresDialect({ pool: new LedgerPool(pool, limits, new PostgresErrors(settings)) });
}

type Connected = (error: Error | null, client: pg.Client) => void;

/**
 * Closes a connection that did not come about. Where it is the driver that gives up (no password, a proof that is wrong), the
 * driver leaves that to the server, which waits a minute for an answer; and this process would wait with it.
 */
class LettingGoClient extends pg.Client {
  override connect(): Promise<pg.Client>;
  override connect(callback: Connected): void;
  override connect(callback?: Connected): Promise<pg.Client> | void {
    if (callback === undefined) throw new Error('The pool gives a callback.');
    super.connect((error: Error | null | undefined) => {
      if (error != null) this.connection.stream.destroy();
      callback(error ?? null, this);
    });
  }
}

/**
 * int8 (times, counts) and numeric (sums of int8) as numbers, as on SQLite; for this pool only, since the driver's own
 * table of parsers is shared by the whole process. Times and counts stay far below 2^53.
 */
function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (oid === Number(pg.types.builtins.INT8) || oid === Number(pg.types.builtins.NUMERIC)) return Number;
  return pg.types.getTypeParser(oid, format) as (value: string) => unknown;
}

/** The pool as Kysely sees it: its errors are ours. */
class LedgerPool implements PostgresPool {
  constructor(
    private readonly pool: pg.Pool,
    private readonly limits: PostgresLimits,
    private readonly errors: PostgresErrors,
  ) {
    // Without listeners, a connection that is lost while nobody waits for an answer would end the process. The next
    // query on it reports the loss, so there is nothing to do here.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => client.on('error', () => undefined));
  }

  async connect(): Promise<PostgresPoolClient> {
    try {
      return new LedgerClient(await this.pool.connect(), this.limits, this.errors);
    } catch (error) {
      throw this.errors.duringConnect(error);
    }
  }

  async end(): Promise<void> {
    await this.pool.end();
  }
}

const BEGINS = /^(begin|start transaction)\b/;
const ENDS = /^(commit|rollback)$/;
/** The server gives up after us, so that which of the two did so is no matter of chance, ms. */
const SERVER_GIVES_UP_LATER_MS = 1_000;

/**
 * One connection for as long as it is borrowed from the pool.
 *
 * Limits of the server are set within each transaction, and end with it: set for the connection, they would pass to other
 * clients of a pooler, or not be there. So everything runs in a transaction, also where the caller asked for none.
 */
class LedgerClient implements PostgresPoolClient {
  readonly #limits: string;
  #inTransaction = false;
  #lost: LedgerUnavailableError | undefined;

  constructor(
    private readonly client: pg.PoolClient,
    { lockMs, answerMs, idleInTransactionMs }: PostgresLimits,
    private readonly errors: PostgresErrors,
  ) {
    this.#limits = [
      `set local lock_timeout = ${lockMs}`,
      `set local statement_timeout = ${answerMs + SERVER_GIVES_UP_LATER_MS}`,
      `set local idle_in_transaction_session_timeout = ${idleInTransactionMs}`,
    ].join('; ');
  }

  query<Row>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<Row>>;
  query<Row>(cursor: PostgresCursor<Row>): PostgresCursor<Row>;
  query<Row>(
    query: string | PostgresCursor<Row>,
    parameters: readonly unknown[] = [],
  ): Promise<PostgresQueryResult<Row>> | PostgresCursor<Row> {
    if (typeof query !== 'string') throw new Error('The ledger does not stream. Read page by page.');
    return this.#run<Row>(query, parameters);
  }

  async #run<Row>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<Row>> {
    if (BEGINS.test(sql)) return await this.#begin(sql);
    if (this.#inTransaction) return await this.#send<Row>(sql, parameters);
    await this.#begin('begin');
    try {
      const result = await this.#send<Row>(sql, parameters);
      await this.#send('commit');
      return result;
    } catch (error) {
      // A rollback that fails loses the connection, and with it the transaction.
      await this.#send('rollback').catch(() => undefined);
      throw error;
    }
  }

  /** In one message, so that limits cost no further way there and back. */
  async #begin<Row>(sql: string): Promise<PostgresQueryResult<Row>> {
    await this.#send(`${sql}; ${this.#limits}`);
    this.#inTransaction = true;
    return { command: 'BEGIN', rowCount: 0, rows: [] } as unknown as PostgresQueryResult<Row>;
  }

  async #send<Row>(sql: string, parameters: readonly unknown[] = []): Promise<PostgresQueryResult<Row>> {
    // A rollback would only wait for the same silence, and hide why the connection was lost.
    if (this.#lost !== undefined) throw this.#lost;
    if (ENDS.test(sql)) this.#inTransaction = false;
    let result: pg.QueryResult;
    try {
      const storable = parameters.map((value) => (typeof value === 'string' ? storableText(value) : value));
      result = await this.client.query(sql, storable);
    } catch (error) {
      const translated = this.errors.duringQuery(error);
      if (translated instanceof LedgerUnavailableError && translated.reason === 'unreachable') this.#lost = translated;
      throw translated;
    }
    // To COMMIT of a transaction with a failed statement, PostgreSQL answers ROLLBACK, and calls it no error.
    if (sql === 'commit' && result.command === 'ROLLBACK') throw new TransactionAbortedError();
    return result as PostgresQueryResult<Row>;
  }

  release(): void {
    // With an error, the pool closes the connection instead of lending it again.
    this.client.release(this.#lost);
  }
}

/** Source: PostgreSQL manual, appendix "Error Codes"; two characters stand for a whole class. */
const UNAVAILABLE: Readonly<Record<string, UnavailableReason>> = {
  '08': 'unreachable',
  '25006': 'read-only', // read_only_sql_transaction
  '25P03': 'unreachable', // idle_in_transaction_session_timeout
  '25P04': 'unreachable', // transaction_timeout
  '28': 'refused', // invalid authorization
  '3D000': 'refused', // database does not exist
  '40001': 'busy', // serialization_failure
  '40P01': 'busy', // deadlock_detected
  '42501': 'refused', // insufficient_privilege
  '53': 'busy', // insufficient resources: memory, connections
  '53100': 'full', // disk_full
  '55P03': 'busy', // lock_not_available
  '57014': 'busy', // query_canceled
  '57P': 'unreachable', // shut down, crashed, starting, database dropped
  '58': 'failing', // system error
};

/** What PostgreSQL answers to each further statement of a transaction in which one failed. */
const IN_FAILED_TRANSACTION = '25P02';

class PostgresErrors {
  readonly #settings: PostgresSettings;

  constructor(settings: PostgresSettings) {
    this.#settings = settings;
  }

  /** Whatever went wrong, we have no connection. */
  duringConnect(error: unknown): LedgerUnavailableError {
    return this.#wayIn(error) ?? this.#unavailable(reasonOf(error) ?? 'unreachable', error);
  }

  /** What PostgreSQL says against the query itself (constraint, syntax) is passed on as it is. */
  duringQuery(error: unknown): unknown {
    if (error instanceof TypeError || error instanceof RangeError) return error;
    if (codeOf(error) === IN_FAILED_TRANSACTION) return new TransactionAbortedError();
    // What does not come from PostgreSQL comes from the connection: reset, closed, no answer.
    const reason = error instanceof pg.DatabaseError ? reasonOf(error) : 'unreachable';
    if (reason === undefined) return error;
    // A pooler lets a client in before it knows whether PostgreSQL will.
    return this.#wayIn(error) ?? this.#unavailable(reason, error);
  }

  #wayIn(error: unknown): LedgerUnavailableError | null {
    const failure = wayInFailure(error, this.#settings);
    return failure && this.#unavailable(failure.reason, error, failure.says, failure.next);
  }

  #unavailable(
    reason: UnavailableReason,
    error: unknown,
    says = messageOf(error),
    next?: string,
  ): LedgerUnavailableError {
    const { password } = this.#settings;
    const redacted = password === null ? says : says.replaceAll(password, '[password]');
    return new LedgerUnavailableError(reason, describePlace(this.#settings), redacted, codeOf(error), next);
  }
}

function reasonOf(error: unknown): UnavailableReason | undefined {
  const code = codeOf(error) ?? '';
  return UNAVAILABLE[code] ?? UNAVAILABLE[code.slice(0, 3)] ?? UNAVAILABLE[code.slice(0, 2)];
}
