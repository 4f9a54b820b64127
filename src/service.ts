import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { createActivities, type ActivityDependencies } from '../activities/index.js';
import type { Config } from './config.js';
import { SEARCH_ATTRIBUTES } from './contract.js';
import { createAccount } from './gate/account.js';
import { systemClock } from './gate/clock.js';
import { createGate } from './gate/gate.js';
import { createLimiter } from './gate/limiter.js';
import { noPoliciesInForce } from './gate/rules.js';
import { openLedger } from './ledger/ledger.js';
import { reconcile } from './reconciler.js';
import { createCredentials, createSessionsClient, SessionsError } from './sessions/index.js';
import type { Logger } from './telemetry.js';
import { createCases } from './temporal/cases.js';
import { belongsTogether, SEARCH_ATTRIBUTES_META } from './temporal/belonging.js';
import { connectClient, connectWorker, type TemporalTarget } from './temporal/connection.js';
import { ensureSearchAttributes } from './temporal/search-attributes.js';
import { USER_AGENT } from './version.js';
import { createWorker } from './worker.js';

/** Boot waits this long for a configured Temporal that does not answer yet, ms: containers start in any order. */
const BOOT_PATIENCE_MS = 120_000;

export interface ServiceOptions {
  /** Take over a ledger that belonged to another Temporal. */
  readonly adoptTemporal: boolean;
  /** Ends the waiting for Temporal at boot. */
  readonly signal: AbortSignal;
}

/** A worker at work, and what stands around it. */
export interface RunningService {
  readonly ledgerPlace: string;
  /** Settles when the worker has stopped; rejects when it stopped by a failure. */
  readonly stopped: Promise<void>;
  /** Lets requests under way finish (20 s), then stops. */
  stop(): void;
}

/** Puts the parts together: sessions client, ledger, gate, worker, and the reconciler beside it. */
export async function startService(
  config: Config,
  target: TemporalTarget,
  log: Logger,
  options: ServiceOptions,
): Promise<RunningService> {
  const credentials = createCredentials(config.env);
  const sessions = createSessionsClient({ baseUrl: config.apiBaseUrl, credentials, userAgent: USER_AGENT });

  const connection = await connectWorker(target, {
    retryForMs: BOOT_PATIENCE_MS,
    signal: options.signal,
    onRetry: ({ error, waitMs }) => log.warn(`${error.message} Trying again in ${waitMs} ms.`),
  });
  const temporal = await connectClient(target, { retryForMs: BOOT_PATIENCE_MS, signal: options.signal });
  const ledger = await openLedger(config.databaseUrl);
  await belongsTogether(ledger, target, temporal, options.adoptTemporal);

  const found = await ensureSearchAttributes(temporal.connection, temporal.namespace, SEARCH_ATTRIBUTES);
  const searchAttributes = found !== 'not-allowed';
  await ledger.meta.replace(SEARCH_ATTRIBUTES_META, searchAttributes ? 'present' : 'absent');
  if (!searchAttributes) {
    log.warn(
      { attributes: SEARCH_ATTRIBUTES },
      'Temporal does not know our search attributes and does not let us add them: cases run without; add them to filter cases in its UI',
    );
  }

  const clock = systemClock;
  const limiter = createLimiter(config.requestsPerSecond, clock);
  const workerName = `${hostname()}:${process.pid}:${randomBytes(3).toString('hex')}`;
  const dependencies: ActivityDependencies = {
    gate: createGate({ sessions, ledger, limiter, clock, log, worker: workerName }),
    account: createAccount(ledger, sessions, log),
    ledger,
    limiter,
    sessions,
    rules: noPoliciesInForce,
    timing: config.timing,
    log,
    random: Math.random,
  };
  const worker = await createWorker({
    connection,
    namespace: temporal.namespace,
    activities: createActivities(dependencies),
  });

  const stopping = new AbortController();
  const reconciler = reconcile(ledger, createCases(temporal.client, searchAttributes), log, stopping.signal);
  void warnAboutAccount(sessions, log);
  const stopped = worker.run().finally(async () => {
    stopping.abort();
    await reconciler;
    sessions.close();
    await temporal.close();
    await connection.close();
    await ledger.close();
  });
  return {
    ledgerPlace: ledger.describe,
    stopped,
    stop: () => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
    },
  };
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
