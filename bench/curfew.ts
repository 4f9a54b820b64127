import { openSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDir, homePaths } from '../src/platform/home.js';
import { obtainTemporalCli } from '../src/adapters/temporal/binary.js';
import { readServerNote } from '../src/adapters/temporal/server-note.js';
import { start, useOf } from './processes.js';
import type { Contestant, FleetAddress } from './watched-run.js';

/** This checkout. */
export const HERE = fileURLToPath(new URL('..', import.meta.url));

/** The program in a checkout that was built. */
export const mainIn = (checkout: string): string => join(checkout, 'dist/src/cli/main.js');

export interface CurfewOptions {
  readonly requestsPerSecond: number;
  /** The program to run; left out: this build's. */
  readonly main?: string;
  /** Folder for a CPU profile of the worker; null or left out: none. */
  readonly profile?: string | null;
  /** Further settings, and others in the place of the usual ones. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface CurfewContestant extends Contestant {
  readonly temporalAddress: string;
  /** Where it serves metrics; null: nowhere. */
  readonly http: string | null;
  readonly home: string;
  readonly ledger: string;
  /** Its standard error. */
  readonly logFile: string;
}

/** The real thing: `curfew up` with a home of its own. Its Temporal server is another process, and is not counted. */
export async function enterCurfew(
  fleet: Pick<FleetAddress, 'url' | 'apiKey' | 'userId'>,
  policyFile: string | null,
  folder: string,
  { requestsPerSecond, main = mainIn(HERE), profile = null, settings = {} }: CurfewOptions,
): Promise<CurfewContestant> {
  const home = join(folder, 'home');
  const logFile = join(folder, 'curfew.log');
  const policies = join(folder, 'policies.yaml');
  if (policyFile !== null) await writeFile(policies, policyFile);
  const profiling = profile === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const { path: binary } = await obtainTemporalCli({ env: process.env, cacheDir: cacheDir(process.env) });
  const command = [main, 'up', ...(policyFile === null ? [] : [policies]), '--json'];
  const curfew = await start<{ temporal: { address: string }; http: string | null }>([...profiling, ...command], {
    cwd: folder,
    stderr: openSync(logFile, 'w'),
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: folder,
      CURFEW_HOME: home,
      CURFEW_LOG: 'warn',
      CURFEW_REQUESTS_PER_SECOND: String(requestsPerSecond),
      TEMPORAL_CLI_PATH: binary,
      GUMLOOP_BASE_URL: fleet.url,
      GUMLOOP_API_KEY: fleet.apiKey,
      GUMLOOP_USER_ID: fleet.userId,
      ...settings,
    },
  });
  const { ledger } = homePaths(home);
  const serverPid = readServerNote(home)?.pid ?? null;
  return {
    pid: curfew.pid,
    serverPid,
    stop: async () => {
      await curfew.stop();
      // A worker that had to be killed leaves its server to the next one.
      if (serverPid !== null && useOf(serverPid)?.program === 'temporal') process.kill(serverPid);
    },
    stored: () => sizeOf(ledger) + sizeOf(`${ledger}-wal`),
    temporalAddress: curfew.announced.temporal.address,
    http: curfew.announced.http,
    home,
    ledger,
    logFile,
  };
}

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
