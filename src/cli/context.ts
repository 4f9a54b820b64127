import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { loadConfig, type Config, type Environment } from '../platform/config.js';
import { ExitCode, UserError } from '../core/errors.js';
import { homePaths } from '../platform/home.js';
import { PROXY_VARIABLES } from '../platform/http/proxy.js';
import { openLedger, type Ledger } from '../adapters/ledger/ledger.js';
import { ID_RULE, isSessionId } from '../adapters/vendor/index.js';
import { createLogger, type Logger } from '../platform/telemetry.js';
import { belongsTogether, SEARCH_ATTRIBUTES_META } from '../adapters/temporal/belonging.js';
import { createBulkJobs, type BulkJobs } from '../adapters/temporal/bulk-jobs.js';
import { createCases, type Cases } from '../adapters/temporal/cases.js';
import { createWatches, type Watches } from '../adapters/temporal/watches.js';
import { connectClient, resolveTemporal, type TemporalTarget } from '../adapters/temporal/connection.js';
import { createOutput, type Output } from './output.js';
import { requesterOf } from './requester.js';

/** A person waits: a Temporal that does not answer by then is told, ms. */
const COMMAND_PATIENCE_MS = 5_000;

export interface CommandContext {
  readonly config: Config;
  readonly out: Output;
  readonly log: Logger;
  /** Who orders: claimed, not authenticated. */
  readonly by: string;
}

/** @param quiet - commands that answer and go say only what went wrong */
export function contextOf(command: Command, quiet: boolean): CommandContext {
  const { json, as } = command.optsWithGlobals<{ json?: boolean; as?: string }>();
  const config = loadConfig(process.env, process.cwd());
  takeProxies(config.env);
  const out = createOutput(json === true);
  const by = requesterOf({ as, actor: config.env['CURFEW_ACTOR'] });
  const level = quiet && config.env['CURFEW_LOG'] === undefined ? 'error' : config.logLevel;
  const pretty = config.logFormat === null ? process.stderr.isTTY === true : config.logFormat === 'pretty';
  return { config, out, log: createLogger(level, pretty), by };
}

/** Requests look for their proxy in the process's environment; it may come from a `.env` file. */
function takeProxies(env: Environment): void {
  for (const name of PROXY_VARIABLES) if (env[name] !== undefined) process.env[name] ??= env[name];
}

/**
 * Opens the ledger that `curfew up` or a worker made. Commands never make one in the home: it would be nobody's. They refuse
 * tables of an older version: only workers and `curfew migrate` bring them up to date.
 */
export async function openExistingLedger(config: Config): Promise<Ledger> {
  refuseUnusedHome(config);
  return openLedger(config.databaseUrl);
}

/** Opens it for some work, and closes it whatever comes of that. */
export const withLedger = async <T>(config: Config, work: (ledger: Ledger) => Promise<T>): Promise<T> =>
  closing(await openExistingLedger(config), work);

/** The same with Temporal. */
export const withControlPlane = async <T>(config: Config, work: (plane: ControlPlane) => Promise<T>): Promise<T> =>
  closing(await openControlPlane(config), work);

async function closing<R extends { close(): Promise<void> }, T>(
  opened: R,
  work: (opened: R) => Promise<T>,
): Promise<T> {
  try {
    return await work(opened);
  } finally {
    await opened.close();
  }
}

/** @throws UserError with exit code 4 where the ledger would be the home's own, and is not there */
export function refuseUnusedHome(config: Config): void {
  const isDefault = config.databaseUrl === homePaths(config.home).ledger;
  if (isDefault && !existsSync(config.databaseUrl)) {
    throw new UserError(
      `Curfew has not run here yet: there is no ledger in ${config.home}. Nothing was done.`,
      'Start `curfew up` in another terminal, or set CURFEW_HOME or CURFEW_DATABASE_URL as your worker does.',
      ExitCode.unreachable,
    );
  }
}

export interface ControlPlane {
  readonly target: TemporalTarget;
  readonly ledger: Ledger;
  readonly cases: Cases;
  readonly watches: Watches;
  readonly bulkJobs: BulkJobs;
  close(): Promise<void>;
}

/** Ledger and Temporal, for commands that give orders. Fails before anything is written when either is away. */
async function openControlPlane(config: Config): Promise<ControlPlane> {
  const target = resolveTemporal(config);
  const temporal = await connectClient(target, { retryForMs: COMMAND_PATIENCE_MS });
  try {
    const ledger = await openExistingLedger(config);
    try {
      await belongsTogether(ledger, target, temporal, false);
      const searchAttributes = (await ledger.meta.read(SEARCH_ATTRIBUTES_META)) === 'present';
      return {
        target,
        ledger,
        cases: createCases(temporal.client, searchAttributes),
        watches: createWatches(temporal.client, searchAttributes),
        bulkJobs: createBulkJobs(temporal.client),
        close: async () => {
          await ledger.close();
          await temporal.close();
        },
      };
    } catch (error) {
      await ledger.close();
      throw error;
    }
  } catch (error) {
    await temporal.close();
    throw error;
  }
}

/** @throws UserError with exit code 2 that names the ids that can't be any */
export function checkedSessionIds(ids: readonly string[]): string[] {
  const wrong = ids.filter((id) => !isSessionId(id));
  if (wrong.length > 0) {
    throw new UserError(
      `${wrong.length === 1 ? 'Not a valid session id' : 'Not valid session ids'}: ${wrong.map((id) => JSON.stringify(id.slice(0, 80))).join(', ')}. Nothing was ordered.`,
      `An id has ${ID_RULE}: sess_xYz789AbCd, for example. You find it in the address of the session, and in \`curfew cases\`.`,
      ExitCode.usage,
    );
  }
  return [...new Set(ids)];
}

/** @throws UserError with exit code 2 when it can't be one */
export function checkedSessionId(id: string): string {
  checkedSessionIds([id]);
  return id;
}
