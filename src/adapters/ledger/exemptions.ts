import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import { recordEvents } from './events.js';
import { ledgerNow, lockSession, type Clock } from './locks.js';
import type { PolicyFile } from '../../core/policy/policy.js';
import type { LedgerDatabase } from './schema.js';

/** Leaves a session alone for a while. Honoured in the transaction that lets a cancel request out. */
export interface NewExemption {
  readonly sessionId: string;
  readonly forMs: number;
  readonly reason: string | null;
  readonly by: string;
}

/** An exemption in force. Times are the ledger's clock, ms. */
export interface RunningExemption {
  readonly sessionId: string;
  readonly untilMs: number;
  readonly reason: string | null;
  /** Claimed, not authenticated; or the policy file. */
  readonly by: string;
  readonly sinceMs: number;
}

export const createExemptions = (db: Kysely<LedgerDatabase>, now: Clock = ledgerNow) => ({
  async add({ sessionId, forMs, reason, by }: NewExemption): Promise<{ untilMs: number }> {
    const at = await now(db);
    const untilMs = at + forMs;
    await db.transaction().execute(async (trx) => {
      // After this has returned, no request for the session can leave that has not seen the exemption.
      await lockSession(trx, sessionId);
      await trx
        .insertInto('exemptions')
        .values({ id: randomUUID(), session_id: sessionId, until: untilMs, reason, by, created_at: at })
        .execute();
      const data = { by, reason, until: new Date(untilMs).toISOString() };
      await recordEvents(trx, [{ kind: 'exempt', at, sessionId, data }]);
    });
    return { untilMs };
  },

  /** @returns how many running exemptions it ended */
  async end(sessionId: string, by: string): Promise<number> {
    const nowMs = await now(db);
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
  },

  /**
   * @param vendorNowMs - see {@link earliestNow}
   * @returns until when each exempt session is so, ms since the Unix epoch
   */
  async running(vendorNowMs: number | null = null): Promise<Map<string, number>> {
    const rows = await db
      .selectFrom('exemptions')
      .select(['session_id', 'until'])
      .where('ended_at', 'is', null)
      .where('until', '>', earliestNow(await now(db), vendorNowMs))
      .execute();
    const until = new Map<string, number>();
    for (const row of rows) until.set(row.session_id, Math.max(row.until, until.get(row.session_id) ?? 0));
    return until;
  },

  /** Those in force, the first to end first. A session may have several. @returns at most `limit`, and how many there are */
  async list(limit: number): Promise<{ readonly total: number; readonly exemptions: readonly RunningExemption[] }> {
    const inForce = db
      .selectFrom('exemptions')
      .where('ended_at', 'is', null)
      .where('until', '>', await now(db));
    const { total } = await inForce.select(({ fn }) => fn.countAll<number>().as('total')).executeTakeFirstOrThrow();
    const rows = await inForce
      .select(['session_id', 'until', 'reason', 'by', 'created_at'])
      .orderBy('until')
      .orderBy('session_id')
      .limit(limit)
      .execute();
    return {
      total: Number(total),
      exemptions: rows.map((row) => ({
        ...{ sessionId: row.session_id, untilMs: row.until, reason: row.reason, by: row.by, sinceMs: row.created_at },
      })),
    };
  },
});

/**
 * When an exemption counts as over: when it is over by every clock. One that ran ahead would end it too early, and with it a
 * session that was to be left alone; one that is behind only ends it late.
 *
 * @param ledgerMs - ledger's clock
 * @param vendorMs - vendor's clock; null: not known
 */
export const earliestNow = (ledgerMs: number, vendorMs: number | null): number =>
  Math.min(ledgerMs, vendorMs ?? ledgerMs);

/** Whose exemptions those of the policy file are. */
const POLICY_FILE = 'the policy file';

/** The exemptions of a policy file take the place of those of the file before it; people's own stay. */
export async function replaceFileExemptions(
  trx: Transaction<LedgerDatabase>,
  exemptions: PolicyFile['exempt'],
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
