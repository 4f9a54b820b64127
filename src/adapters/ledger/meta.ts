import { sql, type Kysely } from 'kysely';
import type { LedgerDatabase } from './schema.js';

export async function readMeta(db: Kysely<LedgerDatabase>, key: string): Promise<string | null> {
  const row = await db.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst();
  return row?.value ?? null;
}

export const metaUnder = (
  db: Kysely<LedgerDatabase>,
  prefix: string,
): Promise<{ readonly key: string; readonly value: string }[]> =>
  db
    .selectFrom('meta')
    .selectAll()
    .where(sql<string>`substr(key, 1, ${sql.lit([...prefix].length)})`, '=', prefix)
    .orderBy('key')
    .execute();

/** Writes a value if none is there. @returns true when it was written by this call */
export async function claimMeta(db: Kysely<LedgerDatabase>, key: string, value: string): Promise<boolean> {
  const written = await db
    .insertInto('meta')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doNothing())
    .executeTakeFirst();
  return Number(written.numInsertedOrUpdatedRows ?? 0) > 0;
}

export async function replaceMeta(db: Kysely<LedgerDatabase>, key: string, value: string): Promise<void> {
  await db
    .insertInto('meta')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute();
}

/** @returns true when this call removed it */
export async function dropMeta(db: Kysely<LedgerDatabase>, key: string): Promise<boolean> {
  const dropped = await db.deleteFrom('meta').where('key', '=', key).executeTakeFirst();
  return Number(dropped.numDeletedRows) > 0;
}

/**
 * Changes a value that is still as it was read.
 *
 * @param from - null: none was there
 * @returns false: someone else has changed it meanwhile
 */
export async function swapMeta(
  db: Kysely<LedgerDatabase>,
  key: string,
  from: string | null,
  to: string,
): Promise<boolean> {
  if (from === null) return claimMeta(db, key, to);
  const updated = await db
    .updateTable('meta')
    .set({ value: to })
    .where('key', '=', key)
    .where('value', '=', from)
    .executeTakeFirst();
  return Number(updated.numUpdatedRows) === 1;
}
