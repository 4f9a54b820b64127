import type { Kysely } from 'kysely';
import type { Outcome } from '../../core/contract.js';
import { ledgerNow, type Clock } from './locks.js';
import type { LedgerDatabase } from './schema.js';

/** Outcomes of orders whose request ended the turn, or may have. */
export const ENDED_BY_REQUEST = ['cancelled', 'ended-unattributed'] as const satisfies readonly Outcome[];

/** The newest end of a turn of one session. */
export interface EndedTurn {
  readonly sessionId: string;
  /** When its order was settled, ledger's clock, ms. */
  readonly settledAtMs: number;
  /** The same, ago, ms. */
  readonly agoMs: number;
  /** Messages waited in its queue then. */
  readonly queued: boolean;
}

/** Sessions whose turns were ended by orders within the given time. */
export async function endedTurns(
  db: Kysely<LedgerDatabase>,
  withinMs: number,
  now: Clock = ledgerNow,
): Promise<EndedTurn[]> {
  const nowMs = await now(db);
  const rows = await db
    .selectFrom('outcomes')
    .leftJoin('events', (join) =>
      join.onRef('events.order_id', '=', 'outcomes.order_id').on('events.kind', '=', 'queued-messages-waiting'),
    )
    .select(['outcomes.session_id', 'outcomes.decided_at', 'events.seq'])
    .where('outcomes.decided_at', '>', nowMs - withinMs)
    .where('outcomes.outcome', 'in', ENDED_BY_REQUEST)
    .orderBy('outcomes.decided_at')
    .execute();
  const newest = new Map<string, EndedTurn>();
  for (const { session_id: sessionId, decided_at: settledAtMs, seq } of rows) {
    const before = newest.get(sessionId);
    const queued = seq !== null || (before?.settledAtMs === settledAtMs && before.queued);
    newest.set(sessionId, { sessionId, settledAtMs, agoMs: nowMs - settledAtMs, queued });
  }
  return [...newest.values()];
}
