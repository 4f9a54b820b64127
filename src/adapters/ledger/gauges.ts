import { sql, type Kysely } from 'kysely';
import type { BulkState } from '../../core/contract.js';
import { countsOf } from './bulk-counts.js';
import { toJob } from './bulk-plans.js';
import type { LedgerDatabase } from './schema.js';
import { LEASE_MS } from './leases.js';
import { LONGEST_REQUEST_MS } from '../../core/policy/conclusion.js';
import { readPauseSwitch } from './pause-switch.js';
import { countUnjudged } from './unjudged.js';

/** States of bulk jobs that still want something. `planned` only while it can be applied. */
const GAUGED_BULK_STATES = ['planned', 'running', 'paused'] as const satisfies readonly BulkState[];

/** The gate lets out no order of such a job: it waits by someone's word, or until it is given up with its job. */
const HALTED_STATES = ['paused', 'aborted'] as const satisfies readonly BulkState[];

/** How things stand, in numbers. */
export interface LedgerGauges {
  /** Orders without an outcome. */
  readonly openOrders: number;
  /** Sessions with such orders. */
  readonly openCases: number;
  /** Those of them for which someone was alerted. */
  readonly stuckCases: number;
  /** Sessions that can't be judged now. */
  readonly unjudgedSessions: number;
  /** Ledger's clock, ms since the Unix epoch; null: none is open. Not of those that wait because their bulk job is halted. */
  readonly oldestOpenOrderAtMs: number | null;
  /** Cancel requests that are out and may still take effect, without an answer. */
  readonly requestsUnanswered: number;
  readonly paused: boolean;
  readonly bulkJobs: { readonly [State in (typeof GAUGED_BULK_STATES)[number]]: number };
  /** Targets of running and paused jobs that have no outcome and no case of their own. */
  readonly bulkTargetsOpen: number;
}

/**
 * Reads them by indexes that hold open things alone, so that the cost does not grow with what is over. Targets of bulk jobs
 * are not counted, there may be a million: the counters of their jobs are read.
 */
export async function readGauges(db: Kysely<LedgerDatabase>, nowMs: number): Promise<LedgerGauges> {
  const orders = await db
    .selectFrom('orders')
    .select(({ fn }) => [
      fn.countAll<number>().as('orders'),
      fn.count<number>('session_id').distinct().as('cases'),
      sql<number>`count(distinct case when alerted_at is not null then session_id end)`.as('stuck'),
    ])
    .where('open', '=', 1)
    .executeTakeFirstOrThrow();

  // The first one that passes is enough, so only what was halted before it is looked through.
  const oldest = await db
    .selectFrom('orders')
    .select('ordered_at')
    .where('open', '=', 1)
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('bulk_targets')
            .innerJoin('bulk_jobs', 'bulk_jobs.id', 'bulk_targets.plan_id')
            .select('bulk_targets.seq')
            .whereRef('bulk_targets.session_id', '=', 'orders.session_id')
            .whereRef('bulk_targets.order_id', '=', 'orders.id')
            .where('bulk_jobs.state', 'in', HALTED_STATES),
        ),
      ),
    )
    .orderBy('ordered_at')
    .limit(1)
    .executeTakeFirst();

  const { unanswered } = await db
    .selectFrom('requests')
    .select(({ fn }) => fn.countAll<number>().as('unanswered'))
    .where('status', '=', 'open')
    // The sender of an older one is dead, and nobody will ever answer.
    .where('registered_at', '>', nowMs - LONGEST_REQUEST_MS - LEASE_MS)
    .executeTakeFirstOrThrow();

  const rows = await db.selectFrom('bulk_jobs').selectAll().where('state', 'in', GAUGED_BULK_STATES).execute();
  const bulkJobs = { planned: 0, running: 0, paused: 0 };
  let bulkTargetsOpen = 0;
  let bulkUnanswered = 0;
  for (const row of rows) {
    const job = toJob(row);
    if (job.state === 'planned' && (job.expiresAtMs ?? 0) > nowMs) bulkJobs.planned += 1;
    if (job.state !== 'running' && job.state !== 'paused') continue;
    bulkJobs[job.state] += 1;
    const { waiting = 0, sent = 0, answered = 0 } = countsOf(job).byStatus;
    bulkTargetsOpen += waiting + sent + answered;
    if (row.lease_until !== null && row.lease_until > nowMs) bulkUnanswered += sent;
  }

  return {
    openOrders: Number(orders.orders),
    openCases: Number(orders.cases),
    stuckCases: Number(orders.stuck),
    unjudgedSessions: await countUnjudged(db, nowMs),
    oldestOpenOrderAtMs: oldest === undefined ? null : Number(oldest.ordered_at),
    requestsUnanswered: Number(unanswered) + bulkUnanswered,
    paused: (await readPauseSwitch(db)).paused,
    bulkJobs,
    bulkTargetsOpen,
  };
}

/** Sessions whose orders were settled as `forbidden` since then; 0 when any cancel request was accepted since then. */
export async function forbiddenSessions(db: Kysely<LedgerDatabase>, sinceMs: number): Promise<number> {
  const accepted = await db
    .selectFrom('requests')
    .select('id')
    .where('registered_at', '>', sinceMs)
    .where('answer', '=', 'accepted')
    .executeTakeFirst();
  if (accepted !== undefined) return 0;
  const { sessions } = await db
    .selectFrom('outcomes')
    .select(({ fn }) => fn.count<number>('session_id').distinct().as('sessions'))
    .where('decided_at', '>', sinceMs)
    .where('outcome', '=', 'forbidden')
    .executeTakeFirstOrThrow();
  return Number(sessions);
}
