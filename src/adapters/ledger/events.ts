import type { Kysely } from 'kysely';
import { tell } from './news.js';
import type { LedgerDatabase } from './schema.js';
import { storableJson, storableText } from '../../core/text/storable.js';
import type { EventKind } from '../../core/events.js';

export interface NewEvent {
  readonly kind: EventKind;
  /** Our clock, ms since the Unix epoch. */
  readonly at: number;
  readonly sessionId?: string;
  readonly orderId?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** An event without its time: the ledger's clock gives it. */
export type EventToRecord = Omit<NewEvent, 'at'>;

export const stamped = (events: readonly EventToRecord[], at: number): NewEvent[] =>
  events.map((event) => ({ ...event, at }));

export async function recordEvents(db: Kysely<LedgerDatabase>, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  await db
    .insertInto('events')
    .values(
      events.map(({ at, kind, sessionId, orderId, data }) => ({
        at,
        session_id: sessionId ?? null,
        order_id: orderId ?? null,
        kind,
        policy: textIn(data, 'policy') ?? (orderId === undefined ? null : policyOfOrder(db, orderId)),
        plan_id: textIn(data, 'plan'),
        cleanup: textIn(data, 'cleanup'),
        data_json: data === undefined ? null : storableJson(data),
      })),
    )
    .execute();
  for (const { kind } of events) tell({ kind: 'event', event: kind });
}

const textIn = (data: NewEvent['data'], key: string): string | null => {
  const value = data?.[key];
  return typeof value === 'string' ? storableText(value) : null;
};

const policyOfOrder = (db: Kysely<LedgerDatabase>, orderId: string) =>
  db.selectFrom('orders').select('policy').where('id', '=', orderId);
