import { sql, type Kysely } from 'kysely';
import { recordEvents, stamped, type EventToRecord } from './events.js';
import { ledgerNow, type Clock } from './locks.js';
import type { LedgerDatabase } from './schema.js';

export const createMeta = (db: Kysely<LedgerDatabase>, now: Clock = ledgerNow) => ({
  async read(key: string): Promise<string | null> {
    const row = await db.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst();
    return row?.value ?? null;
  },

  /** All whose key begins so, in the order of their keys. */
  under(prefix: string): Promise<{ readonly key: string; readonly value: string }[]> {
    return db
      .selectFrom('meta')
      .selectAll()
      .where(sql<string>`substr(key, 1, ${sql.lit([...prefix].length)})`, '=', prefix)
      .orderBy('key')
      .execute();
  },

  /** Writes a value if none is there. @returns true when it was written by this call */
  async claim(key: string, value: string): Promise<boolean> {
    const written = await db
      .insertInto('meta')
      .values({ key, value })
      .onConflict((conflict) => conflict.column('key').doNothing())
      .executeTakeFirst();
    return Number(written.numInsertedOrUpdatedRows ?? 0) > 0;
  },

  async replace(key: string, value: string): Promise<void> {
    await db
      .insertInto('meta')
      .values({ key, value })
      .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
      .execute();
  },

  /** @returns true when this call removed it */
  async drop(key: string): Promise<boolean> {
    const dropped = await db.deleteFrom('meta').where('key', '=', key).executeTakeFirst();
    return Number(dropped.numDeletedRows) > 0;
  },

  /**
   * Changes a value that is still as it was read (null: none was there), and records events with it: once, however many workers
   * see the same change.
   *
   * @returns false: someone else has changed it meanwhile, and nothing was written
   */
  async swap(key: string, from: string | null, to: string, events: readonly EventToRecord[]): Promise<boolean> {
    const at = await now(db);
    return db.transaction().execute(async (trx) => {
      const isOurs = from === null ? await createMeta(trx).claim(key, to) : await replaceIf(trx, key, from, to);
      if (isOurs) await recordEvents(trx, stamped(events, at));
      return isOurs;
    });
  },
});

async function replaceIf(trx: Kysely<LedgerDatabase>, key: string, from: string, to: string): Promise<boolean> {
  const updated = await trx
    .updateTable('meta')
    .set({ value: to })
    .where('key', '=', key)
    .where('value', '=', from)
    .executeTakeFirst();
  return Number(updated.numUpdatedRows) === 1;
}
