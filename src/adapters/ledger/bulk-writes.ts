import { sql, type Kysely, type Transaction } from 'kysely';
import type { Attribution, OrderError, Outcome } from '../../core/contract.js';
import { countsOf, move } from './bulk-counts.js';
import { jsonRows, type BulkJob, type TargetStatus } from './bulk-plans.js';
import { type RunKey } from './bulk-run.js';
import { RUN_LEASE_MS } from './leases.js';
import { lockJob } from './bulk-lock.js';
import { earliestNow } from './exemptions.js';
import { ledgerNow, lockSessions, readSwitchForShare } from './locks.js';
import { tell } from './news.js';
import { senderLeases } from './under-way.js';
import type { RequestAnswer } from './request-row.js';
import type { LedgerDatabase } from './schema.js';

export interface ForTarget {
  readonly seq: number;
  readonly sessionId: string;
}

/** A cancel request of a bulk job that wants to leave. */
export interface BulkDeparture extends ForTarget {
  readonly agentId: string | null;
  /** Null: no read was made (`--fast`), and the plan does not know it. */
  readonly turn: { readonly key: string; readonly startedAtMs: number | null } | null;
  /** Vendor's time of the read that showed the turn in flight, ms; without a read the time of the departure. */
  readonly readAtMs: number;
}

export type BulkRegistration =
  | { readonly kind: 'registered' }
  /** The pause switch of all of Curfew. */
  | { readonly kind: 'paused'; readonly reason: string | null }
  /** The job is paused, aborted or over. */
  | { readonly kind: 'stopped' }
  /** Another sender's request for this session is under way. */
  | { readonly kind: 'busy'; readonly retryInMs: number }
  | { readonly kind: 'exempt' };

export interface BulkAnswer extends ForTarget {
  readonly answer: RequestAnswer;
}

export interface BulkSettlement extends ForTarget {
  readonly from: TargetStatus;
  readonly outcome: Outcome;
  readonly attribution: Attribution | null;
  readonly agentId: string | null;
  readonly turnKey: string | null;
  /** Vendor's clock, ms; null when the end was not seen. */
  readonly endedAtMs: number | null;
  readonly error: OrderError | null;
  /** Time from the accepted cancel request to what confirmed its effect, ms; left out: there was none. For those who count. */
  readonly confirmedAfterMs?: number;
}

/** What a worker has to write, together. */
export interface BulkWrites {
  readonly answers: readonly BulkAnswer[];
  /** Requests that were let out and never left. */
  readonly withdrawals: readonly ForTarget[];
  readonly settlements: readonly BulkSettlement[];
  readonly departures: readonly BulkDeparture[];
}

export type BulkWritten =
  | { readonly kind: 'written'; readonly departures: readonly BulkRegistration[] }
  /** Another worker has taken up the job: nothing was written. */
  | { readonly kind: 'taken-over' };

export const createBulkWrites = (db: Kysely<LedgerDatabase>) => ({
  /**
   * Writes for many targets in one transaction, and lets requests out in it: pause switch, state of the job, exemptions and
   * the one-sender rule are read in the transaction that writes the request (invariants I3 and I6), as for a single one.
   */
  async write(key: RunKey, writes: BulkWrites): Promise<BulkWritten> {
    return db.transaction().execute(async (trx) => {
      await lockSessions(
        trx,
        writes.departures.map(({ sessionId }) => sessionId),
      );
      const pauseSwitch = await readSwitchForShare(trx);
      const job = await lockJob(trx, key.planId);
      if (job?.epoch !== key.epoch) return { kind: 'taken-over' };
      const nowMs = await ledgerNow(trx);
      const counts = countsOf(job);

      await writeAnswers(trx, key, writes.answers);
      for (const { answer } of writes.answers)
        move(counts, 'sent', answer.answer === 'refused' ? 'waiting' : 'answered');
      await writeWithdrawals(trx, key, writes.withdrawals);
      for (let i = 0; i < writes.withdrawals.length; i += 1) move(counts, 'sent', 'waiting');
      counts.requests -= writes.withdrawals.length;
      await writeSettlements(trx, key, writes.settlements, nowMs);
      for (const { from, outcome } of writes.settlements) move(counts, from, outcome);
      for (const settlement of writes.settlements) tellSettled(job, settlement);

      const departures = await judgeDepartures(trx, key, job, writes.departures, pauseSwitch, nowMs);
      const leaving = writes.departures.filter((_, index) => departures[index]?.kind === 'registered');
      await writeDepartures(trx, key, leaving, nowMs);
      for (let i = 0; i < leaving.length; i += 1) move(counts, 'waiting', 'sent');
      counts.requests += leaving.length;

      await trx
        .updateTable('bulk_jobs')
        .set({ progress_json: JSON.stringify(counts), lease_until: nowMs + RUN_LEASE_MS })
        .where('id', '=', key.planId)
        .execute();
      return { kind: 'written', departures };
    });
  },
});

function tellSettled({ source }: BulkJob, settlement: BulkSettlement): void {
  const { outcome, attribution, endedAtMs, confirmedAfterMs = null } = settlement;
  const by = source === 'cleanup' ? 'cleanup' : 'bulk';
  const seen = { confirmedAfterMs, sessionCredits: null };
  tell({ kind: 'order-settled', settled: { by, outcome, attribution, reason: null, endedAtMs, seen } });
}

async function judgeDepartures(
  trx: Transaction<LedgerDatabase>,
  { planId }: RunKey,
  job: BulkJob,
  departures: readonly BulkDeparture[],
  pauseSwitch: { readonly paused: boolean; readonly reason: string | null },
  nowMs: number,
): Promise<BulkRegistration[]> {
  if (departures.length === 0) return [];
  if (job.state !== 'running') return departures.map(() => ({ kind: 'stopped' }));
  if (pauseSwitch.paused) return departures.map(() => ({ kind: 'paused', reason: pauseSwitch.reason }));

  const busyUntil = await senderLeases(trx, sessionRows(trx, departures), nowMs, planId);
  const exempt = job.evenIfExempt ? new Set<string>() : await exemptSessions(trx, departures, nowMs);
  return departures.map(({ sessionId }) => {
    const until = busyUntil.get(sessionId);
    if (until !== undefined) return { kind: 'busy', retryInMs: Math.max(500, until - nowMs) };
    return exempt.has(sessionId) ? { kind: 'exempt' } : { kind: 'registered' };
  });
}

async function exemptSessions(
  trx: Transaction<LedgerDatabase>,
  departures: readonly BulkDeparture[],
  nowMs: number,
): Promise<Set<string>> {
  const oldestReadMs = Math.min(...departures.map(({ readAtMs }) => readAtMs));
  const rows = await trx
    .selectFrom('exemptions')
    .select('session_id')
    .where('session_id', 'in', sessionRows(trx, departures))
    .where('ended_at', 'is', null)
    .where('until', '>', earliestNow(nowMs, oldestReadMs))
    .execute();
  return new Set(rows.map((row) => row.session_id));
}

const sessionRows = (trx: Transaction<LedgerDatabase>, departures: readonly BulkDeparture[]) =>
  sql<string>`(${jsonRows(
    trx,
    departures.map(({ sessionId }) => [sessionId]),
    ['text'],
  )})`;

/*
 * Updates by way of an insert that meets its row: the one form of an update of many rows at once that both databases carry
 * out by the primary key. The columns that must not be null are those of the row itself.
 */

async function writeDepartures(
  trx: Transaction<LedgerDatabase>,
  { planId }: RunKey,
  departures: readonly BulkDeparture[],
  nowMs: number,
): Promise<void> {
  if (departures.length === 0) return;
  const rows = jsonRows(
    trx,
    departures.map(({ seq, sessionId, agentId, turn, readAtMs }) => [
      seq,
      sessionId,
      agentId,
      turn?.key ?? null,
      turn?.startedAtMs ?? null,
      readAtMs,
    ]),
    ['integer', 'text', 'text', 'text', 'int8', 'int8'],
  );
  await sql`
    insert into bulk_targets
      (plan_id, seq, session_id, agent_id, turn_key, turn_started_at, read_at, seen_at, status)
    select ${planId}, r.*, 0, 'sent' from (${rows}) as r where true
    on conflict (plan_id, seq) do update set
      status = 'sent', attempts = bulk_targets.attempts + 1, sent_at = ${nowMs},
      agent_id = coalesce(excluded.agent_id, bulk_targets.agent_id),
      turn_key = excluded.turn_key, turn_started_at = excluded.turn_started_at, read_at = excluded.read_at,
      answered_at = null, answer = null, answer_state = null`.execute(trx);
}

async function writeAnswers(
  trx: Transaction<LedgerDatabase>,
  { planId }: RunKey,
  answers: readonly BulkAnswer[],
): Promise<void> {
  if (answers.length === 0) return;
  const rows = jsonRows(
    trx,
    answers.map(({ seq, sessionId, answer }) => [
      seq,
      sessionId,
      answer.answer === 'refused' ? 'waiting' : 'answered',
      answer.answeredAtMs,
      answer.answer,
      answer.state,
      answer.errorCode === null && answer.errorMessage === null
        ? null
        : JSON.stringify({
            type: answer.errorCode ?? 'unknown',
            message: answer.errorMessage ?? '',
            at: new Date(answer.answeredAtMs).toISOString(),
          } satisfies OrderError),
    ]),
    ['integer', 'text', 'text', 'int8', 'text', 'text', 'text'],
  );
  await sql`
    insert into bulk_targets
      (plan_id, seq, session_id, status, answered_at, answer, answer_state, error_json, seen_at)
    select ${planId}, r.*, 0 from (${rows}) as r where true
    on conflict (plan_id, seq) do update set
      status = excluded.status, answered_at = excluded.answered_at, answer = excluded.answer,
      answer_state = excluded.answer_state, error_json = coalesce(excluded.error_json, bulk_targets.error_json)`.execute(
    trx,
  );
}

async function writeWithdrawals(
  trx: Transaction<LedgerDatabase>,
  { planId }: RunKey,
  withdrawals: readonly ForTarget[],
): Promise<void> {
  if (withdrawals.length === 0) return;
  const rows = jsonRows(
    trx,
    withdrawals.map(({ seq, sessionId }) => [seq, sessionId]),
    ['integer', 'text'],
  );
  await sql`
    insert into bulk_targets (plan_id, seq, session_id, seen_at, status)
    select ${planId}, r.*, 0, 'waiting' from (${rows}) as r where true
    on conflict (plan_id, seq) do update set
      status = 'waiting', attempts = bulk_targets.attempts - 1, sent_at = null, answer = 'refused'`.execute(trx);
}

async function writeSettlements(
  trx: Transaction<LedgerDatabase>,
  { planId }: RunKey,
  settlements: readonly BulkSettlement[],
  nowMs: number,
): Promise<void> {
  if (settlements.length === 0) return;
  const rows = jsonRows(
    trx,
    settlements.map((one) => [
      one.seq,
      one.sessionId,
      one.agentId,
      one.turnKey,
      one.outcome,
      one.attribution,
      one.endedAtMs,
      one.error === null ? null : JSON.stringify(one.error),
    ]),
    ['integer', 'text', 'text', 'text', 'text', 'text', 'int8', 'text'],
  );
  await sql`
    insert into bulk_targets
      (plan_id, seq, session_id, agent_id, turn_key, status, attribution, ended_at, error_json, seen_at)
    select ${planId}, r.*, 0 from (${rows}) as r where true
    on conflict (plan_id, seq) do update set
      status = excluded.status, attribution = excluded.attribution, ended_at = excluded.ended_at,
      decided_at = ${nowMs},
      agent_id = coalesce(excluded.agent_id, bulk_targets.agent_id),
      turn_key = coalesce(excluded.turn_key, bulk_targets.turn_key),
      error_json = coalesce(excluded.error_json, bulk_targets.error_json)`.execute(trx);
}
