import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { inspect } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { Kysely, sql } from 'kysely';
import pg from 'pg';
import { ExitCode, UserError } from '../../src/core/errors.js';
import { isLedgerUnavailable, LedgerUnavailableError } from '../../src/adapters/ledger/errors.js';
import { lockSession } from '../../src/adapters/ledger/locks.js';
import { openDatabase, postgresSettings } from '../../src/adapters/ledger/open.js';
import { postgresDialect } from '../../src/adapters/ledger/postgres.js';
import type { LedgerDatabase } from '../../src/adapters/ledger/schema.js';
import { makeOlderLedger } from '../support/older-ledger.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { describeDatabase } from './database.contract.js';
import { addOne, counter } from './rows.js';

let server: TestPostgres;

beforeAll(async () => {
  server = await startPostgres();
});

afterAll(async () => {
  await server.stop();
});

describeDatabase('PostgreSQL', () => server.createDatabase());

describe('a ledger on PostgreSQL', () => {
  let url: string;
  /** @returns what was thrown, after a look for the password in every corner of it */
  const failureOf = async (work: Promise<unknown>): Promise<unknown> => {
    const failure = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    const everything = inspect(failure, { depth: 10, showHidden: true });
    expect(everything).not.toContain(server.password);
    return failure;
  };
  /** Returns when they are gone, and the clients in this process had a moment to see it. */
  async function endOtherConnections(): Promise<void> {
    const ofDatabase = 'from pg_stat_activity where datname = $1';
    await server.admin(`select pg_terminate_backend(pid) ${ofDatabase}`, [databaseOf(url)]);
    while ((await server.admin(`select pid ${ofDatabase}`, [databaseOf(url)])).length > 0) await sleep(20);
    await sleep(200);
  }

  beforeEach(async () => {
    url = await server.createDatabase();
  });

  it('is described by host, port and database', async () => {
    const ledger = await openDatabase(url);
    expect(ledger).toMatchObject({
      dialect: 'postgres',
      describe: `127.0.0.1:${server.port}/${databaseOf(url)}`,
    });
    await ledger.close();
  });

  it('leaves the number parsers of other users of the driver alone', async () => {
    const { db, close } = await openDatabase(url);
    expect((await sql`select 1::bigint as n`.execute(db)).rows).toEqual([{ n: 1 }]);
    const client = new pg.Client(url);
    await client.connect();
    expect((await client.query('select 1::bigint as n')).rows).toEqual([{ n: '1' }]);
    await client.end();
    await close();
  });

  it('loses a transaction with its connection, says so, and goes on by itself', async () => {
    const { db, close } = await openDatabase(url);
    const cutOff = db.transaction().execute(async (trx) => {
      await trx.insertInto('meta').values({ key: 'half', value: 'written' }).execute();
      await endOtherConnections();
      await trx.insertInto('meta').values({ key: 'other', value: 'half' }).execute();
    });
    expect(await failureOf(cutOff)).toMatchObject({ name: 'LedgerUnavailableError', reason: 'unreachable' });
    await addOne(db);
    expect(await db.selectFrom('meta').selectAll().execute()).toEqual([{ key: 'counter', value: '1' }]);
    await close();
  });

  it('survives the loss of a connection that nobody uses, or that is idle in a transaction', async () => {
    const { db, close } = await openDatabase(url);
    await addOne(db);
    await endOtherConnections();
    await addOne(db);
    const idle = db.transaction().execute(async (trx) => {
      await counter(trx);
      await endOtherConnections();
    });
    expect(await failureOf(idle)).toMatchObject({ reason: 'unreachable' });
    await addOne(db);
    expect(await counter(db)).toBe(3);
    await close();
  });

  it('says so while PostgreSQL is down, and goes on when it is back', async () => {
    const { db, close } = await openDatabase(url);
    await addOne(db);
    await server.shutDown();
    try {
      const whileDown = await failureOf(addOne(db));
      expect(isLedgerUnavailable(whileDown)).toBe(true);
      // Whatever connection was left is gone now: this one meets a closed port.
      expect(await failureOf(counter(db))).toMatchObject({ reason: 'unreachable', code: 'ECONNREFUSED' });

      const opening = (await failureOf(openDatabase(url))) as UserError;
      expect(opening).toBeInstanceOf(UserError);
      expect(opening.exitCode).toBe(ExitCode.unreachable);
      expect(opening.message).toContain(`127.0.0.1:${server.port}/${databaseOf(url)} is not reachable`);
    } finally {
      await server.startAgain();
    }
    await addOne(db);
    expect(await counter(db)).toBe(2);
    await close();
  });

  it('is waited for while PostgreSQL is down, for as long as it is said, and until it is told to stop', async () => {
    await server.shutDown();
    const waits: string[] = [];
    const retryForMs = 60_000;
    const told = new AbortController();
    const onRetry = ({ error }: { error: UserError }): void => {
      waits.push(error.message);
      told.abort();
    };
    try {
      const stopped = openDatabase(url, { waiting: { retryForMs, onRetry, signal: told.signal } });
      expect(await failureOf(stopped)).toMatchObject({ name: 'AbortError' });
      expect(waits).toEqual([expect.stringContaining('is not reachable')]);
      const impatient = openDatabase(url, { waiting: { retryForMs: 300, onRetry: () => undefined } });
      expect(await failureOf(impatient)).toMatchObject({ name: 'UserError', exitCode: ExitCode.unreachable });
    } finally {
      await server.startAgain();
    }
  });

  it('is there for those who have waited', async () => {
    await server.shutDown();
    let startedAgain: Promise<void> | undefined;
    const onRetry = (): void => void (startedAgain ??= server.startAgain());
    const ledger = await openDatabase(url, { waiting: { retryForMs: 60_000, onRetry } });
    await startedAgain;
    await addOne(ledger.db);
    expect(await counter(ledger.db)).toBe(1);
    await ledger.close();
  });

  it.each([
    ['a wrong password', () => url.replace(server.password, 'wrong-hunter2')],
    ['no password', () => url.replace(`:${server.password}`, '')],
    ['a database that is missing', () => url.replace(/[^/]+$/, 'nowhere')],
    ['TLS with a server that has none', () => `${url}?sslmode=require`],
  ])('is not waited for with %s', async (_what, urlOf) => {
    const waits: string[] = [];
    const waiting = {
      retryForMs: 60_000,
      onRetry: ({ error }: { error: UserError }) => void waits.push(error.message),
    };
    expect(await failureOf(openDatabase(urlOf(), { waiting }))).toMatchObject({
      name: 'UserError',
      exitCode: ExitCode.unreachable,
    });
    expect(waits).toEqual([]);
  });

  it('is waited for while it has too many clients', async () => {
    const role = `crowded_${databaseOf(url)}`;
    await server.admin(`create role ${role} login password 'hunter2' connection limit 0`);
    const crowded = url.replace(/\/\/[^@]+@/, `//${role}:hunter2@`);
    const waits: string[] = [];
    const told = new AbortController();
    const onRetry = ({ error }: { error: UserError }): void => {
      waits.push(error.message);
      told.abort();
    };
    const waiting = { retryForMs: 60_000, onRetry, signal: told.signal };
    expect(await failureOf(openDatabase(crowded, { waiting }))).toMatchObject({ name: 'AbortError' });
    expect(waits).toEqual([expect.stringContaining('too many connections')]);
  });

  it('says which command helps when its user may not change tables that are older', async () => {
    await makeOlderLedger(url);
    const role = `clerk_${databaseOf(url)}`;
    await server.admin(`create role ${role} login password 'hunter2'`);
    const owner = new pg.Client(url);
    await owner.connect();
    await owner.query(`grant select, insert, update, delete on all tables in schema public to ${role}`);
    await owner.end();
    const clerk = url.replace(/\/\/[^@]+@/, `//${role}:hunter2@`);
    const error = (await failureOf(openDatabase(clerk, { migrate: true }))) as UserError;
    expect(error.message).toContain('refuses us: permission denied');
    expect(error).toMatchObject({ next: expect.stringContaining('curfew migrate'), exitCode: ExitCode.unreachable });
  });

  it('is refused with exit code 4 for a wrong password, which is not repeated', async () => {
    const wrong = url.replace(server.password, 'wrong-hunter2');
    const error = (await failureOf(openDatabase(wrong))) as UserError;
    expect(error).toBeInstanceOf(UserError);
    expect(error.exitCode).toBe(ExitCode.unreachable);
    expect(error.message).toMatch(/password authentication failed/);
    expect(error.next).toMatch(/Check user, password/);
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('wrong-hunter2');
  });

  it('is refused with exit code 4 when the database is missing', async () => {
    const error = (await failureOf(openDatabase(url.replace(/[^/]+$/, 'nowhere')))) as UserError;
    expect(error).toMatchObject({ name: 'UserError', exitCode: ExitCode.unreachable });
    expect(error.message).toMatch(/"nowhere" does not exist/);
  });

  it('says so when the server takes no writes', async () => {
    const { db, close } = await openDatabase(url);
    await server.admin(`alter database ${databaseOf(url)} set default_transaction_read_only = on`);
    await endOtherConnections();
    await failureOf(counter(db)); // May meet the connection that has just been ended.
    expect(await failureOf(addOne(db))).toMatchObject({ reason: 'read-only', code: '25006' });
    await close();
  });

  describe('with tight limits', () => {
    const limits = { connectMs: 20_000, lockMs: 500, answerMs: 4_000, idleInTransactionMs: 2_000 };
    let db: Kysely<LedgerDatabase>;

    beforeEach(async () => {
      await (await openDatabase(url)).close();
      db = new Kysely<LedgerDatabase>({ dialect: postgresDialect(postgresSettings(url), limits) });
    });

    it('gives up on a lock that others hold, and works once it is free', async () => {
      const other = await openDatabase(url);
      await other.db.transaction().execute(async (trx) => {
        await lockSession(trx, 'counter');
        expect(await failureOf(addOne(db))).toMatchObject({ reason: 'busy', code: '55P03' });
      });
      await addOne(db);
      await other.close();
      await db.destroy();
    });

    it('gives up on an answer that does not come, and never lends that connection again', async () => {
      const silent = sql`select pg_sleep(10)`.execute(db);
      expect(await failureOf(silent)).toMatchObject({ reason: 'unreachable' });
      const inTransaction = db.transaction().execute((trx) => sql`select pg_sleep(10)`.execute(trx));
      const failure = await failureOf(inTransaction);
      expect(failure).toBeInstanceOf(LedgerUnavailableError);
      expect((failure as Error).message).toMatch(/Query read timeout/);
      await addOne(db);
      expect(await counter(db)).toBe(1);
      await db.destroy();
    });

    it('leaves nothing running that was given up, in a transaction or alone', async () => {
      const asleep = (): Promise<unknown[]> =>
        server.admin(`select pid from pg_stat_activity where query like 'select pg_sleep(3600)%' and state = 'active'`);
      const alone = failureOf(sql`select pg_sleep(3600)`.execute(db));
      const within = failureOf(db.transaction().execute((trx) => sql`select pg_sleep(3600)`.execute(trx)));
      while ((await asleep()).length < 2) await sleep(20);
      for (const failure of await Promise.all([alone, within]))
        expect(failure).toMatchObject({ reason: 'unreachable' });
      while ((await asleep()).length > 0) await sleep(50);
      await db.destroy();
    }, 60_000);

    it('does not let a stopped process keep its locks', async () => {
      const stopped = db.transaction().execute(async (trx) => {
        await lockSession(trx, 'counter');
        await sleep(5_000);
        await counter(trx);
      });
      expect(await failureOf(stopped)).toMatchObject({ reason: 'unreachable' });
      await addOne(db);
      await db.destroy();
    });
  });
});

const databaseOf = (url: string): string => new URL(url).pathname.slice(1);
