import type Database from 'libsql';
import QuickLRU from 'quick-lru';

interface PreparedStatement {
  readonly statement: ReturnType<Database.Database['prepare']>;
  /** It returns rows. libsql finds that out anew whenever it is asked. */
  readonly reader: boolean;
}

/** More than Curfew has queries; lists of varying length in `in (…)` make new ones. The cache holds up to twice as many. */
const CAPACITY = 100;

/**
 * Prepared statements by their SQL, those not used for long dropped. libsql frees a statement only when it is garbage
 * collected, and the collector does not see its native memory: preparing anew for each query costs hundreds of MB.
 */
export class StatementCache {
  readonly #statements = new QuickLRU<string, PreparedStatement>({ maxSize: CAPACITY });

  constructor(private readonly db: Database.Database) {}

  get(sql: string): PreparedStatement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.db.prepare(sql);
    const prepared = { statement, reader: statement.reader };
    this.#statements.set(sql, prepared);
    return prepared;
  }

  clear(): void {
    this.#statements.clear();
  }
}
