import { sql, type Kysely, type RawBuilder } from 'kysely';
import type { Attribution, OrderReason, Outcome } from '../../core/contract.js';
import { FOR_EVERYONE, ROUTINE, TOLD_EVENTS, TOLD_OUTCOMES, type Audience, type ToldKind } from '../../core/told.js';
import { ledgerNow, type Clock } from './locks.js';
import { createMeta } from './meta.js';
import { reasonOf, selectOrders } from './results.js';
import type { LedgerDatabase } from './schema.js';

/** One thing to tell. */
export interface Item {
  /** `event/<seq>` or `outcome/<order id>`. */
  readonly key: string;
  readonly kind: ToldKind;
  /** Ledger's clock, ms since the Unix epoch. */
  readonly atMs: number;
  readonly sessionId: string | null;
  /** What the event carries; empty for an outcome. */
  readonly data: Readonly<Record<string, unknown>>;
  /** The order that it is about; null when there is none. */
  readonly order: ItemOrder | null;
}

export interface ItemOrder {
  readonly id: string;
  readonly agentId: string | null;
  readonly turnKey: string | null;
  readonly requestedBy: string;
  readonly reason: OrderReason;
  /** Null while it has none. */
  readonly outcome: Outcome | null;
  readonly attribution: Attribution | null;
  readonly attempts: number;
  /** Vendor's clock, ms since the Unix epoch; null when the end was not seen. */
  readonly endedAtMs: number | null;
}

/** Why a message was not taken. */
export interface RouteTrouble {
  /** Ledger's clock, ms since the Unix epoch. */
  readonly atMs: number;
  /** Without addresses and secrets. */
  readonly message: string;
}

/** A message that was begun: its items stay together until it is delivered, so that a repeat is the same message. */
export interface BegunMessage {
  readonly beganAtMs: number;
  readonly keys: readonly string[];
}

export const createDeliveries = (db: Kysely<LedgerDatabase>, now: Clock = ledgerNow) => ({
  /** Whether anything younger than the given time is to be told. */
  async pending(audience: Audience, youngerThanMs: number): Promise<boolean> {
    const afterMs = (await now(db)) - youngerThanMs;
    const event = await pendingEvents(db, audience, afterMs).select('events.seq').limit(1).executeTakeFirst();
    if (event !== undefined) return true;
    const outcome = await pendingOutcomes(db, audience, afterMs).select('orders.id').limit(1).executeTakeFirst();
    return outcome !== undefined;
  },

  /** How many things that is, counted up to `most`. */
  async count(audience: Audience, youngerThanMs: number, most: number): Promise<number> {
    const afterMs = (await now(db)) - youngerThanMs;
    const events = await pendingEvents(db, audience, afterMs).select('events.seq').limit(most).execute();
    const outcomes = await pendingOutcomes(db, audience, afterMs).select('orders.id').limit(most).execute();
    return Math.min(most, events.length + outcomes.length);
  },

  /**
   * What is to be told, younger than the given time, and was not told yet; oldest first. A delivery is looked up item by item:
   * sequence numbers are no cursor, because on PostgreSQL a later one can be committed first.
   */
  async items(audience: Audience, youngerThanMs: number, limit: number): Promise<Item[]> {
    const afterMs = (await now(db)) - youngerThanMs;
    const events = await pendingEvents(db, audience, afterMs)
      .select(['events.seq', 'events.at as told_at'])
      .orderBy('events.at')
      .orderBy('events.seq')
      .limit(limit)
      .execute();
    const outcomes = await pendingOutcomes(db, audience, afterMs)
      .select(['orders.id', 'outcomes.decided_at as told_at'])
      .orderBy('outcomes.decided_at')
      .orderBy('orders.id')
      .limit(limit)
      .execute();
    const keys = [
      ...events.map(({ seq, told_at: atMs }) => ({ key: `event/${seq}`, atMs })),
      ...outcomes.map(({ id, told_at: atMs }) => ({ key: `outcome/${id}`, atMs })),
    ]
      .sort((a, b) => a.atMs - b.atMs)
      .slice(0, limit);
    return itemsOf(
      db,
      keys.map(({ key }) => key),
    );
  },

  /** The items with these keys, in the order of the keys; what is not there any more is left out. */
  itemsOf: (keys: readonly string[]): Promise<Item[]> => itemsOf(db, keys),

  /** How many things that is, counted up to `most`, and since when the oldest waits, ms; null: nothing does. */
  async waiting(
    audience: Audience,
    youngerThanMs: number,
    most: number,
  ): Promise<{ readonly count: number; readonly oldestAtMs: number | null }> {
    const afterMs = (await now(db)) - youngerThanMs;
    const events = await pendingEvents(db, audience, afterMs)
      .select('events.at as told_at')
      .orderBy('events.at')
      .limit(most)
      .execute();
    const outcomes = await pendingOutcomes(db, audience, afterMs)
      .select('outcomes.decided_at as told_at')
      .orderBy('outcomes.decided_at')
      .limit(most)
      .execute();
    const oldest = [...events.slice(0, 1), ...outcomes.slice(0, 1)].map(({ told_at: atMs }) => atMs);
    return {
      count: Math.min(most, events.length + outcomes.length),
      oldestAtMs: oldest.length === 0 ? null : Math.min(...oldest),
    };
  },

  /** The message that a route was being told, and has perhaps not taken. */
  async begun(route: string): Promise<BegunMessage | null> {
    const text = await createMeta(db).read(begunKey(route));
    return text === null ? null : (JSON.parse(text) as BegunMessage);
  },

  /** Notes the items of a message before it is sent. */
  async begin(route: string, keys: readonly string[]): Promise<void> {
    const nowMs = await now(db);
    await createMeta(db).replace(begunKey(route), JSON.stringify({ beganAtMs: nowMs, keys } satisfies BegunMessage));
  },

  /** Forgets a message that was begun. What it held is pending again, as far as it is young enough. */
  async drop(route: string): Promise<void> {
    await createMeta(db).drop(begunKey(route));
  },

  /** Notes that the route took a message. Safe to repeat. */
  async mark(route: string, keys: readonly string[]): Promise<void> {
    const nowMs = await now(db);
    await db.transaction().execute(async (trx) => {
      if (keys.length > 0) {
        await trx
          .insertInto('deliveries')
          .values(keys.map((item) => ({ route, item, at: nowMs })))
          .onConflict((conflict) => conflict.columns(['route', 'item']).doNothing())
          .execute();
      }
      await createMeta(trx).drop(begunKey(route));
      await createMeta(trx).drop(troubleKey(route));
    });
  },

  /** Notes why a route did not take a message; a message that it takes ends that. */
  async noteTrouble(route: string, message: string): Promise<void> {
    const trouble: RouteTrouble = { atMs: await now(db), message };
    await createMeta(db).replace(troubleKey(route), JSON.stringify(trouble));
  },

  /** Why the route did not take its last message; null: it did, or there was none. */
  async trouble(route: string): Promise<RouteTrouble | null> {
    const text = await createMeta(db).read(troubleKey(route));
    return text === null ? null : (JSON.parse(text) as RouteTrouble);
  },

  /** @returns what {@link since} would, without writing anything; null: it was not asked yet */
  async toldSince(route: string): Promise<number | null> {
    const text = await createMeta(db).read(sinceKey(route));
    return text === null ? null : Number(text);
  },

  /**
   * Since when a route is told news: the first time given for it, for ever.
   *
   * @param atMs - counts only the first time
   */
  async since(route: string, atMs: number): Promise<number> {
    await createMeta(db).claim(sinceKey(route), String(atMs));
    return Number((await createMeta(db).read(sinceKey(route))) ?? atMs);
  },
});

async function itemsOf(db: Kysely<LedgerDatabase>, keys: readonly string[]): Promise<Item[]> {
  const seqs = keys.filter((key) => key.startsWith('event/')).map((key) => Number(key.slice('event/'.length)));
  const events = seqs.length === 0 ? [] : await db.selectFrom('events').selectAll().where('seq', 'in', seqs).execute();
  const orderIds = [
    ...keys.filter((key) => key.startsWith('outcome/')).map((key) => key.slice('outcome/'.length)),
    ...events.flatMap(({ order_id: id }) => (id === null ? [] : [id])),
  ];
  const orders = await ordersOf(db, [...new Set(orderIds)]);

  const items = new Map<string, Item>();
  for (const event of events) {
    const key = `event/${event.seq}`;
    items.set(key, {
      key,
      kind: event.kind as ToldKind,
      atMs: event.at,
      sessionId: event.session_id,
      data: event.data_json === null ? {} : (JSON.parse(event.data_json) as Record<string, unknown>),
      order: event.order_id === null ? null : (orders.get(event.order_id)?.order ?? null),
    });
  }
  for (const [id, { order, sessionId, decidedAtMs }] of orders) {
    if (decidedAtMs === null) continue;
    const key = `outcome/${id}`;
    items.set(key, { key, kind: order.outcome as ToldKind, atMs: decidedAtMs, sessionId, data: {}, order });
  }
  return keys.flatMap((key) => items.get(key) ?? []);
}

const sinceKey = (route: string): string => `notify-since/${route}`;
const troubleKey = (route: string): string => `notify-trouble/${route}`;
const begunKey = (route: string): string => `notify-message/${route}`;

function pendingEvents(db: Kysely<LedgerDatabase>, audience: Audience, afterMs: number) {
  return (
    db
      .selectFrom('events')
      .where('events.at', '>=', audience.sinceMs)
      .where('events.at', '>', afterMs)
      .where('events.kind', 'in', TOLD_EVENTS)
      // A cleanup that went as it does every night is no news.
      .where((eb) => eb.or([eb('events.kind', 'not in', ROUTINE), eb('events.cleanup', 'is', null)]))
      .where((eb) =>
        eb.or([
          ...(audience.policies.length === 0 ? [] : [eb('events.policy', 'in', audience.policies)]),
          eb.and([
            eb('events.kind', 'in', FOR_EVERYONE),
            eb.or([
              eb('events.policy', 'is', null),
              ...(audience.known.length === 0
                ? [eb('events.policy', 'is not', null)]
                : [eb('events.policy', 'not in', audience.known)]),
            ]),
          ]),
        ]),
      )
      .where(untold(audience.route, sql<string>`'event/' || events.seq`))
  );
}

function pendingOutcomes(db: Kysely<LedgerDatabase>, audience: Audience, afterMs: number) {
  return db
    .selectFrom('outcomes')
    .innerJoin('orders', 'orders.id', 'outcomes.order_id')
    .where('outcomes.decided_at', '>=', audience.sinceMs)
    .where('outcomes.decided_at', '>', afterMs)
    .where('outcomes.outcome', 'in', TOLD_OUTCOMES)
    .where((eb) =>
      audience.policies.length === 0 ? sql<boolean>`1 = 0` : eb('orders.policy', 'in', audience.policies),
    )
    .where(untold(audience.route, sql<string>`'outcome/' || outcomes.order_id`));
}

const untold = (route: string, item: RawBuilder<string>): RawBuilder<boolean> =>
  sql`not exists (select 1 from deliveries where deliveries.route = ${route} and deliveries.item = ${item})`;

async function ordersOf(
  db: Kysely<LedgerDatabase>,
  ids: readonly string[],
): Promise<
  Map<string, { readonly order: ItemOrder; readonly sessionId: string; readonly decidedAtMs: number | null }>
> {
  if (ids.length === 0) return new Map();
  const rows = await selectOrders(db).where('orders.id', 'in', ids).execute();
  return new Map(
    rows.map((row) => [
      row.id,
      {
        sessionId: row.session_id,
        decidedAtMs: row.decided_at,
        order: {
          id: row.id,
          agentId: row.agent_id,
          turnKey: row.turn_key,
          requestedBy: row.requested_by,
          reason: reasonOf(row),
          outcome: row.outcome as Outcome | null,
          attribution: row.attribution as Attribution | null,
          attempts: row.attempts,
          endedAtMs: row.ended_at,
        },
      },
    ]),
  );
}
