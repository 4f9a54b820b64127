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
import { storableText } from './text.js';

export interface PostgresLimits {
  /** How long to try to connect, or to wait for a free connection, ms. */
  readonly connectMs: number;
  /** How long to wait for a lock, ms. */
  readonly lockMs: number;
  /** How long to wait for an answer, ms; a network that swallows packets would else hold a caller for many minutes. */
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
 * @param url - checked only as far as it can be without a connection
 * @returns the dialect, and host, port and database for messages
 * @throws {Error} if the driver can't use the URL
 */
export function postgresDialect(
  url: string,
  limits: PostgresLimits = DEFAULT_LIMITS,
): { readonly dialect: Dialect; readonly describe: string } {
  // Never connects: only the driver knows how URL, PG… variables and defaults add up.
  const { host, port, database, password } = new pg.Client({ connectionString: url });
  const describe = describePlace({ host, port, database });
  const pool = new pg.Pool({
    connectionString: url,
    max: MAX_CONNECTIONS,
    fallback_application_name: 'curfew',
    connectionTimeoutMillis: limits.connectMs,
    query_timeout: limits.answerMs,
    keepAlive: true,
    types: { getTypeParser },
    // Not as startup parameters, which connection poolers refuse. The pool waits for it, whatever its types say.
    // eslint-disable-next-line @typescript-eslint/no-misused-promises
    onConnect: async (client) => {
      await client.query(
        `set lock_timeout = ${limits.lockMs}; set idle_in_transaction_session_timeout = ${limits.idleInTransactionMs}`,
      );
    },
  });
  const translator = new PostgresErrors(describe, typeof password === 'string' ? password : '');
  return { dialect: new PostgresDialect({ pool: new LedgerPool(pool, translator) }), describe };
}

/** Where a URL leads to, with the PG… variables and the driver's defaults. @throws {Error} if the driver can't use the URL */
export function postgresPlace(
  url: string,
): Pick<pg.Client, 'host' | 'port' | 'user' | 'database'> & { describe: string } {
  const { host, port, user, database } = new pg.Client({ connectionString: url });
  return { host, port, user, database, describe: describePlace({ host, port, database }) };
}

const describePlace = ({ host, port, database }: Pick<pg.Client, 'host' | 'port' | 'database'>): string =>
  `${host}:${port}/${database ?? ''}`;

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
    private readonly errors: PostgresErrors,
  ) {
    // Without listeners, a connection that is lost while nobody waits for an answer would end the process. The next
    // query on it reports the loss, so there is nothing to do here.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => client.on('error', () => undefined));
  }

  async connect(): Promise<PostgresPoolClient> {
    try {
      return new LedgerClient(await this.pool.connect(), this.errors);
    } catch (error) {
      throw this.errors.duringConnect(error);
    }
  }

  async end(): Promise<void> {
    await this.pool.end();
  }
}

/** One connection for as long as it is borrowed from the pool. */
class LedgerClient implements PostgresPoolClient {
  #lost: LedgerUnavailableError | undefined;

  constructor(
    private readonly client: pg.PoolClient,
    private readonly errors: PostgresErrors,
  ) {}

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
    // A rollback would only wait for the same silence, and hide why the connection was lost.
    if (this.#lost !== undefined) throw this.#lost;
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
  readonly #describe: string;
  readonly #password: string;

  constructor(describe: string, password: string) {
    this.#describe = describe;
    this.#password = password;
  }

  /** Whatever went wrong, we have no connection. */
  duringConnect(error: unknown): LedgerUnavailableError {
    return this.#unavailable(reasonOf(error) ?? 'unreachable', error);
  }

  /** What PostgreSQL says against the query itself (constraint, syntax) is passed on as it is. */
  duringQuery(error: unknown): unknown {
    if (error instanceof TypeError || error instanceof RangeError) return error;
    if (codeOf(error) === IN_FAILED_TRANSACTION) return new TransactionAbortedError();
    // What does not come from PostgreSQL comes from the connection: reset, closed, no answer.
    const reason = error instanceof pg.DatabaseError ? reasonOf(error) : 'unreachable';
    return reason === undefined ? error : this.#unavailable(reason, error);
  }

  #unavailable(reason: UnavailableReason, error: unknown): LedgerUnavailableError {
    const detail = messageOf(error);
    const redacted = this.#password === '' ? detail : detail.replaceAll(this.#password, '[password]');
    return new LedgerUnavailableError(reason, this.#describe, redacted, codeOf(error));
  }
}

function reasonOf(error: unknown): UnavailableReason | undefined {
  const code = codeOf(error) ?? '';
  return UNAVAILABLE[code] ?? UNAVAILABLE[code.slice(0, 3)] ?? UNAVAILABLE[code.slice(0, 2)];
}
