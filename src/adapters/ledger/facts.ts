import type { Kysely } from 'kysely';
import type { Facts } from '../../core/policy/facts.js';
import { globMatches } from '../../core/policy/glob.js';
import { recordEvents, stamped, type EventToRecord } from './events.js';
import { ledgerNow, lockSession, type Clock } from './locks.js';
import { createOrder, openTwin, type NewOrder } from './orders.js';
import type { LedgerDatabase } from './schema.js';

/** Number of the form of facts as they are stored. Facts of another form are not read: such a session is seen anew. */
export const FACTS_SCHEMA = 1;

/** What is remembered of one session. */
export interface StoredFacts {
  readonly sessionId: string;
  readonly agentId: string | null;
  /**
   * The last stored scan of its agent listed it in the state that the facts have. Rows are not written for such a sight
   * alone, so facts may be as old as their last change; the agent's {@link AgentScan} tells when it was seen last.
   */
  readonly listed: boolean;
  readonly facts: Facts;
}

/** The last scan of one agent. */
export interface AgentScan {
  readonly agentId: string;
  readonly name: string | null;
  readonly teamId: string | null;
  readonly creatorId: string | null;
  /** Vendor's time at which the last complete list was asked for, ms; null: there was none yet. */
  readonly atMs: number | null;
  /** Time between its scans, ms. */
  readonly scanMs: number;
  /** Live sessions in the last list. */
  readonly live: number;
  /** Why the last list was not complete; null when it was. */
  readonly problem: string | null;
}

/** What a look at the fleet, or at a part of it, found out. Written together or not at all, before anything is done about it. */
export interface RoundRecord {
  readonly facts: readonly StoredFacts[];
  readonly scans: readonly AgentScan[];
  readonly events: readonly EventToRecord[];
  readonly orders: readonly NewOrder[];
}

export interface StoredFleet {
  readonly facts: readonly StoredFacts[];
  readonly scans: readonly AgentScan[];
}

/** Rows per statement: SQLite and PostgreSQL both bound the number of parameters. */
const BATCH = 500;

export const createFacts = (db: Kysely<LedgerDatabase>, now: Clock = ledgerNow) => ({
  /** Everything that is remembered of sessions listed by the last scan, or changed within the given time. */
  async load(withinMs: number): Promise<StoredFleet> {
    const sinceMs = (await now(db)) - withinMs;
    const rows = await db
      .selectFrom('facts')
      .select(['session_id', 'agent_id', 'listed', 'facts_json'])
      .where('schema', '=', FACTS_SCHEMA)
      .where((eb) => eb.or([eb('listed', '=', 1), eb('updated_at', '>', sinceMs)]))
      .execute();
    const scans = await db.selectFrom('agent_scans').select('scan_json').execute();
    return {
      facts: rows.map(toStoredFacts),
      scans: scans.map((row) => JSON.parse(row.scan_json) as AgentScan),
    };
  },

  /** What is remembered of one session, and the last scan of its agent. */
  async of(sessionId: string): Promise<{ readonly stored: StoredFacts; readonly scan: AgentScan | null } | null> {
    const row = await db
      .selectFrom('facts')
      .leftJoin('agent_scans', 'agent_scans.agent_id', 'facts.agent_id')
      .select(['facts.session_id', 'facts.agent_id', 'facts.listed', 'facts.facts_json', 'agent_scans.scan_json'])
      .where('facts.session_id', '=', sessionId)
      .where('facts.schema', '=', FACTS_SCHEMA)
      .executeTakeFirst();
    if (row === undefined) return null;
    const scan = row.scan_json === null ? null : (JSON.parse(row.scan_json) as AgentScan);
    return { stored: toStoredFacts(row), scan };
  },

  /** What is remembered of some sessions. @param sessionIds - at most some hundreds */
  async among(sessionIds: readonly string[]): Promise<Map<string, StoredFacts>> {
    if (sessionIds.length === 0) return new Map();
    const rows = await db
      .selectFrom('facts')
      .select(['session_id', 'agent_id', 'listed', 'facts_json'])
      .where('session_id', 'in', sessionIds)
      .where('schema', '=', FACTS_SCHEMA)
      .execute();
    return new Map(rows.map((row) => [row.session_id, toStoredFacts(row)]));
  },

  /** Ids of the agents that were scanned and have this id or name, globs included. */
  async agentsNamed(pattern: string): Promise<string[]> {
    const rows = await db.selectFrom('agent_scans').select('scan_json').execute();
    return rows
      .map((row) => JSON.parse(row.scan_json) as AgentScan)
      .filter(({ agentId, name }) => globMatches(pattern, agentId) || (name !== null && globMatches(pattern, name)))
      .map(({ agentId }) => agentId);
  },

  /** The last scan of one agent; null: there was none. */
  async scanOf(agentId: string): Promise<AgentScan | null> {
    const row = await db
      .selectFrom('agent_scans')
      .select('scan_json')
      .where('agent_id', '=', agentId)
      .executeTakeFirst();
    return row === undefined ? null : (JSON.parse(row.scan_json) as AgentScan);
  },

  /** @returns the ids of the orders, in their order; where the same policy has an open order for the same turn, that one's id */
  async store({ facts, scans, events, orders }: RoundRecord): Promise<string[]> {
    const nowMs = await now(db);
    return db.transaction().execute(async (trx) => {
      for (const batch of batches(inOrder(facts, ({ sessionId }) => sessionId))) {
        const rows = batch.map((stored) => ({
          session_id: stored.sessionId,
          agent_id: stored.agentId,
          schema: FACTS_SCHEMA,
          listed: stored.listed ? (1 as const) : (0 as const),
          seen_at: stored.facts.timeline.seenAtMs,
          facts_json: JSON.stringify(stored.facts),
          updated_at: nowMs,
        }));
        await trx
          .insertInto('facts')
          .values(rows)
          .onConflict((conflict) =>
            conflict
              .column('session_id')
              .doUpdateSet((eb) => ({
                agent_id: eb.ref('excluded.agent_id'),
                schema: eb.ref('excluded.schema'),
                listed: eb.ref('excluded.listed'),
                seen_at: eb.ref('excluded.seen_at'),
                facts_json: eb.ref('excluded.facts_json'),
                updated_at: eb.ref('excluded.updated_at'),
              }))
              // A worker that was cut off may still write what it saw before another one took over.
              .where('facts.seen_at', '<=', (eb) => eb.ref('excluded.seen_at')),
          )
          .execute();
      }
      for (const batch of batches(inOrder(scans, ({ agentId }) => agentId))) {
        const rows = batch.map((scan) => ({
          agent_id: scan.agentId,
          scan_json: JSON.stringify(scan),
          updated_at: nowMs,
        }));
        await trx
          .insertInto('agent_scans')
          .values(rows)
          .onConflict((conflict) =>
            conflict.column('agent_id').doUpdateSet((eb) => ({
              scan_json: eb.ref('excluded.scan_json'),
              updated_at: eb.ref('excluded.updated_at'),
            })),
          )
          .execute();
      }
      for (const batch of batches(events)) {
        await recordEvents(trx, stamped(batch, nowMs));
      }
      // All locks in one order, so that two rounds never wait for each other.
      for (const sessionId of orders.map((order) => order.sessionId).sort()) await lockSession(trx, sessionId);
      const ids: string[] = [];
      for (const order of orders) ids.push((await openTwin(trx, order)) ?? (await createOrder(trx, order, nowMs)));
      return ids;
    });
  },
});

/** One of each, the last one; all in one order, so that two rounds never wait for each other's rows. */
function inOrder<T>(items: readonly T[], idOf: (item: T) => string): T[] {
  const byId = new Map(items.map((item) => [idOf(item), item]));
  return [...byId].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, item]) => item);
}

function* batches<T>(items: readonly T[]): Iterable<readonly T[]> {
  for (let first = 0; first < items.length; first += BATCH) yield items.slice(first, first + BATCH);
}

const toStoredFacts = (row: {
  session_id: string;
  agent_id: string | null;
  listed: number;
  facts_json: string;
}): StoredFacts => ({
  sessionId: row.session_id,
  agentId: row.agent_id,
  listed: row.listed === 1,
  facts: JSON.parse(row.facts_json) as Facts,
});
