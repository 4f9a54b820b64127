import type { Worker } from '@temporalio/worker';
import type { Config } from '../platform/config.js';
import { holdWords } from '../adapters/vendor/hold.js';
import type { ListeningLimiter } from '../adapters/vendor/limiter.js';
import { createHealth } from '../platform/http/health.js';
import { startHttpServer } from '../platform/http/server.js';
import type { Ledger } from '../adapters/ledger/ledger.js';
import type { Witness } from '../adapters/ledger/news.js';
import { exposition } from './metrics/exposition.js';
import { countedBy } from './metrics/ledger-news.js';
import { createLedgerReader, type LedgerReading } from './metrics/ledger-reading.js';
import { NO_METERS, type Meters } from '../adapters/meters.js';
import { createProcessMetrics } from './metrics/registry.js';
import type { SdkMetrics } from './metrics/sdk-metrics.js';
import { sparingly } from './metrics/sparingly.js';
import type { Logger } from '../platform/telemetry.js';
import type { TemporalClient } from '../adapters/temporal/connection.js';
import { unreadyBecauseOf, type Strangers } from '../adapters/temporal/strangers.js';

/** How a worker is seen from outside: what it counts, and whether it can work. Told of its parts as they come up. */
export interface Monitoring {
  readonly meters: Meters;
  /** For the ledger: counts what is written there. Left out when nobody asks for it. */
  readonly witness?: Witness;
  /** Where `/metrics`, `/healthz` and `/readyz` are; null: nowhere. */
  readonly url: string | null;
  temporalConnected(temporal: Pick<TemporalClient, 'connection'>): void;
  /** The ledger is waited for. */
  ledgerAway(): void;
  ledgerOpened(ledger: Ledger): void;
  limiterCreated(limiter: Pick<ListeningLimiter, 'hold'>): void;
  strangersWatched(strangers: Pick<Strangers, 'found'>): void;
  workersCreated(workers: readonly Pick<Worker, 'getState'>[]): void;
  /** The process is on its way out. */
  stopping(): void;
  /** Last of all, so that the way out can be watched. */
  close(): Promise<void>;
}

/** A scrape must not take longer than scrapers wait (10 s), ms. */
const LEDGER_PATIENCE_MS = 5_000;
/** Several scrapers cost one reading, ms. */
const LEDGER_FRESH_MS = 1_000;
const TEMPORAL_PATIENCE_MS = 3_000;
/** Probes and scrapes ask often; Temporal is asked this often at most, ms. */
const TEMPORAL_FRESH_MS = 3_000;

const NOT_MONITORED: Monitoring = {
  meters: NO_METERS,
  url: null,
  temporalConnected: () => {},
  ledgerAway: () => {},
  ledgerOpened: () => {},
  limiterCreated: () => {},
  strangersWatched: () => {},
  workersCreated: () => {},
  stopping: () => {},
  close: () => Promise.resolve(),
};

/**
 * Begins to serve, before anything else is there: while Temporal or the ledger is waited for, the process says so.
 *
 * @param sdkMetrics - null: the SDK counts nothing
 * @throws UserError when the address can't be listened on
 */
export async function startMonitoring(
  { httpAddress, scanMs }: Pick<Config, 'httpAddress' | 'scanMs'>,
  sdkMetrics: SdkMetrics | null,
  log: Logger,
): Promise<Monitoring> {
  if (httpAddress === null) return NOT_MONITORED;
  const health = createHealth();
  health.set('temporal', 'Temporal: no connection yet');
  health.set('ledger', 'ledger: not open yet');
  health.set('worker', 'worker: not started yet');
  const process = createProcessMetrics({ scanMs, log, ofProcess: true });
  let readLedger: () => Promise<LedgerReading | null> = () => Promise.resolve(null);
  let temporalAnswers: () => Promise<boolean> = () => Promise.resolve(false);

  const server = await startHttpServer({
    address: httpAddress,
    health,
    metrics: () =>
      exposition({
        ...{ process, log },
        ledger: () => readLedger(),
        temporalAnswers: () => temporalAnswers(),
        sdk: () => sdkMetrics?.read() ?? Promise.resolve(''),
      }),
  });
  log.info({ url: server.url }, 'serving metrics and health');

  return {
    meters: process.meters,
    witness: countedBy(process.meters),
    url: server.url,
    temporalConnected({ connection }) {
      const ask = sparingly(
        () =>
          connection.withDeadline(Date.now() + TEMPORAL_PATIENCE_MS, () =>
            connection.workflowService.getSystemInfo({}),
          ),
        { freshMs: TEMPORAL_FRESH_MS, patienceMs: TEMPORAL_PATIENCE_MS },
      );
      temporalAnswers = () => answers(ask);
      health.set('temporal', async () => ((await temporalAnswers()) ? null : 'Temporal: does not answer'));
    },
    ledgerAway: () => health.set('ledger', 'ledger: not reached yet'),
    ledgerOpened(ledger) {
      const patience = { freshMs: LEDGER_FRESH_MS, patienceMs: LEDGER_PATIENCE_MS };
      readLedger = sparingly(createLedgerReader(ledger), patience);
      // A question of its own: whether it answers at all is no matter of how much is in it.
      const ask = sparingly(() => ledger.pauseSwitch.read(), patience);
      health.set('ledger', async () => ((await answers(ask)) ? null : 'ledger: does not answer'));
    },
    limiterCreated(limiter) {
      health.tell(() => {
        const hold = limiter.hold();
        return hold === null || hold.untilMs < Date.now() ? null : holdWords(hold);
      });
    },
    strangersWatched(strangers) {
      health.set('own ids', () => Promise.resolve(unreadyBecauseOf(strangers.found())));
    },
    workersCreated(workers) {
      health.set('worker', () => {
        const other = workers.map((worker) => worker.getState()).find((state) => state !== 'RUNNING');
        return Promise.resolve(other === undefined ? null : `worker: ${other.toLowerCase()}`);
      });
      health.aliveWhile(() => (workers.some((worker) => worker.getState() === 'FAILED') ? 'worker: failed' : null));
    },
    stopping: () => health.stopping(),
    close: () => server.close(),
  };
}

/** What went wrong is told in the log by who works with it. Here it is only whether it did. */
async function answers(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask();
    return true;
  } catch {
    return false;
  }
}
