import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime, Worker, type LogEntry } from '@temporalio/worker';
import { SEARCH_ATTRIBUTES, TASK_QUEUE } from '../../src/core/contract.js';
import { workflowBundle } from './shared.js';
import { startEnvironment } from './temporal-environment.js';

/** Getting the Temporal CLI can mean to build it, once per machine, ms. */
export const OBTAIN_LIMIT_MS = 15 * 60_000;

/** Stands for every client and worker of the tests: what they leave in histories names no machine. */
export const TEST_IDENTITY = 'curfew-test';

/** A dev server, and a worker with the given activities on the case queue. */
export interface TestTemporal {
  readonly env: TestWorkflowEnvironment;
  /** What the SDK logged at WARN and above, such as a handler that was not finished when its workflow closed. */
  readonly warnings: readonly LogEntry[];
  stop(): Promise<void>;
}

export interface TestTemporalOptions {
  /** By name, as workflows call them. */
  readonly activities: object;
  /** Events after which the server suggests to continue as new; default the server's, 4,096. */
  readonly suggestContinueAsNewAt?: number;
}

/**
 * Starts the real Temporal server, in memory and on a free port, with Curfew's search attributes, and a worker that runs
 * the workflows of the source tree.
 */
export async function startTemporal({
  activities,
  suggestContinueAsNewAt,
}: TestTemporalOptions): Promise<TestTemporal> {
  const warnings: LogEntry[] = [];
  installQuietRuntime((entry) => warnings.push(entry));
  const environment = await startEnvironment({
    client: { identity: TEST_IDENTITY },
    serverArguments: [
      ...Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
      ...(suggestContinueAsNewAt === undefined
        ? []
        : ['--dynamic-config-value', `limit.historyCount.suggestContinueAsNew=${suggestContinueAsNewAt}`]),
    ],
  });
  const { env } = environment;
  const worker = await Worker.create({
    connection: env.nativeConnection,
    identity: TEST_IDENTITY,
    taskQueue: TASK_QUEUE,
    workflowBundle: await workflowBundle(),
    activities,
    maxHeartbeatThrottleInterval: '1 second',
    defaultHeartbeatThrottleInterval: '1 second',
  });
  const running = worker.run();
  return {
    env,
    warnings,
    stop: async () => {
      worker.shutdown();
      await running;
      await environment.stop();
    },
  };
}

/** Keeps the SDK's logs from the test's output. Once per test file, before anything else of the SDK. */
export function installQuietRuntime(onWarning: (entry: LogEntry) => void = () => {}): void {
  Runtime.install({
    logger: new DefaultLogger('WARN', onWarning),
    telemetryOptions: { logging: { filter: 'WARN', forward: {} } },
  });
}
