import { randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';
import { recordEvents } from './events.js';
import { lockSession } from './locks.js';
import type { LedgerDatabase } from './schema.js';

/** Leaves a session alone for a while. Honoured in the transaction that lets a cancel request out. */
export interface NewExemption {
  readonly sessionId: string;
  /** Our clock, ms since the Unix epoch. */
  readonly untilMs: number;
  readonly reason: string | null;
  readonly by: string;
}

export async function exempt(db: Kysely<LedgerDatabase>, exemption: NewExemption, nowMs: number): Promise<void> {
  await db.transaction().execute(async (trx) => {
    // After this has returned, no request for the session can leave that has not seen the exemption.
    await lockSession(trx, exemption.sessionId);
    await trx
      .insertInto('exemptions')
      .values({
        id: randomUUID(),
        session_id: exemption.sessionId,
        until: exemption.untilMs,
        reason: exemption.reason,
        by: exemption.by,
        created_at: nowMs,
      })
      .execute();
    await recordEvents(trx, [
      {
        kind: 'exempt',
        at: nowMs,
        sessionId: exemption.sessionId,
        data: { by: exemption.by, reason: exemption.reason, until: new Date(exemption.untilMs).toISOString() },
      },
    ]);
  });
}

/** @returns how many running exemptions it ended */
export async function unexempt(
  db: Kysely<LedgerDatabase>,
  sessionId: string,
  by: string,
  nowMs: number,
): Promise<number> {
  return db.transaction().execute(async (trx) => {
    await lockSession(trx, sessionId);
    const ended = await trx
      .updateTable('exemptions')
      .set({ ended_at: nowMs })
      .where('session_id', '=', sessionId)
      .where('ended_at', 'is', null)
      .where('until', '>', nowMs)
      .executeTakeFirst();
    const count = Number(ended.numUpdatedRows);
    if (count > 0) await recordEvents(trx, [{ kind: 'unexempt', at: nowMs, sessionId, data: { by } }]);
    return count;
  });
}
