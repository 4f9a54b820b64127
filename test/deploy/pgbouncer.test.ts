import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import pg from 'pg';
import { ExitCode } from '../../src/core/errors.js';
import { lockSession } from '../../src/adapters/ledger/locks.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import { addOne, counter } from '../ledger/rows.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { startPgBouncer, type PgBouncer } from './pgbouncer.js';

let server: TestPostgres;
let bouncer: PgBouncer;

beforeAll(async () => {
  server = await startPostgres();
  bouncer = await startPgBouncer(server);
});

afterAll(async () => {
  await bouncer?.stop();
  await server?.stop();
});

/** All that a connection to PostgreSQL carries from one client to the next. */
const SESSION_STATE = `
  select
    (select json_object_agg(name, setting) from pg_settings where source = 'session' and name not like '%encoding%'
       and name not in ('application_name', 'DateStyle', 'TimeZone', 'standard_conforming_strings', 'IntervalStyle')) as settings,
    (select count(*)::int from pg_prepared_statements) as statements,
    (select count(*)::int from pg_cursors where name <> '') as cursors,
    (select count(*)::int from pg_listening_channels()) as channels,
    (select count(*)::int from pg_class where relpersistence = 't') as temporary,
    (select count(*)::int from pg_locks where locktype = 'advisory'
       and database = (select oid from pg_database where datname = current_database())) as locks`;
const NOTHING = { settings: null, statements: 0, cursors: 0, channels: 0, temporary: 0, locks: 0 };

describe('a ledger behind a pooler with one connection', () => {
  let one: PgBouncer;
  let url: string;
  let opened: OpenedDatabase[];

  beforeAll(async () => {
    one = await startPgBouncer(server, { poolSize: 1 });
  });
  afterAll(() => one?.stop());
  beforeEach(async () => {
    url = one.before(await server.createDatabase());
    opened = [];
  });
  afterEach(async () => {
    for (const { close } of opened) await close();
  });

  const open = async (at = url): Promise<OpenedDatabase> => {
    const ledger = await openDatabase(at);
    opened.push(ledger);
    return ledger;
  };
  const asStranger = async (query: string): Promise<unknown> => {
    const client = new pg.Client(url);
    await client.connect();
    try {
      return (await client.query<object>(query)).rows?.[0];
    } finally {
      await client.end();
    }
  };

  it('leaves nothing on the connection for its next client', async () => {
    const { db } = await open();
    expect(await asStranger(SESSION_STATE)).toEqual(NOTHING);
    await addOne(db);
    await db.insertInto('meta').values({ key: 'alone', value: 'x' }).execute();
    await db.transaction().execute((trx) => lockSession(trx, 'sess_1'));
    await expect(db.insertInto('meta').values({ key: 'alone', value: 'x' }).execute()).rejects.toThrow(/duplicate key/);
    expect(await asStranger(SESSION_STATE)).toEqual(NOTHING);
  });

  it('keeps its own limits, whatever another client has left there', async () => {
    const { db } = await open();
    await asStranger(
      `set lock_timeout = '1h'; set idle_in_transaction_session_timeout = '2h'; set statement_timeout = '3h'`,
    );
    const limits = sql<{ lock: string; idle: string; statement: string }>`
      select current_setting('lock_timeout') as lock, current_setting('idle_in_transaction_session_timeout') as idle,
        current_setting('statement_timeout') as statement`;
    const own = [{ lock: '10s', idle: '30s', statement: '61s' }];
    expect((await db.transaction().execute((trx) => limits.execute(trx))).rows).toEqual(own);
    expect((await limits.execute(db)).rows).toEqual(own);
  });

  it('gives up on a lock with and without a transaction of the caller', async () => {
    await open();
    // By two more, so that there are connections for holder and waiter.
    const many = bouncer.before(url);
    const { db } = await open(many);
    const holder = new pg.Client(many);
    await holder.connect();
    await holder.query('begin; lock table meta in exclusive mode');
    try {
      const alone = db.insertInto('meta').values({ key: 'a', value: 'b' }).execute();
      const within = addOne(db);
      const failures = await Promise.allSettled([alone, within]);
      for (const failure of failures)
        expect(failure).toMatchObject({ status: 'rejected', reason: { reason: 'busy', code: '55P03' } });
    } finally {
      await holder.query('rollback');
      await holder.end();
    }
    await addOne(db);
    expect(await counter(db)).toBe(1);
  });

  it('ends a transaction whose process does nothing', async () => {
    const { db } = await open();
    const [pid] = await Promise.all([
      db
        .transaction()
        .execute(async (trx) => {
          const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx);
          await sql`set local idle_in_transaction_session_timeout = '500ms'`.execute(trx);
          await sleep(2_000);
          return await counter(trx).then(
            () => null,
            (error: unknown) => ({ error, pid: rows[0]?.pid }),
          );
        })
        .catch((error: unknown) => ({ error, pid: 0 })),
    ]);
    expect(pid).toMatchObject({ error: { reason: 'unreachable' } });
    await addOne(db);
  });
});

it('a pooler that refuses settings at the start of a connection is told at once, with what to set', async () => {
  const waits: string[] = [];
  const waiting = { retryForMs: 60_000, onRetry: ({ error }: { error: Error }) => void waits.push(error.message) };
  const url = `${bouncer.before(await server.createDatabase())}?options=-c%20x.y=1`;
  await expect(openDatabase(url, { waiting })).rejects.toMatchObject({
    exitCode: ExitCode.unreachable,
    next: expect.stringContaining('ignore_startup_parameters'),
  });
  expect(waits).toEqual([]);
});

it('a wrong password and a wrong database are told at once, as without a pooler', async () => {
  const url = bouncer.before(await server.createDatabase());
  const waits: string[] = [];
  const waiting = { retryForMs: 60_000, onRetry: ({ error }: { error: Error }) => void waits.push(error.message) };
  for (const wrong of [url.replace(server.password, 'wrong'), url.replace(/[^/]+$/, 'nowhere')]) {
    await expect(openDatabase(wrong, { waiting })).rejects.toMatchObject({ exitCode: ExitCode.unreachable });
  }
  expect(waits).toEqual([]);
});
