import type { Kysely } from 'kysely';
import type { Outcome } from '../../core/contract.js';
import { ledgerNow, type Clock } from './locks.js';
import type { LedgerDatabase } from './schema.js';

/** Outcomes of orders whose request ended the turn, or may have. */
export const ENDED_BY_REQUEST = ['cancelled', 'ended-unattributed'] as const satisfies readonly Outcome[];

/** A session whose turn was ended a short time ago. */
export interface EndedTurn {
  readonly sessionId: string;
  /** How long ago the last of its orders was settled, ms. */
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
    .select(({ fn }) => [
      'outcomes.session_id',
      fn.max('outcomes.decided_at').as('decidedAt'),
      fn.count('events.seq').as('queued'),
    ])
    .where('outcomes.decided_at', '>', nowMs - withinMs)
    .where('outcomes.outcome', 'in', ENDED_BY_REQUEST)
    .groupBy('outcomes.session_id')
    .execute();
  return rows.map(({ session_id, decidedAt, queued }) => ({
    sessionId: session_id,
    agoMs: nowMs - decidedAt,
    queued: Number(queued) > 0,
  }));
}
