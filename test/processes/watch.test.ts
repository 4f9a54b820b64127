import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import {
  RELEASE_UPDATE,
  SESSION_WATCH,
  TASK_QUEUE,
  WATCH_QUERY,
  watchWorkflowId,
  type WatchStatus,
} from '../../src/core/contract.js';
import { ExitCode } from '../../src/core/errors.js';
import { startCurfew, startReady, type CurfewProcess, type Ended, type Ready } from '../support/curfew-process.js';
import { temporalBinary, until } from '../support/embedded-server.js';
import { openHome, type OwnHome } from '../support/own-home.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit: the slowest watch takes about 40 s of waits alone. */
const LIMIT_MS = 4 * 60_000;

let own: OwnHome;
let worker: CurfewProcess;
let ready: Ready;

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);

beforeAll(async () => {
  own = await openHome();
  const { world } = own.simulator;
  const add = (id: string, runsFor: string | null = null) => world.addSession({ agent: 'agent_test', id, runsFor });
  add('sess_runaway');
  add('sess_brief', '6s');
  add('sess_extended');
  add('sess_released');
  add('sess_exempt');
  add('sess_by_code');
  add('sess_unwatched');
  ({ process: worker, ready } = await startReady(['up'], own.settings));
}, LIMIT_MS);

afterAll(() => own.close(), 60_000);

const watch = (...args: string[]): Promise<Ended> => own.run('watch', ...args, '--json');
const json = <T>(ended: Ended): T => JSON.parse(ended.stdout) as T;
const stateOf = (id: string): string => own.simulator.world.session(id).state;
const cancelled = (): string[] =>
  [...new Set(own.simulator.world.truth().cancels.map(({ sessionId }) => sessionId))].sort();

describe('curfew watch, with a worker, a server and a vendor', () => {
  it(
    'ends a session that runs over its limit, leaves alone one that ends in time, and goes on after a worker was killed',
    async () => {
      const runaway = watch('sess_runaway', '--max-runtime', '3s', '--reason', 'a test', '--wait');
      const brief = watch('sess_brief', '--max-runtime', '20m', '--wait');

      const ended = await runaway;
      expect({ code: ended.code, stderr: ended.code === 0 ? '' : ended.stderr }).toEqual({ code: 0, stderr: '' });
      expect(json<WatchStatus>(ended)).toMatchObject({
        sessionId: 'sess_runaway',
        state: 'ended',
        ending: 'at-rest',
        limits: { maxRuntime: '3s' },
        reason: 'a test',
        order: { outcome: 'cancelled', attribution: 'strong', attempts: 1 },
      });
      expect(stateOf('sess_runaway')).toBe('failed');

      const inTime = await brief;
      expect(inTime.code).toBe(ExitCode.done);
      expect(json<WatchStatus>(inTime)).toMatchObject({ ending: 'at-rest', order: null });
      expect(stateOf('sess_brief')).toBe('completed');
    },
    LIMIT_MS,
  );

  it(
    'is carried out by the next worker when the one that registered it was killed',
    async () => {
      const extended = await watch('sess_extended', '--max-runtime', '1h');
      expect(json<WatchStatus>(extended)).toMatchObject({ kind: 'registered', phase: 'watching' });
      worker.signal('SIGKILL');
      await worker.ended;
      // The ledger is enough for this, and Temporal.
      const shorter = await watch('sess_extended', '--max-runtime', '2s');
      expect(json<{ kind: string }>(shorter).kind).toBe('extended');
      ({ process: worker, ready } = await startReady(['up'], own.settings));
      await until(() => stateOf('sess_extended') === 'failed');
    },
    LIMIT_MS,
  );

  it(
    'ends with a release; Ctrl-C ends the waiting alone',
    async () => {
      const waiting = startCurfew(['watch', 'sess_released', '--max-runtime', '20m', '--wait'], own.settings);
      await waiting.says('sess_released is watched: max-runtime 20m.');
      waiting.signal('SIGINT');
      const interrupted = await waiting.ended;
      expect(interrupted.code).toBe(130);
      expect(interrupted.stderr).toContain('the watch continues. To end it: curfew watch sess_released --release');

      const released = await watch('sess_released', '--release', '--reason', 'a person took over');
      expect(json<object>(released)).toMatchObject({ order: 'none', watch: { state: 'released' } });
      expect((await watch('sess_released', '--release')).code).toBe(ExitCode.failed);
      expect(stateOf('sess_released')).toBe('processing');
    },
    LIMIT_MS,
  );

  it(
    'does not order the end of an exempt session',
    async () => {
      await own.run('exempt', 'sess_exempt', '--for', '2h', '--reason', 'month end');
      const registered = await watch('sess_exempt', '--max-runtime', '1s');
      expect(json<WatchStatus>(registered)).toMatchObject({ phase: 'exempt', order: null });
      expect(stateOf('sess_exempt')).toBe('processing');
    },
    LIMIT_MS,
  );

  it(
    'can be started, asked and released by the code of another service',
    async () => {
      const connection = await Connection.connect({ address: ready.temporal.address });
      try {
        const client = new Client({ connection });
        const sessionId = 'sess_by_code';
        const handle = await client.workflow.start(SESSION_WATCH, {
          workflowId: watchWorkflowId(sessionId),
          taskQueue: TASK_QUEUE,
          args: [{ sessionId, limits: { maxRuntime: '20m', maxTokens: '2M' }, requestedBy: 'importer' }],
        });
        await until(async () => (await handle.query<WatchStatus | null>(WATCH_QUERY))?.phase === 'watching');
        expect(await handle.query<WatchStatus>(WATCH_QUERY)).toMatchObject({
          limits: { maxRuntime: '20m', maxTokens: 2_000_000 },
          requestedBy: 'importer',
          deadline: expect.stringMatching(/^\d{4}-.*Z$/),
        });
        await handle.executeUpdate(RELEASE_UPDATE, { args: [{ requestedBy: 'importer' }] });
        expect(await handle.result()).toMatchObject({ ending: 'released', closedBy: 'importer' });
      } finally {
        await connection.close();
      }
    },
    LIMIT_MS,
  );

  it.each([
    [['sess_1'], /needs a limit/],
    [['sess_1', '--max-runtime', '20'], /--max-runtime is "20", which has no unit/],
    [['sess_1', '--max-tokens', '1.5'], /--max-tokens is "1.5", but must be a whole number/],
    [['sess_1', '--release', '--max-runtime', '20m'], /limits, or release it, but not both/],
    [['../x', '--max-runtime', '20m'], /Not a valid session id/],
  ])('refuses %j with exit code 2', async (args, message) => {
    const { code, stderr } = await watch(...args);
    expect(code).toBe(ExitCode.usage);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/\n {2}next: /);
  });

  it('has sent cancel requests for no other session', () => {
    expect(cancelled()).toEqual(['sess_extended', 'sess_runaway']);
    expect(stateOf('sess_unwatched')).toBe('processing');
  });
});
