import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { sql, type Kysely, type Selectable } from 'kysely';
import type { Attribution, BulkState, BulkTotals, OrderError, Outcome } from '../../core/contract.js';
import { dialectOf } from './dialect.js';
import { ledgerNow, type Clock } from './locks.js';
import type { BulkJobsTable, BulkTargetsTable, LedgerDatabase } from './schema.js';
import { storableJson, storableText } from '../../core/text/storable.js';

/** A selection of sessions, and the job that ends their turns. All times are the ledger's clock, ms. */
export interface BulkJob {
  readonly planId: string;
  readonly state: BulkState;
  readonly createdAtMs: number;
  readonly createdBy: string;
  readonly source: 'person' | 'cleanup';
  readonly cleanup: string | null;
  readonly reason: string | null;
  readonly selection: Readonly<Record<string, unknown>>;
  /** Null until it is sealed. */
  readonly totals: BulkTotals | null;
  readonly hash: string | null;
  readonly expiresAtMs: number | null;
  readonly appliedAtMs: number | null;
  readonly appliedBy: string | null;
  readonly fast: boolean;
  readonly evenIfExempt: boolean;
  /** Sessions a second. */
  readonly rate: number;
  readonly canary: number;
  readonly phase: 'canary' | 'main' | 'done' | null;
  readonly note: string | null;
  readonly finishedAtMs: number | null;
  /** As its worker last wrote them; null: no worker has taken it up. */
  readonly counts: TargetCounts | null;
}

/** How many targets stand where, and how many cancel requests the job has sent. */
export interface TargetCounts {
  /** By status; only those that occur. */
  readonly byStatus: { readonly [Status in TargetStatus]?: number };
  readonly requests: number;
}

/** `waiting`: nothing is under way. `sent`: a request was let out. `answered`: its effect is being confirmed. `case`: handed over. */
export type TargetStatus = 'waiting' | 'sent' | 'answered' | 'case' | Outcome;

export interface BulkTarget {
  /** The order in which targets are taken. */
  readonly seq: number;
  readonly sessionId: string;
  readonly agentId: string | null;
  /** As it was seen when the plan was made; null: it was given by its id. */
  readonly state: string | null;
  readonly turnKey: string | null;
  /** Vendor's clock, ms. */
  readonly turnStartedAtMs: number | null;
  /** Our clock, ms: only a turn whose message came before this is meant. */
  readonly seenAtMs: number;
  readonly status: TargetStatus;
  /** Cancel requests sent by the job itself. */
  readonly attempts: number;
  /** Our clock, ms: when the last one was let out; null: none was. */
  readonly sentAtMs: number | null;
  /** Vendor's clock, ms: the read before it, and its answer. */
  readonly readAtMs: number | null;
  readonly answeredAtMs: number | null;
  readonly answer: 'accepted' | 'unknown' | 'refused' | null;
  readonly answerState: string | null;
  readonly error: OrderError | null;
  readonly attribution: Attribution | null;
  readonly endedAtMs: number | null;
  readonly decidedAtMs: number | null;
  /** The order that a case works on; null: none. */
  readonly orderId: string | null;
}

export interface NewBulkPlan {
  readonly planId: string;
  readonly by: string;
  readonly source: 'person' | 'cleanup';
  readonly cleanup: string | null;
  readonly reason: string | null;
  /** What was asked for, as it was written; for people. */
  readonly selection: Readonly<Record<string, unknown>>;
}

/** A session to be frozen. */
export type TargetToFreeze = Pick<
  BulkTarget,
  'sessionId' | 'agentId' | 'state' | 'turnKey' | 'turnStartedAtMs' | 'seenAtMs'
> & {
  /** Left out of the job from the start, because a cap stops it. */
  readonly capped?: boolean;
};

/** A plan can be applied for so long, ms. */
export const PLAN_EXPIRES_MS = 60 * 60_000;

export const createBulkPlans = (db: Kysely<LedgerDatabase>, now: Clock = ledgerNow) => ({
  /** A new plan without targets. Nobody can apply it before it is sealed. */
  async begin(plan: NewBulkPlan): Promise<void> {
    const nowMs = await now(db);
    await db
      .insertInto('bulk_jobs')
      .values({
        id: plan.planId,
        state: 'building' satisfies BulkState,
        created_at: nowMs,
        created_by: plan.by,
        source: plan.source,
        cleanup: plan.cleanup,
        reason_text: plan.reason,
        selection_json: storableJson(plan.selection),
        epoch: 0,
      })
      .execute();
  },

  /**
   * Adds sessions to a plan that is being built. One that is in it already stays as it is.
   *
   * @param firstSeq - number of the first one; higher than any before
   * @param targets - at most some thousand
   * @returns how many were new
   */
  async addTargets(planId: string, firstSeq: number, targets: readonly TargetToFreeze[]): Promise<number> {
    if (targets.length === 0) return 0;
    const rows = targets.map((target, index) => [
      firstSeq + index,
      storableText(target.sessionId),
      target.agentId,
      target.state,
      target.turnKey,
      target.turnStartedAtMs,
      target.seenAtMs,
      target.capped === true ? 'capped' : 'waiting',
    ]);
    const source = jsonRows(db, rows, ['integer', 'text', 'text', 'text', 'text', 'int8', 'int8', 'text']);
    const result = await sql`
    insert into bulk_targets (plan_id, seq, session_id, agent_id, state, turn_key, turn_started_at, seen_at, status)
    select ${planId}, r.* from (${source}) as r
    where exists (select 1 from bulk_jobs where id = ${planId} and state = 'building')
    on conflict do nothing`.execute(db);
    return Number(result.numAffectedRows ?? 0);
  },

  hash: (planId: string): Promise<string> => hashOfTargets(db, planId),

  /** Freezes a plan: from now on its targets never change. @returns false when it was not being built */
  async seal(planId: string, sealed: { readonly totals: BulkTotals; readonly hash: string }): Promise<boolean> {
    const nowMs = await now(db);
    const updated = await db
      .updateTable('bulk_jobs')
      .set({
        state: 'planned' satisfies BulkState,
        totals_json: storableJson(sealed.totals),
        hash: sealed.hash,
        expires_at: nowMs + PLAN_EXPIRES_MS,
      })
      .where('id', '=', planId)
      .where('state', '=', 'building' satisfies BulkState)
      .executeTakeFirst();
    return Number(updated.numUpdatedRows) === 1;
  },

  get: (planId: string): Promise<BulkJob | null> => getJob(db, planId),

  /** Newest first. */
  async list(filter: JobFilter): Promise<BulkJob[]> {
    let query = db.selectFrom('bulk_jobs').selectAll().orderBy('created_at', 'desc').orderBy('id').limit(filter.limit);
    if (filter.states !== undefined) query = query.where('state', 'in', filter.states);
    if (filter.cleanup !== undefined) query = query.where('cleanup', '=', filter.cleanup);
    return (await query.execute()).map(toJob);
  },

  /** A page of a plan's targets, in their order. */
  async targets(planId: string, { afterSeq, statuses, limit }: TargetFilter): Promise<BulkTarget[]> {
    let query = db
      .selectFrom('bulk_targets')
      .selectAll()
      .where('plan_id', '=', planId)
      .where('seq', '>', afterSeq)
      .orderBy('seq')
      .limit(limit);
    if (statuses !== undefined) query = query.where('status', 'in', statuses);
    return (await query.execute()).map(toTarget);
  },

  /** The targets that bulk plans have made of one session, with their plans, newest first. Plans that were never applied are left out. */
  async ofSession(sessionId: string, limit: number): Promise<{ readonly job: BulkJob; readonly target: BulkTarget }[]> {
    const rows = await db
      .selectFrom('bulk_targets')
      .innerJoin('bulk_jobs', 'bulk_jobs.id', 'bulk_targets.plan_id')
      .selectAll('bulk_targets')
      .where('session_id', '=', sessionId)
      .where('bulk_jobs.applied_at', 'is not', null)
      .orderBy('bulk_jobs.applied_at', 'desc')
      .limit(limit)
      .execute();
    const found: { job: BulkJob; target: BulkTarget }[] = [];
    for (const row of rows) {
      const job = await getJob(db, row.plan_id);
      if (job !== null) found.push({ job, target: toTarget(row) });
    }
    return found;
  },
});

/**
 * Rows as one parameter, which both databases take apart: a statement with a parameter per value costs ten times as much,
 * and PostgreSQL takes 65,535 of them at most.
 *
 * @param columns - type of each column, in the order of the values
 */
export function jsonRows(
  db: Kysely<LedgerDatabase>,
  rows: readonly (readonly unknown[])[],
  columns: readonly ('text' | 'integer' | 'int8')[],
) {
  const json = storableJson(rows);
  if (dialectOf(db) === 'sqlite') {
    const values = columns.map((type, index) =>
      type === 'text' ? sql`value ->> ${sql.lit(index)}` : sql`cast(value ->> ${sql.lit(index)} as integer)`,
    );
    return sql`select ${sql.join(values)} from json_each(${json})`;
  }
  const values = columns.map((type, index) =>
    type === 'text' ? sql`v ->> ${sql.lit(index)}` : sql`(v ->> ${sql.lit(index)})::${sql.raw(type)}`,
  );
  return sql`select ${sql.join(values)} from jsonb_array_elements(${json}::jsonb) as v`;
}

export async function getJob(db: Kysely<LedgerDatabase>, planId: string): Promise<BulkJob | null> {
  const row = await db.selectFrom('bulk_jobs').selectAll().where('id', '=', planId).executeTakeFirst();
  return row === undefined ? null : toJob(row);
}

export interface JobFilter {
  readonly states?: readonly BulkState[];
  readonly cleanup?: string;
  readonly limit: number;
}

export interface TargetFilter {
  /** Only those behind this one. */
  readonly afterSeq: number;
  readonly statuses?: readonly TargetStatus[];
  readonly limit: number;
}

const HASHED_AT_ONCE = 5_000;

/**
 * SHA-256 over what is frozen: the exceptions, where there are any, and each target, in their order. Read page by page: a plan
 * may have a million.
 */
export async function hashOfTargets(db: Kysely<LedgerDatabase>, planId: string): Promise<string> {
  const hash = createHash('sha256');
  const job = await db.selectFrom('bulk_jobs').select('selection_json').where('id', '=', planId).executeTakeFirst();
  const { exceptCreators, exceptSessions } = JSON.parse(job?.selection_json ?? '{}') as Record<string, unknown>;
  const exceptions = [exceptCreators, exceptSessions];
  if (exceptions.some((list) => list !== undefined)) hash.update(`${JSON.stringify(exceptions)}\n`);
  let afterSeq = -1;
  for (;;) {
    const rows = await db
      .selectFrom('bulk_targets')
      .select(['seq', 'session_id', 'agent_id', 'state', 'turn_key', 'turn_started_at', 'seen_at'])
      .where('plan_id', '=', planId)
      .where('seq', '>', afterSeq)
      .orderBy('seq')
      .limit(HASHED_AT_ONCE)
      .execute();
    for (const row of rows) {
      const frozen = [row.seq, row.session_id, row.agent_id, row.state, row.turn_key, row.turn_started_at, row.seen_at];
      hash.update(`${JSON.stringify(frozen)}\n`);
    }
    if (rows.length < HASHED_AT_ONCE) return hash.digest('hex');
    // SQLite answers at once, and heartbeats want their turn.
    await setImmediate();
    afterSeq = rows.at(-1)?.seq ?? afterSeq;
  }
}

/** Plans that were begun and never sealed: whoever made them is gone. And plans whose time is over. @returns their ids */
export async function abandonedPlans(db: Kysely<LedgerDatabase>, nowMs: number, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('bulk_jobs')
    .select('id')
    .where((eb) =>
      eb.or([
        eb.and([eb('state', '=', 'building' satisfies BulkState), eb('created_at', '<', nowMs - ABANDONED_AFTER_MS)]),
        eb.and([eb('state', '=', 'planned' satisfies BulkState), eb('expires_at', '<', nowMs - ABANDONED_AFTER_MS)]),
      ]),
    )
    .orderBy('created_at')
    .limit(limit)
    .execute();
  return rows.map((row) => row.id);
}

/** Long enough that nobody types `bulk apply` any more and is told "unknown" instead of "expired", ms. */
const ABANDONED_AFTER_MS = 24 * 60 * 60_000;

export function toJob(row: Selectable<BulkJobsTable>): BulkJob {
  return {
    planId: row.id,
    state: row.state as BulkState,
    createdAtMs: row.created_at,
    createdBy: row.created_by,
    source: row.source as BulkJob['source'],
    cleanup: row.cleanup,
    reason: row.reason_text,
    selection: JSON.parse(row.selection_json) as Record<string, unknown>,
    totals: row.totals_json === null ? null : (JSON.parse(row.totals_json) as BulkTotals),
    hash: row.hash,
    expiresAtMs: row.expires_at,
    appliedAtMs: row.applied_at,
    appliedBy: row.applied_by,
    fast: row.fast === 1,
    evenIfExempt: row.even_if_exempt === 1,
    rate: row.rate ?? DEFAULT_RATE,
    canary: row.canary ?? DEFAULT_CANARY,
    phase: row.phase as BulkJob['phase'],
    note: row.note,
    finishedAtMs: row.finished_at,
    counts: row.progress_json === null ? null : (JSON.parse(row.progress_json) as TargetCounts),
  };
}

/** Sessions a second, where nobody says otherwise. */
export const DEFAULT_RATE = 20;
/** Targets that go first, where nobody says otherwise. */
export const DEFAULT_CANARY = 10;

export function toTarget(row: Selectable<BulkTargetsTable>): BulkTarget {
  return {
    seq: row.seq,
    sessionId: row.session_id,
    agentId: row.agent_id,
    state: row.state,
    turnKey: row.turn_key,
    turnStartedAtMs: row.turn_started_at,
    seenAtMs: row.seen_at,
    status: row.status as TargetStatus,
    attempts: row.attempts,
    sentAtMs: row.sent_at,
    readAtMs: row.read_at,
    answeredAtMs: row.answered_at,
    answer: row.answer as BulkTarget['answer'],
    answerState: row.answer_state,
    error: row.error_json === null ? null : (JSON.parse(row.error_json) as OrderError),
    attribution: row.attribution as Attribution | null,
    endedAtMs: row.ended_at,
    decidedAtMs: row.decided_at,
    orderId: row.order_id,
  };
}
