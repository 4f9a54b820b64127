import { createBreakers } from './breakers.js';
import { createBulkHandover } from './bulk-handover.js';
import { createBulkPlans } from './bulk-plans.js';
import { createBulkRun } from './bulk-run.js';
import { createBulkSteering } from './bulk-steering.js';
import { createBulkWrites } from './bulk-writes.js';
import { createDeliveries } from './deliveries.js';
import { createEvidence } from './evidence.js';
import { recordEvents, stamped, type EventToRecord } from './events.js';
import { createExemptions } from './exemptions.js';
import { createFacts } from './facts.js';
import { forbiddenSessions, readGauges, type LedgerGauges } from './gauges.js';
import { createHolds } from './holds.js';
import { createHistory } from './history.js';
import { ledgerNow } from './locks.js';
import { createMeta } from './meta.js';
import { witnessed, type Witness } from './news.js';
import { openDatabase, openDatabaseIfAny, type OpenedDatabase, type OpenOptions } from './open.js';
import { createOrders } from './orders.js';
import { createPauseSwitch } from './pause-switch.js';
import { createPolicies } from './policy-versions.js';
import { createRequests } from './requests.js';
import { newestRow, removeExpired, type Removed } from './retention.js';
import { createUnjudged } from './unjudged.js';
import { createWatches } from './watches.js';

export type { EventToRecord };

/**
 * The memory of what was ordered, seen and sent. Every method is one short transaction and throws
 * `LedgerUnavailableError` when the database can't be reached; then nothing was written.
 */
export type Ledger = ReturnType<typeof ledgerOn>;

/**
 * Opens the ledger; where nothing is yet, it is made. Tables of an older version are refused, unless they may be migrated.
 *
 * @param url - `postgres://…`, or a file path or `file:` URL for SQLite
 * @param options.witness - hears what is written, for those who count
 * @throws UserError when the address is no use, the ledger can't be reached, or its tables are not of this version
 */
export async function openLedger(
  url: string,
  { witness, ...options }: OpenOptions & { readonly witness?: Witness | undefined } = {},
): Promise<Ledger> {
  const ledger = ledgerOn(await openDatabase(url, options));
  return witness === undefined ? ledger : witnessed(ledger, witness);
}

/** Opens a ledger that is there, and changes nothing by that. @returns null when there is none yet: no file, or no tables */
export async function openLedgerIfAny(url: string): Promise<Ledger | null> {
  const database = await openDatabaseIfAny(url);
  return database === null ? null : ledgerOn(database);
}

const ledgerOn = ({ db, describe, close }: OpenedDatabase) => ({
  /** Where it is, without a password. */
  describe,
  /** The ledger's clock, ms since the Unix epoch: the database's where several machines share it. */
  now: (): Promise<number> => ledgerNow(db),
  orders: createOrders(db),
  /** Which workers carry out orders themselves. */
  holds: createHolds(db),
  requests: createRequests(db),
  pauseSwitch: createPauseSwitch(db),
  exemptions: createExemptions(db),
  facts: createFacts(db),
  policies: createPolicies(db),
  breakers: createBreakers(db),
  /** What happened, oldest first, in pages; each page is one short transaction. */
  history: createHistory(db),
  /** What else stands of one session, for whoever wants proof. */
  evidence: createEvidence(db),
  deliveries: createDeliveries(db),
  /** Bulk plans and jobs: everything but the work itself, which is under `bulkRun`. */
  bulk: { ...createBulkPlans(db), ...createBulkSteering(db) },
  /** The work on a bulk job, by the one worker that has taken it up. */
  bulkRun: { ...createBulkRun(db), ...createBulkWrites(db), ...createBulkHandover(db) },
  watches: createWatches(db),
  /** Sessions that can't be judged, because reads fail or come too late. */
  unjudged: createUnjudged(db),
  meta: createMeta(db),
  async recordEvents(events: readonly EventToRecord[]): Promise<void> {
    await recordEvents(db, stamped(events, await ledgerNow(db)));
  },
  /**
   * Removes some of what is older than the retention, ms; again, until nothing is left of it.
   *
   * @param latestMs - ages are counted from here where the ledger's clock is later, ms since the Unix epoch
   */
  async removeExpired(retentionMs: number, latestMs: number): Promise<Removed> {
    return removeExpired(db, retentionMs, Math.min(await ledgerNow(db), latestMs));
  },
  /** The latest time of what was ordered, decided, seen or happened, ms since the Unix epoch; null: nothing yet. */
  newestRow: (): Promise<number | null> => newestRow(db),
  /** How things stand, in numbers. */
  gauges: async (): Promise<LedgerGauges> => readGauges(db, await ledgerNow(db)),
  /** Sessions whose orders were settled as `forbidden` lately; 0 when any cancel request was accepted lately. */
  forbiddenSessionsWithin: async (ms: number): Promise<number> => forbiddenSessions(db, (await ledgerNow(db)) - ms),
  close,
});
