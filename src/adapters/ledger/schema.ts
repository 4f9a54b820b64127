import type { Generated } from 'kysely';

/**
 * Tables of the ledger as the query builder sees them; `migration-texts.ts` creates them. Every time is in ms since the Unix
 * epoch and comes back as a number on both databases. JSON is stored as text: nothing queries inside it.
 */
export interface LedgerDatabase {
  meta: MetaTable;
  orders: OrdersTable;
  outcomes: OutcomesTable;
  requests: RequestsTable;
  exemptions: ExemptionsTable;
  pause_switch: PauseSwitchTable;
  events: EventsTable;
  policy_versions: PolicyVersionsTable;
  facts: FactsTable;
  agent_scans: AgentScansTable;
  permits: PermitsTable;
  breakers: BreakersTable;
  watches: WatchesTable;
  deliveries: DeliveriesTable;
  unjudged: UnjudgedTable;
  bulk_jobs: BulkJobsTable;
  bulk_targets: BulkTargetsTable;
}

/** SQLite has no boolean, and its driver accepts none. */
type Flag = 0 | 1;

interface MetaTable {
  key: string;
  value: string;
}

export interface OrdersTable {
  id: string;
  session_id: string;
  agent_id: string | null;
  turn_key: string | null;
  turn_started_at: number | null;
  bound_at: number | null;
  /** person, policy, bulk or service */
  source: string;
  /** Claimed, not authenticated. */
  requested_by: string;
  reason_text: string | null;
  policy: string | null;
  policy_version: number | null;
  limit_json: string | null;
  observed_json: string | null;
  even_if_exempt: Flag;
  ordered_at: number;
  /** 1 until an outcome is written. */
  open: Flag;
  phase: string;
  /** Cancel requests sent for this order. */
  attempts: Generated<number>;
  next_try_at: number | null;
  last_error_json: string | null;
  /** Time spent in vain that counts towards giving up, ms. */
  counted_ms: Generated<number>;
  last_pass_at: number | null;
  last_pass_counts: Generated<Flag>;
  alerted_at: number | null;
  /** How old a read may be that lets a request for this order out, ms; null: as old as for any order. */
  max_read_age_ms: Generated<number | null>;
  /** The worker that carries it out itself; null: a case does. */
  holder: Generated<string | null>;
  /** Ledger's clock, ms: when it has no case by then, it gets one; null: it has one. */
  held_until: Generated<number | null>;
}

export interface OutcomesTable {
  order_id: string;
  session_id: string;
  outcome: string;
  attribution: string | null;
  attempts: number;
  ended_at: number | null;
  decided_at: number;
}

export interface RequestsTable {
  id: string;
  session_id: string;
  turn_key: string;
  owner: string;
  worker: string;
  attempt: number;
  read_at: number;
  registered_at: number;
  lease_until: number;
  status: 'open' | 'answered' | 'withdrawn';
  /** Vendor's clock: the latest moment at which it can have left; null: an older Curfew let it out. */
  sent_at: number | null;
  answered_at: number | null;
  answer: string | null;
  answer_state: string | null;
  http_status: number | null;
  error_code: string | null;
  error_message: string | null;
  turn_started_at: number | null;
}

interface ExemptionsTable {
  id: string;
  session_id: string;
  until: number;
  reason: string | null;
  by: string;
  created_at: number;
  ended_at: number | null;
}

/** One row, with id 1, written by the migration. */
interface PauseSwitchTable {
  id: number;
  paused: Flag;
  reason: string | null;
  changed_by: string | null;
  changed_at: number | null;
}

export interface EventsTable {
  /** Rises with each event; numbers may be left out. */
  seq: Generated<number>;
  at: number;
  session_id: string | null;
  order_id: string | null;
  kind: string;
  /** That its data names, else that of its order. */
  policy: string | null;
  /** From here on as its data has it, for statements that ask for it. */
  plan_id: string | null;
  cleanup: string | null;
  data_json: string | null;
}

/** Every policy file that was ever in force. The one with the highest version is in force now. */
export interface PolicyVersionsTable {
  version: number;
  /** Number of the form of `file_json`; a worker that does not know it refuses the policies. */
  schema: number;
  applied_at: number;
  /** Claimed, not authenticated. */
  applied_by: string;
  file_name: string;
  /** As it was written. */
  source_text: string;
  /** As it was read. */
  file_json: string;
}

/** What is remembered of a session between two looks. */
interface FactsTable {
  session_id: string;
  agent_id: string | null;
  /** Number of the form of `facts_json`; facts of another one are not read. */
  schema: number;
  /** 1 when the last scan of its agent that was stored listed it. Then the row may be as old as its last change. */
  listed: Flag;
  /** Vendor's time of the newest sight in the facts. Older facts never take the place of newer ones. */
  seen_at: number;
  facts_json: string;
  updated_at: number;
}

interface AgentScansTable {
  agent_id: string;
  scan_json: string;
  updated_at: number;
}

/** Leave to send cancel requests for one turn, taken by a policy under its caps. */
interface PermitsTable {
  policy: string;
  session_id: string;
  turn_key: string;
  taken_at: number;
}

/** A row for each policy that ever took a permit. Open: it is over its caps, and falls back to observing. */
interface BreakersTable {
  policy: string;
  /** Null: closed. */
  opened_at: number | null;
  reason_json: string | null;
  /** Permits taken before this do not count any more. */
  closed_at: number | null;
  closed_by: string | null;
}

/** A session that someone registered to be watched; a row for each, that of the last registration. */
export interface WatchesTable {
  session_id: string;
  limits_json: string;
  reason_text: string | null;
  requested_by: string;
  registered_at: number;
  /** watching, released or ended */
  state: string;
  /** at-rest, gone or released; null while it is open. */
  ending: string | null;
  /** Rises with each change, so that a look writes only what it has read. */
  revision: number;
  phase: string;
  note: string;
  /** Number of the form of `facts_json`. */
  schema: number;
  facts_json: string | null;
  /** First answer 404 since the session was last seen. */
  missing_since: number | null;
  next_look_at: number | null;
  /** The last order that it gave. */
  order_id: string | null;
  closed_at: number | null;
  closed_by: string | null;
}

/** A session that could not be judged when someone last tried. */
export interface UnjudgedTable {
  session_id: string;
  /** case, fleet or watch */
  by: string;
  reason: string;
  /** For people. */
  text: string;
  /** First failure since it could be judged. */
  since: number;
  last_at: number;
  /** The next attempt. */
  due_at: number;
  /** session: by an alert of its own; many: by one for many; among-many: in such a one's stead none. Null: not yet. */
  told: string | null;
  told_at: number | null;
}

/** What was told by which notification route. */
interface DeliveriesTable {
  route: string;
  /** `event/<seq>` or `outcome/<order id>`. */
  item: string;
  at: number;
}

/** A frozen selection of sessions, and the job that ends their turns. */
export interface BulkJobsTable {
  id: string;
  /** building, planned, running, paused, finished or aborted */
  state: string;
  created_at: number;
  /** Claimed, not authenticated. */
  created_by: string;
  /** person or cleanup */
  source: string;
  /** Name of the cleanup entry. */
  cleanup: string | null;
  reason_text: string | null;
  selection_json: string;
  /** From here on null until it is sealed. */
  totals_json: string | null;
  hash: string | null;
  expires_at: number | null;
  /** From here on null until it is applied. */
  applied_at: number | null;
  applied_by: string | null;
  fast: Flag | null;
  even_if_exempt: Flag | null;
  /** Sessions a second. */
  rate: number | null;
  canary: number | null;
  /** canary, main or done */
  phase: string | null;
  /** Why it is paused or held, for people. */
  note: string | null;
  /** Rises each time a worker takes the job up: what an earlier one still wants to write is refused. */
  epoch: number;
  /** Until then its worker counts as alive, and its requests as under way. */
  lease_until: number | null;
  worker: string | null;
  /** Counters of the targets, kept by the worker. */
  progress_json: string | null;
  finished_at: number | null;
}

/** One session of a bulk plan. Also the record of the job's own cancel request for it: at most one is in force at a time. */
export interface BulkTargetsTable {
  plan_id: string;
  /** The order in which they are taken. Numbers may be left out. */
  seq: number;
  session_id: string;
  agent_id: string | null;
  /** As it was seen when the plan was made; null: it was given by its id. */
  state: string | null;
  turn_key: string | null;
  turn_started_at: number | null;
  /** Our clock: only a turn whose message came before this is meant. */
  seen_at: number;
  /** waiting, sent, answered, case, or the outcome */
  status: string;
  /** Cancel requests sent by the job itself. */
  attempts: Generated<number>;
  /** Our clock: when the last request was let out. */
  sent_at: number | null;
  /** Vendor's clock: the read before it, and its answer. */
  read_at: number | null;
  answered_at: number | null;
  answer: string | null;
  answer_state: string | null;
  error_json: string | null;
  attribution: string | null;
  /** Vendor's clock. */
  ended_at: number | null;
  decided_at: number | null;
  /** The order that a case works on. */
  order_id: string | null;
}
