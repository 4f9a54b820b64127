import type { BulkTotals } from '../../core/contract.js';
import type { PolicyMode } from '../../core/policy/policy.js';
import { onePerJob } from './bulk-alerts.js';
import { recordEvents, type NewEvent } from './events.js';
import { closeBreaker, openBreakers, type Breaker } from './breakers.js';
import { caseOutcomes, type CaseOutcomes } from './bulk-cases.js';
import { handOver, type HandedOver, type Handover } from './bulk-handover.js';
import * as bulkRun from './bulk-run.js';
import { discardPlan } from './bulk-removal.js';
import { writeRun, type BulkWrites, type BulkWritten } from './bulk-writes.js';
import * as bulkPlans from './bulk-plans.js';
import {
  applyPlan,
  giveUpCases,
  steerJob,
  type Applied,
  type BulkApplication,
  type BulkSteer,
  type Steered,
} from './bulk-steering.js';
import * as deliveries from './deliveries.js';
import { exempt, runningExemptions, unexempt, type NewExemption } from './exemptions.js';
import {
  factsAmong,
  factsOf,
  loadFleet,
  scanOf,
  storeRound,
  type AgentScan,
  type RoundRecord,
  type StoredFacts,
  type StoredFleet,
} from './facts.js';
import { readGauges, type LedgerGauges } from './gauges.js';
import { eventHistory, orderHistory, type HistoryEvent, type HistoryFilter } from './history.js';
import { ledgerNow } from './locks.js';
import { claimMeta, dropMeta, metaUnder, readMeta, replaceMeta, swapMeta } from './meta.js';
import { openDatabase, openDatabaseIfAny, type OpenedDatabase, type OpenOptions } from './open.js';
import { witnessed, type Witness } from './news.js';
import * as orders from './orders.js';
import { readPauseSwitch, setPauseSwitch, type PauseSwitch } from './pause-switch.js';
import {
  applyPolicyFile,
  policiesInForce,
  versionInForce,
  type PoliciesInForce,
  type PolicyApplication,
} from './policy-versions.js';
import { modesSoFar, permitsTaken } from './policy-record.js';
import type { RequestAnswer, RequestRow } from './request-row.js';
import * as requests from './requests.js';
import { newestRow, removeExpired, type Removed } from './retention.js';
import { orderViews, type OrderFilter, type OrderView } from './results.js';
import {
  endUnjudged,
  noteUnjudged,
  tellUnjudged,
  unjudgedSessions,
  type FailedJudgement,
  type UnjudgedBy,
  type UnjudgedSpell,
} from './unjudged.js';
import * as watches from './watches.js';

/** An event without its time: the ledger's clock gives it. */
export type EventToRecord = Omit<NewEvent, 'at'>;

/** What a pass found out: outcomes, events, and orders that someone has now been told about. Written together or not at all. */
interface PassRecord {
  readonly settlements: readonly orders.Settlement[];
  readonly events: readonly EventToRecord[];
  readonly alertedOrderIds: readonly string[];
}

/**
 * The memory of what was ordered, seen and sent. Every method is one short transaction and throws
 * `LedgerUnavailableError` when the database can't be reached; then nothing was written.
 */
export interface Ledger {
  /** Where it is, without a password. */
  readonly describe: string;
  /** The ledger's clock, ms since the Unix epoch: the database's where several machines share it. */
  now(): Promise<number>;
  readonly orders: {
    create(order: orders.NewOrder): Promise<string>;
    beginPass(sessionId: string): Promise<orders.OpenOrder[]>;
    /** Fixes the turn that an order means, unless it is fixed already. */
    bind(orderId: string, turn: { readonly key: string | null; readonly startedAtMs: number | null }): Promise<void>;
    notePass(sessionId: string, note: orders.PassNote): Promise<void>;
    settle(record: PassRecord): Promise<void>;
    /** Gives up open orders on a person's word. */
    abandon(orderIds: readonly string[], word: { readonly by: string; readonly reason: string }): Promise<void>;
    /** When an earlier order on this turn was settled, at or before the given time. */
    concludedBefore(sessionId: string, turnKey: string, beforeMs: number): Promise<number | null>;
    /**
     * Tells, once per order, that it does not come to its end, and why. Safe to call again, and from several workers.
     *
     * @param afterMs - told only when the order is that old
     * @returns whether it was told now
     */
    tellNotEnding(orderId: string, afterMs: number, why: string): Promise<boolean>;
    neglected(lookedAtBeforeMs: number, limit: number): Promise<{ sessionId: string; orderId: string }[]>;
    views(filter: OrderFilter): Promise<OrderView[]>;
    /** The policy orders on one turn, open and settled. */
    ofTurn(sessionId: string, turnKey: string): Promise<orders.PolicyOrder[]>;
  };
  readonly requests: {
    register(departure: requests.Departure): Promise<requests.Registration>;
    renew(requestId: string): Promise<void>;
    withdraw(requestId: string, orderIds: readonly string[]): Promise<void>;
    answer(requestId: string, answer: RequestAnswer): Promise<void>;
    /** @param turnStartedAtMs - vendor's time of the turn's message, ms; null: not known */
    forTurn(
      sessionId: string,
      turnKey: string,
      registeredAfterMs: number,
      turnStartedAtMs: number | null,
    ): Promise<RequestRow[]>;
    underWay(): Promise<{ sessionId: string; turnKey: string; registeredAtMs: number }[]>;
    /** Whether the vendor has accepted a case's cancel request for another session since then. */
    acceptedForOthers(sessionId: string, sinceMs: number): Promise<boolean>;
  };
  readonly pauseSwitch: {
    read(): Promise<PauseSwitch>;
    /** @returns false when it already stood so */
    set(paused: boolean, by: string, reason: string | null): Promise<boolean>;
  };
  readonly exemptions: {
    add(exemption: Omit<NewExemption, 'untilMs'> & { readonly forMs: number }): Promise<{ untilMs: number }>;
    /** @returns how many running exemptions it ended */
    end(sessionId: string, by: string): Promise<number>;
    /**
     * @param vendorNowMs - vendor's clock where it is known: an exemption runs until it is over by both clocks
     * @returns until when each exempt session is so, ms since the Unix epoch
     */
    running(vendorNowMs?: number | null): Promise<Map<string, number>>;
  };
  readonly facts: {
    /** Everything that is remembered of sessions listed by the last scan, or changed within the given time. */
    load(withinMs: number): Promise<StoredFleet>;
    of(sessionId: string): Promise<{ readonly stored: StoredFacts; readonly scan: AgentScan | null } | null>;
    /** What is remembered of some sessions, at most some hundreds, by id. */
    among(sessionIds: readonly string[]): Promise<Map<string, StoredFacts>>;
    /** The last scan of one agent; null: there was none. */
    scanOf(agentId: string): Promise<AgentScan | null>;
    /** Facts, scans, events and orders of one look: all or nothing. @returns the ids of the orders, in their order */
    store(round: RoundRecord): Promise<string[]>;
  };
  readonly policies: {
    inForce(): Promise<PoliciesInForce>;
    /** Number of the version in force; null: none. */
    version(): Promise<number | null>;
    /** The same content again changes nothing. */
    apply(application: PolicyApplication): Promise<{ readonly version: number; readonly changed: boolean }>;
    /** In which modes each policy has been in force so far, by name. */
    modesSoFar(): Promise<Map<string, Set<PolicyMode>>>;
  };
  readonly breakers: {
    /** Those that are open now. */
    open(): Promise<Breaker[]>;
    /** @returns false when it was not open */
    close(policy: string, by: string): Promise<boolean>;
    /** Permits of a policy that count against its caps now. */
    taken(policy: string, perMs: number): Promise<number>;
  };
  /** What happened, oldest first, in pages; each page is one short transaction. */
  readonly history: {
    orders(filter: HistoryFilter): AsyncGenerator<OrderView[]>;
    events(filter: HistoryFilter): AsyncGenerator<HistoryEvent[]>;
  };
  /**
   * Removes some of what is older than the retention, ms; again, until nothing is left of it.
   *
   * @param latestMs - ages are counted from here where the ledger's clock is later, ms since the Unix epoch
   */
  removeExpired(retentionMs: number, latestMs: number): Promise<Removed>;
  /** The latest time of what was ordered, decided, seen or happened, ms since the Unix epoch; null: nothing yet. */
  newestRow(): Promise<number | null>;
  readonly deliveries: {
    /** Whether anything younger than the given time is to be told. */
    pending(audience: deliveries.Audience, youngerThanMs: number): Promise<boolean>;
    /** How many things that is, counted up to `most`. */
    count(audience: deliveries.Audience, youngerThanMs: number, most: number): Promise<number>;
    /** What is to be told and younger than the given time, oldest first. */
    items(audience: deliveries.Audience, youngerThanMs: number, limit: number): Promise<deliveries.Item[]>;
    /** By key, in that order. */
    itemsOf(keys: readonly string[]): Promise<deliveries.Item[]>;
    /** The message that a route was being told, and has perhaps not taken. */
    begun(route: string): Promise<deliveries.BegunMessage | null>;
    /** Notes the items of a message before it is sent. */
    begin(route: string, keys: readonly string[]): Promise<void>;
    /** Forgets the message that was begun. */
    drop(route: string): Promise<void>;
    /** Notes that the route took the message. */
    mark(route: string, keys: readonly string[]): Promise<void>;
    /** Since when a route is told news: the first time given for it. */
    since(route: string, atMs: number): Promise<number>;
  };
  /** Bulk plans and jobs: everything but the work itself, which is under `bulkRun`. */
  readonly bulk: {
    /** A new plan without targets. */
    begin(plan: bulkPlans.NewBulkPlan): Promise<void>;
    /** Adds sessions to a plan that is being built; `firstSeq` is higher than any number before. @returns how many were new */
    addTargets(planId: string, firstSeq: number, targets: readonly bulkPlans.TargetToFreeze[]): Promise<number>;
    /** SHA-256 over what is frozen of each target. */
    hash(planId: string): Promise<string>;
    /** @returns false when it was not being built */
    seal(planId: string, sealed: { readonly totals: BulkTotals; readonly hash: string }): Promise<boolean>;
    /** Removes a plan that was never applied. */
    discard(planId: string): Promise<void>;
    get(planId: string): Promise<bulkPlans.BulkJob | null>;
    /** Newest first. */
    list(filter: bulkPlans.JobFilter): Promise<bulkPlans.BulkJob[]>;
    /** A page of targets, in their order. */
    targets(planId: string, filter: bulkPlans.TargetFilter): Promise<bulkPlans.BulkTarget[]>;
    /** What bulk jobs made of one session, newest first. */
    ofSession(
      sessionId: string,
      limit: number,
    ): Promise<{ readonly job: bulkPlans.BulkJob; readonly target: bulkPlans.BulkTarget }[]>;
    apply(planId: string, application: BulkApplication): Promise<Applied>;
    steer(planId: string, steer: BulkSteer): Promise<Steered>;
    /** Gives up what cases of an aborted job still work on. */
    giveUpCases(planId: string): Promise<void>;
    /** What became of the targets that were handed over to cases. */
    caseOutcomes(planId: string): Promise<CaseOutcomes>;
  };
  /** The work on a bulk job, by the one worker that has taken it up. */
  readonly bulkRun: {
    takeUp(planId: string, worker: string): Promise<bulkRun.TakenUp>;
    /** Shows that the worker lives. @returns the job as it stands; null when another worker has taken it up */
    renew(key: bulkRun.RunKey): Promise<bulkPlans.BulkJob | null>;
    release(key: bulkRun.RunKey): Promise<void>;
    /** Answers, outcomes and departures of many targets: all or nothing. */
    write(key: bulkRun.RunKey, writes: BulkWrites): Promise<BulkWritten>;
    /** Makes orders of targets, for cases to carry out. */
    handOver(key: bulkRun.RunKey, handovers: readonly Handover[]): Promise<HandedOver>;
    /** @returns false when another worker has taken it up, or it does not run any more */
    step(key: bulkRun.RunKey, step: bulkRun.JobStep): Promise<boolean>;
  };
  readonly watches: {
    /** Registers a watch, or changes the limits of the open one. */
    register(registration: watches.WatchRegistration): Promise<watches.WatchChange>;
    /** Changes the limits of an open watch. */
    extend(registration: watches.WatchRegistration): Promise<watches.WatchChange>;
    release(
      sessionId: string,
      word: { readonly by: string; readonly reason: string | null },
    ): Promise<watches.WatchReleased>;
    /** Writes what a look found out. @returns null when the watch has changed since it was read; then nothing was written */
    noteLook(read: watches.Watch, look: watches.WatchNote): Promise<watches.Watch | null>;
    get(sessionId: string): Promise<watches.Watch | null>;
    /** Open ones, the one that is looked at next first. */
    open(limit: number): Promise<watches.Watch[]>;
    /** Sessions whose watch should have been looked at before the given time, the longest overdue first. */
    overdue(dueBeforeMs: number, limit: number): Promise<string[]>;
  };
  /** Sessions that can't be judged, because reads fail or come too late. */
  readonly unjudged: {
    /** Leaves word of a failure. @param waitMs - until the next attempt @returns the spell that it belongs to */
    note(failed: FailedJudgement, waitMs: number): Promise<UnjudgedSpell>;
    /** Tells of a spell, once. @returns what was told now */
    tell(failed: Pick<FailedJudgement, 'sessionId' | 'orderId'>): Promise<'session' | 'many' | null>;
    /** It can be judged again. @param by - who can @returns the spell that this ended */
    end(sessionId: string, by: UnjudgedBy): Promise<UnjudgedSpell | null>;
    /** Those that can't be judged now, and that someone was told of; the longest first. */
    now(filter: { readonly sessionId?: string; readonly limit: number }): Promise<UnjudgedSpell[]>;
  };
  readonly meta: {
    read(key: string): Promise<string | null>;
    /** All whose key begins so, in the order of their keys. */
    under(prefix: string): Promise<{ readonly key: string; readonly value: string }[]>;
    /** Writes a value if none is there. @returns whether this call wrote it */
    claim(key: string, value: string): Promise<boolean>;
    replace(key: string, value: string): Promise<void>;
    /** @returns whether this call removed it */
    drop(key: string): Promise<boolean>;
    /**
     * Changes a value that is still as it was read (null: none was there), and records events with it: once, however many
     * workers see the same change. @returns false: someone else has changed it meanwhile, and nothing was written
     */
    swap(key: string, from: string | null, to: string, events: readonly EventToRecord[]): Promise<boolean>;
  };
  recordEvents(events: readonly EventToRecord[]): Promise<void>;
  /** How things stand, in numbers. */
  gauges(): Promise<LedgerGauges>;
  /** Sessions whose orders were settled as `forbidden` lately; 0 when any cancel request was accepted lately. */
  forbiddenSessionsWithin(ms: number): Promise<number>;
  close(): Promise<void>;
}

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

function ledgerOn({ db, describe, close }: OpenedDatabase): Ledger {
  const now = (): Promise<number> => ledgerNow(db);
  const stamp = (events: readonly EventToRecord[], at: number): NewEvent[] => events.map((event) => ({ ...event, at }));

  return {
    describe,
    now,
    orders: {
      create: async (order) => orders.createOrder(db, order, await now()),
      beginPass: async (sessionId) => orders.beginPass(db, sessionId, await now()),
      bind: async (orderId, turn) => orders.bindOrderToTurn(db, orderId, turn, await now()),
      notePass: (sessionId, note) => orders.notePass(db, sessionId, note),
      settle: async ({ settlements, events, alertedOrderIds }) => {
        const at = await now();
        await db.transaction().execute(async (trx) => {
          await orders.settleOrders(trx, settlements, at);
          await recordEvents(trx, await onePerJob(trx, stamp(events, at)));
          await orders.markAlerted(trx, alertedOrderIds, at);
        });
      },
      abandon: async (orderIds, word) => {
        const at = await now();
        await db.transaction().execute((trx) => orders.abandonOrders(trx, orderIds, word, at));
      },
      concludedBefore: (sessionId, turnKey, beforeMs) => orders.concludedBefore(db, sessionId, turnKey, beforeMs),
      tellNotEnding: async (orderId, afterMs, why) => {
        const at = await now();
        return db.transaction().execute(async (trx) => {
          const sessionId = await orders.claimAlert(trx, orderId, at - afterMs, at);
          if (sessionId === null) return false;
          await recordEvents(trx, stamp([{ kind: 'not-ending', sessionId, orderId, data: { why } }], at));
          return true;
        });
      },
      neglected: (lookedAtBeforeMs, limit) => orders.neglectedSessions(db, lookedAtBeforeMs, limit),
      views: (filter) => orderViews(db, filter),
      ofTurn: (sessionId, turnKey) => orders.policyOrdersOfTurn(db, sessionId, turnKey),
    },
    requests: {
      register: (departure) => requests.registerRequest(db, departure, ledgerNow),
      renew: async (requestId) => requests.renewLease(db, requestId, await now()),
      withdraw: (requestId, orderIds) => requests.withdrawRequest(db, requestId, orderIds),
      answer: (requestId, answer) => requests.answerRequest(db, requestId, answer),
      forTurn: (sessionId, turnKey, after, startedAt) =>
        requests.requestsForTurn(db, sessionId, turnKey, after, startedAt),
      underWay: async () => requests.requestsUnderWay(db, await now()),
      acceptedForOthers: (sessionId, sinceMs) => requests.acceptedForOthers(db, sessionId, sinceMs),
    },
    pauseSwitch: {
      read: () => readPauseSwitch(db),
      set: async (paused, by, reason) => setPauseSwitch(db, { paused, by, reason, at: await now() }),
    },
    exemptions: {
      add: async ({ forMs, ...exemption }) => {
        const at = await now();
        await exempt(db, { ...exemption, untilMs: at + forMs }, at);
        return { untilMs: at + forMs };
      },
      end: async (sessionId, by) => unexempt(db, sessionId, by, await now()),
      running: async (vendorNowMs = null) => runningExemptions(db, await now(), vendorNowMs),
    },
    facts: {
      load: async (withinMs) => loadFleet(db, (await now()) - withinMs),
      of: (sessionId) => factsOf(db, sessionId),
      among: (sessionIds) => factsAmong(db, sessionIds),
      scanOf: (agentId) => scanOf(db, agentId),
      store: async (round) => storeRound(db, round, await now()),
    },
    policies: {
      inForce: () => policiesInForce(db),
      version: () => versionInForce(db),
      apply: async (application) => applyPolicyFile(db, application, await now()),
      modesSoFar: () => modesSoFar(db),
    },
    breakers: {
      open: () => openBreakers(db),
      close: async (policy, by) => closeBreaker(db, policy, by, await now()),
      taken: async (policy, perMs) => permitsTaken(db, policy, perMs, await now()),
    },
    history: {
      orders: (filter) => orderHistory(db, filter),
      events: (filter) => eventHistory(db, filter),
    },
    removeExpired: async (retentionMs, latestMs) => removeExpired(db, retentionMs, Math.min(await now(), latestMs)),
    newestRow: () => newestRow(db),
    deliveries: {
      pending: async (audience, youngerThanMs) =>
        deliveries.anythingPending(db, audience, (await now()) - youngerThanMs),
      count: async (audience, youngerThanMs, most) =>
        deliveries.countPending(db, audience, (await now()) - youngerThanMs, most),
      items: async (audience, youngerThanMs, limit) =>
        deliveries.pendingItems(db, audience, (await now()) - youngerThanMs, limit),
      itemsOf: (keys) => deliveries.itemsOf(db, keys),
      begun: (route) => deliveries.begunMessage(db, route),
      begin: async (route, keys) => deliveries.beginMessage(db, route, keys, await now()),
      drop: (route) => deliveries.dropMessage(db, route),
      mark: async (route, keys) => deliveries.markDelivered(db, route, keys, await now()),
      since: (route, atMs) => deliveries.routeSince(db, route, atMs),
    },
    bulk: {
      begin: async (plan) => bulkPlans.beginPlan(db, plan, await now()),
      addTargets: (planId, firstSeq, targets) => bulkPlans.addTargets(db, planId, firstSeq, targets),
      hash: (planId) => bulkPlans.hashOfTargets(db, planId),
      seal: async (planId, sealed) => bulkPlans.sealPlan(db, planId, sealed, await now()),
      discard: async (planId) => {
        while (!(await discardPlan(db, planId)));
      },
      get: (planId) => bulkPlans.getJob(db, planId),
      list: (filter) => bulkPlans.listJobs(db, filter),
      targets: (planId, filter) => bulkPlans.pageOfTargets(db, planId, filter),
      ofSession: (sessionId, limit) => bulkPlans.targetsOfSession(db, sessionId, limit),
      apply: (planId, application) => applyPlan(db, planId, application),
      steer: (planId, steer) => steerJob(db, planId, steer),
      giveUpCases: (planId) => giveUpCases(db, planId),
      caseOutcomes: (planId) => caseOutcomes(db, planId),
    },
    bulkRun: {
      takeUp: (planId, worker) => bulkRun.takeUpJob(db, planId, worker),
      renew: (key) => bulkRun.renewRun(db, key),
      release: (key) => bulkRun.releaseRun(db, key),
      write: (key, writes) => writeRun(db, key, writes),
      handOver: (key, handovers) => handOver(db, key, handovers),
      step: (key, step) => bulkRun.stepJob(db, key, step),
    },
    watches: {
      register: (registration) => watches.changeWatch(db, registration, { onlyOpen: false }),
      extend: (registration) => watches.changeWatch(db, registration, { onlyOpen: true }),
      release: (sessionId, word) => watches.releaseWatch(db, sessionId, word),
      noteLook: (read, look) => watches.noteLook(db, read, look),
      get: (sessionId) => watches.readWatch(db, sessionId),
      open: (limit) => watches.openWatches(db, limit),
      overdue: (dueBeforeMs, limit) => watches.overdueWatches(db, dueBeforeMs, limit),
    },
    unjudged: {
      note: async (failed, waitMs) => noteUnjudged(db, failed, waitMs, await now()),
      tell: async (failed) => tellUnjudged(db, failed, await now()),
      end: async (sessionId, by) => endUnjudged(db, sessionId, by, await now()),
      now: async (filter) => unjudgedSessions(db, await now(), filter),
    },
    meta: {
      read: (key) => readMeta(db, key),
      under: (prefix) => metaUnder(db, prefix),
      claim: (key, value) => claimMeta(db, key, value),
      replace: (key, value) => replaceMeta(db, key, value),
      drop: (key) => dropMeta(db, key),
      swap: async (key, from, to, events) => {
        const at = await now();
        return db.transaction().execute(async (trx) => {
          if (!(await swapMeta(trx, key, from, to))) return false;
          await recordEvents(trx, stamp(events, at));
          return true;
        });
      },
    },
    recordEvents: async (events) => recordEvents(db, stamp(events, await now())),
    gauges: async () => readGauges(db, await now()),
    forbiddenSessionsWithin: async (ms) => {
      const since = (await now()) - ms;
      const accepted = await db
        .selectFrom('requests')
        .select('id')
        .where('registered_at', '>', since)
        .where('answer', '=', 'accepted')
        .executeTakeFirst();
      if (accepted !== undefined) return 0;
      const { sessions } = await db
        .selectFrom('outcomes')
        .select(({ fn }) => fn.count<number>('session_id').distinct().as('sessions'))
        .where('decided_at', '>', since)
        .where('outcome', '=', 'forbidden')
        .executeTakeFirstOrThrow();
      return Number(sessions);
    },
    close,
  };
}
