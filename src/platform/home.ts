import { constants, existsSync } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { ExitCode, UserError } from '../core/errors.js';
import { systemUser } from './user.js';

type Environment = NodeJS.ProcessEnv;

/** What is known besides the environment. */
interface Machine {
  readonly platform?: NodeJS.Platform;
  /** The user's own folder by the system's list of users; null: it has none there. */
  readonly ofUser?: () => string | null;
}

/**
 * The folder where Curfew keeps what must survive: ledger, Temporal's file, notes.
 *
 * `CURFEW_HOME` wins; otherwise the per-user state folder of the platform. Where one happens to stand never matters, so
 * that `curfew cancel` finds what `curfew up` started from another folder.
 *
 * @returns an absolute path; nothing is created
 * @throws {UserError} (usage) when `CURFEW_HOME` is relative, or missing for a user without a home folder
 */
export function resolveHome(env: Environment, machine: Machine = {}): string {
  const chosen = env['CURFEW_HOME'];
  if (!chosen) return userFolder('state', env, machine) ?? askForHome();
  if (!isAbsolute(chosen)) {
    throw new UserError(
      `CURFEW_HOME is the relative path "${chosen}": every command would have a home of its own.`,
      'Set CURFEW_HOME to an absolute path, or unset it.',
      ExitCode.usage,
    );
  }
  return chosen;
}

/**
 * The folder for what can be fetched or built again, such as the Temporal binary: where the platform keeps caches, or in
 * Curfew's home for a user without a home folder. Absolute; nothing is created.
 *
 * @throws {UserError} (usage) as `resolveHome`, for a user without a home folder
 */
export function cacheDir(env: Environment, machine: Machine = {}): string {
  return userFolder('cache', env, machine) ?? join(resolveHome(env, machine), 'cache');
}

/**
 * Makes the home folder, private to its user, and checks that it can be written.
 *
 * @throws {UserError} (not reachable) when it can't be made or written
 */
export async function prepareHome(path: string): Promise<void> {
  try {
    await makeFolder(path);
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new UserError(
      `The home folder ${path} can't be written (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}); nothing was changed.`,
      'Set CURFEW_HOME to a folder that you can write.',
      ExitCode.unreachable,
    );
  }
}

/** Folder by folder: Node's own `recursive` never comes back below places that take no folders, such as /proc. */
async function makeFolder(path: string): Promise<void> {
  if (existsSync(path)) return;
  await makeFolder(dirname(path));
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    // Another process was quicker.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Where each thing lies in a home folder. */
export function homePaths(home: string) {
  return {
    ledger: join(home, 'ledger.db'),
    temporalDb: join(home, 'temporal.db'),
    /** Address and process of the embedded server; see `temporal/server-note.ts`. */
    temporalNote: join(home, 'temporal.json'),
    temporalLog: join(home, 'temporal.log'),
    /** Held by the process that owns the embedded server, for as long as it lives. */
    temporalLock: join(home, 'temporal.lock'),
  } as const;
}

/**
 * Curfew's folders by the conventions of the platform. Written out here because the usual library reads the environment
 * once, at import, and knows no state folder. Linux: XDG Base Directory Specification, which has relative values ignored.
 *
 * @returns null when they would be below the user's own folder, and there is none
 */
function userFolder(
  kind: 'state' | 'cache',
  env: Environment,
  { platform = process.platform, ofUser = homeOfUser }: Machine,
): string | null {
  const absolute = (name: string): string | null => {
    const value = env[name];
    return value && isAbsolute(value) ? value : null;
  };
  const below = (user: string | null, ...names: string[]): string | null => user && join(user, ...names);
  const user = (): string | null => absolute(platform === 'win32' ? 'USERPROFILE' : 'HOME') ?? ofUser();
  const isState = kind === 'state';
  if (platform === 'darwin') return below(user(), 'Library', isState ? 'Application Support' : 'Caches', 'curfew');
  if (platform === 'win32') {
    const local = absolute('LOCALAPPDATA') ?? below(user(), 'AppData', 'Local');
    return below(local, 'curfew', ...(isState ? [] : ['Cache']));
  }
  const base = absolute(isState ? 'XDG_STATE_HOME' : 'XDG_CACHE_HOME');
  return below(base ?? below(user(), ...(isState ? ['.local', 'state'] : ['.cache'])), 'curfew');
}

function homeOfUser(): string | null {
  const home = systemUser()?.home;
  return home !== undefined && isAbsolute(home) ? home : null;
}

function askForHome(): never {
  throw new UserError(
    'There is no folder for what Curfew keeps: HOME is not set, and this user has no home folder. Nothing was done.',
    'Set HOME or CURFEW_HOME to the absolute path of a folder that you can write.',
    ExitCode.usage,
  );
}
