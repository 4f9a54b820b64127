import { postgresAt, type PostgresDatabases } from './postgres.js';
import type { WorkflowBundle } from '@temporalio/worker';

/** @returns what all suites share, made when the first one asks for it; see `shared-server.mjs` */
async function ask<T>(path: string, request: RequestInit = {}): Promise<T> {
  const answer = await fetch(`${process.env['TEST_SHARED_URL']}${path}`, request);
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as T;
}

/** Databases on a PostgreSQL server that other suites use, too: for those that leave it as it is. */
export async function sharedPostgres(): Promise<PostgresDatabases & { stop(): Promise<void> }> {
  const { port, password } = await ask<{ port: number; password: string }>('/postgres');
  const databases = postgresAt(port, password);
  return { ...databases, stop: () => databases.drop() };
}

/** Whether there is a process that runs commands: under jest. */
export const runsCommands = (): boolean => process.env['TEST_SHARED_URL'] !== undefined;

/**
 * Runs the built `curfew` in a process that has it loaded already.
 *
 * @param limitMs - then it is killed
 */
export const runLoaded = <T>(
  command: { readonly args: readonly string[]; readonly settings: object; readonly folder: string },
  limitMs: number,
): Promise<T> =>
  ask<T>('/command', { method: 'POST', body: JSON.stringify(command), signal: AbortSignal.timeout(limitMs) });

let bundle: Promise<WorkflowBundle> | undefined;

/** The workflows as they stand in the source tree, so that no test runs against an old build. */
export const workflowBundle = (): Promise<WorkflowBundle> =>
  (bundle ??=
    process.env['TEST_SHARED_URL'] === undefined
      ? // A script, such as the one that saves histories.
        import('./bundle.js').then(({ bundleWorkflows }) => bundleWorkflows())
      : ask<WorkflowBundle>('/bundle'));
