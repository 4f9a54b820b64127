import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
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

/**
 * When an exemption counts as over: when it is over by every clock. One that ran ahead would end it too early, and with it a
 * session that was to be left alone; one that is behind only ends it late.
 *
 * @param ledgerMs - ledger's clock
 * @param vendorMs - vendor's clock; null: not known
 */
export const earliestNow = (ledgerMs: number, vendorMs: number | null): number =>
  Math.min(ledgerMs, vendorMs ?? ledgerMs);

/**
 * @param vendorNowMs - see {@link earliestNow}
 * @returns until when each exempt session is so, ms since the Unix epoch
 */
export async function runningExemptions(
  db: Kysely<LedgerDatabase>,
  nowMs: number,
  vendorNowMs: number | null = null,
): Promise<Map<string, number>> {
  const rows = await db
    .selectFrom('exemptions')
    .select(['session_id', 'until'])
    .where('ended_at', 'is', null)
    .where('until', '>', earliestNow(nowMs, vendorNowMs))
    .execute();
  const until = new Map<string, number>();
  for (const row of rows) until.set(row.session_id, Math.max(row.until, until.get(row.session_id) ?? 0));
  return until;
}

/** Whose exemptions those of the policy file are. */
const POLICY_FILE = 'the policy file';

/** The exemptions of a policy file take the place of those of the file before it; people's own stay. */
export async function replaceFileExemptions(
  trx: Transaction<LedgerDatabase>,
  exemptions: readonly Pick<NewExemption, 'sessionId' | 'untilMs' | 'reason'>[],
  nowMs: number,
): Promise<void> {
  await trx
    .updateTable('exemptions')
    .set({ ended_at: nowMs })
    .where('by', '=', POLICY_FILE)
    .where('ended_at', 'is', null)
    .execute();
  // In one order, so that two appliers never wait for each other. Those that are over by this clock may run by the vendor's.
  for (const { sessionId, untilMs, reason } of exemptions.toSorted((a, b) => (a.sessionId < b.sessionId ? -1 : 1))) {
    await lockSession(trx, sessionId);
    await trx
      .insertInto('exemptions')
      .values({
        id: randomUUID(),
        session_id: sessionId,
        until: untilMs,
        reason,
        by: POLICY_FILE,
        created_at: nowMs,
      })
      .execute();
  }
}
