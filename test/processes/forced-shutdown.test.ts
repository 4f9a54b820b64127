import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Worker } from '@temporalio/worker';
import { SESSION_CANCELLATION } from '../../src/core/contract.js';
import { ExitCode, UserError } from '../../src/core/errors.js';
import { runTogether, type Runnable } from '../../src/worker/worker.js';
import type { sessionCancellation } from '../../workflows/session-cancellation.js';
import { DONE, ScriptedActivities } from '../support/case-script.js';
import { until } from '../support/embedded-server.js';
import { installQuietRuntime, OBTAIN_LIMIT_MS } from '../support/temporal.js';
import { workflowBundle } from '../support/shared.js';
import { startEnvironment, type TestEnvironment } from '../support/temporal-environment.js';

/** A hang limit, ms. */
const LIMIT_MS = 240_000;
/** Time to finish, which is a minute in production: over before a request is answered that never is, and long enough. */
const [SHORT, LONG] = ['1 second', '5 minutes'] as const;

const scripted = new ScriptedActivities();
let environment: TestEnvironment;
let env: TestEnvironment['env'];

beforeAll(async () => {
  installQuietRuntime();
  environment = await startEnvironment();
  ({ env } = environment);
  await workflowBundle();
}, OBTAIN_LIMIT_MS);
afterAll(() => environment.stop());

/** On a queue of its own: one that stopped by force holds its queue until what was cut off has ended. */
const workerOn = async (taskQueue: string, shutdownForceTime: typeof SHORT | typeof LONG): Promise<Worker> =>
  Worker.create({
    connection: env.nativeConnection,
    taskQueue,
    workflowBundle: await workflowBundle(),
    activities: scripted.activities,
    shutdownForceTime,
  });

/** A case in the middle of a request that is answered when the test says so. */
async function caseUnderWay(taskQueue: string): Promise<{ answer(): void; end(): Promise<void> }> {
  const sessionId = `sess_${taskQueue}`;
  let answer = (): void => {};
  const answered = new Promise<void>((resolve) => (answer = resolve));
  scripted.play(sessionId, { cancelSession: () => answered.then(() => DONE) });
  const handle = await env.client.workflow.start<typeof sessionCancellation>(SESSION_CANCELLATION, {
    workflowId: `case/${taskQueue}`,
    taskQueue,
    args: [{ sessionId, searchAttributes: false }],
  });
  await until(() => scripted.times(sessionId, 'cancelSession') === 1);
  return {
    answer,
    end: async () => {
      answer();
      await handle.terminate();
    },
  };
}

const failureOf = (stopped: Promise<void>): Promise<unknown> =>
  stopped.then(
    () => null,
    (error: unknown) => error,
  );

it(
  'a worker whose request is answered in time stops in order',
  async () => {
    const queue = randomUUID();
    const workers = [await workerOn(queue, LONG), await workerOn(randomUUID(), LONG)];
    const running = runTogether(workers);
    const request = await caseUnderWay(queue);
    running.stop();
    running.stop();
    request.answer();
    await expect(running.stopped).resolves.toBeUndefined();
    await request.end();
    expect(workers.map((worker) => worker.getState())).toEqual(['STOPPED', 'STOPPED']);
  },
  LIMIT_MS,
);

it(
  'a worker whose request is not answered in time stops by force, and says that the request is in the ledger',
  async () => {
    const queue = randomUUID();
    const other = await workerOn(randomUUID(), LONG);
    const running = runTogether([await workerOn(queue, SHORT), other]);
    const request = await caseUnderWay(queue);
    running.stop();
    const failure = await failureOf(running.stopped);
    await request.end();
    expect(failure).toBeInstanceOf(UserError);
    expect(failure).toMatchObject({
      message: expect.stringMatching(
        /stopped by force.+stays in the ledger as one of unknown effect.+no order is lost/,
      ),
      next: expect.stringMatching(/looks at each of these sessions before anything else is sent/),
      exitCode: ExitCode.failed,
    });
    expect(other.getState()).toBe('STOPPED');
  },
  LIMIT_MS,
);

it(
  'a worker that fails stops the others, and is what is told about, also when another one had to be forced',
  async () => {
    const queue = randomUUID();
    const forced = await workerOn(queue, SHORT);
    let request: Awaited<ReturnType<typeof caseUnderWay>> | undefined;
    const failing: Runnable = {
      run: async () => {
        request = await caseUnderWay(queue);
        throw new Error('out of order');
      },
      getState: () => 'FAILED',
      shutdown: () => {},
      options: forced.options,
    };
    const failure = await failureOf(runTogether([forced, failing]).stopped);
    await request?.end();
    expect(failure).toEqual(new Error('out of order'));
    expect(forced.getState()).toBe('FAILED');
  },
  LIMIT_MS,
);
