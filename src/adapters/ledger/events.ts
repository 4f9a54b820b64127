import { sql, type Kysely, type RawBuilder } from 'kysely';
import { dialectOf } from './dialect.js';
import { tell } from './news.js';
import type { LedgerDatabase } from './schema.js';
import { storableJson } from '../../core/text/storable.js';
import type { EventKind } from '../../core/events.js';

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
