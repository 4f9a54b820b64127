import type { Kysely } from 'kysely';
import { HOLD_MS } from './leases.js';
import { ledgerNow, type Clock } from './locks.js';
import type { LedgerDatabase } from './schema.js';

/** Sessions per statement: SQLite and PostgreSQL both bound the number of parameters. */
const RENEWED_AT_ONCE = 500;

/**
 * Which worker carries out an order itself. It holds what it has given by a lease, which it renews; what it does not renew any
 * more gets a case. The lease begins with the order, and with each pass: see `beginPass` of the orders.
 */
export const createHolds = (db: Kysely<LedgerDatabase>, now: Clock = ledgerNow) => ({
  /** The worker lives, and goes on with what it holds on these sessions. */
  async renew(holder: string, sessionIds: readonly string[]): Promise<void> {
    const nowMs = await now(db);
    for (let first = 0; first < sessionIds.length; first += RENEWED_AT_ONCE) {
      await db
        .updateTable('orders')
        .set({ held_until: nowMs + HOLD_MS })
        .where('session_id', 'in', sessionIds.slice(first, first + RENEWED_AT_ONCE))
        .where('holder', '=', holder)
        .where('open', '=', 1)
        .execute();
    }
  },

  /**
   * The worker does not go on with what it held.
   *
   * @param forMs - within so long a case takes them over; 0: whoever finds them opens one
   * @returns whether any was still open
   */
  async letGo(holder: string, sessionId: string, forMs: number): Promise<boolean> {
    const nowMs = await now(db);
    const { numUpdatedRows } = await db
      .updateTable('orders')
      .set({ holder: null, held_until: nowMs + forMs })
      .where('holder', '=', holder)
      .where('session_id', '=', sessionId)
      .where('open', '=', 1)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  },

  /** A case was opened for orders whose holder is gone: so long it counts as at work without a word, ms. */
  async entrust(sessionId: string, forMs: number): Promise<void> {
    const nowMs = await now(db);
    await db
      .updateTable('orders')
      .set({ holder: null, held_until: nowMs + forMs })
      .where('session_id', '=', sessionId)
      .where('open', '=', 1)
      .where('held_until', '<=', nowMs)
      .execute();
  },

  /** Sessions with open orders whose holder is gone, and which no case has taken over, longest first. */
  async unheld(limit: number): Promise<{ sessionId: string; orderId: string }[]> {
    const rows = await db
      .selectFrom('orders')
      .select(({ fn }) => ['session_id', fn.min('id').as('orderId')])
      .where('open', '=', 1)
      .where('held_until', '<=', await now(db))
      .groupBy('session_id')
      .orderBy(({ fn }) => fn.min('held_until'))
      .limit(limit)
      .execute();
    return rows.map((row) => ({ sessionId: row.session_id, orderId: row.orderId }));
  },
});
