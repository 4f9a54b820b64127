import { sql, type Kysely, type RawBuilder } from 'kysely';
import { dialectOf } from './dialect.js';
import { tell } from './news.js';
import type { LedgerDatabase } from './schema.js';
import { storableJson } from '../../core/text/storable.js';

/** Things that happened and that someone may want to know later. Those in {@link ALERTS} want a person now. */
export const EVENT_KINDS = [
  'restarted',
  'queued-messages-waiting',
  'may-have-hit-newer-turn',
  'not-ending',
  'not-judgeable',
  'retries-exhausted',
  'gone',
  'forbidden',
  'account-refused',
  'account-accepted',
  'requests-held',
  'requests-released',
  'abandoned',
  'paused',
  'resumed',
  'exempt',
  'unexempt',
  'policy-applied',
  'warned',
  'would-end',
  'breaker-opened',
  'breaker-closed',
  'coverage-lost',
  'coverage-restored',
  'watch-registered',
  'watch-extended',
  'watch-released',
  'watch-ended',
  'bulk-applied',
  'bulk-paused',
  'bulk-resumed',
  'bulk-aborted',
  'bulk-rate',
  'bulk-stopped',
  'bulk-finished',
  'cleanup-capped',
  'cleanup-skipped',
  'cleanup-failed',
  'trigger-switched-off',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

export const ALERTS: ReadonlySet<EventKind> = new Set<EventKind>([
  'may-have-hit-newer-turn',
  'not-ending',
  'not-judgeable',
  'retries-exhausted',
  'gone',
  'forbidden',
  'account-refused',
  'breaker-opened',
  'coverage-lost',
  'bulk-stopped',
  'cleanup-failed',
  'trigger-switched-off',
]);

export interface NewEvent {
  readonly kind: EventKind;
  /** Our clock, ms since the Unix epoch. */
  readonly at: number;
  readonly sessionId?: string;
  readonly orderId?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

export async function recordEvents(db: Kysely<LedgerDatabase>, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  await db
    .insertInto('events')
    .values(
      events.map((event) => ({
        at: event.at,
        session_id: event.sessionId ?? null,
        order_id: event.orderId ?? null,
        kind: event.kind,
        data_json: event.data === undefined ? null : storableJson(event.data),
      })),
    )
    .execute();
  for (const { kind } of events) tell({ kind: 'event', event: kind });
}

/** A text of an event's data, for statements that ask for it: compared as it is, with no sign that stands for others. @param key - letters */
export const valueOfEvent = (db: Kysely<LedgerDatabase>, key: string): RawBuilder<string | null> =>
  dialectOf(db) === 'sqlite'
    ? sql`json_extract(events.data_json, ${sql.lit(`$.${key}`)})`
    : sql`events.data_json::json ->> ${sql.lit(key)}`;
