import { constants } from 'node:fs';
import { access, chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { ExitCode, UserError } from '../../core/errors.js';
import { waitForFileLock } from '../../platform/file-lock.js';
import { GO_INSTALL_VERSION, goInstallTemporalCli } from './go-install.js';
import { withoutRepeats, type OnProgress } from './progress.js';
import { childEnvironment, runCommand } from './run-command.js';
import { downloadTemporalCli } from './sdk-download.js';

/** A Temporal CLI that runs here and knows `server start-dev`. */
export interface TemporalCli {
  path: string;
  source: 'TEMPORAL_CLI_PATH' | 'PATH' | 'cache' | 'download' | 'go install';
  /** As the binary says it, for example `1.9.1 (Server 1.32.0, UI 2.54.1)`. */
  version: string;
}

/**
 * Puts a Temporal CLI into an empty folder and returns its path.
 *
 * @throws {Error} with a short reason, which the person reads when nothing else works either
 */
export type FetchCli = (
  directory: string,
  context: { env: NodeJS.ProcessEnv; onProgress: OnProgress; signal?: AbortSignal },
) => Promise<string>;

/** A healthy binary answers `--version` in well under a second; a cold disk or a virus scanner may take longer, ms. */
const ANSWER_WITHIN_MS = 30_000;
const EXECUTABLE = process.platform === 'win32' ? 'temporal.exe' : 'temporal';

/**
 * Finds the Temporal CLI, or gets it: `TEMPORAL_CLI_PATH`, PATH, Curfew's cache, the SDK's download, `go install`.
 *
 * Several processes may ask at once: one fetches, the others wait and take it from the cache.
 *
 * @param options.cacheDir - Curfew's cache folder; the binary is kept under `temporal-cli/<version>/`
 * @param options.onProgress - gets a line on what is being done; every 2 s while something is built
 * @throws {UserError} when nothing works, with what was tried and the ways out; or when `TEMPORAL_CLI_PATH` is wrong
 * @throws the reason of `signal` when it is aborted; half-fetched files are removed
 */
export async function obtainTemporalCli(options: {
  env: NodeJS.ProcessEnv;
  cacheDir: string;
  onProgress?: OnProgress;
  signal?: AbortSignal;
  download?: FetchCli;
  goInstall?: FetchCli;
}): Promise<TemporalCli> {
  const { env, signal, download = downloadTemporalCli, goInstall = goInstallTemporalCli } = options;
  const onProgress = withoutRepeats(options.onProgress ?? (() => {}));
  const named = env['TEMPORAL_CLI_PATH'];
  if (named) return await fromNamedPath(named, env, signal);

  const tried: string[] = [];
  const onPath = await fromPath(env, signal, tried);
  if (onPath) return onPath;

  const cache = join(options.cacheDir, 'temporal-cli');
  const cached = await fromCache(cache, env, signal);
  if (cached) return cached;

  try {
    await mkdir(cache, { recursive: true, mode: 0o700 });
  } catch (error) {
    tried.push(`cache: ${cache} can't be written (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'})`);
    throw nothingWorks(tried);
  }
  const lock = await waitForFileLock(join(cache, 'fetch.lock'), {
    signal,
    onWait: (waitedMs) => {
      const seconds = 2 * Math.floor(waitedMs / 2_000);
      onProgress(`waiting for another curfew that fetches the Temporal CLI: ${seconds} s`);
    },
  });
  try {
    const fetchedMeanwhile = await fromCache(cache, env, signal);
    if (fetchedMeanwhile) return fetchedMeanwhile;
    tried.push(`cache: none in ${cache}`);
    for (const [source, fetchCli] of [
      ['download', download],
      ['go install', goInstall],
    ] as const) {
      const fetched = await fetchIntoCache(
        cache,
        source,
        fetchCli,
        { env, onProgress, ...(signal && { signal }) },
        tried,
      );
      if (fetched) return fetched;
    }
  } finally {
    lock.release();
  }
  throw nothingWorks(tried);
}

async function fromNamedPath(named: string, env: NodeJS.ProcessEnv, signal: AbortSignal | undefined) {
  const path = resolve(named);
  const check = await checkCli(path, env, signal);
  if ('version' in check) return { path, source: 'TEMPORAL_CLI_PATH', version: check.version } as const;
  throw new UserError(
    `TEMPORAL_CLI_PATH is ${path}, which is not a usable Temporal CLI (${check.reason}).`,
    'Correct TEMPORAL_CLI_PATH, or unset it to have Curfew look elsewhere.',
    ExitCode.usage,
  );
}

async function fromPath(env: NodeJS.ProcessEnv, signal: AbortSignal | undefined, tried: string[]) {
  // A relative entry would make the answer depend on where one stands.
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => isAbsolute(folder));
  let found = false;
  for (const path of folders.map((folder) => join(folder, EXECUTABLE))) {
    if (!(await isExecutableFile(path))) continue;
    found = true;
    const check = await checkCli(path, env, signal);
    if ('version' in check) return { path, source: 'PATH', version: check.version } as const;
    tried.push(`PATH: ${path} is not a usable Temporal CLI (${check.reason})`);
  }
  if (!found) tried.push('PATH: no `temporal` found');
  return null;
}

/** The newest usable binary in the cache. A broken one is passed over, and replaced by the next fetch. */
async function fromCache(cache: string, env: NodeJS.ProcessEnv, signal: AbortSignal | undefined) {
  const versions = await readdir(cache).catch(() => []);
  const newestFirst = versions
    .filter((name) => /^\d/.test(name))
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
  for (const version of newestFirst) {
    const path = join(cache, version, EXECUTABLE);
    const check = await checkCli(path, env, signal);
    if ('version' in check) return { path, source: 'cache', version: check.version } as const;
  }
  return null;
}

async function fetchIntoCache(
  cache: string,
  source: 'download' | 'go install',
  fetchCli: FetchCli,
  context: Parameters<FetchCli>[1],
  tried: string[],
): Promise<TemporalCli | null> {
  const { env, signal } = context;
  const partial = await mkdtemp(join(cache, 'partial-'));
  try {
    const fetched = await fetchCli(partial, context);
    await chmod(fetched, 0o755);
    const check = await checkCli(fetched, env, signal);
    if (!('version' in check)) throw new Error(`got a binary that does not work (${check.reason})`);
    // A binary built from source does not know its release.
    const release = source === 'go install' ? GO_INSTALL_VERSION : (/^\d[\w.-]*/.exec(check.version)?.[0] ?? '0');
    const folder = join(cache, release);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, EXECUTABLE);
    // A rename is all or nothing: no process ever sees half a binary in the cache.
    await rename(fetched, path);
    return { path, source, version: check.version };
  } catch (error) {
    signal?.throwIfAborted();
    tried.push(`${source}: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  } finally {
    await removePartials(cache);
  }
}

/** Whoever holds the lock removes what is half-fetched: its own, and that of a process that was killed. */
async function removePartials(cache: string): Promise<void> {
  const partials = (await readdir(cache)).filter((name) => name.startsWith('partial-'));
  await Promise.all(partials.map((name) => rm(join(cache, name), { recursive: true, force: true })));
}

async function checkCli(
  path: string,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<{ version: string } | { reason: string }> {
  const options = { env: childEnvironment(env), signal, timeoutMs: ANSWER_WITHIN_MS };
  const answer = await runCommand(path, ['--version'], options);
  if (answer.code !== 0) return { reason: answer.reason };
  const version = /^temporal version (.+)$/m.exec(answer.stdout)?.[1]?.trim();
  if (version === undefined) return { reason: '`--version` gave something else than a Temporal version' };
  const help = await runCommand(path, ['server', 'start-dev', '--help'], options);
  if (help.code !== 0 || !help.stdout.includes('--db-filename')) {
    return { reason: `version ${version} does not know \`server start-dev\`` };
  }
  return { version };
}

async function isExecutableFile(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

function nothingWorks(tried: readonly string[]): UserError {
  return new UserError(
    `No Temporal server was found, and none could be obtained:\n${tried.map((step) => `  - ${step}`).join('\n')}`,
    [
      'Do one of these:',
      '  - install the Temporal CLI (https://docs.temporal.io/cli) and put it on PATH',
      '  - set TEMPORAL_CLI_PATH to the binary of the Temporal CLI',
      '  - install Go 1.25 or newer and run this again; Curfew then builds it',
      '  - set TEMPORAL_ADDRESS to a Temporal server that runs already',
    ].join('\n'),
    ExitCode.unreachable,
  );
}
