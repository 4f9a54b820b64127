import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestWorkflowEnvironment, type ExistingServerTestWorkflowEnvironmentOptions } from '@temporalio/testing';
import { freePort, steadyPort } from '../../src/free-port.js';
import { waitUntilAnswering } from '../../src/temporal/answering.js';
import { temporalBinary } from './embedded-server.js';
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

/** The real Temporal server in memory, on a port of its own, with clients of the SDK's test environment. No worker. */
export async function startEnvironment({
  serverArguments = [],
  client,
}: TestEnvironmentOptions = {}): Promise<TestEnvironment> {
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
      { address, httpPort },
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
