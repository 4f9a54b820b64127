import type { Kysely, Selectable, Transaction } from 'kysely';
import type { OrderMet, WatchPhase, WatchStatus } from '../../core/contract.js';
import type { Facts } from '../../core/policy/facts.js';
import { NO_LIMITS, LIMIT_NAMES, type LimitName, type Limits } from '../../core/policy/policy.js';
import { recordEvents, type NewEvent } from './events.js';
import { FACTS_SCHEMA } from './facts.js';
import { ledgerNow, lockSession } from './locks.js';
import { abandonOrders, createOrder, type NewOrder } from './orders.js';
import type { LedgerDatabase, WatchesTable } from './schema.js';

/** A session that someone registered to be watched. Times are the ledger's clock, ms since the Unix epoch. */
export interface Watch {
  readonly sessionId: string;
  readonly limits: Limits;
  readonly reason: string | null;
  /** Claimed, not authenticated. */
  readonly requestedBy: string;
  readonly registeredAtMs: number;
  readonly state: WatchStatus['state'];
  readonly ending: WatchStatus['ending'];
  /** Rises with each change of the row. */
  readonly revision: number;
  readonly phase: WatchPhase;
  readonly note: string;
  /** Null before the first look that could see the session. */
  readonly facts: Facts | null;
  /** First answer 404 since the session was last seen; null: it is there. */
  readonly missingSinceMs: number | null;
  readonly nextLookAtMs: number | null;
  /** The last order that it gave. */
  readonly orderId: string | null;
  readonly closedAtMs: number | null;
  readonly closedBy: string | null;
}

/** Limits that are not named stay as they are; null takes one away. */
export type LimitChanges = { readonly [K in LimitName]?: number | null };

export interface WatchRegistration {
  readonly sessionId: string;
  readonly limits: LimitChanges;
  readonly reason: string | null;
  readonly requestedBy: string;
}

/** What a registration or an extension did. Nothing was written unless it says `registered` or `extended`. */
export type WatchChange =
  | { readonly kind: 'registered' | 'extended' | 'unchanged'; readonly watch: Watch; readonly order: OrderMet }
  | { readonly kind: 'not-open'; readonly watch: Watch | null }
  | { readonly kind: 'no-limit-left' };

export type WatchReleased =
  | { readonly kind: 'released'; readonly watch: Watch; readonly order: OrderMet }
  | { readonly kind: 'not-open'; readonly watch: Watch | null };

/** What one look found out. Written together or not at all, before anything is done about it. */
export interface WatchNote {
  readonly phase: WatchPhase;
  readonly note: string;
  readonly facts: Facts | null;
  readonly missingSinceMs: number | null;
  /** Wait before the next look, ms. */
  readonly nextLookInMs: number;
  /** The turn is to be ended. */
  readonly order: NewOrder | null;
  /** The watch is over. */
  readonly ending: 'at-rest' | 'gone' | null;
}

export const createWatches = (db: Kysely<LedgerDatabase>) => ({
  /** Registers a watch, or changes the limits of the open one. */
  register: (registration: WatchRegistration): Promise<WatchChange> =>
    changeWatch(db, registration, { onlyOpen: false }),

  /** Changes the limits of an open watch. */
  extend: (registration: WatchRegistration): Promise<WatchChange> => changeWatch(db, registration, { onlyOpen: true }),

  /** Ends an open watch on someone's word. Its order is given up, if nothing was sent for it. */
  async release(
    sessionId: string,
    word: { readonly by: string; readonly reason: string | null },
  ): Promise<WatchReleased> {
    return db.transaction().execute(async (trx): Promise<WatchReleased> => {
      await lockSession(trx, sessionId);
      const before = await readWatch(trx, sessionId);
      if (before?.state !== 'watching') return { kind: 'not-open', watch: before };
      const at = await ledgerNow(trx);
      const reason = word.reason ?? 'the watch was released';
      const order = await giveUpOrder(trx, before, { by: word.by, reason }, at);
      const watch = await update(trx, before, {
        state: 'released',
        ending: 'released',
        phase: 'released',
        note: word.reason === null ? `Released by ${word.by}.` : `Released by ${word.by}: ${word.reason}`,
        next_look_at: null,
        closed_at: at,
        closed_by: word.by,
      });
      await recordEvents(trx, [{ kind: 'watch-released', at, sessionId, data: { ...word, order } }]);
      return { kind: 'released', watch, order };
    });
  },

  /**
   * Writes what a look found out, unless the watch has changed since it was read: then the look was in vain, and nothing of
   * it is done.
   *
   * @param read - the watch as the look read it
   * @returns the watch as it is now; null when it had changed
   */
  async noteLook(read: Watch, look: WatchNote): Promise<Watch | null> {
    const { sessionId } = read;
    return db.transaction().execute(async (trx): Promise<Watch | null> => {
      await lockSession(trx, sessionId);
      const before = await readWatch(trx, sessionId);
      if (before?.state !== 'watching' || before.revision !== read.revision) return null;
      const at = await ledgerNow(trx);
      const orderId = look.order === null ? read.orderId : await createOrder(trx, look.order, at);
      const isOver = look.ending !== null;
      const watch = await update(trx, before, {
        phase: look.phase,
        note: look.note,
        schema: FACTS_SCHEMA,
        facts_json: look.facts === null ? null : JSON.stringify(look.facts),
        missing_since: look.missingSinceMs,
        next_look_at: isOver ? null : at + look.nextLookInMs,
        order_id: orderId,
        ...(isOver ? { state: 'ended', ending: look.ending, closed_at: at } : {}),
      });
      if (isOver) {
        const data = { ending: look.ending, state: look.facts?.timeline.state ?? null };
        const event: NewEvent = { kind: 'watch-ended', at, sessionId, data };
        await recordEvents(trx, [orderId === null ? event : { ...event, data: { ...data, lastOrder: orderId } }]);
      }
      return watch;
    });
  },

  get: (sessionId: string): Promise<Watch | null> => readWatch(db, sessionId),

  /** Open watches, the one that is looked at next first. */
  async open(limit: number): Promise<Watch[]> {
    const rows = await db
      .selectFrom('watches')
      .selectAll()
      .where('state', '=', 'watching')
      .orderBy('next_look_at')
      .limit(limit)
      .execute();
    return rows.map(toWatch);
  },

  /** Sessions whose open watch should have been looked at before the given time, the longest overdue first. */
  async overdue(dueBeforeMs: number, limit: number): Promise<string[]> {
    const rows = await db
      .selectFrom('watches')
      .select('session_id')
      .where('state', '=', 'watching')
      .where('next_look_at', '<', dueBeforeMs)
      .orderBy('next_look_at')
      .limit(limit)
      .execute();
    return rows.map((row) => row.session_id);
  },
});

/**
 * Registers a watch, or changes the limits of the open one. An order that the old limits gave is given up, if nothing was
 * sent for it: it would end a session that was just given more room. The same registration again changes nothing.
 *
 * @param onlyOpen - change an open watch, and register none
 */
async function changeWatch(
  db: Kysely<LedgerDatabase>,
  given: WatchRegistration,
  { onlyOpen }: { readonly onlyOpen: boolean },
): Promise<WatchChange> {
  const { sessionId, requestedBy } = given;
  return db.transaction().execute(async (trx): Promise<WatchChange> => {
    await lockSession(trx, sessionId);
    const before = await readWatch(trx, sessionId);
    const isOpen = before?.state === 'watching';
    if (!isOpen && onlyOpen) return { kind: 'not-open', watch: before };

    const limits = merged(isOpen ? before.limits : NO_LIMITS, given.limits);
    if (LIMIT_NAMES.every((name) => limits[name] === null)) return { kind: 'no-limit-left' };
    const reason = given.reason ?? (isOpen ? before.reason : null);
    if (isOpen && isSame(before.limits, limits) && before.reason === reason) {
      return { kind: 'unchanged', watch: before, order: 'none' };
    }

    const at = await ledgerNow(trx);
    const said = { by: requestedBy, reason, limits: namedOnly(limits) };
    if (isOpen) {
      const order = await giveUpOrder(trx, before, { by: requestedBy, reason: 'the limits of the watch changed' }, at);
      const row = {
        limits_json: JSON.stringify(limits),
        reason_text: reason,
        next_look_at: at,
        ...(order === 'given-up' ? { order_id: null } : {}),
      };
      const watch = await update(trx, before, row);
      await recordEvents(trx, [{ kind: 'watch-extended', at, sessionId, data: { ...said, order } }]);
      return { kind: 'extended', watch, order };
    }
    const row: WatchesTable = {
      session_id: sessionId,
      limits_json: JSON.stringify(limits),
      reason_text: reason,
      requested_by: requestedBy,
      registered_at: at,
      state: 'watching',
      ending: null,
      revision: (before?.revision ?? 0) + 1,
      phase: 'registered',
      note: 'Registered; not looked at yet.',
      schema: FACTS_SCHEMA,
      facts_json: null,
      missing_since: null,
      next_look_at: at,
      order_id: null,
      closed_at: null,
      closed_by: null,
    };
    await trx
      .insertInto('watches')
      .values(row)
      .onConflict((conflict) => conflict.column('session_id').doUpdateSet(row))
      .execute();
    await recordEvents(trx, [{ kind: 'watch-registered', at, sessionId, data: said }]);
    return { kind: 'registered', watch: toWatch(row), order: 'none' };
  });
}

async function readWatch(db: Kysely<LedgerDatabase>, sessionId: string): Promise<Watch | null> {
  const row = await db.selectFrom('watches').selectAll().where('session_id', '=', sessionId).executeTakeFirst();
  return row === undefined ? null : toWatch(row);
}

/**
 * Under the session's lock, so a request is either registered already, or will not find the order open any more.
 */
async function giveUpOrder(
  trx: Transaction<LedgerDatabase>,
  { orderId }: Watch,
  word: { readonly by: string; readonly reason: string },
  at: number,
): Promise<OrderMet> {
  if (orderId === null) return 'none';
  const order = await trx
    .selectFrom('orders')
    .select('attempts')
    .where('id', '=', orderId)
    .where('open', '=', 1)
    .executeTakeFirst();
  if (order === undefined) return 'none';
  if (order.attempts > 0) return 'already-sent';
  await abandonOrders(trx, [orderId], word, at);
  return 'given-up';
}

async function update(trx: Transaction<LedgerDatabase>, before: Watch, changes: Partial<WatchesTable>): Promise<Watch> {
  const row = await trx
    .updateTable('watches')
    .set({ ...changes, revision: before.revision + 1 })
    .where('session_id', '=', before.sessionId)
    .returningAll()
    .executeTakeFirstOrThrow();
  return toWatch(row);
}

const merged = (limits: Limits, changes: LimitChanges): Limits => ({
  ...limits,
  ...Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)),
});

const isSame = (a: Limits, b: Limits): boolean => LIMIT_NAMES.every((name) => a[name] === b[name]);

const namedOnly = (limits: Limits): Partial<Limits> =>
  Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== null));

const toWatch = (row: Selectable<WatchesTable>): Watch => ({
  sessionId: row.session_id,
  limits: { ...NO_LIMITS, ...(JSON.parse(row.limits_json) as Partial<Limits>) },
  reason: row.reason_text,
  requestedBy: row.requested_by,
  registeredAtMs: row.registered_at,
  state: row.state as Watch['state'],
  ending: row.ending as Watch['ending'],
  revision: row.revision,
  phase: row.phase as WatchPhase,
  note: row.note,
  // Facts of another form are not read: such a session is seen anew.
  facts: row.facts_json === null || row.schema !== FACTS_SCHEMA ? null : (JSON.parse(row.facts_json) as Facts),
  missingSinceMs: row.missing_since,
  nextLookAtMs: row.next_look_at,
  orderId: row.order_id,
  closedAtMs: row.closed_at,
  closedBy: row.closed_by,
});
