import { constants, existsSync } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { ExitCode, UserError } from './errors.js';

type Environment = NodeJS.ProcessEnv;

/**
 * The folder where Curfew keeps what must survive: ledger, Temporal's file, notes.
 *
 * `CURFEW_HOME` wins; otherwise the per-user state folder of the platform. Where one happens to stand never matters, so
 * that `curfew cancel` finds what `curfew up` started from another folder.
 *
 * @returns an absolute path; nothing is created
 * @throws {UserError} (usage) when `CURFEW_HOME` is relative
 */
export function resolveHome(env: Environment, platform: NodeJS.Platform = process.platform): string {
  const chosen = env['CURFEW_HOME'];
  if (!chosen) return userFolders(env, platform).state;
  if (!isAbsolute(chosen)) {
    throw new UserError(
      `CURFEW_HOME is the relative path "${chosen}": every command would have a home of its own.`,
      'Set CURFEW_HOME to an absolute path, or unset it.',
      ExitCode.usage,
    );
  }
  return chosen;
}

/** The folder for what can be fetched or built again, such as the Temporal binary. Absolute; nothing is created. */
export function cacheDir(env: Environment, platform: NodeJS.Platform = process.platform): string {
  return userFolders(env, platform).cache;
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
 */
function userFolders(env: Environment, platform: NodeJS.Platform): { state: string; cache: string } {
  const user = (platform === 'win32' ? env['USERPROFILE'] : env['HOME']) || homedir();
  if (platform === 'darwin') {
    const library = join(user, 'Library');
    return { state: join(library, 'Application Support', 'curfew'), cache: join(library, 'Caches', 'curfew') };
  }
  if (platform === 'win32') {
    const local = join(env['LOCALAPPDATA'] || join(user, 'AppData', 'Local'), 'curfew');
    return { state: local, cache: join(local, 'Cache') };
  }
  const folder = (name: string, fallback: string) => {
    const value = env[name];
    return join(value && isAbsolute(value) ? value : fallback, 'curfew');
  };
  return {
    state: folder('XDG_STATE_HOME', join(user, '.local', 'state')),
    cache: folder('XDG_CACHE_HOME', join(user, '.cache')),
  };
}
