import { fileURLToPath } from 'node:url';
import { readFile } from 'node:fs/promises';
import {
  DefaultLogger,
  GracefulShutdownPeriodExpiredError,
  Runtime,
  Worker,
  type LogLevel as TemporalLogLevel,
  type NativeConnection,
} from '@temporalio/worker';
import { ApplicationFailure, type DataConverter } from '@temporalio/common';
import { TASK_QUEUE } from '../core/contract.js';
import { UserError } from '../core/errors.js';
import { isTryAgainReason } from '../core/try-again.js';
import { aboutWorkflow } from '../platform/log-context.js';
import type { LogLevel } from '../platform/log-settings.js';
import type { Logger } from '../platform/telemetry.js';

/**
 * Time that requests under way get to finish when the worker is told to stop, and the time after which it stops all the
 * same. A request cut off is of unknown effect, and the next worker finds it in the ledger.
 */
const SHUTDOWN_GRACE = '20 seconds';
const SHUTDOWN_FORCE = '60 seconds';

const OF_EVERY_WORKER = {
  // The heartbeat timeout is 8 s; the default throttle would leave hardly one heartbeat in it.
  maxHeartbeatThrottleInterval: '2 seconds',
  defaultHeartbeatThrottleInterval: '2 seconds',
  shutdownGraceTime: SHUTDOWN_GRACE,
  shutdownForceTime: SHUTDOWN_FORCE,
} as const;

/** Cases wait for the vendor, not for the CPU; so many may wait at once. */
const MAX_CONCURRENT_STEPS = 200;

/**
 * Routes the logs of Temporal's core into ours. Once per process, before any connection.
 *
 * @param metricsAddress - where the core serves its metrics, `host:port`; left out: it counts nothing
 * @throws Error when that address is taken; then it can be called again
 */
export function installRuntime(log: Logger, level: LogLevel, metricsAddress?: string): void {
  const logger = new DefaultLogger(level === 'debug' ? 'DEBUG' : 'WARN', (entry) => {
    const { level: entryLevel, message, meta } = entry;
    const target = ({ TRACE: 'debug', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const)[
      entryLevel satisfies TemporalLogLevel
    ];
    // So it is meant: see `createFleetWorker`.
    if (message.startsWith('No workflows registered') && meta?.['taskQueue'] !== TASK_QUEUE) return;
    // An activity that asks to be tried again has said so itself, in words.
    if (message === 'Activity failed' && target === 'warn' && hasSpoken(meta?.['error'])) return;
    // Told in words when the process ends; see `stoppedByForce`.
    if (meta?.['error'] instanceof GracefulShutdownPeriodExpiredError) return;
    const workflowId: unknown = meta?.['workflowId'];
    log[target]({ ...meta, ...(typeof workflowId === 'string' ? aboutWorkflow(workflowId) : {}) }, message);
  });
  Runtime.install({
    logger,
    // SIGINT and SIGTERM are the command's business: it stops the worker first, the embedded server after it.
    shutdownSignals: [],
    ...(metricsAddress === undefined
      ? {}
      : { telemetryOptions: { metrics: { prometheus: prometheusAt(metricsAddress) } } }),
  });
}

/** In the names and units that Prometheus has in common, which Temporal's own alert rules and dashboards expect. */
const prometheusAt = (bindAddress: string) => ({
  bindAddress,
  countersTotalSuffix: true,
  unitSuffix: true,
  useSecondsForDurations: true,
});

const hasSpoken = (error: unknown): boolean => error instanceof ApplicationFailure && isTryAgainReason(error.type);

export interface WorkerSettings {
  readonly connection: NativeConnection;
  readonly namespace: string;
  /** By name, as workflows call them. */
  readonly activities: object;
  /** What payloads go through: that of the clients, `workerConverter`. */
  readonly dataConverter: DataConverter;
  /** Code of the workflows; without it, those of this version. */
  readonly workflowBundle?: string | undefined;
}

/** A worker on the case queue. The workflow bundle is prebuilt, so that it starts in about a second. */
export async function createWorker({
  connection,
  namespace,
  activities,
  dataConverter,
  workflowBundle,
}: WorkerSettings): Promise<Worker> {
  return Worker.create({
    connection,
    namespace,
    taskQueue: TASK_QUEUE,
    workflowBundle: { code: workflowBundle ?? (await readBundle()) },
    activities,
    dataConverter,
    maxConcurrentActivityTaskExecutions: MAX_CONCURRENT_STEPS,
    // How long the server waits for a worker that has a case in its cache before it asks another one. The default of 10 s
    // would double the time until a dead worker's cases go on.
    stickyQueueScheduleToStartTimeout: '2 seconds',
    ...OF_EVERY_WORKER,
  });
}

/**
 * Takes the rounds over the fleet that continue one of this process; see `policyEnforcement`. It has a worker of its own because
 * a worker listens to one task queue.
 */
export async function createFleetWorker(
  settings: Pick<WorkerSettings, 'connection' | 'namespace' | 'activities' | 'dataConverter'> & {
    readonly taskQueue: string;
  },
): Promise<Worker> {
  return Worker.create({
    ...settings,
    // A round that another has replaced may still be on its way out.
    maxConcurrentActivityTaskExecutions: 2,
    ...OF_EVERY_WORKER,
  });
}

/** Workers that only make sense together. */
export interface RunningWorkers {
  /**
   * Settles when all have stopped. When one fails, the others are stopped.
   *
   * @throws {UserError} if they were told to stop, and work was still under way when the time for it was over
   */
  readonly stopped: Promise<void>;
  /** Takes no new work, and lets what is under way finish. */
  stop(): void;
}

/** What is needed of a worker to run it. */
export type Runnable = Pick<Worker, 'run' | 'getState' | 'shutdown' | 'options'>;

export function runTogether(workers: readonly Runnable[]): RunningWorkers {
  let stoppingSince: number | null = null;
  const stop = (): void => {
    stoppingSince ??= performance.now();
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  const runs = workers.map(async (worker): Promise<{ error: unknown; forced: boolean } | null> => {
    try {
      await worker.run();
      return null;
    } catch (error) {
      return { error, forced: stoppingSince !== null && isForced(worker, performance.now() - stoppingSince) };
    } finally {
      stop();
    }
  });
  const ended = async (): Promise<void> => {
    const failures = (await Promise.all(runs)).filter((failure) => failure !== null);
    // What stopped the others says more than that they were slow to stop.
    const failure = failures.find(({ forced }) => !forced) ?? failures[0];
    if (failure !== undefined) throw failure.forced ? stoppedByForce() : failure.error;
  };
  return { stopped: ended(), stop };
}

/** Node's timers may fire a little before their time by another clock, ms. */
const TIMER_SLACK_MS = 100;

/**
 * The SDK throws an error of its own for this, and then hides it behind one about the native worker, which what was cut off
 * still uses. So the time says it.
 */
const isForced = ({ options: { shutdownForceTimeMs } }: Runnable, stoppingMs: number): boolean =>
  shutdownForceTimeMs !== undefined && stoppingMs >= shutdownForceTimeMs - TIMER_SLACK_MS;

const stoppedByForce = (): UserError =>
  new UserError(
    'The worker stopped by force, because work was still under way when the time to finish it was over, such as a cancel request that the vendor had not answered. Such a request stays in the ledger as one of unknown effect, and no order is lost.',
    'Start a worker where none runs: it looks at each of these sessions before anything else is sent to it.',
  );

async function readBundle(): Promise<string> {
  // From dist/src/cli, where all code is built into, it is two folders up; from src/worker/worker.ts (tests) it is in dist.
  for (const place of ['../../workflow-bundle.js', '../../dist/workflow-bundle.js']) {
    try {
      return await readFile(fileURLToPath(new URL(place, import.meta.url)), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  throw new UserError(
    'The workflow bundle is missing: Curfew was installed without being built.',
    'Run `npm run build`.',
  );
}
