import type { Kysely } from 'kysely';
import { recordEvents } from './events.js';
import { ledgerNow, type Clock } from './locks.js';
import type { LedgerDatabase } from './schema.js';

/** The switch that keeps every cancel request in. It works while Temporal is away: it is a row in the ledger. */
export interface PauseSwitch {
  readonly paused: boolean;
  readonly reason: string | null;
  /** Claimed, not authenticated. */
  readonly changedBy: string | null;
  /** Our clock, ms since the Unix epoch; null when it was never touched. */
  readonly changedAtMs: number | null;
}

export async function readPauseSwitch(db: Kysely<LedgerDatabase>): Promise<PauseSwitch> {
  const row = await db.selectFrom('pause_switch').selectAll().where('id', '=', 1).executeTakeFirstOrThrow();
  return {
    paused: row.paused === 1,
    reason: row.reason,
    changedBy: row.changed_by,
    changedAtMs: row.changed_at,
  };
}

export const createPauseSwitch = (db: Kysely<LedgerDatabase>, now: Clock = ledgerNow) => ({
  read: (): Promise<PauseSwitch> => readPauseSwitch(db),

  /** @returns false when the switch already stood so; then only the first one's reason is kept */
  async set(paused: boolean, by: string, reason: string | null): Promise<boolean> {
    const at = await now(db);
    return db.transaction().execute(async (trx) => {
      const changed = await trx
        .updateTable('pause_switch')
        .set({ paused: paused ? 1 : 0, reason, changed_by: by, changed_at: at })
        .where('id', '=', 1)
        .where('paused', '=', paused ? 0 : 1)
        .executeTakeFirst();
      if (Number(changed.numUpdatedRows) === 0) return false;
      await recordEvents(trx, [{ kind: paused ? 'paused' : 'resumed', at, data: { by, reason } }]);
      return true;
    });
  },
});
