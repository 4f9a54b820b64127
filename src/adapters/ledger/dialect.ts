import { PostgresAdapter, type QueryExecutorProvider } from 'kysely';

export type LedgerDialect = 'sqlite' | 'postgres';

/** Which database a connection or a transaction talks to. */
export function dialectOf(db: QueryExecutorProvider): LedgerDialect {
  return db.getExecutor().adapter instanceof PostgresAdapter ? 'postgres' : 'sqlite';
}
