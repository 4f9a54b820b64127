import type Database from 'libsql';

type Statement = ReturnType<Database.Database['prepare']>;

/** More than Curfew has queries; lists of varying length in `in (…)` make new ones. */
const CAPACITY = 200;

/**
 * Prepared statements by their SQL, least recently used ones dropped. libsql frees a statement only when it is garbage
 * collected, and the collector does not see its native memory: preparing anew for each query costs hundreds of MB.
 */
export class StatementCache {
  /** In order of use. */
  readonly #statements = new Map<string, Statement>();

  constructor(private readonly db: Database.Database) {}

  get(sql: string): Statement {
    const statement = this.#statements.get(sql) ?? this.db.prepare(sql);
    this.#statements.delete(sql);
    this.#statements.set(sql, statement);
    if (this.#statements.size > CAPACITY) {
      for (const oldest of this.#statements.keys()) {
        this.#statements.delete(oldest);
        break;
      }
    }
    return statement;
  }

  clear(): void {
    this.#statements.clear();
  }
}
