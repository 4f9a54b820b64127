import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql, type Kysely } from 'kysely';
import Database from 'libsql';
import { isLedgerUnavailable } from '../../src/adapters/ledger/errors.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import type { LedgerDatabase } from '../../src/adapters/ledger/schema.js';

let folder: string;
let opened: OpenedDatabase;
let other: OpenedDatabase;
let db: Kysely<LedgerDatabase>;
/** What was said to SQLite, all connections together. */
let said: string[];
let failNext: ((statement: string) => Error | null) | null;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-group-'));
  opened = await openDatabase(join(folder, 'ledger.db'));
  other = await openDatabase(join(folder, 'ledger.db'));
  db = opened.db;
  said = [];
  failNext = null;
  const { value: exec } = Object.getOwnPropertyDescriptor(Database.prototype, 'exec') as {
    readonly value: (this: Database.Database, statement: string) => Database.Database;
  };
  jest.spyOn(Database.prototype, 'exec').mockImplementation(function (this: Database.Database, statement: string) {
    said.push(statement);
    const failure = failNext?.(statement) ?? null;
    if (failure !== null) throw failure;
    return exec.call(this, statement);
  });
});

afterEach(async () => {
  jest.restoreAllMocks();
  await opened.close();
  await other.close();
  rmSync(folder, { recursive: true, force: true });
});

const put = (key: string, fails = false): Promise<void> =>
  db.transaction().execute(async (trx) => {
    await trx.insertInto('meta').values({ key, value: 'x' }).execute();
    await trx.updateTable('meta').set({ value: 'y' }).where('key', '=', key).execute();
    if (fails) throw new Error(`${key} fails`);
  });
const keys = async (of: Kysely<LedgerDatabase> = other.db): Promise<string[]> =>
  (await of.selectFrom('meta').select('key').where('key', 'like', 'k%').orderBy('key').execute()).map(({ key }) => key);
const times = (statement: string): number => said.filter((one) => one === statement).length;

describe('transactions that come together', () => {
  it('reach the disk with one commit', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, n) => put(`k${n}`)));
    expect(times('commit')).toBe(1);
    expect(await keys()).toHaveLength(20);
  });

  it('do not mix: one that fails takes no other along', async () => {
    const results = await Promise.allSettled(['k1', 'k2', 'k3', 'k4'].map((key) => put(key, key === 'k2')));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(await keys()).toEqual(['k1', 'k3', 'k4']);
  });

  it('I2: none of them counts as done when the commit fails, and none is stored', async () => {
    failNext = (statement) =>
      statement === 'commit' ? Object.assign(new Error('disk is full'), { code: 'SQLITE_FULL' }) : null;
    const results = await Promise.allSettled(['k1', 'k2'].map((key) => put(key)));
    for (const result of results) {
      expect(result.status === 'rejected' && isLedgerUnavailable(result.reason)).toBe(true);
    }
    failNext = null;
    expect(await keys()).toEqual([]);
    await put('k3');
    expect(await keys()).toEqual(['k3']);
  });

  it('I2: a reader is told nothing that is not on the disk', async () => {
    let committed = false;
    failNext = (statement) => {
      if (statement === 'commit') committed = true;
      return null;
    };
    const writing = put('k1');
    const seen = await keys(db);
    expect({ seen, committed }).toEqual({ seen: ['k1'], committed: true });
    await writing;
  });

  it('I2: a transaction that SQLite ends by itself is heard of by those before it, too', async () => {
    failNext = null;
    const before = put('k1');
    const ending = db.transaction().execute(async (trx) => {
      await trx.insertInto('meta').values({ key: 'k2', value: 'x' }).execute();
      // As SQLite does by itself when the disk fails.
      await sql`rollback`.execute(trx);
    });
    const results = await Promise.allSettled([before, ending]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await keys()).toEqual([]);
    await put('k3');
    expect(await keys()).toEqual(['k3']);
  });

  it('are not waited for: one alone is on the disk at once', async () => {
    await put('k1');
    await put('k2');
    expect(times('commit')).toBe(2);
  });

  it('are committed when the one at work in them is through, even if that takes long', async () => {
    const order: string[] = [];
    const slow = db.transaction().execute(async (trx) => {
      await trx.insertInto('meta').values({ key: 'k1', value: 'x' }).execute();
      await sleep(50);
      order.push('slow is through');
    });
    const quick = put('k2').then(() => void order.push('quick is done'));
    await Promise.all([slow, quick]);
    expect(order).toEqual(['slow is through', 'quick is done']);
    expect(await keys()).toEqual(['k1', 'k2']);
  });

  it('let another process write in between', async () => {
    const mine = (async () => {
      for (let n = 0; n < 50; n += 1) await put(`k-mine-${n}`);
    })();
    const theirs = (async () => {
      for (let n = 0; n < 10; n += 1)
        await other.db
          .insertInto('meta')
          .values({ key: `k-their-${n}`, value: 'x' })
          .execute();
    })();
    await Promise.all([mine, theirs]);
    expect(await keys()).toHaveLength(60);
  });

  it('are on the disk before the ledger is closed', async () => {
    const writing = put('k1');
    await opened.close();
    await writing;
    expect(await keys()).toEqual(['k1']);
    opened = await openDatabase(join(folder, 'ledger.db'));
  });
});
