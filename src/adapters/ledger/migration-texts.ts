import type { LedgerDialect } from './dialect.js';

/**
 * The tables, as PostgreSQL reads them; what SQLite writes otherwise is put in by {@link statementsOf}. `schema.ts` says what
 * the columns mean.
 *
 * Once released, a migration is never changed: later ones add to it. A blank line ends a statement.
 */
export const MIGRATIONS: Readonly<Record<string, string>> = {
  '0001_orders': `
create table meta (
  key text primary key not null,
  value text not null
)

create table orders (
  id text primary key not null,
  session_id text not null,
  agent_id text,
  turn_key text,
  turn_started_at bigint,
  bound_at bigint,
  source text not null,
  requested_by text not null,
  reason_text text,
  policy text,
  policy_version integer,
  limit_json text,
  observed_json text,
  even_if_exempt integer not null,
  max_read_age_ms integer,
  ordered_at bigint not null,
  open integer not null,
  phase text not null,
  attempts integer not null default 0,
  next_try_at bigint,
  last_error_json text,
  counted_ms bigint not null default 0,
  last_pass_at bigint,
  last_pass_counts integer not null default 0,
  alerted_at bigint
)

create index orders_session on orders (session_id)

create index orders_ordered_at on orders (ordered_at)

create index orders_open on orders (ordered_at) where open = 1

create table outcomes (
  order_id text primary key not null references orders (id),
  session_id text not null,
  outcome text not null,
  attribution text,
  attempts integer not null,
  ended_at bigint,
  decided_at bigint not null
)

create index outcomes_decided_at on outcomes (decided_at)

create table requests (
  id text primary key not null,
  session_id text not null,
  turn_key text not null,
  owner text not null,
  worker text not null,
  attempt integer not null,
  read_at bigint not null,
  registered_at bigint not null,
  lease_until bigint not null,
  status text not null,
  sent_at bigint,
  answered_at bigint,
  answer text,
  answer_state text,
  http_status integer,
  error_code text,
  error_message text,
  turn_started_at bigint
)

create index requests_turn on requests (session_id, turn_key)

create index requests_open on requests (session_id) where status = 'open'

create table exemptions (
  id text primary key not null,
  session_id text not null,
  until bigint not null,
  reason text,
  by text not null,
  created_at bigint not null,
  ended_at bigint
)

create index exemptions_session on exemptions (session_id)

create table pause_switch (
  id integer primary key not null check (id = 1),
  paused integer not null,
  reason text,
  changed_by text,
  changed_at bigint
)

insert into pause_switch (id, paused) values (1, 0)

create table events (
  seq bigserial primary key,
  at bigint not null,
  session_id text,
  order_id text,
  kind text not null,
  policy text,
  plan_id text,
  cleanup text,
  data_json text
)

create index events_session on events (session_id, seq)

create index events_order on events (order_id, seq)

create index events_at on events (at)

create index events_plan on events (plan_id, seq) where plan_id is not null

create table policy_versions (
  version integer primary key not null,
  schema integer not null,
  applied_at bigint not null,
  applied_by text not null,
  file_name text not null,
  source_text text not null,
  file_json text not null
)

create table facts (
  session_id text primary key not null,
  agent_id text,
  schema integer not null,
  listed integer not null,
  seen_at bigint not null,
  facts_json text not null,
  updated_at bigint not null
)

create index facts_updated_at on facts (updated_at)

create table agent_scans (
  agent_id text primary key not null,
  scan_json text not null,
  updated_at bigint not null
)

create table permits (
  policy text not null,
  session_id text not null,
  turn_key text not null,
  taken_at bigint not null,
  primary key (policy, session_id, turn_key)
)

create index permits_taken_at on permits (policy, taken_at)

create table breakers (
  policy text primary key not null,
  opened_at bigint,
  reason_json text,
  closed_at bigint,
  closed_by text
)

create table watches (
  session_id text primary key not null,
  limits_json text not null,
  reason_text text,
  requested_by text not null,
  registered_at bigint not null,
  state text not null,
  ending text,
  revision integer not null,
  phase text not null,
  note text not null,
  schema integer not null,
  facts_json text,
  missing_since bigint,
  next_look_at bigint,
  order_id text,
  closed_at bigint,
  closed_by text
)

create index watches_open on watches (next_look_at) where state = 'watching'

create table deliveries (
  route text not null,
  item text not null,
  at bigint not null,
  primary key (route, item)
)

create index deliveries_at on deliveries (at)

create table unjudged (
  session_id text primary key not null,
  by text not null,
  reason text not null,
  text text not null,
  since bigint not null,
  last_at bigint not null,
  due_at bigint not null,
  told text,
  told_at bigint
)

create index unjudged_told_at on unjudged (told_at)
`,

  // Neither index of a target names a column that changes, so that what becomes of it costs no index.
  '0002_bulk': `
create table bulk_jobs (
  id text primary key not null,
  state text not null,
  created_at bigint not null,
  created_by text not null,
  source text not null,
  cleanup text,
  reason_text text,
  selection_json text not null,
  totals_json text,
  hash text,
  expires_at bigint,
  applied_at bigint,
  applied_by text,
  fast integer,
  even_if_exempt integer,
  rate double precision,
  canary integer,
  phase text,
  note text,
  epoch integer not null,
  lease_until bigint,
  worker text,
  progress_json text,
  finished_at bigint
)

create index bulk_jobs_created_at on bulk_jobs (created_at)

create table bulk_targets (
  plan_id text not null,
  seq integer not null,
  session_id text not null,
  agent_id text,
  state text,
  turn_key text,
  turn_started_at bigint,
  seen_at bigint not null,
  status text not null,
  attempts integer not null default 0,
  sent_at bigint,
  read_at bigint,
  answered_at bigint,
  answer text,
  answer_state text,
  error_json text,
  attribution text,
  ended_at bigint,
  decided_at bigint,
  order_id text,
  primary key (plan_id, seq)
)

create unique index bulk_targets_session on bulk_targets (session_id, plan_id)
`,

  '0003_holders': `
alter table orders add column holder text

alter table orders add column held_until bigint

create index orders_held on orders (held_until) where open = 1 and held_until is not null
`,
};

/** Migrations of before the first release. What they made is not brought up to date. */
export const UNRELEASED: readonly string[] = [
  '0001_ledger',
  '0002_enforcement',
  '0003_bulk',
  '0004_read_age',
  '0005_unjudged',
];

/** SQLite checks column types only when told to; PostgreSQL always does. */
const FOR_SQLITE = [
  [/\bbigserial primary key\b/g, 'integer primary key autoincrement'],
  [/\bbigint\b/g, 'integer'],
  [/\bdouble precision\b/g, 'real'],
  [/\n\)$/, '\n) strict'],
] as const;

/** The statements of a migration, for one database. */
export function statementsOf(name: string, dialect: LedgerDialect): string[] {
  const statements = (MIGRATIONS[name] ?? '').trim().split(/\n{2,}/);
  if (dialect === 'postgres') return statements;
  return statements.map((statement) =>
    FOR_SQLITE.reduce((text, [postgres, sqlite]) => text.replace(postgres, sqlite), statement),
  );
}
