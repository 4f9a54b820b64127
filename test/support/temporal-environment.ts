import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { TestWorkflowEnvironment, type ExistingServerTestWorkflowEnvironmentOptions } from '@temporalio/testing';
import { Connection } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../../src/core/contract.js';
import { freePort, steadyPort } from '../../src/platform/free-port.js';
import { waitUntilAnswering } from '../../src/adapters/temporal/answering.js';
import { ensureSearchAttributes } from '../../src/adapters/temporal/search-attributes.js';
import { temporalBinary, until } from './embedded-server.js';
import { letGo, spawnHeld } from './held-process.js';

/** A hang limit; the SDK's own start of a server gives up after 5 s, which a busy machine needs now and then, ms. */
const UP_WITHIN_MS = 120_000;
const ATTEMPTS = 3;

export interface TestEnvironment {
  readonly env: TestWorkflowEnvironment;
  stop(): Promise<void>;
}

export interface TestEnvironmentOptions {
  /** More arguments for `temporal server start-dev`. */
  readonly serverArguments?: readonly string[];
  readonly client?: ExistingServerTestWorkflowEnvironmentOptions['client'];
}

/**
 * The real Temporal server in memory, on a port of its own, with clients of the SDK's test environment. No worker.
 *
 * To try another release of the server by hand, name one that runs in TEST_TEMPORAL_ADDRESS. Settings of the server itself among
 * the arguments do not reach it.
 */
export async function startEnvironment({
  serverArguments = [],
  client,
}: TestEnvironmentOptions = {}): Promise<TestEnvironment> {
  const running = process.env['TEST_TEMPORAL_ADDRESS'];
  if (running) return useRunning(running, serverArguments.includes('--search-attribute'), client);
  for (let attempt = 1; ; attempt += 1) {
    const [port, httpPort] = [await steadyPort(), await freePort()];
    const address = `127.0.0.1:${port}`;
    const server = spawnHeld('TERM', await temporalBinary(), [
      ...['server', 'start-dev', '--headless', '--ip', '127.0.0.1'],
      ...['--port', String(port), '--http-port', String(httpPort)],
      ...['--dynamic-config-value', 'frontend.enableServerVersionCheck=false'],
      ...['--log-level', 'error', ...serverArguments],
    ]);
    let said = '';
    server.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_000)));
    const exited = once(server, 'exit').then(() => 'ended');
    const state = await waitUntilAnswering(
      { exited },
      { address, httpPort, httpHost: null },
      { timeoutMs: UP_WITHIN_MS, signal: new AbortController().signal },
    );
    if (state === 'answering') {
      const env = await TestWorkflowEnvironment.createFromExistingServer({ address, ...(client && { client }) });
      const stop = async (): Promise<void> => {
        await env.teardown();
        await letGo(server);
      };
      return { env, stop };
    }
    await letGo(server);
    // Somebody else was quicker to take the port.
    if (attempt === ATTEMPTS || state === 'timeout') throw new Error(`The Temporal server did not come up: ${said}`);
    await sleep(100);
  }
}

/** Makes of a server what the dev server is from the start: it has the namespace `default`, and the search attributes in it. */
async function useRunning(
  address: string,
  withAttributes: boolean,
  client: TestEnvironmentOptions['client'],
): Promise<TestEnvironment> {
  const connection = await Connection.connect({ address });
  await ensureNamespace(connection, 'default');
  if (withAttributes) await ensureSearchAttributes(connection, 'default', SEARCH_ATTRIBUTES);
  await connection.close();
  const env = await TestWorkflowEnvironment.createFromExistingServer({ address, ...(client && { client }) });
  return { env, stop: () => env.teardown() };
}

/** Makes a namespace where it is missing, and waits until the server takes calls for it. */
export async function ensureNamespace({ options, workflowService }: Connection, namespace: string): Promise<void> {
  const create = ['operator', 'namespace', 'create', '--retention', '1d', '--namespace', namespace];
  await promisify(execFile)(await temporalBinary(), [...create, '--address', options.address]).catch(() => {
    // It is there, as the next lines find out.
  });
  await until(() =>
    workflowService.countWorkflowExecutions({ namespace }).then(
      () => true,
      () => false,
    ),
  );
}
