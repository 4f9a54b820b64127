import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { ENFORCEMENT_WORKFLOW_ID, fleetTaskQueue, TASK_QUEUE } from '../../src/contract.js';
import { connectClient, resolveTemporal, type TemporalClient } from '../../src/temporal/connection.js';
import { settingsFor, startReady, stopEverything, type Settings } from '../support/curfew-process.js';
import { makeHome, removeHome, temporalBinary, until } from '../support/embedded-server.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit: a busy machine starts a server and two workers, and misses a dead one. */
const STORY_LIMIT_MS = 300_000;

const POLICIES = `version: 1
policies:
  - name: runaways
    match: { agents: ["agent_test"] }
    limits: { max_runtime: 30m }
    mode: enforce
  - name: quick
    match: { agents: ["agent_quick"] }
    limits: { max_runtime: 5s }
    mode: enforce
`;

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);

let home: string;
let simulator: Simulator;
let settings: Settings;
let temporal: TemporalClient;

beforeEach(async () => {
  home = makeHome();
  simulator = await startSimulator({ slots: 100 });
  simulator.world.addAgent({ id: 'agent_test' });
  simulator.world.addAgent({ id: 'agent_quick' });
  simulator.world.addSession({ agent: 'agent_test', id: 'sess_innocent', turnAge: '5m' });
  settings = await settingsFor(dirname(home), {
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: simulator.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    CURFEW_SCAN_INTERVAL: '2s',
  });
}, OBTAIN_LIMIT_MS);

afterEach(async () => {
  await temporal?.close();
  await stopEverything();
  await simulator.close();
  removeHome(home);
}, 60_000);

/** Task queues of the rounds so far, first to last. */
async function queues(): Promise<string[]> {
  const { events } = await temporal.client.workflow.getHandle(ENFORCEMENT_WORKFLOW_ID).fetchHistory();
  return (events ?? []).flatMap(
    ({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.taskQueue?.name ?? [],
  );
}

/** The process that listens to a queue of its own: its id is in the worker's name. */
const pidOf = (queue: string): number => Number(queue.slice(fleetTaskQueue('').length).split(':').at(-2));

describe('two workers and one fleet', () => {
  it(
    'I8: leaves the fleet with the worker that remembers it, and gives it to the other when that one is killed',
    async () => {
      const file = join(dirname(home), 'curfew.yaml');
      writeFileSync(file, POLICIES);
      const processes = [
        (await startReady(['up', file], settings)).process,
        (await startReady(['worker'], settings)).process,
      ];
      temporal = await connectClient(resolveTemporal({ env: settings, home }));

      await until(async () => (await queues()).length >= 5);
      const [first, ...later] = await queues();
      expect(first).toBe(TASK_QUEUE);
      expect(new Set(later).size).toBe(1);
      const owner = processes.find(({ pid }) => pid === pidOf(later[0] ?? ''));
      const other = processes.find((process) => process !== owner);
      expect(owner).toBeDefined();

      owner?.signal('SIGKILL');
      simulator.world.addSession({ agent: 'agent_quick', id: 'sess_runaway' });
      await until(() => simulator.world.session('sess_runaway').state === 'failed');
      await until(async () => pidOf((await queues()).at(-1) ?? '') === other?.pid);
      expect(simulator.world.truth('sess_innocent').cancels).toEqual([]);

      // One that stops in an orderly way hands over by itself: nobody has to miss it.
      const back = (await startReady(['worker'], settings)).process;
      other?.signal('SIGTERM');
      await until(async () => pidOf((await queues()).at(-1) ?? '') === back.pid);
    },
    STORY_LIMIT_MS,
  );
});
