import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger, type LogEntry } from '@temporalio/worker';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { createActivities, type Activities } from '../../activities/index.js';
import { createAccount } from '../../src/adapters/vendor/account.js';
import { systemClock } from '../../src/platform/clock.js';
import { createVendorClock } from '../../src/adapters/vendor/vendor-clock.js';
import { createGate } from '../../src/engines/cases/gate.js';
import { createCredentials, createSessionsClient } from '../../src/adapters/vendor/index.js';
import {
  cancelFails,
  ledgerAway,
  openGateHarness,
  readFails,
  SESSION,
  shows,
  type GateHarness,
  type WorkerParts,
} from '../support/gate-harness.js';

const processing = shows('processing');
const failed = shows('failed');

let harness: GateHarness;
/** What Temporal's worker logs of its own accord. */
const logged: LogEntry[] = [];
const logger = new DefaultLogger('TRACE', (entry) => logged.push(entry));

beforeEach(async () => {
  harness = await openGateHarness();
});

afterEach(async () => {
  logged.length = 0;
  await harness.close();
});

const activities = (parts: WorkerParts = {}): Activities => createActivities(harness.worker(parts).deps);

/** Runs an activity as a worker does. @param attempt - Temporal's, from 1 */
const run = <Input, Output>(activity: (input: Input) => Promise<Output>, input: Input, attempt = 1): Promise<Output> =>
  new MockActivityEnvironment({ attempt }, { logger }).run<[Input], Output, typeof activity>(activity, input);

const cancelSession = (parts: WorkerParts = {}, attempt = 1) =>
  run(activities(parts).cancelSession, { sessionId: SESSION }, attempt);

const failureOf = async (work: Promise<unknown>): Promise<ApplicationFailure> => {
  const failure: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(failure).toBeInstanceOf(ApplicationFailure);
  return failure as ApplicationFailure;
};

describe('the activities of a case', () => {
  it('have the names that histories hold', () => {
    expect(Object.keys(activities()).sort()).toEqual([
      'cancelSession',
      'confirmCancellation',
      'reportCase',
      'watchForRestart',
    ]);
  });

  it('carry out a case from step to step, with nothing but JSON in between', async () => {
    harness.vendor.reads = [processing, failed];
    harness.vendor.cancels = ['failed'];
    await harness.order();
    const since = new Date(harness.clock.wall()).toISOString();
    const { cancelSession, confirmCancellation, watchForRestart, reportCase } = activities();

    let step = await run(cancelSession, { sessionId: SESSION });
    expect(step).toEqual({ next: 'look', afterMs: 2_000, look: 0, sightings: [] });
    while (step.next === 'look') {
      harness.clock.advance(step.afterMs);
      const { look, sightings } = step;
      step = await run(confirmCancellation, { sessionId: SESSION, look, sightings });
      expect(JSON.parse(JSON.stringify(step))).toEqual(step);
    }
    expect(step).toEqual({ next: 'done' });
    expect(await run(watchForRestart, { sessionId: SESSION, look: 0, queued: false })).toEqual({
      next: 'look',
      afterMs: 5_000,
      queued: false,
    });
    const report = await run(reportCase, { sessionId: SESSION, since });
    expect(report.orders).toMatchObject([{ sessionId: SESSION, outcome: 'cancelled', attribution: 'strong' }]);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  it('take a session that has ended already for success', async () => {
    harness.vendor.reads = [failed];
    await harness.order();
    expect(await cancelSession()).toMatchObject({ next: 'look', look: 0 });
  });

  it('report what was decided since the case began, oldest first, and nothing older', async () => {
    harness.vendor.reads = [failed];
    await harness.order();
    await harness.worker().carryOut();
    harness.clock.advance(60_000);
    const since = new Date(harness.clock.wall()).toISOString();
    await harness.order({ requestedBy: 'first' });
    harness.clock.advance(1);
    await harness.order({ requestedBy: 'second' });
    await harness.worker().carryOut();
    await harness.order({ requestedBy: 'still open' });
    const { orders } = await run(activities().reportCase, { sessionId: SESSION, since });
    expect(orders.map(({ requestedBy }) => requestedBy)).toEqual(['first', 'second']);
  });
});

describe('what a step throws', () => {
  it('is a failure of a type, with a message and the time of the next try', async () => {
    harness.vendor.reads = [processing];
    harness.vendor.cancels = [cancelFails('failed-to-abort', { code: 'failed_to_abort' })];
    await harness.order();
    const failure = await failureOf(cancelSession());
    expect(failure).toMatchObject({ type: 'CancelFailed', nonRetryable: false, nextRetryDelay: 500 });
    expect(failure.message).toMatch(/cancelSession of session-1 .*failed_to_abort/);
    expect(failure.category).not.toBe('BENIGN');
  });

  it('waits longer with each attempt that Temporal counts', async () => {
    harness.vendor.reads = [processing];
    harness.vendor.cancels = [cancelFails('timeout')];
    await harness.order();
    expect(await failureOf(cancelSession({}, 5))).toMatchObject({ nextRetryDelay: 8_000 });
  });

  it('is benign where the wait is not the fault of the session', async () => {
    harness.vendor.reads = [readFails('unauthorized')];
    await harness.order();
    expect(await failureOf(cancelSession())).toMatchObject({
      type: 'AccountRefused',
      category: 'BENIGN',
      nextRetryDelay: 60_000,
    });
    await harness.ledger.pauseSwitch.set(true, 'ops', 'incident 7');
    harness.vendor.reads = [processing];
    const paused = await failureOf(cancelSession());
    expect(paused).toMatchObject({ type: 'Paused', category: 'BENIGN', nextRetryDelay: 5_000 });
    expect(paused.message).toContain('incident 7');
  });

  it.each(['cancelSession', 'confirmCancellation', 'watchForRestart', 'reportCase'] as const)(
    'I10: %s says that the ledger is away, and when it tries again',
    async (name) => {
      const away = (): never => {
        throw ledgerAway();
      };
      const failure = await failureOf(
        run(activities({ hooks: { before: away } })[name] as (input: unknown) => Promise<unknown>, {
          sessionId: SESSION,
          look: 0,
          sightings: [],
          queued: false,
          since: new Date(0).toISOString(),
        }),
      );
      expect(failure).toMatchObject({ type: 'LedgerUnavailable', nonRetryable: false, nextRetryDelay: 5_000 });
      expect(failure.message).toContain('Nothing ends without the ledger');
    },
  );

  it('is left as it is when it is a mistake of ours', async () => {
    const mistake = new TypeError('a bug');
    const broken = (): never => {
      throw mistake;
    };
    await expect(cancelSession({ hooks: { before: broken } })).rejects.toBe(mistake);
  });
});

describe('the heartbeat', () => {
  it('beats at once, and goes on in the background while a step is slow', async () => {
    harness.vendor.reads = [processing];
    harness.vendor.cancels = ['failed'];
    await harness.order();
    const environment = new MockActivityEnvironment({}, { logger });
    const order: string[] = [];
    environment.on('heartbeat', () => order.push('heartbeat'));
    harness.vendor.duringCancel = async () => {
      order.push('request');
      // A hang limit: a heartbeat is due every 2 s.
      await once(environment, 'heartbeat', { signal: AbortSignal.timeout(30_000) });
      order.push('answer');
    };
    await environment.run(activities().cancelSession, { sessionId: SESSION });
    expect(order).toEqual(['heartbeat', 'request', 'heartbeat', 'answer']);
  });
});

describe('I7: the key', () => {
  const KEY = 'gum_5ecret-key-of-the-account';

  it.each([
    ['is wrong', 401, 'AccountRefused'],
    ['meets a server that fails and says it back', 500, 'ApiUnavailable'],
  ])('I7: is in no failure, row or log when it %s', async (_title, status, type) => {
    const seen: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      seen.push(request.headers.authorization);
      const said = { error: { code: 'bad', message: `no access with ${request.headers.authorization}` } };
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(said));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = createSessionsClient({
      baseUrl: `http://127.0.0.1:${port}/api/v1`,
      credentials: createCredentials({ GUMLOOP_API_KEY: KEY, GUMLOOP_USER_ID: 'user-1' }),
      userAgent: 'curfew-test',
    });
    try {
      const { deps } = harness.worker();
      const { ledger, limiter, log } = deps;
      const real = createActivities({
        ...deps,
        sessions: client,
        gate: createGate({
          sessions: client,
          ledger,
          limiter,
          log,
          clock: systemClock,
          vendorClock: createVendorClock(systemClock),
          worker: 'test',
        }),
        account: createAccount(ledger, client, log),
      });
      await harness.order();
      const failure = await failureOf(run(real.cancelSession, { sessionId: SESSION }));
      expect(failure.type).toBe(type);
      expect(seen[0]).toContain(KEY);
      const everything = [
        inspect(failure, { depth: 20, showHidden: true }),
        JSON.stringify(failure, Object.getOwnPropertyNames(failure)),
        JSON.stringify(await harness.ledger.orders.views({ sessionId: SESSION })),
        JSON.stringify(await harness.db.selectFrom('events').selectAll().execute()),
        inspect(
          [log.debug, log.info, log.warn, log.error].map((one) => (one as unknown as { mock: unknown }).mock),
          { depth: 20 },
        ),
      ].join('\n');
      expect(everything).toContain(type);
      expect(everything).not.toContain(KEY);
    } finally {
      client.close();
      server.close();
      await once(server, 'close');
    }
  });
});
