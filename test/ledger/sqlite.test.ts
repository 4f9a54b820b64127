import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Kysely, sql } from 'kysely';
import { ExitCode, UserError } from '../../src/core/errors.js';
import { isLedgerUnavailable, TransactionAbortedError } from '../../src/adapters/ledger/errors.js';
import { openDatabase, openDatabaseIfAny } from '../../src/adapters/ledger/open.js';
import type { LedgerDatabase } from '../../src/adapters/ledger/schema.js';
import { LibsqlDialect } from '../../src/adapters/ledger/sqlite.js';
import { unprivilegedAccount } from '../support/account.js';
import { describeDatabase } from './database.contract.js';
import { addOne, counter, newOrder } from './rows.js';
import { spawnActor } from './spawn-actor.js';

const folder = mkdtempSync(join(tmpdir(), 'curfew-ledger-'));
const newPath = (): string => join(folder, `${randomUUID()}.db`);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describeDatabase('SQLite', () => Promise.resolve(`sqlite://${newPath()}`));

const openingError = async (url: string): Promise<UserError> => {
  const error = await openDatabase(url).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(UserError);
  return error as UserError;
};

describe('a ledger in a SQLite file', () => {
  let path: string;

  beforeEach(() => {
    path = newPath();
  });

  it.each([
    ['a path', (file: string) => file],
    ['a sqlite: URL', (file: string) => `sqlite://${file}`],
    ['a file: URL', (file: string) => pathToFileURL(file).href],
    ['a URL with an escaped blank', (file: string) => `sqlite://${file}`.replace(/([^/]*)$/, 'two%20words-$1')],
  ])('is named by %s', async (_what, urlOf) => {
    const url = urlOf(path);
    const ledger = await openDatabase(url);
    const named = url.includes('%20') ? join(folder, `two words-${basename(path)}`) : path;
    expect(ledger).toMatchObject({ dialect: 'sqlite', describe: named });
    expect(statSync(named).isFile()).toBe(true);
    await ledger.close();
  });

  it('is not made, nor written to, by those who only look', async () => {
    expect(await openDatabaseIfAny(path)).toBeNull();
    expect(existsSync(path)).toBe(false);
    writeFileSync(path, '');
    expect(await openDatabaseIfAny(path)).toBeNull();
    expect(statSync(path).size).toBe(0);
  });

  it('is readable for its owner alone, and so is its log', async () => {
    const { db, close } = await openDatabase(path);
    await addOne(db);
    const files = readdirSync(folder).filter((file) => file.startsWith(basename(path)));
    expect(files.sort()).toEqual([basename(path), `${basename(path)}-shm`, `${basename(path)}-wal`]);
    for (const file of files) expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
    await close();
  });

  it('reaches the disk with each commit', async () => {
    const { db, close } = await openDatabase(path);
    const pragma = async (name: string): Promise<unknown> =>
      Object.values((await sql<object>`pragma ${sql.raw(name)}`.execute(db)).rows[0] ?? {})[0];
    expect(await pragma('journal_mode')).toBe('wal');
    expect(await pragma('synchronous')).toBe(2);
    expect(await pragma('foreign_keys')).toBe(1);
    expect(await pragma('busy_timeout')).toBe(0);
    await close();
  });

  it('stores whole numbers as such, also where no column says so', async () => {
    const { db, close } = await openDatabase(path);
    const { rows } = await sql`select typeof(${1_767_225_600_123}) as type, ${7} || '' as text`.execute(db);
    expect(rows).toEqual([{ type: 'integer', text: '7' }]);
    await close();
  });

  it('works on after more kinds of query than it keeps prepared', async () => {
    const { db, close } = await openDatabase(path);
    for (let query = 0; query < 500; query += 1) {
      expect((await sql`select ${sql.lit(query)} as n`.execute(db)).rows).toEqual([{ n: query }]);
    }
    await addOne(db);
    expect(await counter(db)).toBe(1);
    await close();
  });

  it('is refused when the file is no database, and the file stays as it was', async () => {
    const content = 'Dear diary, '.repeat(1_000);
    writeFileSync(path, content);
    const error = await openingError(path);
    expect(error.message).toMatch(/is not a SQLite database/);
    expect(error.exitCode).toBe(ExitCode.unreachable);
    expect(statSync(path).size).toBe(content.length);
  });

  it.each([
    ['a folder that is missing', () => join(folder, 'missing', 'ledger.db'), /ENOENT/],
    ['a folder', () => folder, /not a regular file/],
  ])('is refused when it would be %s', async (_what, place, why) => {
    const error = await openingError(place());
    expect(error.message).toMatch(why);
    expect(error.exitCode).toBe(ExitCode.unreachable);
    expect(error.next).toMatch(/CURFEW_DATABASE_URL/);
  });

  it('is refused in a folder where we may not write', async () => {
    const closed = join(folder, 'closed');
    mkdirSync(closed);
    chmodSync(folder, 0o755);
    chmodSync(closed, 0o555);
    const visitor = await spawnActor('open', join(closed, 'ledger.db'), 0, unprivilegedAccount());
    visitor.go();
    await expect(visitor.hear()).rejects.toThrow(/EACCES/);
    await expect(visitor.end()).rejects.toThrow(/exitCode: 4/);
  });

  it.each([
    ['', /empty/],
    ['mysql://root:hunter2@db/ledger', /"mysql:"/],
    ['sqlite://ledger.db', /three slashes/],
    ['sqlite:ledger.db', /three slashes/],
    ['sqlite:///tmp/ledger.db?mode=memory', /three slashes/],
    ['postgres://user:hunter2@[bad/ledger', /its host is not a valid name/],
    ['postgres://user:hunter2@127.0.0.1/ledger?sslmode=verify-full&sslrootcert=/missing.pem', /missing\.pem/],
  ])('refuses the URL "%s" as wrong usage, without a password', async (url, why) => {
    const error = await openingError(url);
    expect(error.exitCode).toBe(ExitCode.usage);
    expect(error.message).toMatch(why);
    expect(error.message + error.next).not.toContain('hunter2');
  });
});

describe('a SQLite ledger that can not be used right now', () => {
  const withTightLimits = async (
    work: (db: Kysely<LedgerDatabase>, other: Kysely<LedgerDatabase>) => Promise<void>,
  ): Promise<void> => {
    const path = newPath();
    const other = await openDatabase(path);
    const db = new Kysely<LedgerDatabase>({ dialect: new LibsqlDialect(path, { busyMs: 200, queueMs: 200 }) });
    try {
      await work(db, other.db);
    } finally {
      await db.destroy();
      await other.close();
    }
  };
  const failureOf = async (work: Promise<unknown>): Promise<unknown> => work.catch((reason: unknown) => reason);

  it('says so when others write for too long, and works once they are done', async () => {
    await withTightLimits(async (db, other) => {
      await other.transaction().execute(async () => {
        const ofTransaction = await failureOf(addOne(db));
        expect(ofTransaction).toMatchObject({ reason: 'busy', code: 'SQLITE_BUSY' });
        const ofStatement = await failureOf(db.insertInto('orders').values(newOrder('a')).execute());
        expect(ofStatement).toMatchObject({ reason: 'busy' });
        expect(isLedgerUnavailable(ofStatement)).toBe(true);
        expect(await counter(db)).toBe(0);
      });
      await addOne(db);
      expect(await counter(db)).toBe(1);
    });
  });

  it('fails a query beside the transaction that waits for it, instead of waiting for ever', async () => {
    await withTightLimits(async (db) => {
      const careless = db.transaction().execute(() => counter(db));
      expect(await failureOf(careless)).toMatchObject({ reason: 'busy' });
      await addOne(db);
    });
  });

  it('rolls back a transaction that closing does not wait for any longer', async () => {
    await withTightLimits(async (db, other) => {
      let begun = (): void => {};
      const inside = new Promise<void>((resolve) => (begun = resolve));
      const slow = failureOf(
        db.transaction().execute(async (trx) => {
          await trx.insertInto('orders').values(newOrder('a')).execute();
          begun();
          await sleep(600);
          await trx.insertInto('orders').values(newOrder('b')).execute();
        }),
      );
      await inside;
      await db.destroy();
      await addOne(other);
      expect(await slow).toBeInstanceOf(TransactionAbortedError);
      expect(await other.selectFrom('orders').select('id').execute()).toEqual([]);
    });
  });

  it('says so when the disk is full, keeps what it had, and works once there is space', async () => {
    await withTightLimits(async (db) => {
      await addOne(db);
      await sql`pragma max_page_count = 1`.execute(db);
      const filling = db.transaction().execute(async (trx) => {
        for (let key = 0; ; key += 1) {
          await trx
            .insertInto('meta')
            .values({ key: `k${key}`, value: 'x'.repeat(10_000) })
            .execute();
        }
      });
      expect(await failureOf(filling)).toMatchObject({ reason: 'full', code: 'SQLITE_FULL' });
      await sql`pragma max_page_count = 1000000`.execute(db);
      await addOne(db);
      expect(await counter(db)).toBe(2);
      expect(await db.selectFrom('meta').select('key').execute()).toEqual([{ key: 'counter' }]);
    });
  });

  it('says so when it may not write', async () => {
    await withTightLimits(async (db) => {
      await sql`pragma query_only = on`.execute(db);
      expect(await failureOf(addOne(db))).toMatchObject({ reason: 'read-only' });
    });
  });
});
