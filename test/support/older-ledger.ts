import { Kysely, sql } from 'kysely';
import { migrate } from '../../src/adapters/ledger/migrations.js';
import { locateLedger, postgresSettings } from '../../src/adapters/ledger/open.js';
import { postgresDialect } from '../../src/adapters/ledger/postgres.js';
import { LibsqlDialect } from '../../src/adapters/ledger/sqlite.js';

/** What the version before the newest tables made; that one does not know the migrations after it. */
const NEWEST_OF_OLDER = '0001_orders';

async function on<T>(url: string, work: (db: Kysely<unknown>) => Promise<T>): Promise<T> {
  const place = locateLedger(url);
  const dialect = place.kind === 'sqlite' ? new LibsqlDialect(place.path) : postgresDialect(postgresSettings(url));
  const db = new Kysely<unknown>({ dialect });
  try {
    return await work(db);
  } finally {
    await db.destroy();
  }
}

/** Makes the tables as an older version had them, in a database that is empty. */
export const makeOlderLedger = (url: string): Promise<void> => on(url, (db) => migrate(db, url, NEWEST_OF_OLDER));

/** The last one of before orders had holders. */
const BEFORE_HOLDERS = '0002_bulk';

/** An order that a policy has given: see `policyOrder`. */
export interface OlderPolicyOrder {
  readonly id: string;
  readonly sessionId: string;
  readonly turnKey: string;
  readonly turnStartedAtMs: number;
  readonly policy: string;
  readonly limitMs: number;
}

/** Makes the tables as they were before orders had holders, with open orders in them whose cases had not come to their end. */
export const makeLedgerBeforeHolders = (url: string, orders: readonly OlderPolicyOrder[]): Promise<void> =>
  on(url, async (db) => {
    await migrate(db, url, BEFORE_HOLDERS);
    for (const { id, sessionId, turnKey, turnStartedAtMs, policy, limitMs } of orders) {
      const limit = JSON.stringify({ name: 'max_runtime', value: limitMs, unit: 'ms' });
      const orderedAt = Date.now() - 1_000;
      await sql`
        insert into orders (id, session_id, turn_key, turn_started_at, bound_at, source, requested_by, reason_text,
          policy, policy_version, limit_json, even_if_exempt, ordered_at, open, phase)
        values (${id}, ${sessionId}, ${turnKey}, ${turnStartedAtMs}, ${orderedAt}, 'policy', ${`policy ${policy}`},
          'has run too long', ${policy}, 1, ${limit}, 0, ${orderedAt}, 1, 'ordered')`.execute(db);
    }
  });

/** Names of all tables, and of the migrations that were done; both empty for a database in which nothing was made. */
export const tablesOf = (url: string): Promise<{ tables: string[]; migrations: string[] }> =>
  on(url, async (db) => {
    const tables = (await db.introspection.getTables({ withInternalKyselyTables: true }))
      .map(({ name }) => name)
      .sort();
    if (!tables.includes('ledger_migration')) return { tables, migrations: [] };
    const { rows } = await sql<{ name: string }>`select name from ledger_migration order by name`.execute(db);
    return { tables, migrations: rows.map(({ name }) => name) };
  });

/** What a database is whose tables a Curfew from before the first release made: its names of migrations, and a row. */
export const makeUnreleasedLedger = (url: string): Promise<void> =>
  on(url, async (db) => {
    await sql`create table ledger_migration (name text primary key, timestamp text)`.execute(db);
    await sql`create table meta (key text primary key, value text)`.execute(db);
    for (const name of ['0001_ledger', '0002_enforcement', '0003_bulk', '0004_read_age', '0005_unjudged']) {
      await sql`insert into ledger_migration (name, timestamp) values (${name}, '2026-11-01T00:00:00Z')`.execute(db);
    }
    await sql`insert into meta (key, value) values ('kept', 'yes')`.execute(db);
  });
