import { sql, type Kysely } from 'kysely';
import { OUTCOMES, type Outcome } from '../../core/contract.js';
import type { OrderSource } from '../../core/orders.js';
import { appliedJobs, type AppliedJob } from './bulk-history.js';
import { contains, jobConditions, orderConditions, targetConditions, type HistoryFilter } from './history-filter.js';
import type { LedgerDatabase } from './schema.js';

/*
 * The past by what people and rules did, not by session. Orders are counted where they are stored: a year of them is never read
 * one by one.
 */

/** Where a turn stands that was to end: its outcome; `untouched`: left by a job that was aborted; `open`: not known yet. */
export type Standing = Outcome | 'open' | 'untouched';
export type Standings = { readonly [Name in Standing]?: number };

/**
 * One thing that somebody or some rule did: one bulk job, one run of a cleanup, one command of a person (with those that the
 * same person gave for the same reason in the same minute), what one watch ordered, what one policy ordered within a minute, one
 * policy file put in force.
 */
export interface Act {
  readonly kind: 'bulk' | 'cleanup' | 'cancel' | 'watch' | 'policy' | 'policies';
  /** Ledger's clock, ms: of the first order, of the application. */
  readonly atMs: number;
  /** Of the last order. */
  readonly lastMs: number;
  /** Claimed, not authenticated. */
  readonly by: string;
  readonly planId: string | null;
  readonly cleanup: string | null;
  readonly policy: string | null;
  /** That gave the orders, or was put in force. */
  readonly policyVersion: number | null;
  readonly fileName: string | null;
  readonly reason: string | null;
  /** Turns that it was to end. */
  readonly turns: number;
  /** The only session; null: there are several, or none. */
  readonly sessionId: string | null;
  readonly standings: Standings;
  /** Vendor's clock, ms: the last end that was seen; null: none was. */
  readonly lastEndedAtMs: number | null;
  /** Which limits were broken, and how far. */
  readonly limits: readonly BrokenLimit[];
}

interface BrokenLimit {
  readonly name: string;
  readonly unit: string;
  readonly limit: number;
  /** What was seen: the least and the most. */
  readonly least: number;
  readonly most: number;
}

/** The time looked through at first; each further time twice as much, so that the last acts are found without reading all. */
const FIRST_WINDOW_MS = 60 * 60_000;
const MINUTE = 60_000;
/** A command orders up to a hundred turns within seconds. Two parts with less between them are one command. */
const SAME_COMMAND_MS = 10_000;
/** Orders of one act that are looked at for how far their limits were broken. */
const MOST_OBSERVED = 1_000;

/** The last so many acts, oldest first. @param filter.last - required: what is read is bounded by it */
export async function lastActs(
  db: Kysely<LedgerDatabase>,
  filter: HistoryFilter & { readonly last: number },
): Promise<Act[]> {
  const reach = await reachOf(db, filter);
  let found: Act[] = [];
  for (let to = reach.to, window = FIRST_WINDOW_MS; to > reach.from && found.length < filter.last; window *= 2) {
    const from = Math.max(reach.from, Math.floor((to - window) / MINUTE) * MINUTE);
    found = [...(await actsWithin(db, filter, from, to)), ...found];
    to = from;
  }
  const shown = joinedCommands(found).slice(-filter.last);
  for (const [index, act] of shown.entries()) {
    if (act.kind === 'policy') shown[index] = { ...act, limits: await limitsOf(db, act, filter) };
  }
  return shown;
}

/** Everything that happened, cut to what is asked for, ms. */
async function reachOf(
  db: Kysely<LedgerDatabase>,
  { sinceMs, untilMs }: HistoryFilter,
): Promise<{ readonly from: number; readonly to: number }> {
  const { rows } = await sql<{ first: number | null; last: number | null }>`
    select min(first) as first, max(last) as last from (
      select min(ordered_at) as first, max(ordered_at) as last from orders
      union all select min(applied_at), max(applied_at) from bulk_jobs
      union all select min(applied_at), max(applied_at) from policy_versions
    ) as reach`.execute(db);
  const first = rows[0]?.first ?? 0;
  const last = rows[0]?.last ?? -1;
  return { from: Math.max(first, sinceMs ?? first), to: Math.min(last + 1, untilMs ?? last + 1) };
}

async function actsWithin(db: Kysely<LedgerDatabase>, filter: HistoryFilter, from: number, to: number): Promise<Act[]> {
  const acts = [
    ...(await orderActs(db, filter, from, to)),
    ...(await jobActs(db, { ...filter, sinceMs: from, untilMs: to })),
    ...(await fileActs(db, filter, from, to)),
  ];
  return acts.sort((a, b) => a.atMs - b.atMs || (a.by < b.by ? -1 : 1));
}

const KINDS: Readonly<Record<Exclude<OrderSource, 'bulk'>, Act['kind']>> = {
  person: 'cancel',
  service: 'watch',
  policy: 'policy',
};

const NOTHING = { planId: null, cleanup: null, policy: null, policyVersion: null, fileName: null, reason: null };

/** What a job handed over to cases belongs to the job. */
async function orderActs(db: Kysely<LedgerDatabase>, filter: HistoryFilter, from: number, to: number): Promise<Act[]> {
  if (filter.planId !== undefined) return [];
  const { rows } = await sql<OrderGroup>`
    select source, requested_by as by, policy, policy_version as version,
      case when policy is null then reason_text end as why, ordered_at / ${sql.lit(MINUTE)} as minute,
      coalesce(outcomes.outcome, 'open') as standing, count(*) as turns, min(ordered_at) as first,
      max(ordered_at) as last, max(outcomes.ended_at) as ended, min(orders.session_id) as session
    from orders left join outcomes on outcomes.order_id = orders.id
    where ordered_at >= ${from} and ordered_at < ${to} and source <> 'bulk' and ${orderConditions(filter)}
    group by source, requested_by, policy, policy_version, case when policy is null then reason_text end,
      ordered_at / ${sql.lit(MINUTE)}, coalesce(outcomes.outcome, 'open')`.execute(db);
  const acts = new Map<string, Act>();
  for (const row of rows) {
    const key = JSON.stringify([row.source, row.by, row.policy, row.version, row.why, row.minute]);
    const part: Act = {
      ...NOTHING,
      kind: KINDS[row.source as keyof typeof KINDS] ?? 'cancel',
      ...{ atMs: row.first, lastMs: row.last, by: row.by, policy: row.policy, policyVersion: row.version },
      ...{ reason: row.why, turns: Number(row.turns), sessionId: row.session, lastEndedAtMs: row.ended, limits: [] },
      standings: { [row.standing]: Number(row.turns) },
    };
    const before = acts.get(key);
    acts.set(key, before === undefined ? part : together(before, part));
  }
  return [...acts.values()].map((act) => ({ ...act, sessionId: act.turns === 1 ? act.sessionId : null }));
}

interface OrderGroup {
  readonly source: string;
  readonly by: string;
  readonly policy: string | null;
  readonly version: number | null;
  readonly why: string | null;
  readonly minute: number;
  readonly standing: Standing;
  readonly turns: number;
  readonly first: number;
  readonly last: number;
  readonly ended: number | null;
  readonly session: string;
}

const together = (one: Act, other: Act): Act => ({
  ...one,
  atMs: Math.min(one.atMs, other.atMs),
  lastMs: Math.max(one.lastMs, other.lastMs),
  turns: one.turns + other.turns,
  sessionId: null,
  standings: sumOf(one.standings, other.standings),
  lastEndedAtMs: latest(one.lastEndedAtMs, other.lastEndedAtMs),
});

const latest = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.max(a, b);

function sumOf(one: Standings, other: Standings): Standings {
  const sum: { [Name in Standing]?: number } = { ...one };
  for (const [name, count] of Object.entries(other)) sum[name as Standing] = (sum[name as Standing] ?? 0) + count;
  return sum;
}

/** A command whose orders lie on both sides of a minute's end was counted as two. @param acts - oldest first */
function joinedCommands(acts: readonly Act[]): Act[] {
  const joined: Act[] = [];
  for (const act of acts) {
    const index = act.kind === 'cancel' ? joined.findLastIndex((one) => isSameCommand(one, act)) : -1;
    const before = joined[index];
    if (before === undefined) joined.push(act);
    else joined[index] = together(before, act);
  }
  return joined;
}

const isSameCommand = (one: Act, next: Act): boolean =>
  one.kind === 'cancel' &&
  one.by === next.by &&
  one.reason === next.reason &&
  next.atMs - one.lastMs <= SAME_COMMAND_MS;

/** A bulk job belongs to no policy. */
async function jobActs(db: Kysely<LedgerDatabase>, filter: HistoryFilter): Promise<Act[]> {
  if (filter.policy !== undefined) return [];
  const acts: Act[] = [];
  for await (const job of appliedJobs(db, filter)) {
    const act = await jobAct(db, job, filter);
    if (act !== null) acts.push(act);
  }
  return acts;
}

/** @returns null: none of its targets is asked for */
async function jobAct(db: Kysely<LedgerDatabase>, job: AppliedJob, filter: HistoryFilter): Promise<Act | null> {
  const status = sql<string>`coalesce(outcomes.outcome, bulk_targets.status)`;
  const { rows } = await sql<{ status: string; turns: number; ended: number | null; session: string }>`
    select ${status} as status, count(*) as turns, max(coalesce(outcomes.ended_at, bulk_targets.ended_at)) as ended,
      min(bulk_targets.session_id) as session
    from bulk_targets left join outcomes on outcomes.order_id = bulk_targets.order_id
    where plan_id = ${job.planId} and ${targetConditions(filter, status)}
    group by ${status}`.execute(db);
  const narrowed = filter.sessionId !== undefined || filter.agentIds !== undefined || filter.outcomes !== undefined;
  if (rows.length === 0 && narrowed) return null;
  const turns = rows.reduce((sum, row) => sum + Number(row.turns), 0);
  return {
    ...NOTHING,
    ...{ kind: job.cleanup === null ? 'bulk' : 'cleanup', planId: job.planId, cleanup: job.cleanup },
    ...{ atMs: job.appliedAtMs, lastMs: job.appliedAtMs, by: job.appliedBy ?? job.createdBy, reason: job.reason },
    ...{ turns, sessionId: turns === 1 ? (rows[0]?.session ?? null) : null, limits: [] },
    standings: rows.reduce<Standings>(
      (sum, row) => sumOf(sum, { [standingOf(row.status, job.state)]: Number(row.turns) }),
      {},
    ),
    lastEndedAtMs: rows.reduce<number | null>((last, row) => latest(last, row.ended), null),
  };
}

const outcomes: ReadonlySet<string> = new Set(OUTCOMES);

function standingOf(status: string, state: AppliedJob['state']): Standing {
  if (outcomes.has(status)) return status as Outcome;
  return status === 'waiting' && state === 'aborted' ? 'untouched' : 'open';
}

/** Policy files that were put in force; they are about no session, agent, outcome or job. */
async function fileActs(
  db: Kysely<LedgerDatabase>,
  { sessionId, policy, planId, agentIds, outcomes: asked, by }: HistoryFilter,
  from: number,
  to: number,
): Promise<Act[]> {
  if ([sessionId, policy, planId, agentIds, asked].some((filter) => filter !== undefined)) return [];
  let query = db
    .selectFrom('policy_versions')
    .select(['version', 'applied_at', 'applied_by', 'file_name'])
    .where('applied_at', '>=', from)
    .where('applied_at', '<', to)
    .orderBy('version');
  if (by !== undefined) query = query.where(contains(sql`applied_by`, by));
  return (await query.execute()).map((row) => ({
    ...NOTHING,
    ...{ kind: 'policies', atMs: row.applied_at, lastMs: row.applied_at, by: row.applied_by },
    ...{ policyVersion: row.version, fileName: row.file_name, turns: 0, sessionId: null, standings: {} },
    ...{ lastEndedAtMs: null, limits: [] },
  }));
}

async function limitsOf(db: Kysely<LedgerDatabase>, act: Act, filter: HistoryFilter): Promise<BrokenLimit[]> {
  const { rows } = await sql<{ limit_json: string | null; observed_json: string | null }>`
    select limit_json, observed_json from orders left join outcomes on outcomes.order_id = orders.id
    where ordered_at >= ${act.atMs} and ordered_at <= ${act.lastMs} and source = 'policy'
      and policy_version = ${act.policyVersion} and ${orderConditions({ ...filter, ...policyOf(act) })}
    limit ${sql.lit(MOST_OBSERVED)}`.execute(db);
  const limits = new Map<string, BrokenLimit>();
  for (const { limit_json: limitJson, observed_json: observedJson } of rows) {
    const limit = valueIn(limitJson);
    const seen = valueIn(observedJson);
    if (limit === null || seen === null) continue;
    const key = JSON.stringify([limit.name, limit.value]);
    const { least = seen.value, most = seen.value } = limits.get(key) ?? {};
    limits.set(key, {
      ...{ name: limit.name, unit: limit.unit, limit: limit.value },
      ...{ least: Math.min(least, seen.value), most: Math.max(most, seen.value) },
    });
  }
  return [...limits.values()];
}

const policyOf = ({ policy }: Act): Pick<HistoryFilter, 'policy'> => (policy === null ? {} : { policy });

function valueIn(json: string | null): { readonly name: string; readonly unit: string; readonly value: number } | null {
  const { name, unit, value } = (json === null ? {} : JSON.parse(json)) as Readonly<Record<string, unknown>>;
  if (typeof value !== 'number') return null;
  return { name: typeof name === 'string' ? name : '', unit: typeof unit === 'string' ? unit : '', value };
}

/** By what orders, and what bulk jobs ended without one, are counted. */
export const GROUPS = ['policy', 'agent', 'by', 'outcome', 'day'] as const;
export type Grouping = (typeof GROUPS)[number];

export interface HistoryGroup {
  /** Null: it has none, as what people ordered has no policy. A day as 2026-01-05, UTC. */
  readonly key: string | null;
  readonly turns: number;
  readonly standings: Standings;
}

const DAY = 24 * 60 * MINUTE;

/** Counts by one of {@link GROUPS}: days in their order, all else by how many, most first. */
export async function countedBy(
  db: Kysely<LedgerDatabase>,
  filter: HistoryFilter,
  grouping: Grouping,
): Promise<HistoryGroup[]> {
  const ofOrders = {
    policy: sql`orders.policy`,
    agent: sql`orders.agent_id`,
    by: sql`orders.requested_by`,
    outcome: sql`coalesce(outcomes.outcome, 'open')`,
    day: sql`orders.ordered_at / ${sql.lit(DAY)}`,
  }[grouping];
  const orders = await sql<CountRow>`
    select ${ofOrders} as key, coalesce(outcomes.outcome, 'open') as standing, count(*) as turns
    from orders left join outcomes on outcomes.order_id = orders.id
    where ${timesWithin(sql`ordered_at`, filter)} and ${orderConditions(filter)}
    group by ${ofOrders}, coalesce(outcomes.outcome, 'open')`.execute(db);
  const rows = [...orders.rows, ...(filter.policy === undefined ? await targetCounts(db, filter, grouping) : [])];
  const groups = new Map<string | null, HistoryGroup>();
  for (const row of rows) {
    const key = row.key === null ? null : grouping === 'day' ? dayText(Number(row.key)) : String(row.key);
    const before = groups.get(key) ?? { key, turns: 0, standings: {} };
    const turns = Number(row.turns);
    groups.set(key, {
      key,
      turns: before.turns + turns,
      standings: sumOf(before.standings, { [row.standing]: turns }),
    });
  }
  const inOrder = (a: HistoryGroup, b: HistoryGroup): number => ((a.key ?? '') < (b.key ?? '') ? -1 : 1);
  return [...groups.values()].sort((a, b) => (grouping === 'day' ? 0 : b.turns - a.turns) || inOrder(a, b));
}

interface CountRow {
  readonly key: string | number | null;
  readonly standing: Standing;
  readonly turns: number;
}

/** Targets that have their outcome in their own row: no order tells of them. */
async function targetCounts(
  db: Kysely<LedgerDatabase>,
  filter: HistoryFilter,
  grouping: Grouping,
): Promise<readonly CountRow[]> {
  const key = {
    policy: sql`null`,
    agent: sql`bulk_targets.agent_id`,
    by: sql`coalesce(bulk_jobs.applied_by, bulk_jobs.created_by)`,
    outcome: sql`bulk_targets.status`,
    day: sql`bulk_jobs.applied_at / ${sql.lit(DAY)}`,
  }[grouping];
  // PostgreSQL groups by no constant.
  const by = grouping === 'policy' ? sql`bulk_targets.status` : sql`${key}, bulk_targets.status`;
  const { rows } = await sql<CountRow>`
    select ${key} as key, bulk_targets.status as standing, count(*) as turns
    from bulk_targets join bulk_jobs on bulk_jobs.id = bulk_targets.plan_id
    where applied_at is not null and status in (${sql.join(OUTCOMES)})
      and ${timesWithin(sql`applied_at`, filter)} and ${jobConditions(filter)} and ${targetConditions(filter)}
    group by ${by}`.execute(db);
  return rows;
}

const timesWithin = (column: ReturnType<typeof sql>, { sinceMs, untilMs }: HistoryFilter) =>
  sql`${column} >= ${sinceMs ?? 0} and ${column} < ${untilMs ?? Number.MAX_SAFE_INTEGER}`;

const dayText = (day: number): string => new Date(day * DAY).toISOString().slice(0, 10);
