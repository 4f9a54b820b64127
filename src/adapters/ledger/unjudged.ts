import { sql, type Kysely, type Transaction } from 'kysely';
import { recordEvents } from './events.js';
import { ledgerNow, lockSession, type Clock } from './locks.js';
import type { LedgerDatabase, UnjudgedTable } from './schema.js';

/** Who could not judge a session: a case with orders on it, a scan of the fleet, or a watch. */
export type UnjudgedBy = 'case' | 'fleet' | 'watch';

/** An attempt to judge a session that failed. */
export interface FailedJudgement {
  readonly sessionId: string;
  readonly by: UnjudgedBy;
  /** The order that waits for it; null: none does. */
  readonly orderId: string | null;
  /** One word: `too-slow`, or the kind of failure. */
  readonly reason: string;
  /** For people, free of secrets. */
  readonly text: string;
}

/** A spell in which a session could not be judged. Ledger's clock, ms since the Unix epoch. */
export interface UnjudgedSpell {
  readonly sessionId: string;
  readonly by: UnjudgedBy;
  readonly reason: string;
  readonly text: string;
  /** First failure. */
  readonly sinceMs: number;
  /** Last failure so far. */
  readonly lastMs: number;
  /** Someone was told, by an alert of its own or one for many. */
  readonly told: boolean;
}

/** A spell whose next attempt is overdue for so long is over: nobody tries any more. ms */
const OVER_AFTER_MS = 5 * 60_000;
/** So many sessions are told one by one within {@link ALIKE_WITHIN_MS}; then one alert is for all that follow. */
const TOLD_ALONE = 5;
const ALIKE_WITHIN_MS = 10 * 60_000;
/** Spells that are over for so long are forgotten, ms. */
const FORGET_AFTER_MS = 24 * 60 * 60_000;

export const createUnjudged = (db: Kysely<LedgerDatabase>, now: Clock = ledgerNow) => ({
  /**
   * Leaves word of a failure.
   *
   * @param waitMs - until the next attempt
   * @returns the spell that the failure belongs to
   */
  async note({ sessionId, by, reason, text }: FailedJudgement, waitMs: number): Promise<UnjudgedSpell> {
    const nowMs = await now(db);
    return db.transaction().execute(async (trx) => {
      await lockSession(trx, sessionId);
      const known = await runningSpell(trx, sessionId, nowMs);
      // A scan that can't read it, either, takes no case's spell over: it would end it with the next read that comes.
      const failure = {
        by: known !== undefined && (await isOpenCases(trx, known)) ? 'case' : by,
        reason,
        text,
        last_at: nowMs,
        // Another's attempt may be due later.
        due_at: Math.max(nowMs + waitMs, known?.due_at ?? 0),
      };
      if (known !== undefined) {
        await trx.updateTable('unjudged').set(failure).where('session_id', '=', sessionId).execute();
        return toSpell({ ...known, ...failure });
      }
      await trx
        .deleteFrom('unjudged')
        .where((eb) => eb.or([eb('session_id', '=', sessionId), eb('due_at', '<', nowMs - FORGET_AFTER_MS)]))
        .execute();
      const row: UnjudgedTable = { session_id: sessionId, since: nowMs, told: null, told_at: null, ...failure };
      await trx.insertInto('unjudged').values(row).execute();
      return toSpell(row);
    });
  },

  /**
   * Tells of a spell, once. Where many sessions can't be judged at once, one alert is for all that come after the first few.
   *
   * @returns what was told now; null: nothing, because it was told before, is over, or is among many
   */
  async tell({
    sessionId,
    orderId,
  }: Pick<FailedJudgement, 'sessionId' | 'orderId'>): Promise<'session' | 'many' | null> {
    const nowMs = await now(db);
    return db.transaction().execute(async (trx) => {
      await lockSession(trx, sessionId);
      const spell = await runningSpell(trx, sessionId, nowMs);
      if (spell === undefined || spell.told !== null) return null;
      const lately = await trx
        .selectFrom('unjudged')
        .select(({ fn }) => [
          fn.countAll<number>().as('all'),
          sql<number>`coalesce(sum(case when told = 'many' then 1 else 0 end), 0)`.as('many'),
        ])
        .where('told_at', '>', nowMs - ALIKE_WITHIN_MS)
        .executeTakeFirstOrThrow();
      const alone = Number(lately.all) < TOLD_ALONE;
      const told = alone ? 'session' : Number(lately.many) === 0 ? 'many' : null;
      await trx
        .updateTable('unjudged')
        .set({ told: told ?? 'among-many', told_at: nowMs })
        .where('session_id', '=', sessionId)
        .execute();
      const data = { reason: spell.reason, text: spell.text };
      if (told === 'session') {
        const about = orderId === null ? { sessionId } : { sessionId, orderId };
        const since = new Date(spell.since).toISOString();
        await recordEvents(trx, [
          { ...about, kind: 'not-judgeable', at: nowMs, data: { ...data, since, by: spell.by } },
        ]);
      } else if (told === 'many') {
        const sessions = (await runningSpells(trx, nowMs).select('session_id').execute()).length;
        await recordEvents(trx, [{ kind: 'not-judgeable', at: nowMs, data: { ...data, sessions } }]);
      }
      return told;
    });
  },

  /**
   * The session could be judged: its spell is over. That of a case is ended by a case alone: a read that is good enough for a scan
   * may still come too late for a request.
   *
   * @param by - who could judge it
   * @returns the spell that this ended; null: there was none
   */
  async end(sessionId: string, by: UnjudgedBy): Promise<UnjudgedSpell | null> {
    const nowMs = await now(db);
    // Asked first: nearly always there is nothing to write.
    const row = await db.selectFrom('unjudged').selectAll().where('session_id', '=', sessionId).executeTakeFirst();
    if (row === undefined || (by !== 'case' && (await isOpenCases(db, row)))) return null;
    const ended = await db
      .deleteFrom('unjudged')
      .where('session_id', '=', sessionId)
      .where('since', '=', row.since)
      .returningAll()
      .executeTakeFirst();
    return ended === undefined || ended.due_at < nowMs - OVER_AFTER_MS ? null : toSpell(ended);
  },

  /** Sessions that can't be judged now, and that someone was told of; the longest first. Those of cases only while an order is open, those of watches while the watch is. */
  async now(filter: { readonly sessionId?: string; readonly limit: number }): Promise<UnjudgedSpell[]> {
    let query = toldSpells(db, await now(db))
      .selectAll()
      .orderBy('since')
      .orderBy('session_id')
      .limit(filter.limit);
    if (filter.sessionId !== undefined) query = query.where('session_id', '=', filter.sessionId);
    return (await query.execute()).map(toSpell);
  },
});

export async function countUnjudged(db: Kysely<LedgerDatabase>, nowMs: number): Promise<number> {
  const { sessions } = await toldSpells(db, nowMs)
    .select(({ fn }) => fn.countAll<number>().as('sessions'))
    .executeTakeFirstOrThrow();
  return Number(sessions);
}

/** Somebody waits for the judgement: a case while an order is open, a watch while it is; the fleet always does. */
const isWaitedFor = sql<boolean>`case "by"
  when 'case' then exists (select 1 from orders where orders.session_id = unjudged.session_id and orders.open = 1)
  when 'watch' then exists (select 1 from watches where watches.session_id = unjudged.session_id and watches.state = 'watching')
  else true end`;

const runningSpells = (db: Kysely<LedgerDatabase>, nowMs: number) =>
  db
    .selectFrom('unjudged')
    .where('due_at', '>=', nowMs - OVER_AFTER_MS)
    .where(isWaitedFor);

/** One failure is none, and in an outage of the API there are other words. */
const toldSpells = (db: Kysely<LedgerDatabase>, nowMs: number) =>
  runningSpells(db, nowMs).where('told', 'is not', null);

const runningSpell = (trx: Transaction<LedgerDatabase>, sessionId: string, nowMs: number) =>
  trx
    .selectFrom('unjudged')
    .selectAll()
    .where('session_id', '=', sessionId)
    .where('due_at', '>=', nowMs - OVER_AFTER_MS)
    .executeTakeFirst();

/** Of a case that orders still wait for. */
async function isOpenCases(db: Kysely<LedgerDatabase>, { session_id, by }: UnjudgedTable): Promise<boolean> {
  if (by !== 'case') return false;
  const open = db.selectFrom('orders').select('id').where('session_id', '=', session_id).where('open', '=', 1);
  return (await open.limit(1).executeTakeFirst()) !== undefined;
}

const toSpell = (row: UnjudgedTable): UnjudgedSpell => ({
  sessionId: row.session_id,
  by: row.by as UnjudgedBy,
  reason: row.reason,
  text: row.text,
  sinceMs: row.since,
  lastMs: row.last_at,
  told: row.told !== null,
});
