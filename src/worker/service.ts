import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { createActivities, type ActivityDependencies } from '../../activities/index.js';
import { createBulkActivities } from '../../activities/bulk-cancellation.js';
import { createCleanupActivities } from '../../activities/cleanup.js';
import { createEnforcementActivities } from '../../activities/policy-enforcement.js';
import { createNotificationActivities } from '../../activities/notification.js';
import { createWatchActivities } from '../../activities/session-watch.js';
import { reconcileBulkJobs } from './keepers/bulk-jobs.js';
import { keepSchedules } from '../engines/cleanup/schedules.js';
import { workerConverter } from '../adapters/codec/encryption.js';
import type { Config } from '../platform/config.js';
import { BULK_CONCURRENCY, fleetTaskQueue, SEARCH_ATTRIBUTES } from '../core/contract.js';
import { createEnforcement } from '../engines/fleet/enforcement.js';
import { createInHand } from '../engines/fleet/in-hand.js';
import { judgeWatchOrder } from '../engines/watch/gate-rules.js';
import { createGateRules } from '../engines/fleet/gate-rules.js';
import { createRulesReader } from '../engines/fleet/rules-in-force.js';
import { keepEnforcing } from './keepers/policies.js';
import { askVendorTime, createVendorClock } from '../adapters/vendor/vendor-clock.js';
import { createAccount } from '../adapters/vendor/account.js';
import { keepHeapSmall } from '../platform/heap.js';
import { systemClock } from '../platform/clock.js';
import { createGate } from '../engines/cases/gate.js';
import { createHoldTeller } from '../adapters/ledger/hold-mark.js';
import { createLimiter } from '../adapters/vendor/limiter.js';
import { LIST_SLACK_MS } from '../adapters/vendor/urgency.js';
import { workerStopping } from '../core/try-again.js';
import { openLedger, type Ledger } from '../adapters/ledger/ledger.js';
import {
  refuseToReplaceNewer,
  type PoliciesInForce,
  type PolicyApplication,
} from '../adapters/ledger/policy-versions.js';
import type { SdkMetrics } from './metrics/sdk-metrics.js';
import { startMonitoring, type Monitoring } from './monitoring.js';
import { createNotifier } from '../engines/notify/deliver.js';
import { startNotifications } from './keepers/notifications.js';
import { reconcile } from './keepers/cases.js';
import { keepRetention } from './keepers/retention.js';
import type { RetryOptions } from '../platform/retrying.js';
import { createCredentials, createSessionsClient, SessionsError } from '../adapters/vendor/index.js';
import { noteEndedRuns } from '../adapters/ledger/ended-runs.js';
import { watchTriggers } from './keepers/triggers.js';
import type { Logger } from '../platform/telemetry.js';
import { createBulkJobs } from '../adapters/temporal/bulk-jobs.js';
import { createCases } from '../adapters/temporal/cases.js';
import { keepApiKey } from '../adapters/temporal/api-key.js';
import { belongsTogether, SEARCH_ATTRIBUTES_META } from '../adapters/temporal/belonging.js';
import { connectClient, connectWorker, type TemporalTarget } from '../adapters/temporal/connection.js';
import { createNotifications } from '../adapters/temporal/notifications.js';
import { createStrangers } from '../adapters/temporal/strangers.js';
import { absentAttributes } from '../adapters/temporal/search-attributes-standing.js';
import { ensureSearchAttributes } from '../adapters/temporal/search-attributes.js';
import { createWatches } from '../adapters/temporal/watches.js';
import { USER_AGENT } from '../platform/version.js';
import { reconcileWatches } from './keepers/watches.js';
import { createFleetWorker, createWorker, runTogether } from './worker.js';

/** Boot waits this long for Temporal, and then for the ledger, while they do not answer yet, ms: containers start in any order. */
const BOOT_PATIENCE_MS = 120_000;

/** A host's name is part of a task queue's, which Temporal bounds as it bounds workflow ids. */
const LONGEST_HOST_NAME = 60;
/** What a worker has in hand when everything else of it has stopped is waited for so long, ms. */
const IN_HAND_ENDS_WITHIN_MS = 5_000;
/** A hold by the vendor's 429 that lasts longer is not sat out: whoever meets it says so, and comes back, ms. */
const HOLD_PATIENCE_MS = 5_000;

export interface ServiceOptions {
  /** Take over a ledger that belonged to another Temporal. */
  readonly adoptTemporal: boolean;
  /** Ends the waiting for Temporal and the ledger at boot. */
  readonly signal: AbortSignal;
  /** A policy file to put in force before the worker starts. */
  readonly apply?: PolicyApplication;
  /** Code of the workflows of another version, for tests of upgrades. */
  readonly workflowBundle?: string;
  /** Of Temporal's SDK in this process; left out: it counts nothing. */
  readonly sdkMetrics?: SdkMetrics;
}

/** A worker at work, and what stands around it. */
export interface RunningService {
  readonly ledgerPlace: string;
  /** Where metrics and health are served; null: nowhere. */
  readonly http: string | null;
  /** What is in force, and the version before it when this start changed it (null: none was). */
  readonly policies: { readonly inForce: PoliciesInForce; readonly changedFrom?: number | null };
  /** Settles when the worker has stopped; rejects when it stopped by a failure. */
  readonly stopped: Promise<void>;
  /** Lets requests under way finish (20 s), then stops. */
  stop(): void;
}

/** Starts a worker that can be watched from the first moment on, while Temporal and the ledger are waited for, until the last. */
export async function startService(
  config: Config,
  target: TemporalTarget,
  log: Logger,
  options: ServiceOptions,
): Promise<RunningService> {
  keepHeapSmall();
  const monitoring = await startMonitoring(config, options.sdkMetrics ?? null, log);
  try {
    return await putTogether(config, target, log, options, monitoring);
  } catch (error) {
    await monitoring.close();
    throw error;
  }
}

/** Puts the parts together: sessions client, ledger, gate, worker, and the reconciler beside it. */
async function putTogether(
  config: Config,
  target: TemporalTarget,
  log: Logger,
  options: ServiceOptions,
  monitoring: Monitoring,
): Promise<RunningService> {
  const { meters } = monitoring;
  const credentials = createCredentials(config.env);
  const clock = systemClock;
  const leaving = new AbortController();
  const limiter = createLimiter(config.requestsPerSecond, clock, {
    holdMs: HOLD_PATIENCE_MS,
    listSlackMs: Math.min(LIST_SLACK_MS, (config.scanMs * 2) / 3),
    signal: leaving.signal,
  });
  monitoring.limiterCreated(limiter);
  const sessions = createSessionsClient({
    ...{ baseUrl: config.apiBaseUrl, credentials, userAgent: USER_AGENT },
    onRequest: (request) => {
      meters.apiRequest(request.operation, request.error?.kind ?? 'ok', request.tookMs);
      limiter.heard(request);
    },
  });

  const patience: RetryOptions = {
    retryForMs: BOOT_PATIENCE_MS,
    signal: options.signal,
    onRetry: ({ error, waitMs }) => log.warn(`${error.message} Trying again in ${waitMs} ms.`),
  };
  const connection = await connectWorker(target, patience);
  const temporal = await connectClient(target, patience);
  monitoring.temporalConnected(temporal);
  const ledger = await openLedger(config.databaseUrl, {
    migrate: true,
    witness: monitoring.witness,
    waiting: {
      ...patience,
      onRetry: (retry) => {
        monitoring.ledgerAway();
        patience.onRetry?.(retry);
      },
    },
  });
  monitoring.ledgerOpened(ledger);
  await belongsTogether(ledger, target, temporal, options.adoptTemporal);

  const found = await ensureSearchAttributes(temporal.connection, temporal.namespace, SEARCH_ATTRIBUTES);
  const searchAttributes = found === 'present' || found === 'registered';
  await ledger.meta.replace(SEARCH_ATTRIBUTES_META, searchAttributes ? 'present' : 'absent');
  if (!searchAttributes) {
    const { says, next } = absentAttributes(found, temporal.namespace);
    log.warn({ attributes: SEARCH_ATTRIBUTES }, `${says} ${next}`);
  }

  const policies = await putInForce(ledger, options.apply);

  const workerName = `${hostname().slice(0, LONGEST_HOST_NAME)}:${process.pid}:${randomBytes(3).toString('hex')}`;
  const vendorClock = createVendorClock(clock);
  const rules = createRulesReader(ledger);
  const account = createAccount(ledger, sessions, log);
  const strangers = createStrangers(temporal.client, log);
  monitoring.strangersWatched(strangers);
  const { ids } = strangers;
  const cases = createCases(temporal.client, searchAttributes, ids);
  const { scanMs } = config;
  const dependencies: ActivityDependencies = {
    gate: createGate({
      ...{ sessions, ledger, limiter, clock, vendorClock, log, worker: workerName },
      onRunEnded: noteEndedRuns(ledger, log),
    }),
    account,
    ledger,
    limiter,
    sessions,
    rules: createGateRules({
      ...{ ledger, rules, vendorClock, scanMs },
      judgeService: (order, read) => judgeWatchOrder({ ledger, vendorClock }, order, read),
    }),
    timing: config.timing,
    log,
    meters,
    random: Math.random,
  };
  const holdTeller = createHoldTeller(ledger, log, workerName);
  limiter.onHold(holdTeller.changed);
  const stopping = new AbortController();
  // A request that has not left is for another worker to send.
  stopping.signal.addEventListener('abort', () => leaving.abort(workerStopping()));
  // Everything that runs beside the worker listens to it; Node takes more than ten for a leak.
  setMaxListeners(0, stopping.signal);
  const monotonic = (): number => clock.monotonic();
  const inHand = createInHand({
    ...{ ...dependencies, cases, worker: workerName, monotonic, scanMs, stopping: stopping.signal },
  });
  const enforcement = createEnforcement({
    ...{ sessions, ledger, limiter, account, vendorClock, rules, inHand, log, scanMs, meters, monotonic },
    gate: dependencies.gate,
    worker: workerName,
    random: Math.random,
  });
  const taskQueue = fleetTaskQueue(workerName);
  const rounds = createEnforcementActivities({
    ...{ enforcement, timing: config.timing, stopping: stopping.signal, taskQueue },
  });
  const { namespace } = temporal;
  const dataConverter = workerConverter(temporal.encryption, log);
  const payloadKeys = await temporal.encryption.check();
  if (payloadKeys?.warning != null) log.warn(payloadKeys.warning);
  const fleetWorker = await createFleetWorker({ connection, namespace, dataConverter, taskQueue, activities: rounds });
  const worker = await createWorker({
    connection,
    namespace,
    dataConverter,
    workflowBundle: options.workflowBundle,
    activities: {
      ...createActivities(dependencies),
      ...rounds,
      ...createWatchActivities({ ...dependencies, vendorClock, cases }),
      ...createBulkActivities({
        ...{ ...dependencies, vendorClock, cases, clock, worker: workerName, concurrency: BULK_CONCURRENCY },
        stopping: stopping.signal,
      }),
      ...createCleanupActivities({ ...dependencies, vendorClock, stopping: stopping.signal }),
      ...createNotificationActivities({ notifier: createNotifier(ledger, log, meters), timing: config.timing }),
    },
  });

  monitoring.workersCreated([worker, fleetWorker]);

  const { signal } = stopping;
  const { retentionMs } = config;
  const vendorNow = (): Promise<number | null> => askVendorTime({ sessions, limiter, vendorClock });
  const keepers = Promise.all([
    reconcile(ledger, cases, log, signal),
    reconcileBulkJobs(ledger, createBulkJobs(temporal.client, ids), log, signal),
    reconcileWatches(ledger, createWatches(temporal.client, searchAttributes, ids), log, signal),
    keepEnforcing(ledger, temporal.client, log, signal, ids),
    keepSchedules(ledger, temporal.client, log, signal, ids),
    keepApiKey(target, [connection, temporal.connection], log, signal),
    keepRetention({ ledger, vendorNow, wall: () => clock.wall(), retentionMs, log }, signal),
    watchTriggers({ ledger, sessions, limiter, log }, signal),
    startNotifications(ledger, createNotifications(temporal.client, ids), log, signal),
    strangers.keep(ledger, signal),
  ]);
  void warnAboutAccount(sessions, log);
  const workers = runTogether([worker, fleetWorker]);
  const stopped = workers.stopped.finally(async () => {
    stopping.abort();
    try {
      await keepers;
      // Requests under way have had their time; a row without an answer is known to have been sent.
      await Promise.race([inHand.finished(), sleep(IN_HAND_ENDS_WITHIN_MS, undefined, { ref: false })]);
      await holdTeller.close();
      sessions.close();
      await temporal.close();
      await connection.close();
      await ledger.close();
    } finally {
      // Whatever fails on the way out: a server that goes on listening would keep the process alive.
      await monitoring.close();
    }
  });
  return {
    ledgerPlace: ledger.describe,
    http: monitoring.url,
    policies,
    stopped,
    stop: () => {
      monitoring.stopping();
      stopping.abort();
      workers.stop();
    },
  };
}

async function putInForce(
  ledger: Pick<Ledger, 'policies'>,
  apply: PolicyApplication | undefined,
): Promise<RunningService['policies']> {
  if (apply === undefined) return { inForce: await ledger.policies.inForce() };
  const before = await ledger.policies.inForce();
  refuseToReplaceNewer(before);
  const { changed } = await ledger.policies.apply(apply);
  const inForce = await ledger.policies.inForce();
  if (!changed) return { inForce };
  return { inForce, changedFrom: before.kind === 'known' ? before.inForce.version : null };
}

/** One call at boot, so that a wrong key or address is told at once and not at the first order. */
async function warnAboutAccount(sessions: ReturnType<typeof createSessionsClient>, log: Logger): Promise<void> {
  try {
    await sessions.listAgents({ pageSize: 1 });
  } catch (error) {
    if (error instanceof SessionsError) {
      log.warn(`${error.message}. Orders are kept and wait until this works; \`curfew doctor\` tells more.`);
    }
  }
}
