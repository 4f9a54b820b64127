import type { Kysely, Selectable } from 'kysely';
import type { LedgerDatabase, RequestsTable } from './schema.js';

/** A cancel request for orders, as it is recorded. */
export interface RecordedRequest {
  readonly id: string;
  readonly turnKey: string;
  /** Who sent it: a case, or a worker without one, and the process that it ran in. */
  readonly owner: string;
  readonly worker: string;
  readonly attempt: number;
  /** `withdrawn`: it was let out and certainly not sent. `open`: sent, and no answer is recorded. */
  readonly status: 'open' | 'answered' | 'withdrawn';
  readonly answer: string | null;
  readonly answerState: string | null;
  readonly httpStatus: number | null;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  /** Vendor's clock, ms: the message that began the turn, the read before the request, the latest moment at which it left, the answer. */
  readonly vendor: {
    readonly turnStartedAtMs: number | null;
    readonly readAtMs: number;
    readonly leftByMs: number | null;
    readonly answeredAtMs: number | null;
  };
  /** Ledger's clock, ms: when it was let out. */
  readonly registeredAtMs: number;
}

/** Times are the ledger's clock, ms. */
export interface RecordedExemption {
  readonly by: string;
  readonly reason: string | null;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Null: nobody ended it before its time. */
  readonly endedAtMs: number | null;
}

export interface RecordedPermit {
  readonly policy: string;
  readonly turnKey: string;
  /** Ledger's clock, ms. */
  readonly takenAtMs: number;
}

/** What stands of one session besides its orders, bulk targets and events. Each oldest first, and at most `limit`: the newest. */
export const createEvidence = (db: Kysely<LedgerDatabase>) => ({
  async requests(sessionId: string, limit: number): Promise<RecordedRequest[]> {
    const rows = await db
      .selectFrom('requests')
      .selectAll()
      .where('session_id', '=', sessionId)
      .orderBy('registered_at', 'desc')
      .orderBy('attempt', 'desc')
      .limit(limit)
      .execute();
    return rows.map(toRequest).reverse();
  },

  async exemptions(sessionId: string, limit: number): Promise<RecordedExemption[]> {
    const rows = await db
      .selectFrom('exemptions')
      .selectAll()
      .where('session_id', '=', sessionId)
      .orderBy('created_at', 'desc')
      .limit(limit)
      .execute();
    return rows
      .map((row) => ({
        ...{ by: row.by, reason: row.reason, sinceMs: row.created_at, untilMs: row.until, endedAtMs: row.ended_at },
      }))
      .reverse();
  },

  async permits(sessionId: string, limit: number): Promise<RecordedPermit[]> {
    const rows = await db
      .selectFrom('permits')
      .selectAll()
      .where('session_id', '=', sessionId)
      .orderBy('taken_at', 'desc')
      .limit(limit)
      .execute();
    return rows.map((row) => ({ policy: row.policy, turnKey: row.turn_key, takenAtMs: row.taken_at })).reverse();
  },
});

const toRequest = (row: Selectable<RequestsTable>): RecordedRequest => ({
  ...{ id: row.id, turnKey: row.turn_key, owner: row.owner, worker: row.worker, attempt: row.attempt },
  ...{ status: row.status, answer: row.answer, answerState: row.answer_state, httpStatus: row.http_status },
  ...{ errorCode: row.error_code, errorMessage: row.error_message, registeredAtMs: row.registered_at },
  vendor: {
    ...{ turnStartedAtMs: row.turn_started_at, readAtMs: row.read_at, leftByMs: row.sent_at },
    answeredAtMs: row.answered_at,
  },
});
