import type { Kysely, Transaction } from 'kysely';
import { capReached, type BreakerReason } from '../../core/policy/caps.js';
import type { Caps } from '../../core/policy/policy.js';
import { recordEvents } from './events.js';
import { ledgerNow, type Clock } from './locks.js';
import type { LedgerDatabase } from './schema.js';

/** A policy asks leave to send for one turn of one session. */
export interface PermitRequest {
  readonly policy: string;
  readonly caps: Caps;
  /** Live sessions by the last complete scan; null when none is recent: then the percentage does not count. */
  readonly liveSessions: number | null;
  /**
   * When they were counted, ledger's clock in ms. Turns that got their permit before that are over, so they count on top
   * of the live ones. Left out or null: not known, and none is taken to be over.
   */
  readonly liveAtMs?: number | null;
}

export interface Breaker {
  readonly policy: string;
  /** Ledger's clock, ms. */
  readonly openedAtMs: number;
  readonly reason: BreakerReason;
}

/**
 * Takes a permit for a turn, once; or opens the policy's breaker. To be called in the transaction that lets a cancel
 * request out.
 *
 * @returns false: the policy may not send for this turn now
 */
export async function takePermit(
  trx: Transaction<LedgerDatabase>,
  request: PermitRequest,
  turn: { readonly sessionId: string; readonly turnKey: string },
  nowMs: number,
): Promise<boolean> {
  const { policy, caps } = request;
  await trx
    .insertInto('breakers')
    .values({ policy })
    .onConflict((conflict) => conflict.column('policy').doNothing())
    .execute();
  // An UPDATE locks the row, so that two sessions at once can't both take the last permit.
  const { opened_at: openedAt, closed_at: closedAt } = await trx
    .updateTable('breakers')
    .set({ policy })
    .where('policy', '=', policy)
    .returning(['opened_at', 'closed_at'])
    .executeTakeFirstOrThrow();

  const mine = await trx
    .selectFrom('permits')
    .select('taken_at')
    .where('policy', '=', policy)
    .where('session_id', '=', turn.sessionId)
    .where('turn_key', '=', turn.turnKey)
    .executeTakeFirst();
  // A case that has sent goes on: half a cancel helps nobody.
  if (mine !== undefined) return true;
  if (openedAt !== null) return false;

  const countedAtMs = request.liveAtMs ?? -1;
  const counts = await trx
    .selectFrom('permits')
    .select(({ fn }) => [
      fn.countAll<number>().as('taken'),
      fn.countAll<number>().filterWhere('taken_at', '<=', countedAtMs).as('over'),
    ])
    .where('policy', '=', policy)
    .where('taken_at', '>', windowStart(caps, closedAt, nowMs))
    .executeTakeFirstOrThrow();
  const taken = { turns: Number(counts.taken), over: Number(counts.over) };
  const over = capReached(caps, request.liveSessions, taken);
  if (over !== null) {
    await trx
      .updateTable('breakers')
      .set({ opened_at: nowMs, reason_json: JSON.stringify(over) })
      .where('policy', '=', policy)
      .execute();
    await recordEvents(trx, [{ kind: 'breaker-opened', at: nowMs, data: { policy, ...over } }]);
    return false;
  }
  await trx
    .insertInto('permits')
    .values({ policy, session_id: turn.sessionId, turn_key: turn.turnKey, taken_at: nowMs })
    .execute();
  return true;
}

/** A closing in the future was written before our clock was set back: it must not let everything through until then. */
function windowStart({ perMs }: Pick<Caps, 'perMs'>, closedAt: number | null, nowMs: number): number {
  return closedAt === null || closedAt > nowMs ? nowMs - perMs : Math.max(nowMs - perMs, closedAt);
}

export const createBreakers = (db: Kysely<LedgerDatabase>, now: Clock = ledgerNow) => ({
  /** Those that are open now. */
  async open(): Promise<Breaker[]> {
    const rows = await db
      .selectFrom('breakers')
      .select(['policy', 'opened_at', 'reason_json'])
      .where('opened_at', 'is not', null)
      .orderBy('policy')
      .execute();
    return rows.map((row) => ({
      policy: row.policy,
      openedAtMs: row.opened_at ?? 0,
      reason: JSON.parse(row.reason_json ?? 'null') as BreakerReason,
    }));
  },

  /** On an operator's word: the policy enforces again, and its window begins anew. @returns false when it was closed */
  async close(policy: string, by: string): Promise<boolean> {
    const nowMs = await now(db);
    return db.transaction().execute(async (trx) => {
      const closed = await trx
        .updateTable('breakers')
        .set({ opened_at: null, reason_json: null, closed_at: nowMs, closed_by: by })
        .where('policy', '=', policy)
        .where('opened_at', 'is not', null)
        .executeTakeFirst();
      if (Number(closed.numUpdatedRows) === 0) return false;
      await recordEvents(trx, [{ kind: 'breaker-closed', at: nowMs, data: { policy, by } }]);
      return true;
    });
  },

  /** Permits of a policy that count against its caps now. */
  async taken(policy: string, perMs: number): Promise<number> {
    const breaker = await db.selectFrom('breakers').select('closed_at').where('policy', '=', policy).executeTakeFirst();
    const { taken } = await db
      .selectFrom('permits')
      .select(({ fn }) => fn.countAll<number>().as('taken'))
      .where('policy', '=', policy)
      .where('taken_at', '>', windowStart({ perMs }, breaker?.closed_at ?? null, await now(db)))
      .executeTakeFirstOrThrow();
    return Number(taken);
  },
});
