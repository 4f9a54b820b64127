import type { Kysely, Transaction } from 'kysely';
import type { Caps } from '../policy/policy.js';
import { recordEvents } from './events.js';
import type { LedgerDatabase } from './schema.js';

/** A policy asks leave to send for one turn of one session. */
export interface PermitRequest {
  readonly policy: string;
  readonly caps: Caps;
  /** Live sessions by the last complete scan; null when none is recent: then the percentage does not count. */
  readonly liveSessions: number | null;
}

export interface Breaker {
  readonly policy: string;
  /** Ledger's clock, ms. */
  readonly openedAtMs: number;
  readonly reason: BreakerReason;
}

/** Why it opened: so many turns were let out in the window, and one more would be over the cap. */
export interface BreakerReason {
  readonly cap: 'max_cancels' | 'max_percent';
  readonly capValue: number;
  readonly taken: number;
  readonly perMs: number;
  readonly liveSessions: number | null;
}

/** With fewer live sessions a percentage says nothing. */
export const LEAST_LIVE_FOR_PERCENT = 20;

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

  const { taken } = await trx
    .selectFrom('permits')
    .select(({ fn }) => fn.countAll<number>().as('taken'))
    .where('policy', '=', policy)
    .where('taken_at', '>', Math.max(nowMs - caps.perMs, closedAt ?? 0))
    .executeTakeFirstOrThrow();
  const over = capReached(request, Number(taken));
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

/** @param taken - permits in the window so far */
export function capReached({ caps, liveSessions }: PermitRequest, taken: number): BreakerReason | null {
  const reason = { taken, perMs: caps.perMs, liveSessions };
  if (taken + 1 > caps.maxCancels) return { cap: 'max_cancels', capValue: caps.maxCancels, ...reason };
  const percentCounts = liveSessions !== null && liveSessions >= LEAST_LIVE_FOR_PERCENT;
  // What was ended in the window is not live any more, so the share is taken of both together.
  if (percentCounts && (taken + 1) * 100 > caps.maxPercent * (liveSessions + taken))
    return { cap: 'max_percent', capValue: caps.maxPercent, ...reason };
  return null;
}

/** A request that certainly never left needs no permit. */
export async function returnPermits(
  trx: Transaction<LedgerDatabase>,
  turn: { readonly sessionId: string; readonly turnKey: string },
): Promise<void> {
  await trx
    .deleteFrom('permits')
    .where('session_id', '=', turn.sessionId)
    .where('turn_key', '=', turn.turnKey)
    .execute();
}

export async function openBreakers(db: Kysely<LedgerDatabase>): Promise<Breaker[]> {
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
}

/** On an operator's word: the policy enforces again, and its window begins anew. @returns false when it was closed */
export async function closeBreaker(
  db: Kysely<LedgerDatabase>,
  policy: string,
  by: string,
  nowMs: number,
): Promise<boolean> {
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
}
