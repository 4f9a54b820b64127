import type { Insertable, Kysely } from 'kysely';
import { lockSession } from '../../src/adapters/ledger/locks.js';
import type { LedgerDatabase, OrdersTable } from '../../src/adapters/ledger/schema.js';

export function newOrder(id: string): Insertable<OrdersTable> {
  return {
    id,
    session_id: 'session',
    source: 'person',
    requested_by: 'ops@example.com',
    even_if_exempt: 0,
    ordered_at: 1_767_225_600_000,
    open: 1,
    phase: 'ordered',
  };
}

/** Reads a counter and writes it back plus one, in one transaction that takes its turn. */
export async function addOne(db: Kysely<LedgerDatabase>): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await lockSession(trx, 'counter');
    const row = await trx.selectFrom('meta').select('value').where('key', '=', 'counter').executeTakeFirst();
    const value = String(Number(row?.value ?? 0) + 1);
    await trx
      .insertInto('meta')
      .values({ key: 'counter', value })
      .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
      .execute();
  });
}

export async function counter(db: Kysely<LedgerDatabase>): Promise<number> {
  const row = await db.selectFrom('meta').select('value').where('key', '=', 'counter').executeTakeFirst();
  return Number(row?.value ?? 0);
}

/** A clock that stands. @param ms - since the Unix epoch */
export const clockAt = (ms: number) => (): Promise<number> => Promise.resolve(ms);
