import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { ExitCode, UserError } from '../../src/core/errors.js';
import { isLedgerUnavailable, TransactionAbortedError } from '../../src/adapters/ledger/errors.js';
import { ledgerNow, lockSession, readSwitchForShare } from '../../src/adapters/ledger/locks.js';
import { openDatabase, openDatabaseIfAny, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import type { LedgerDatabase } from '../../src/adapters/ledger/schema.js';
import { makeOlderLedger, makeUnreleasedLedger, tablesOf } from '../support/older-ledger.js';
import { ticksDuring } from './lag-probe.js';
import { addOne, counter, newOrder } from './rows.js';
import { spawnActor, type Actor } from './spawn-actor.js';

const A_TIME_MS = 1_767_225_600_123;

/**
 * What the ledger promises on either database.
 *
 * @param freshUrl - makes a new, empty database
 */
export function describeDatabase(name: string, freshUrl: () => Promise<string>): void {
  describe(`the ledger's database on ${name}`, () => {
    let url: string;
    const opened: OpenedDatabase[] = [];
    const actors: Actor[] = [];

    const open = async (): Promise<OpenedDatabase> => {
      const database = await openDatabase(url);
      opened.push(database);
      return database;
    };
    const actor = async (...args: Parameters<typeof spawnActor>): Promise<Actor> => {
      const spawned = await spawnActor(...args);
      actors.push(spawned);
      return spawned;
    };

    beforeEach(async () => {
      url = await freshUrl();
    });

    afterEach(async () => {
      for (const one of actors.splice(0)) {
        one.kill('SIGKILL');
        await one.end();
      }
      for (const database of opened.splice(0)) await database.close();
    });

    describe('migrations', () => {
      it('make every table, and a switch that is off', async () => {
        const { db } = await open();
        const tables: (keyof LedgerDatabase)[] = ['meta', 'orders', 'outcomes', 'requests', 'exemptions', 'events'];
        for (const table of tables) expect(await db.selectFrom(table).selectAll().execute()).toEqual([]);
        expect(await db.selectFrom('pause_switch').selectAll().execute()).toEqual([
          { id: 1, paused: 0, reason: null, changed_by: null, changed_at: null },
        ]);
      });

      it('change nothing when they run again', async () => {
        const first = await open();
        await first.db.insertInto('meta').values({ key: 'kept', value: 'yes' }).execute();
        await first.close();
        const second = await open();
        expect(await second.db.selectFrom('meta').selectAll().execute()).toEqual([{ key: 'kept', value: 'yes' }]);
      });

      it('run once when several processes open a fresh database together', async () => {
        const openers = await Promise.all([1, 2, 3, 4].map(() => actor('open', url)));
        for (const opener of openers) opener.go();
        for (const opener of openers) {
          expect(await opener.hear()).toEqual([{ paused: 0 }]);
          await opener.end();
        }
      });

      it('leave the tables of an older version alone, unless they are asked for', async () => {
        await makeOlderLedger(url);
        const before = await tablesOf(url);
        expect(before.migrations.length).toBeGreaterThan(0);
        for (const opening of [openDatabase(url), openDatabaseIfAny(url)]) {
          const error = await opening.catch((reason: unknown) => reason);
          expect(error).toBeInstanceOf(UserError);
          expect(error).toMatchObject({ exitCode: ExitCode.refused, next: expect.stringContaining('curfew migrate') });
          expect((error as UserError).message).toMatch(/of an older Curfew.*does not change them/);
        }
        expect(await tablesOf(url)).toEqual(before);
      });

      it('bring the tables of an older version up to date when they are asked for, and keep what is in them', async () => {
        const current = await open();
        await current.close();
        const { tables, migrations } = await tablesOf(url);

        url = await freshUrl();
        await makeOlderLedger(url);
        const older = await tablesOf(url);
        expect(older.tables.length).toBeLessThan(tables.length);
        const { db, found } = await openDatabase(url, { migrate: true }).then((database) => {
          opened.push(database);
          return database;
        });
        expect(found).toBe('older');
        expect(await tablesOf(url)).toEqual({ tables, migrations });
        expect(await db.selectFrom('pause_switch').select('paused').execute()).toEqual([{ paused: 0 }]);
      });

      it('are done once when several workers start on older tables together', async () => {
        await makeOlderLedger(url);
        const workers = await Promise.all([1, 2, 3].map(() => actor('migrate', url)));
        for (const worker of workers) worker.go();
        for (const worker of workers) {
          expect(await worker.hear()).toEqual([]);
          await worker.end();
        }
      });

      it('make nothing for those who only look', async () => {
        expect(await openDatabaseIfAny(url)).toBeNull();
        expect(await tablesOf(url)).toEqual({ tables: [], migrations: [] });
        expect(await openDatabaseIfAny(url)).toBeNull();
        expect(await tablesOf(url)).toEqual({ tables: [], migrations: [] });
        await (await open()).close();
        const database = await openDatabaseIfAny(url);
        expect(database?.found).toBe('current');
        await database?.close();
      });

      it('refuse a ledger that a newer Curfew wrote, and leave it alone', async () => {
        const { db, close } = await open();
        await sql`insert into ledger_migration (name, timestamp) values ('9999_future', '2030-01-01T00:00:00Z')`.execute(
          db,
        );
        await close();
        const error = await openDatabase(url).catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(UserError);
        expect(error).toMatchObject({ exitCode: ExitCode.unreachable });
        expect((error as UserError).message).toMatch(/written by a newer Curfew.*9999_future/);
      });

      it('refuse a ledger from before the first release in plain words, and leave it alone', async () => {
        await makeUnreleasedLedger(url);
        const before = await tablesOf(url);
        const openings = [
          () => openDatabase(url),
          () => openDatabase(url, { migrate: true }),
          () => openDatabaseIfAny(url),
        ];
        for (const opening of openings) {
          const error = await opening().catch((reason: unknown) => reason);
          expect(error).toBeInstanceOf(UserError);
          expect(error).toMatchObject({
            exitCode: ExitCode.unreachable,
            message: expect.stringMatching(/before the first release.*Nothing was changed\.$/),
            next: expect.stringContaining('set CURFEW_DATABASE_URL to an empty database'),
          });
        }
        expect(await tablesOf(url)).toEqual(before);
      });

      it('refuse a database that holds the tables of something else', async () => {
        const { db, close } = await open();
        await sql`drop table ledger_migration`.execute(db);
        await close();
        await expect(openDatabase(url)).rejects.toThrow(/is not a ledger/);
      });
    });

    describe('values', () => {
      it('come back as numbers: times, counts, sums and defaults', async () => {
        const { db } = await open();
        await db
          .insertInto('orders')
          .values({ ...newOrder('a'), ordered_at: A_TIME_MS, counted_ms: 5_000_000_000 })
          .execute();
        await db.insertInto('orders').values(newOrder('b')).execute();
        expect(
          await db
            .selectFrom('orders')
            .select(['ordered_at', 'bound_at', 'open', 'attempts', 'counted_ms', 'last_pass_counts'])
            .where('id', '=', 'a')
            .executeTakeFirst(),
        ).toEqual({
          ordered_at: A_TIME_MS,
          bound_at: null,
          open: 1,
          attempts: 0,
          counted_ms: 5_000_000_000,
          last_pass_counts: 0,
        });
        expect(
          await db
            .selectFrom('orders')
            .select(({ fn }) => [
              fn.countAll<number>().as('count'),
              fn.sum<number>('counted_ms').as('sum'),
              fn.max('ordered_at').as('latest'),
            ])
            .executeTakeFirst(),
        ).toEqual({ count: 2, sum: 5_000_000_000, latest: A_TIME_MS });
      });

      it('number events upwards', async () => {
        const { db } = await open();
        const insert = (): Promise<{ seq: number }> =>
          db.insertInto('events').values({ at: A_TIME_MS, kind: 'x' }).returning('seq').executeTakeFirstOrThrow();
        const first = await insert();
        const second = await insert();
        expect(typeof first.seq).toBe('number');
        expect(second.seq).toBeGreaterThan(first.seq);
      });

      it('report how many rows a change met', async () => {
        const { db } = await open();
        await db
          .insertInto('meta')
          .values([
            { key: 'a', value: '1' },
            { key: 'b', value: '1' },
          ])
          .execute();
        const changed = await db.updateTable('meta').set({ value: '2' }).executeTakeFirst();
        expect(changed.numUpdatedRows).toBe(2n);
      });

      it.each([
        ['a boolean', true],
        ['a text', 'soon'],
        ['a fraction', 1.5],
      ])('refuse %s where a number belongs', async (_what, value) => {
        const { db } = await open();
        const bad = { ...newOrder('a'), ordered_at: value as number };
        await expect(db.insertInto('orders').values(bad).execute()).rejects.toThrow();
        expect(await db.selectFrom('orders').select('id').execute()).toEqual([]);
      });

      it('keep text whole that contains the character NUL', async () => {
        const { db } = await open();
        await db.insertInto('meta').values({ key: 'message', value: 'before\0after ü 🙂' }).execute();
        expect(await db.selectFrom('meta').select('value').executeTakeFirst()).toEqual({
          value: 'before\uFFFDafter ü 🙂',
        });
      });

      it('have to refer to an order that exists', async () => {
        const { db } = await open();
        const orphan = { order_id: 'none', session_id: 's', outcome: 'gone', attempts: 0, decided_at: A_TIME_MS };
        const error = await db
          .insertInto('outcomes')
          .values(orphan)
          .execute()
          .catch((reason: unknown) => reason);
        expect(String(error)).toMatch(/foreign key/i);
        expect(isLedgerUnavailable(error)).toBe(false);
      });
    });

    describe('transactions', () => {
      it('leave nothing behind when they fail, and report the first failure', async () => {
        const { db } = await open();
        const failing = db.transaction().execute(async (trx) => {
          await trx.insertInto('orders').values(newOrder('a')).execute();
          throw new Error('on second thought');
        });
        await expect(failing).rejects.toThrow('on second thought');
        expect(await db.selectFrom('orders').selectAll().execute()).toEqual([]);
      });

      it('are not committed when a failed statement was overlooked', async () => {
        const { db } = await open();
        const careless = db.transaction().execute(async (trx) => {
          await trx.insertInto('orders').values(newOrder('a')).execute();
          await trx
            .insertInto('orders')
            .values(newOrder('a'))
            .execute()
            .catch(() => undefined);
        });
        await expect(careless).rejects.toThrow(TransactionAbortedError);
        expect(await db.selectFrom('orders').selectAll().execute()).toEqual([]);
      });

      it('refuse further statements after a failed one', async () => {
        const { db } = await open();
        const careless = db.transaction().execute(async (trx) => {
          await sql`select * from no_such_table`.execute(trx).catch(() => undefined);
          await trx.insertInto('orders').values(newOrder('a')).execute();
        });
        await expect(careless).rejects.toThrow(TransactionAbortedError);
      });

      it('are invisible to others until they are committed', async () => {
        const [one, other] = [await open(), await open()];
        const seen = (): Promise<unknown[]> => other.db.selectFrom('orders').select('id').execute();
        await one.db.transaction().execute(async (trx) => {
          await trx.insertInto('orders').values(newOrder('a')).execute();
          expect(await seen()).toEqual([]);
        });
        expect(await seen()).toEqual([{ id: 'a' }]);
      });

      it('of one process do not mix', async () => {
        const { db } = await open();
        await Promise.all(Array.from({ length: 25 }, () => addOne(db)));
        expect(await counter(db)).toBe(25);
      });

      it('of several processes all succeed, and none is lost', async () => {
        const writers = await Promise.all([1, 2, 3, 4].map(() => actor('increment', url, 200)));
        for (const writer of writers) writer.go();
        for (const writer of writers) {
          expect(await writer.hear()).toBe('incremented');
          await writer.end();
        }
        expect(await counter((await open()).db)).toBe(800);
      });

      it('wait for another process without holding up timers', async () => {
        const { db } = await open();
        const holder = await actor('hold', url, 3_000);
        holder.go();
        expect(await holder.hear()).toBe('holding');
        let held = true;
        const released = holder.hear().then(() => (held = false));
        expect(await ticksDuring(() => addOne(db))).toBeGreaterThan(10);
        await released;
        expect(held).toBe(false);
        expect(await counter(db)).toBe(1);
      });

      it('of a process that is killed in the middle leave nothing, and hold up nobody', async () => {
        const { db } = await open();
        const victim = await actor('hang', url);
        victim.go();
        expect(await victim.hear()).toBe('inside');
        victim.kill('SIGKILL');
        await victim.end();
        await addOne(db);
        expect(await db.selectFrom('orders').select('id').execute()).toEqual([]);
      });
    });

    describe('the lock of a session', () => {
      it('makes transactions on it take turns', async () => {
        const [one, other] = [await open(), await open()];
        const story: string[] = [];
        const turn = (database: OpenedDatabase, who: string): Promise<void> =>
          database.db.transaction().execute(async (trx) => {
            await lockSession(trx, 'session');
            story.push(`${who} enters`);
            await sleep(100);
            story.push(`${who} leaves`);
          });
        await Promise.all([turn(one, 'one'), turn(other, 'other')]);
        const [first] = story[0]?.split(' ') ?? [];
        const second = first === 'one' ? 'other' : 'one';
        expect(story).toEqual([`${first} enters`, `${first} leaves`, `${second} enters`, `${second} leaves`]);
      });
    });

    describe('the pause switch', () => {
      const pause = (database: OpenedDatabase, then: () => Promise<void> | void): Promise<void> =>
        database.db.transaction().execute(async (trx) => {
          await trx.updateTable('pause_switch').set({ paused: 1, reason: 'drill' }).where('id', '=', 1).execute();
          await then();
        });

      it('is not turned while a request that saw it off is being let out', async () => {
        const [sender, operator] = [await open(), await open()];
        const story: string[] = [];
        let pausing: Promise<unknown> = Promise.resolve();
        await sender.db.transaction().execute(async (trx) => {
          expect(await readSwitchForShare(trx)).toEqual({ paused: false, reason: null });
          pausing = pause(operator, () => undefined).then(() => story.push('paused'));
          await sleep(300);
          await trx.insertInto('events').values({ at: A_TIME_MS, kind: 'request' }).execute();
          story.push('registered');
        });
        await pausing;
        expect(story).toEqual(['registered', 'paused']);
      });

      it('is seen by a request that comes while it is being turned', async () => {
        const [sender, operator] = [await open(), await open()];
        let reading: Promise<unknown> = Promise.resolve();
        await pause(operator, async () => {
          reading = sender.db.transaction().execute((trx) => readSwitchForShare(trx));
          await sleep(300);
        });
        expect(await reading).toEqual({ paused: true, reason: 'drill' });
      });

      it('lets no request of any process out once it is turned', async () => {
        const operator = await open();
        const senders = await Promise.all([1, 2].map(() => actor('register', url)));
        for (const sender of senders) {
          sender.go();
          expect(await sender.hear()).toBe('registering');
        }
        await operator.db.transaction().execute(async (trx) => {
          await trx.updateTable('pause_switch').set({ paused: 1 }).where('id', '=', 1).execute();
          await trx.insertInto('events').values({ at: A_TIME_MS, kind: 'paused' }).execute();
        });
        for (const sender of senders) {
          await sender.hear();
          await sender.end();
        }
        const events = await operator.db.selectFrom('events').select('kind').orderBy('seq').execute();
        expect(events.length).toBeGreaterThan(2);
        expect(events.findIndex(({ kind }) => kind === 'paused')).toBe(events.length - 1);
      });
    });

    describe('the clock', () => {
      it('gives ms since the epoch, and moves on inside a transaction', async () => {
        const { db } = await open();
        await db.transaction().execute(async (trx) => {
          const before = await ledgerNow(trx);
          await sleep(50);
          const after = await ledgerNow(trx);
          expect(Number.isInteger(before)).toBe(true);
          // The same machine, so the same clock; a minute is for a stalled test.
          expect(Math.abs(before - Date.now())).toBeLessThan(60_000);
          expect(after).toBeGreaterThan(before);
        });
      });
    });

    describe('closing', () => {
      it('can be done twice, and ends all use', async () => {
        const database = await open();
        await database.close();
        await database.close();
        await expect(database.db.selectFrom('meta').selectAll().execute()).rejects.toThrow();
      });

      it('waits for a transaction under way', async () => {
        const database = await open();
        let begun = (): void => {};
        const inside = new Promise<void>((resolve) => (begun = resolve));
        const writing = database.db.transaction().execute(async (trx) => {
          begun();
          await sleep(100);
          await trx.insertInto('orders').values(newOrder('a')).execute();
        });
        await inside;
        await database.close();
        await writing;
        expect(await (await open()).db.selectFrom('orders').select('id').execute()).toEqual([{ id: 'a' }]);
      });
    });
  });
}
