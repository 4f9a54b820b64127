import { sql, type Kysely, type Transaction } from 'kysely';
import { randomUUID } from 'node:crypto';
import type { Attribution, BulkState, OrderError, Outcome } from '../contract.js';
import { jsonRows, type BulkJob, type TargetCounts, type TargetStatus } from './bulk-plans.js';
import { lockJob } from './bulk-steering.js';
import { recordEvents } from './events.js';
import { ledgerNow, lockSessions, readSwitchForShare } from './locks.js';
import type { RequestAnswer } from './requests.js';
import type { LedgerDatabase } from './schema.js';

/**
 * A worker's hold on a job. The epoch rises with each worker that takes the job up; what an earlier one still wants to
 * write is refused, so that two never carry out the same job.
 */
export interface RunKey {
  readonly planId: string;
  readonly epoch: number;
}

export type TakenUp =
  | { readonly kind: 'taken-up'; readonly key: RunKey; readonly job: BulkJob }
  /** Another worker is at work on it, or died so short a time ago that its requests may still be under way. */
  | { readonly kind: 'held'; readonly retryInMs: number }
  | { readonly kind: 'unknown' };

/**
 * How long the worker of a job counts as alive without a word, ms. It renews it as it writes and looks. While it lives, its
 * unanswered requests are under way, and nobody else sends for those sessions (invariant I3).
 */
export const RUN_LEASE_MS = 10_000;

/** Makes this worker the one that carries out a job. */
export async function takeUpJob(db: Kysely<LedgerDatabase>, planId: string, worker: string): Promise<TakenUp> {
  return db.transaction().execute(async (trx) => {
    const job = await lockJob(trx, planId);
    if (job === null) return { kind: 'unknown' };
    const nowMs = await ledgerNow(trx);
    const heldForMs = (job.leaseUntilMs ?? 0) - nowMs;
    // A lease that ends later than any lease could was written before our clock was set back.
    if (heldForMs > 0 && heldForMs <= RUN_LEASE_MS) return { kind: 'held', retryInMs: heldForMs };
    const epoch = job.epoch + 1;
    const counts = job.counts ?? initialCounts(job);
    await trx
      .updateTable('bulk_jobs')
      .set({
        epoch,
        worker,
        lease_until: nowMs + RUN_LEASE_MS,
        progress_json: JSON.stringify(counts),
      })
      .where('id', '=', planId)
      .execute();
    return { kind: 'taken-up', key: { planId, epoch }, job: { ...job, counts } };
  });
}

function initialCounts({ totals }: BulkJob): TargetCounts {
  const capped = totals?.leftOut['capped'] ?? 0;
  const waiting = (totals?.targets ?? 0) - capped;
  return { byStatus: { waiting, ...(capped > 0 ? { capped } : {}) }, requests: 0 };
}

/** @returns the job as it stands; null when another worker has taken it up */
export async function renewRun(db: Kysely<LedgerDatabase>, key: RunKey): Promise<BulkJob | null> {
  return db.transaction().execute(async (trx) => {
    const job = await lockJob(trx, key.planId);
    if (job?.epoch !== key.epoch) return null;
    await trx
      .updateTable('bulk_jobs')
      .set({ lease_until: (await ledgerNow(trx)) + RUN_LEASE_MS })
      .where('id', '=', key.planId)
      .execute();
    return job;
  });
}

/** Lets go of a job, so that nothing of it counts as under way any more. */
export async function releaseRun(db: Kysely<LedgerDatabase>, key: RunKey): Promise<void> {
  await db
    .updateTable('bulk_jobs')
    .set({ lease_until: null })
    .where('id', '=', key.planId)
    .where('epoch', '=', key.epoch)
    .execute();
}

interface ForTarget {
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

/**
 * Writes for many targets in one transaction, and lets requests out in it: pause switch, state of the job, exemptions and
 * the one-sender rule are read in the transaction that writes the request (invariants I3 and I6), as for a single one.
 */
export async function writeRun(db: Kysely<LedgerDatabase>, key: RunKey, writes: BulkWrites): Promise<BulkWritten> {
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
    for (const { answer } of writes.answers) move(counts, 'sent', answer.answer === 'refused' ? 'waiting' : 'answered');
    await writeWithdrawals(trx, key, writes.withdrawals);
    for (let i = 0; i < writes.withdrawals.length; i += 1) move(counts, 'sent', 'waiting');
    counts.requests -= writes.withdrawals.length;
    await writeSettlements(trx, key, writes.settlements, nowMs);
    for (const { from, outcome } of writes.settlements) move(counts, from, outcome);

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
}

interface Counting {
  readonly byStatus: { [Status in TargetStatus]?: number };
  requests: number;
}

const countsOf = (job: BulkJob): Counting => {
  const { byStatus, requests } = job.counts ?? initialCounts(job);
  return { byStatus: { ...byStatus }, requests };
};

function move({ byStatus }: Counting, from: TargetStatus, to: TargetStatus): void {
  byStatus[from] = (byStatus[from] ?? 0) - 1;
  byStatus[to] = (byStatus[to] ?? 0) + 1;
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

  const busyUntil = await sessionsUnderWay(trx, planId, departures, nowMs);
  const exempt = job.evenIfExempt ? new Set<string>() : await exemptSessions(trx, departures, nowMs);
  return departures.map(({ sessionId }) => {
    const until = busyUntil.get(sessionId);
    if (until !== undefined) return { kind: 'busy', retryInMs: Math.max(500, until - nowMs) };
    return exempt.has(sessionId) ? { kind: 'exempt' } : { kind: 'registered' };
  });
}

/** For which of these sessions another sender waits for an answer, and until when its lease runs. */
async function sessionsUnderWay(
  trx: Transaction<LedgerDatabase>,
  planId: string,
  departures: readonly BulkDeparture[],
  nowMs: number,
): Promise<Map<string, number>> {
  const ids = sessionRows(trx, departures);
  const busy = new Map<string, number>();
  const cases = await trx
    .selectFrom('requests')
    .select(['session_id', 'lease_until'])
    .where('status', '=', 'open')
    .where('lease_until', '>', nowMs)
    // A lease that ends later than any lease could was written before our clock was set back.
    .where('lease_until', '<=', nowMs + RUN_LEASE_MS)
    .where('session_id', 'in', ids)
    .execute();
  for (const row of cases) busy.set(row.session_id, row.lease_until);

  const otherJobs = await trx
    .selectFrom('bulk_jobs')
    .select(['id', 'lease_until'])
    .where('id', '!=', planId)
    .where('lease_until', '>', nowMs)
    .where('lease_until', '<=', nowMs + RUN_LEASE_MS)
    .execute();
  for (const other of otherJobs) {
    const rows = await trx
      .selectFrom('bulk_targets')
      .select('session_id')
      .where('session_id', 'in', ids)
      .where('plan_id', '=', other.id)
      .where('status', '=', 'sent')
      .execute();
    for (const row of rows) busy.set(row.session_id, other.lease_until ?? nowMs);
  }
  return busy;
}

async function exemptSessions(
  trx: Transaction<LedgerDatabase>,
  departures: readonly BulkDeparture[],
  nowMs: number,
): Promise<Set<string>> {
  const rows = await trx
    .selectFrom('exemptions')
    .select('session_id')
    .where('session_id', 'in', sessionRows(trx, departures))
    .where('ended_at', 'is', null)
    .where('until', '>', nowMs)
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
      status = 'sent', attempts = bulk_targets.attempts + 1, sent_at = ${sql.lit(nowMs)},
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
      decided_at = ${sql.lit(nowMs)},
      agent_id = coalesce(excluded.agent_id, bulk_targets.agent_id),
      turn_key = coalesce(excluded.turn_key, bulk_targets.turn_key),
      error_json = coalesce(excluded.error_json, bulk_targets.error_json)`.execute(trx);
}

/** A target that the job's own request did not end, with what is needed to go on. */
export interface Handover extends ForTarget {
  readonly from: TargetStatus;
  readonly agentId: string | null;
  /** Null: not known; then the order means the turn that was there when the target was seen. */
  readonly turn: { readonly key: string; readonly startedAtMs: number | null } | null;
  /** Our clock, ms. */
  readonly seenAtMs: number;
  readonly error: OrderError | null;
}

export type HandedOver =
  | { readonly kind: 'handed-over'; readonly orderIds: readonly string[] }
  | { readonly kind: 'halted'; readonly state: BulkState }
  /** Another worker has taken up the job. */
  | { readonly kind: 'taken-over' };

/**
 * Makes orders of targets, for cases to carry out. What the job sent for them stays in the targets, and counts there.
 *
 * @returns the ids of the orders, in their order. None is made when the job does not run any more: its cases would send
 */
export async function handOver(
  db: Kysely<LedgerDatabase>,
  key: RunKey,
  handovers: readonly Handover[],
): Promise<HandedOver> {
  return db.transaction().execute(async (trx) => {
    const job = await lockJob(trx, key.planId);
    if (job?.epoch !== key.epoch) return { kind: 'taken-over' };
    if (job.state !== 'running') return { kind: 'halted', state: job.state };
    const nowMs = await ledgerNow(trx);
    const counts = countsOf(job);
    const ids: string[] = [];
    for (const one of handovers) {
      const id = randomUUID();
      ids.push(id);
      const { attempts } = await trx
        .updateTable('bulk_targets')
        .set({ status: 'case' satisfies TargetStatus, order_id: id, decided_at: nowMs })
        .where('plan_id', '=', key.planId)
        .where('seq', '=', one.seq)
        .returning('attempts')
        .executeTakeFirstOrThrow();
      await trx
        .insertInto('orders')
        .values({
          id,
          session_id: one.sessionId,
          agent_id: one.agentId,
          turn_key: one.turn?.key ?? null,
          turn_started_at: one.turn?.startedAtMs ?? null,
          bound_at: one.turn === null ? null : nowMs,
          source: 'bulk',
          requested_by: job.appliedBy ?? job.createdBy,
          reason_text: reasonOfJob(job),
          even_if_exempt: job.evenIfExempt ? 1 : 0,
          // Without a turn the time of the order tells which one is meant.
          ordered_at: one.turn === null ? one.seenAtMs : nowMs,
          open: 1,
          phase: 'ordered',
          attempts,
          last_error_json: one.error === null ? null : JSON.stringify(one.error),
          counted_ms: 0,
          last_pass_counts: 0,
        })
        .execute();
      move(counts, one.from, 'case');
    }
    await trx
      .updateTable('bulk_jobs')
      .set({ progress_json: JSON.stringify(counts), lease_until: nowMs + RUN_LEASE_MS })
      .where('id', '=', key.planId)
      .execute();
    return { kind: 'handed-over', orderIds: ids };
  });
}

/** What whoever asks about one of its sessions is told. */
export function reasonOfJob({ planId, reason, cleanup }: BulkJob): string {
  const what = cleanup === null ? `bulk job ${planId}` : `cleanup ${cleanup}, bulk job ${planId}`;
  return reason === null ? what : `${reason} (${what})`;
}

/** How a job moves on by itself. */
export type JobStep =
  | { readonly step: 'main' }
  | { readonly step: 'note'; readonly note: string | null }
  /** It went badly: it pauses itself, and a person is told. */
  | { readonly step: 'stop'; readonly note: string; readonly data: Readonly<Record<string, unknown>> }
  | { readonly step: 'finish' };

/** @returns false when another worker has taken it up, or it does not run any more */
export async function stepJob(db: Kysely<LedgerDatabase>, key: RunKey, step: JobStep): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const job = await lockJob(trx, key.planId);
    if (job?.epoch !== key.epoch || job.state !== 'running') return false;
    const at = await ledgerNow(trx);
    const update = (row: {
      state?: BulkState;
      phase?: 'main' | 'done';
      note?: string | null;
      finished_at?: number;
    }): Promise<unknown> => trx.updateTable('bulk_jobs').set(row).where('id', '=', key.planId).execute();
    switch (step.step) {
      case 'main':
        await update({ phase: 'main', note: null });
        break;
      case 'note':
        await update({ note: step.note });
        break;
      case 'stop':
        // A canary is judged once: who lets the job go on after that has looked.
        await update({ state: 'paused', phase: 'main', note: step.note });
        await recordEvents(trx, [
          { kind: 'bulk-stopped', at, data: { plan: key.planId, why: step.note, ...step.data } },
        ]);
        break;
      case 'finish': {
        await update({ state: 'finished', phase: 'done', note: null, finished_at: at });
        const cleanup = job.cleanup === null ? {} : { cleanup: job.cleanup };
        const data = { plan: key.planId, ...cleanup, ...(job.counts ?? {}) };
        await recordEvents(trx, [{ kind: 'bulk-finished', at, data }]);
        break;
      }
    }
    return true;
  });
}
