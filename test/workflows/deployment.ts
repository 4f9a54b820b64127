import { readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { WorkflowHandle } from '@temporalio/client';
import { loadConfig, type Config } from '../../src/platform/config.js';
import { SEARCH_ATTRIBUTES } from '../../src/core/contract.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { startService, type RunningService } from '../../src/worker/service.js';
import type { Logger } from '../../src/platform/telemetry.js';
import { connectClient, resolveTemporal, type TemporalClient } from '../../src/adapters/temporal/connection.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/adapters/temporal/embedded.js';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { makeHome, removeHome, temporalBinary } from '../support/embedded-server.js';
import type { History } from '../support/history.js';

const BUNDLES = fileURLToPath(new URL('../bundles/', import.meta.url));

/** The workflow bundles of earlier versions, oldest first; see scripts/save-bundle.ts. */
export const savedBundles = (): string[] =>
  readdirSync(BUNDLES)
    .filter((file) => file.endsWith('.js.gz'))
    .sort();

/** The code of a saved bundle. */
export const readBundle = (file: string): string => gunzipSync(readFileSync(`${BUNDLES}${file}`)).toString('utf8');

/** What a worker said at WARN and above. */
interface Said {
  readonly message: string;
  readonly fields: object;
}

/** Temporal, vendor and ledger, on which workers of several versions can be started in this process. */
export interface Deployment {
  readonly simulator: Simulator;
  readonly ledger: Ledger;
  readonly temporal: TemporalClient;
  readonly config: Config;
  readonly warnings: readonly Said[];
  /** @param workflowBundle - code of its workflows */
  startWorker(workflowBundle?: string): Promise<DeployedWorker>;
  /** Everything that Temporal knows of, with its history. */
  histories(): Promise<{ readonly workflowId: string; readonly history: History }[]>;
  close(): Promise<void>;
}

interface DeployedWorker {
  /** Stops it as SIGTERM does, and waits until it has. */
  stop(): Promise<void>;
}

/**
 * The SDK's runtime is the test file's to install.
 *
 * @param before - what is there before anybody opens the ledger
 */
export async function openDeployment(
  adjust: (config: Config) => Config = (config) => config,
  before: (simulator: Simulator, config: Config) => Promise<void> = () => Promise.resolve(),
): Promise<Deployment> {
  const home = makeHome();
  const simulator = await startSimulator({ slots: 1_000 });
  const server: EmbeddedServer = await startEmbeddedServer({
    home,
    binary: await temporalBinary(),
    env: process.env,
    searchAttributes: SEARCH_ATTRIBUTES,
    ui: false,
  }).catch(async (error: unknown) => {
    // Else the test's process would not end.
    await simulator.close();
    removeHome(home);
    throw error;
  });
  const config = adjust(
    loadConfig(
      {
        CURFEW_HOME: home,
        GUMLOOP_BASE_URL: simulator.url,
        GUMLOOP_API_KEY: simulator.apiKey,
        GUMLOOP_USER_ID: simulator.userId,
        CURFEW_RETRY_CAP: '1s',
        CURFEW_SCAN_INTERVAL: '1s',
        CURFEW_REQUESTS_PER_SECOND: '500',
      },
      dirname(home),
    ),
  );
  const target = resolveTemporal(config);
  const temporal = await connectClient(target);
  await before(simulator, config);
  const ledger = await openLedger(config.databaseUrl, { migrate: true });
  const warnings: Said[] = [];
  const log = quietLogger(warnings);
  const workers = new Set<RunningService>();

  const stop = async (service: RunningService): Promise<void> => {
    service.stop();
    await service.stopped;
    workers.delete(service);
  };
  return {
    ...{ simulator, ledger, temporal, config, warnings },
    async startWorker(workflowBundle) {
      const options = { adoptTemporal: false, signal: new AbortController().signal };
      const bundle = workflowBundle === undefined ? {} : { workflowBundle };
      const service = await startService(config, target, log, { ...options, ...bundle });
      workers.add(service);
      return { stop: () => stop(service) };
    },
    async histories() {
      const found = [];
      for await (const { workflowId, runId } of temporal.client.workflow.list()) {
        const handle: WorkflowHandle = temporal.client.workflow.getHandle(workflowId, runId);
        found.push({ workflowId, history: await handle.fetchHistory() });
      }
      return found;
    },
    async close() {
      await Promise.all([...workers].map(stop));
      await ledger.close();
      await temporal.close();
      await server.stop();
      await simulator.close();
      removeHome(home);
    },
  };
}

function quietLogger(said: Said[]): Logger {
  const keep = (fields: object | string, message?: string): void => {
    said.push(typeof fields === 'string' ? { message: fields, fields: {} } : { message: message ?? '', fields });
  };
  const logger = { debug: () => {}, info: () => {}, warn: keep, error: keep };
  return logger as Logger;
}
