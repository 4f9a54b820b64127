import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ENFORCEMENT_WORKFLOW_ID, fleetTaskQueue, TASK_QUEUE } from '../../src/core/contract.js';
import { connectClient, resolveTemporal, type TemporalClient } from '../../src/adapters/temporal/connection.js';
import { startReady } from '../support/curfew-process.js';
import { temporalBinary, until } from '../support/embedded-server.js';
import { closeHomes, inOwnHome } from '../support/own-home.js';
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
afterAll(closeHomes, 60_000);

/** Task queues of the rounds so far, first to last. */
async function queuesOf({ client }: TemporalClient): Promise<string[]> {
  const { events } = await client.workflow.getHandle(ENFORCEMENT_WORKFLOW_ID).fetchHistory();
  return (events ?? []).flatMap(
    ({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.taskQueue?.name ?? [],
  );
}

/** The process that listens to a queue of its own: its id is in the worker's name. */
const pidOf = (queue: string): number => Number(queue.slice(fleetTaskQueue('').length).split(':').at(-2));

describe('two workers and one fleet', () => {
  it(
    'I8: leaves the fleet with the worker that remembers it, and gives it to the other when that one is killed',
    inOwnHome({ CURFEW_SCAN_INTERVAL: '2s' }, async (own) => {
      const { home, folder, simulator, settings } = own;
      const { world } = simulator;
      world.addAgent({ id: 'agent_quick' });
      world.addSession({ agent: 'agent_test', id: 'sess_innocent', turnAge: '5m' });
      const file = join(folder, 'curfew.yaml');
      writeFileSync(file, POLICIES);
      const processes = [await own.up(file), (await startReady(['worker'], settings)).process];
      const temporal = await connectClient(resolveTemporal({ env: settings, home }));
      const queues = (): Promise<string[]> => queuesOf(temporal);
      try {
        expect((await queues())[0]).toBe(TASK_QUEUE);
        // A round that nobody takes within 5 s, while processes start on a busy machine, goes to any worker.
        let later: string[] = [];
        await until(async () => {
          later = (await queues()).slice(-4);
          return later.length === 4 && new Set(later).size === 1 && later[0] !== TASK_QUEUE;
        });
        const owner = processes.find(({ pid }) => pid === pidOf(later[0] ?? ''));
        const other = processes.find((process) => process !== owner);
        expect(owner).toBeDefined();

        owner?.signal('SIGKILL');
        world.addSession({ agent: 'agent_quick', id: 'sess_runaway' });
        await until(() => world.session('sess_runaway').state === 'failed');
        await until(async () => pidOf((await queues()).at(-1) ?? '') === other?.pid);
        expect(world.truth('sess_innocent').cancels).toEqual([]);

        // One that stops in an orderly way hands over by itself: nobody has to miss it.
        const back = (await startReady(['worker'], settings)).process;
        other?.signal('SIGTERM');
        await until(async () => pidOf((await queues()).at(-1) ?? '') === back.pid);
      } finally {
        await temporal.close();
      }
    }),
    STORY_LIMIT_MS,
  );
});
