import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { caseWorkflowId, SESSION_WATCH, TASK_QUEUE, watchWorkflowId } from '../../src/core/contract.js';
import type { Simulator } from '../../simulator/index.js';
import { runCurfew, type Ended, type Settings } from '../support/curfew-process.js';
import { until } from '../support/embedded-server.js';
import type { Receiver } from '../support/receiver.js';

/** Texts that the vendor or a person gives, to be looked for afterwards. */
export interface Planted {
  /** In names of sessions, and in the messages of their users. */
  readonly message: string;
  readonly agentName: string;
  readonly creator: string;
  /** What people give as `--reason`. */
  readonly reason: string;
}

/** The sessions of the story. */
export const SESSIONS = ['sess_hand', 'sess_watch', 'sess_policy', 'sess_bulk_1', 'sess_bulk_2', 'sess_stale'] as const;

/** Agents and sessions for every way in which Curfew ends one. */
export function setTheScene({ world }: Simulator, { message, agentName, creator }: Planted): void {
  for (const id of ['agent_hand', 'agent_night', 'agent_bulk', 'agent_queue'])
    world.addAgent({ id, name: `${agentName} ${id}` });
  const common = { name: message, creatorUserId: creator, queuedMessages: [message], earlierTurns: 1 };
  world.addSession({
    ...{ ...common, agent: 'agent_hand', id: 'sess_hand', turnAge: '1h' },
    faults: [{ fault: 'failed-to-abort', times: 2 }],
  });
  world.addSession({ ...common, agent: 'agent_hand', id: 'sess_watch' });
  // What ends at the first request is in nobody's case.
  world.addSession({
    ...{ ...common, agent: 'agent_night', id: 'sess_policy', turnAge: '2h' },
    faults: [{ fault: 'failed-to-abort', times: 1 }],
  });
  for (const id of ['sess_bulk_1', 'sess_bulk_2'])
    world.addSession({ ...common, agent: 'agent_bulk', id, turnAge: '1h' });
  world.addSession({
    ...{ ...common, queuedMessages: 0, agent: 'agent_queue', id: 'sess_stale', state: 'queued' },
    ...{ turnAge: '7h', queuedFor: '7h' },
  });
}

/** @returns the path of a policy file that ends `sess_policy`, tells the receiver, and cleans up on demand */
export function writePolicyFile(folder: string, receiver: Receiver, hookSecret: string): string {
  const secretFile = join(folder, 'hook-secret');
  writeFileSync(secretFile, hookSecret, { mode: 0o600 });
  const path = join(folder, 'curfew.yaml');
  writeFileSync(
    path,
    `version: 1
policies:
  - name: no-all-nighters
    match: { agents: ["agent_night"] }
    limits: { max_runtime: 45m }
    mode: enforce
    notify: [audit]
cleanup:
  - name: stale-queue
    select: { match: { agents: ["agent_queue"] }, states: [queued], queued_for: 6h }
    schedule: { cron: "0 3 1 1 *", timezone: Europe/Berlin }
notify:
  audit: { webhook: { url: "${receiver.url}/hook", secret_file: ${secretFile} } }
`,
  );
  return path;
}

/**
 * Gives every kind of order, side by side, to a worker that runs with the policy file, and waits until all is over.
 *
 * @returns what was said
 */
export async function tellWholeStory(
  simulator: Simulator,
  receiver: Receiver,
  settings: Settings,
  address: string,
  { reason }: Planted,
): Promise<Map<string, Ended>> {
  const said = new Map<string, Ended>();
  const curfew = async (...args: string[]): Promise<Ended> => {
    const ended = await runCurfew(args, settings);
    said.set(args.slice(0, 2).join(' '), ended);
    if (ended.code !== 0) throw new Error(`curfew ${args.join(' ')} ended with ${ended.code}:\n${ended.stderr}`);
    return ended;
  };
  const bulk = async (): Promise<void> => {
    const plan = await curfew('bulk', 'plan', '--agent', 'agent_bulk', '--reason', reason, '--json');
    const { planId } = JSON.parse(plan.stdout) as { planId: string };
    await curfew('bulk', 'apply', planId, '--yes', '--wait', '--canary', '0');
  };
  // All of it waits most of the time, and none of it knows of the rest.
  await Promise.all([
    curfew('cancel', 'sess_hand', '--wait', '--reason', reason),
    curfew('watch', 'sess_watch', '--max-runtime', '2s', '--reason', reason, '--wait'),
    bulk(),
    curfew('cleanup', 'run', 'stale-queue', '--yes'),
    refusedWatch(address),
  ]);
  const ended = (id: string): boolean => simulator.world.truth().cancels.some(({ sessionId }) => sessionId === id);
  await until(() => SESSIONS.every(ended));
  await until(() => receiver.received.length > 0);
  await caseClosed(address, 'sess_hand');
  return said;
}

/** A request of someone's code that can't be carried out: a failure that passes through the workflow. */
const refusedWatch = (address: string): Promise<void> =>
  withClient(address, async ({ workflow }) => {
    const handle = await workflow.start(SESSION_WATCH, {
      workflowId: watchWorkflowId('sess_refused'),
      taskQueue: TASK_QUEUE,
      args: [{ sessionId: 'sess_refused', limits: { maxRuntime: 'a while' } }],
    });
    await handle.result().catch(() => {});
  });

/** It closes some seconds after the end, when it has seen the queued message begin the next turn. Its result may be encrypted. */
const caseClosed = (address: string, sessionId: string): Promise<void> =>
  withClient(address, async ({ workflow }) => {
    await workflow
      .getHandle(caseWorkflowId(sessionId))
      .result()
      .catch(() => {});
  });

async function withClient(address: string, use: (client: Client) => Promise<void>): Promise<void> {
  const connection = await Connection.connect({ address });
  try {
    await use(new Client({ connection }));
  } finally {
    await connection.close();
  }
}
