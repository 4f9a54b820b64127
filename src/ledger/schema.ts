import type { Generated } from 'kysely';

/**
 * Tables of the ledger as the query builder sees them; `migrations.ts` creates them. Every time is in ms since the Unix
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
}

/** SQLite has no boolean, and its driver accepts none. */
export type Flag = 0 | 1;

export interface MetaTable {
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
  sent_at: number | null;
  answered_at: number | null;
  answer: string | null;
  answer_state: string | null;
  http_status: number | null;
  error_code: string | null;
  error_message: string | null;
  turn_started_at: number | null;
}

export interface ExemptionsTable {
  id: string;
  session_id: string;
  until: number;
  reason: string | null;
  by: string;
  created_at: number;
  ended_at: number | null;
}

/** One row, with id 1, written by the migration. */
export interface PauseSwitchTable {
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
  data_json: string | null;
}
