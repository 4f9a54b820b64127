import { sql, type RawBuilder } from 'kysely';
import { OUTCOMES, type Outcome } from '../../core/contract.js';
import type { EventKind } from '../../core/events.js';

/** What to look back at. Times are the ledger's clock, ms since the Unix epoch: of the order, or of the event. */
export interface HistoryFilter {
  readonly sessionId?: string;
  readonly policy?: string;
  /** Not before this. */
  readonly sinceMs?: number;
  /** Before this. */
  readonly untilMs?: number;
  /** Only the last so many. */
  readonly last?: number;
  /** Only events of these kinds. */
  readonly kinds?: readonly EventKind[];
  /** Only of this bulk plan: its events, its targets, and the orders that it gave. */
  readonly planId?: string;
  /** Only orders and targets on sessions of these agents. */
  readonly agentIds?: readonly string[];
  /** Only orders and jobs by those whose name contains this, in upper or lower case. */
  readonly by?: string;
  /** Only orders and targets that ended so; `open`: that have no outcome yet. */
  readonly outcomes?: readonly (Outcome | 'open')[];
}

type Condition = RawBuilder<boolean>;

/** The conditions on orders, joined with their outcomes. Times are left to whoever reads in their order. */
export function orderConditions({ sessionId, policy, planId, agentIds, by, outcomes }: HistoryFilter): Condition {
  return all([
    sessionId === undefined ? null : sql<boolean>`orders.session_id = ${sessionId}`,
    policy === undefined ? null : sql<boolean>`orders.policy = ${policy}`,
    planId === undefined
      ? null
      : sql<boolean>`orders.id in (select order_id from bulk_targets where plan_id = ${planId})`,
    agentIds === undefined ? null : oneOf(sql`orders.agent_id`, agentIds),
    by === undefined ? null : contains(sql`orders.requested_by`, by),
    outcomes === undefined ? null : oneOf(sql`coalesce(outcomes.outcome, 'open')`, outcomes),
  ]);
}

/** The conditions on targets of bulk jobs. @param status - what stands for the outcome of one */
export const targetConditions = (
  { sessionId, agentIds, outcomes }: HistoryFilter,
  status: RawBuilder<string> = sql<string>`bulk_targets.status`,
): Condition =>
  all([
    sessionId === undefined ? null : sql<boolean>`bulk_targets.session_id = ${sessionId}`,
    agentIds === undefined ? null : oneOf(sql`bulk_targets.agent_id`, agentIds),
    outcomes === undefined ? null : withOutcome(status, outcomes),
  ]);

/** The conditions on bulk jobs that were applied. */
export const jobConditions = ({ planId, by }: Pick<HistoryFilter, 'planId' | 'by'>): Condition =>
  all([
    planId === undefined ? null : sql<boolean>`bulk_jobs.id = ${planId}`,
    by === undefined ? null : contains(sql`coalesce(bulk_jobs.applied_by, bulk_jobs.created_by)`, by),
  ]);

/** Whoever is named like this. @param text - a column */
export const contains = (text: RawBuilder<unknown>, part: string): Condition =>
  sql<boolean>`lower(${text}) like lower(${`%${part.replaceAll(/[!%_]/g, '!$&')}%`}) escape '!'`;

/** A target is open when its status is no outcome. */
const withOutcome = (status: RawBuilder<string>, outcomes: readonly (Outcome | 'open')[]): Condition =>
  outcomes.includes('open')
    ? sql<boolean>`(${oneOf(status, outcomes)} or not ${oneOf(status, OUTCOMES)})`
    : oneOf(status, outcomes);

const oneOf = (column: RawBuilder<unknown>, values: readonly string[]): Condition =>
  values.length === 0 ? sql<boolean>`1 = 0` : sql<boolean>`${column} in (${sql.join(values)})`;

const all = (conditions: readonly (Condition | null)[]): Condition => {
  const given = conditions.filter((condition) => condition !== null);
  return given.length === 0 ? sql<boolean>`1 = 1` : sql<boolean>`(${sql.join(given, sql` and `)})`;
};
