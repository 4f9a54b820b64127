import type { Kysely } from 'kysely';
import { recordEvents } from './events.js';
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

/** @returns false when the switch already stood so; then only the first one's reason is kept. */
export async function setPauseSwitch(
  db: Kysely<LedgerDatabase>,
  change: { readonly paused: boolean; readonly reason: string | null; readonly by: string; readonly at: number },
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const changed = await trx
      .updateTable('pause_switch')
      .set({ paused: change.paused ? 1 : 0, reason: change.reason, changed_by: change.by, changed_at: change.at })
      .where('id', '=', 1)
      .where('paused', '=', change.paused ? 0 : 1)
      .executeTakeFirst();
    if (Number(changed.numUpdatedRows) === 0) return false;
    await recordEvents(trx, [
      { kind: change.paused ? 'paused' : 'resumed', at: change.at, data: { by: change.by, reason: change.reason } },
    ]);
    return true;
  });
}
