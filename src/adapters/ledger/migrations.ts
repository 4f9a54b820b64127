import {
  Migrator,
  sql,
  type CreateTableBuilder,
  type Kysely,
  type Migration,
  type MigrationResultSet,
  type Transaction,
} from 'kysely';
import { ExitCode, UserError } from '../../core/errors.js';
import { dialectOf } from './dialect.js';

/** Our own names: a database may hold another program that Kysely migrates. */
const MIGRATION_TABLE = 'ledger_migration';
const MIGRATION_LOCK_TABLE = 'ledger_migration_lock';

/** Of Kysely 0.28, `PostgresAdapter`. */
const KYSELY_MIGRATION_LOCK = 3853314791062309107n;
/** Below the time in which a client has to get an answer. */
const MIGRATION_WAIT_MS = 50_000;

/** Once released, a migration is never changed: later ones add to it. They do not use `schema.ts`, which moves on. */
const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001_ledger': { up: createLedger },
  '0002_enforcement': { up: addEnforcement },
  '0003_bulk': { up: addBulk },
  '0004_read_age': { up: addReadAge },
  '0005_unjudged': { up: addUnjudged },
};

/** How the tables of a database compare with those that this version works with; `empty`: there are none. */
export type SchemaState = 'empty' | 'older' | 'current';

/**
 * Looks at the tables, and changes nothing.
 *
 * @throws {UserError} if a newer Curfew wrote the ledger, or the database belongs to something else
 * @throws {LedgerUnavailableError} if the database can't be used right now
 */
export async function schemaState<Database>(db: Kysely<Database>, describe: string): Promise<SchemaState> {
  const executed = await executedMigrations(db, describe);
  refuseNewer(executed, describe);
  if (executed.length === 0) return 'empty';
  return executed.length === Object.keys(MIGRATIONS).length ? 'current' : 'older';
}

/**
 * Brings the tables up to date, from whatever they are. Safe while other processes do the same: one does it, the others wait.
 *
 * @throws {UserError} if a newer Curfew wrote the ledger; nothing is changed
 * @throws {LedgerUnavailableError} if the database can't be used right now
 */
export async function migrateToLatest<Database>(db: Kysely<Database>, describe: string): Promise<void> {
  try {
    await migrate(db, (migrator) => migrator.migrateToLatest());
  } catch (error) {
    // A newer Curfew may have come meanwhile.
    refuseNewer(await executedMigrations(db, describe), describe);
    throw error;
  }
}

/**
 * Runs Kysely's migrator on our tables, in one transaction that others who migrate wait for.
 *
 * Kysely's own lock on PostgreSQL belongs to the connection and not to the transaction. Behind a pooler that lends connections by
 * the transaction it would be taken on one and given back on another: whoever migrates next would wait for ever.
 */
export const migrate = <Database>(
  db: Kysely<Database>,
  work: (migrator: Migrator) => Promise<MigrationResultSet>,
): Promise<void> =>
  db.transaction().execute(async (trx) => {
    if (dialectOf(trx) === 'postgres') {
      // The same lock as Kysely's, because workers of an older version take that. Held while all tables are made.
      await sql`set local lock_timeout = ${sql.lit(MIGRATION_WAIT_MS)}`.execute(trx);
      await sql`select pg_advisory_xact_lock(${sql.lit(KYSELY_MIGRATION_LOCK)})`.execute(trx);
    }
    const { error } = await work(
      new Migrator({
        db: asConnection(trx),
        provider: { getMigrations: () => Promise.resolve({ ...MIGRATIONS }) },
        migrationTableName: MIGRATION_TABLE,
        migrationLockTableName: MIGRATION_LOCK_TABLE,
        disableTransactions: true,
      }),
    );
    // Rolls back.
    if (error !== undefined) throw error as Error;
  });

/** A transaction as Kysely's migrator takes it, which asks for a connection to do everything on. */
function asConnection<Database>(trx: Transaction<Database>): Kysely<Database> {
  return new Proxy(trx, {
    get: (target, name) => {
      if (name === 'connection') return () => ({ execute: <T>(work: (db: Kysely<Database>) => T): T => work(target) });
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Names of the migrations that this database has seen; empty for a fresh one. */
async function executedMigrations<Database>(db: Kysely<Database>, describe: string): Promise<string[]> {
  const tables = await ownTables(db);
  if (tables.includes(MIGRATION_TABLE)) {
    const { rows } = await sql<{ name: string }>`select name from ${sql.table(MIGRATION_TABLE)} order by name`.execute(
      db,
    );
    return rows.map((row) => row.name);
  }
  if (tables.length > 0) {
    throw new UserError(
      `The database at ${describe} is not a ledger: it holds the tables of something else (${tables.slice(0, 3).join(', ')}). Nothing was changed.`,
      'Set CURFEW_DATABASE_URL to a database of its own; it may be empty.',
      ExitCode.unreachable,
    );
  }
  return [];
}

/** Tables in the place where the ledger's would be made: the file, or the first schema on PostgreSQL's search path. */
async function ownTables<Database>(db: Kysely<Database>): Promise<string[]> {
  const query =
    dialectOf(db) === 'postgres'
      ? sql<{ name: string }>`select tablename as name from pg_tables where schemaname = current_schema() order by 1`
      : sql<{
          name: string;
        }>`select name from sqlite_master where type = 'table' and name not like 'sqlite%' order by 1`;
  const { rows } = await query.execute(db);
  return rows.map((row) => row.name);
}

function refuseNewer(executed: readonly string[], describe: string): void {
  const unknown = executed.find((name) => !(name in MIGRATIONS));
  if (unknown === undefined) return;
  throw new UserError(
    `The ledger at ${describe} was written by a newer Curfew (its schema has "${unknown}", which this one does not know). Nothing was changed.`,
    'Run the version of Curfew that wrote it, or a later one.',
    ExitCode.unreachable,
  );
}

/** Why a command leaves the tables of an older version alone: workers of that version could not start again. */
export const olderTables = (describe: string): UserError =>
  new UserError(
    `The tables of the ledger at ${describe} are of an older Curfew, and this command does not change them.`,
    'Start a worker of this version first (it brings them up to date), or run `curfew migrate`. As long as older workers run, use the command of their version: they can not start again once the tables are newer.',
    ExitCode.refused,
  );

/** SQLite checks column types only when told to; PostgreSQL always does. */
const creator =
  (db: Kysely<unknown>) =>
  async (table: CreateTableBuilder<string, string>): Promise<void> =>
    (dialectOf(db) === 'sqlite' ? table.modifyEnd(sql`strict`) : table).execute();

async function createLedger(db: Kysely<unknown>): Promise<void> {
  const sqlite = dialectOf(db) === 'sqlite';
  const int8 = sqlite ? 'integer' : 'bigint';
  const create = creator(db);

  await create(
    db.schema
      .createTable('meta')
      .addColumn('key', 'text', (column) => column.primaryKey().notNull())
      .addColumn('value', 'text', (column) => column.notNull()),
  );

  await create(
    db.schema
      .createTable('orders')
      .addColumn('id', 'text', (column) => column.primaryKey().notNull())
      .addColumn('session_id', 'text', (column) => column.notNull())
      .addColumn('agent_id', 'text')
      .addColumn('turn_key', 'text')
      .addColumn('turn_started_at', int8)
      .addColumn('bound_at', int8)
      .addColumn('source', 'text', (column) => column.notNull())
      .addColumn('requested_by', 'text', (column) => column.notNull())
      .addColumn('reason_text', 'text')
      .addColumn('policy', 'text')
      .addColumn('policy_version', 'integer')
      .addColumn('limit_json', 'text')
      .addColumn('observed_json', 'text')
      .addColumn('even_if_exempt', 'integer', (column) => column.notNull())
      .addColumn('ordered_at', int8, (column) => column.notNull())
      .addColumn('open', 'integer', (column) => column.notNull())
      .addColumn('phase', 'text', (column) => column.notNull())
      .addColumn('attempts', 'integer', (column) => column.notNull().defaultTo(0))
      .addColumn('next_try_at', int8)
      .addColumn('last_error_json', 'text')
      .addColumn('counted_ms', int8, (column) => column.notNull().defaultTo(0))
      .addColumn('last_pass_at', int8)
      .addColumn('last_pass_counts', 'integer', (column) => column.notNull().defaultTo(0))
      .addColumn('alerted_at', int8),
  );
  await db.schema.createIndex('orders_session').on('orders').column('session_id').execute();
  await db.schema.createIndex('orders_ordered_at').on('orders').column('ordered_at').execute();
  await sql`create index orders_open on orders (ordered_at) where open = 1`.execute(db);

  await create(
    db.schema
      .createTable('outcomes')
      .addColumn('order_id', 'text', (column) => column.primaryKey().notNull().references('orders.id'))
      .addColumn('session_id', 'text', (column) => column.notNull())
      .addColumn('outcome', 'text', (column) => column.notNull())
      .addColumn('attribution', 'text')
      .addColumn('attempts', 'integer', (column) => column.notNull())
      .addColumn('ended_at', int8)
      .addColumn('decided_at', int8, (column) => column.notNull()),
  );
  await db.schema.createIndex('outcomes_decided_at').on('outcomes').column('decided_at').execute();

  await create(
    db.schema
      .createTable('requests')
      .addColumn('id', 'text', (column) => column.primaryKey().notNull())
      .addColumn('session_id', 'text', (column) => column.notNull())
      .addColumn('turn_key', 'text', (column) => column.notNull())
      .addColumn('owner', 'text', (column) => column.notNull())
      .addColumn('worker', 'text', (column) => column.notNull())
      .addColumn('attempt', 'integer', (column) => column.notNull())
      .addColumn('read_at', int8, (column) => column.notNull())
      .addColumn('registered_at', int8, (column) => column.notNull())
      .addColumn('lease_until', int8, (column) => column.notNull())
      .addColumn('status', 'text', (column) => column.notNull())
      .addColumn('sent_at', int8)
      .addColumn('answered_at', int8)
      .addColumn('answer', 'text')
      .addColumn('answer_state', 'text')
      .addColumn('http_status', 'integer')
      .addColumn('error_code', 'text')
      .addColumn('error_message', 'text')
      .addColumn('turn_started_at', int8),
  );
  await db.schema.createIndex('requests_turn').on('requests').columns(['session_id', 'turn_key']).execute();
  await sql`create index requests_open on requests (session_id) where status = 'open'`.execute(db);

  await create(
    db.schema
      .createTable('exemptions')
      .addColumn('id', 'text', (column) => column.primaryKey().notNull())
      .addColumn('session_id', 'text', (column) => column.notNull())
      .addColumn('until', int8, (column) => column.notNull())
      .addColumn('reason', 'text')
      .addColumn('by', 'text', (column) => column.notNull())
      .addColumn('created_at', int8, (column) => column.notNull())
      .addColumn('ended_at', int8),
  );
  await db.schema.createIndex('exemptions_session').on('exemptions').column('session_id').execute();

  await create(
    db.schema
      .createTable('pause_switch')
      .addColumn('id', 'integer', (column) =>
        column
          .primaryKey()
          .notNull()
          .check(sql`id = 1`),
      )
      .addColumn('paused', 'integer', (column) => column.notNull())
      .addColumn('reason', 'text')
      .addColumn('changed_by', 'text')
      .addColumn('changed_at', int8),
  );
  await sql`insert into pause_switch (id, paused) values (1, 0)`.execute(db);

  await create(
    db.schema
      .createTable('events')
      .addColumn('seq', sqlite ? 'integer' : 'bigserial', (column) =>
        sqlite ? column.primaryKey().autoIncrement() : column.primaryKey(),
      )
      .addColumn('at', int8, (column) => column.notNull())
      .addColumn('session_id', 'text')
      .addColumn('order_id', 'text')
      .addColumn('kind', 'text', (column) => column.notNull())
      .addColumn('data_json', 'text'),
  );
  await db.schema.createIndex('events_session').on('events').columns(['session_id', 'seq']).execute();
  await db.schema.createIndex('events_order').on('events').columns(['order_id', 'seq']).execute();
  await db.schema.createIndex('events_at').on('events').column('at').execute();
}

async function addEnforcement(db: Kysely<unknown>): Promise<void> {
  const int8 = dialectOf(db) === 'sqlite' ? 'integer' : 'bigint';
  const create = creator(db);

  await create(
    db.schema
      .createTable('policy_versions')
      .addColumn('version', 'integer', (column) => column.primaryKey().notNull())
      .addColumn('schema', 'integer', (column) => column.notNull())
      .addColumn('applied_at', int8, (column) => column.notNull())
      .addColumn('applied_by', 'text', (column) => column.notNull())
      .addColumn('file_name', 'text', (column) => column.notNull())
      .addColumn('source_text', 'text', (column) => column.notNull())
      .addColumn('file_json', 'text', (column) => column.notNull()),
  );

  await create(
    db.schema
      .createTable('facts')
      .addColumn('session_id', 'text', (column) => column.primaryKey().notNull())
      .addColumn('agent_id', 'text')
      .addColumn('schema', 'integer', (column) => column.notNull())
      .addColumn('listed', 'integer', (column) => column.notNull())
      .addColumn('seen_at', int8, (column) => column.notNull())
      .addColumn('facts_json', 'text', (column) => column.notNull())
      .addColumn('updated_at', int8, (column) => column.notNull()),
  );
  await db.schema.createIndex('facts_updated_at').on('facts').column('updated_at').execute();

  await create(
    db.schema
      .createTable('agent_scans')
      .addColumn('agent_id', 'text', (column) => column.primaryKey().notNull())
      .addColumn('scan_json', 'text', (column) => column.notNull())
      .addColumn('updated_at', int8, (column) => column.notNull()),
  );

  await create(
    db.schema
      .createTable('permits')
      .addColumn('policy', 'text', (column) => column.notNull())
      .addColumn('session_id', 'text', (column) => column.notNull())
      .addColumn('turn_key', 'text', (column) => column.notNull())
      .addColumn('taken_at', int8, (column) => column.notNull())
      .addPrimaryKeyConstraint('permits_pk', ['policy', 'session_id', 'turn_key']),
  );
  await db.schema.createIndex('permits_taken_at').on('permits').columns(['policy', 'taken_at']).execute();

  await create(
    db.schema
      .createTable('breakers')
      .addColumn('policy', 'text', (column) => column.primaryKey().notNull())
      .addColumn('opened_at', int8)
      .addColumn('reason_json', 'text')
      .addColumn('closed_at', int8)
      .addColumn('closed_by', 'text'),
  );

  await create(
    db.schema
      .createTable('watches')
      .addColumn('session_id', 'text', (column) => column.primaryKey().notNull())
      .addColumn('limits_json', 'text', (column) => column.notNull())
      .addColumn('reason_text', 'text')
      .addColumn('requested_by', 'text', (column) => column.notNull())
      .addColumn('registered_at', int8, (column) => column.notNull())
      .addColumn('state', 'text', (column) => column.notNull())
      .addColumn('ending', 'text')
      .addColumn('revision', 'integer', (column) => column.notNull())
      .addColumn('phase', 'text', (column) => column.notNull())
      .addColumn('note', 'text', (column) => column.notNull())
      .addColumn('schema', 'integer', (column) => column.notNull())
      .addColumn('facts_json', 'text')
      .addColumn('missing_since', int8)
      .addColumn('next_look_at', int8)
      .addColumn('order_id', 'text')
      .addColumn('closed_at', int8)
      .addColumn('closed_by', 'text'),
  );
  await sql`create index watches_open on watches (next_look_at) where state = 'watching'`.execute(db);

  await create(
    db.schema
      .createTable('deliveries')
      .addColumn('route', 'text', (column) => column.notNull())
      .addColumn('item', 'text', (column) => column.notNull())
      .addColumn('at', int8, (column) => column.notNull())
      .addPrimaryKeyConstraint('deliveries_pk', ['route', 'item']),
  );
  await db.schema.createIndex('deliveries_at').on('deliveries').column('at').execute();
}

async function addBulk(db: Kysely<unknown>): Promise<void> {
  const sqlite = dialectOf(db) === 'sqlite';
  const int8 = sqlite ? 'integer' : 'bigint';
  const create = creator(db);

  await create(
    db.schema
      .createTable('bulk_jobs')
      .addColumn('id', 'text', (column) => column.primaryKey().notNull())
      .addColumn('state', 'text', (column) => column.notNull())
      .addColumn('created_at', int8, (column) => column.notNull())
      .addColumn('created_by', 'text', (column) => column.notNull())
      .addColumn('source', 'text', (column) => column.notNull())
      .addColumn('cleanup', 'text')
      .addColumn('reason_text', 'text')
      .addColumn('selection_json', 'text', (column) => column.notNull())
      .addColumn('totals_json', 'text')
      .addColumn('hash', 'text')
      .addColumn('expires_at', int8)
      .addColumn('applied_at', int8)
      .addColumn('applied_by', 'text')
      .addColumn('fast', 'integer')
      .addColumn('even_if_exempt', 'integer')
      .addColumn('rate', sqlite ? 'real' : 'double precision')
      .addColumn('canary', 'integer')
      .addColumn('phase', 'text')
      .addColumn('note', 'text')
      .addColumn('epoch', 'integer', (column) => column.notNull())
      .addColumn('lease_until', int8)
      .addColumn('worker', 'text')
      .addColumn('progress_json', 'text')
      .addColumn('finished_at', int8),
  );
  await db.schema.createIndex('bulk_jobs_created_at').on('bulk_jobs').column('created_at').execute();

  await create(
    db.schema
      .createTable('bulk_targets')
      .addColumn('plan_id', 'text', (column) => column.notNull())
      .addColumn('seq', 'integer', (column) => column.notNull())
      .addColumn('session_id', 'text', (column) => column.notNull())
      .addColumn('agent_id', 'text')
      .addColumn('state', 'text')
      .addColumn('turn_key', 'text')
      .addColumn('turn_started_at', int8)
      .addColumn('seen_at', int8, (column) => column.notNull())
      .addColumn('status', 'text', (column) => column.notNull())
      .addColumn('attempts', 'integer', (column) => column.notNull().defaultTo(0))
      .addColumn('sent_at', int8)
      .addColumn('read_at', int8)
      .addColumn('answered_at', int8)
      .addColumn('answer', 'text')
      .addColumn('answer_state', 'text')
      .addColumn('error_json', 'text')
      .addColumn('attribution', 'text')
      .addColumn('ended_at', int8)
      .addColumn('decided_at', int8)
      .addColumn('order_id', 'text')
      // Neither names a column that changes, so that what becomes of a target costs no index.
      .addPrimaryKeyConstraint('bulk_targets_pk', ['plan_id', 'seq']),
  );
  await db.schema
    .createIndex('bulk_targets_session')
    .unique()
    .on('bulk_targets')
    .columns(['session_id', 'plan_id'])
    .execute();
}

async function addReadAge(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('orders').addColumn('max_read_age_ms', 'integer').execute();
}

async function addUnjudged(db: Kysely<unknown>): Promise<void> {
  const int8 = dialectOf(db) === 'sqlite' ? 'integer' : 'bigint';
  await creator(db)(
    db.schema
      .createTable('unjudged')
      .addColumn('session_id', 'text', (column) => column.primaryKey().notNull())
      .addColumn('by', 'text', (column) => column.notNull())
      .addColumn('reason', 'text', (column) => column.notNull())
      .addColumn('text', 'text', (column) => column.notNull())
      .addColumn('since', int8, (column) => column.notNull())
      .addColumn('last_at', int8, (column) => column.notNull())
      .addColumn('told', 'text')
      .addColumn('told_at', int8),
  );
  await db.schema.createIndex('unjudged_told_at').on('unjudged').column('told_at').execute();
}
