import { chmodSync, lstatSync, statSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { ExitCode, UserError } from '../core/errors.js';
import { homePaths } from './home.js';
import { modeText, PRIVATE_FILE_MODE } from './private-file.js';
import { shell } from '../core/text/shell.js';

/** What other users of this machine may do with a home: in its words for people. */
export interface HomeTrust {
  /** Others can change what is in it, or lead us elsewhere: it is not used. Null: they can't. */
  readonly refusal: Finding | null;
  /** Others can read in it. Null: they can't. */
  readonly warning: Finding | null;
}

interface Finding {
  readonly says: string;
  readonly next: string;
}

/** Who asks, and who owns what; in tests also someone else. Null: a system without owners and modes. */
export type UserId = number | null;

const WRITE = { group: 0o020, others: 0o002 };
const READ = 0o044;
/** A folder, or its list. */
const ENTER = 0o055;
const STICKY = 0o1000;
const ROOT = 0;

const ownUserId = (): UserId => process.getuid?.() ?? null;

/**
 * Looks who but its user may write or read in a home. Whoever can write there can put another ledger in the place of ours, and
 * with it orders, policies and the pause switch. A home that is not there is nobody's.
 */
export function homeTrust(home: string, user: UserId = ownUserId()): HomeTrust {
  const at = user === null ? null : statusOf(home, statSync);
  if (user === null || at === null) return { refusal: null, warning: null };
  const files = filesOf(home).flatMap((path) => {
    const status = statusOf(path, lstatSync);
    return status === null ? [] : [{ path, status }];
  });
  return {
    refusal:
      writable(home, at, user) ??
      movable(home) ??
      first(files, ({ path, status }) => replaced(path, status)) ??
      // Who can't enter the folder can't reach what is in it.
      ((at.mode & ENTER) === 0 ? null : first(files, ({ path, status }) => writable(path, status, user))),
    warning: readable(home, at, files),
  };
}

/** @throws {UserError} (refused) for a home that others may write to */
export function refuseUntrustedHome(home: string, user?: UserId): void {
  const { refusal } = homeTrust(home, user);
  if (refusal !== null) throw new UserError(`${refusal.says} Nothing was started.`, refusal.next, ExitCode.refused);
}

/** Takes the rights of others away from files of ours in the home. Temporal's server made them readable for all once. */
export function tightenHomeFiles(home: string): void {
  const user = ownUserId();
  if (user === null) return;
  for (const path of filesOf(home)) {
    const status = statusOf(path, lstatSync);
    if (status?.isFile() !== true || status.uid !== user || (status.mode & 0o077) === 0) continue;
    chmodSync(path, PRIVATE_FILE_MODE);
  }
}

/** All that Curfew and its server make in a home. */
function filesOf(home: string): string[] {
  const { ledger, temporalDb, temporalNote, temporalLog, temporalLock } = homePaths(home);
  const withSqlite = [ledger, temporalDb, temporalLock].flatMap((path) => [path, `${path}-wal`, `${path}-shm`]);
  return [...withSqlite, temporalNote, temporalLog, `${temporalLog}.1`];
}

function writable(path: string, { uid, mode }: Stats, user: number): Finding | null {
  // Root can write everywhere anyway.
  if (uid !== user && uid !== ROOT) {
    return {
      says: `${path} belongs to another user (id ${uid}), who can change what Curfew keeps there.`,
      next: `If that user is you: ${shell`chown -R ${String(user)} ${path}`}. Otherwise set CURFEW_HOME to a folder of your own.`,
    };
  }
  if ((mode & (WRITE.group | WRITE.others)) === 0) return null;
  const who = (mode & WRITE.others) === 0 ? 'its group' : 'every user of this machine';
  return {
    says: `${path} can be written by ${who} (mode ${modeText(mode)}): they could put another ledger there, or have Curfew write elsewhere.`,
    next: `Check that nobody has, then ${shell`chmod go-rwx ${path}`}.`,
  };
}

/** Whoever can write to a folder above can put another one in the home's place; where it is sticky, only what is theirs. */
function movable(home: string): Finding | null {
  for (let folder = dirname(home); ; folder = dirname(folder)) {
    const mode = statusOf(folder, statSync)?.mode ?? 0;
    if ((mode & WRITE.others) !== 0 && (mode & STICKY) === 0) {
      return {
        says: `The home folder ${home} is below ${folder}, which every user of this machine can write to (mode ${modeText(mode)}): they could put another home there.`,
        next: `${shell`chmod o-w ${folder}`}, or set CURFEW_HOME to a folder elsewhere.`,
      };
    }
    if (folder === dirname(folder)) return null;
  }
}

function replaced(path: string, status: Stats): Finding | null {
  if (status.isFile()) return null;
  return {
    says: `${path} is ${status.isSymbolicLink() ? 'a symbolic link' : 'not an ordinary file'}; links in the home folder are not followed.`,
    next: 'See where it leads, and remove it. For a ledger elsewhere set CURFEW_DATABASE_URL.',
  };
}

function readable(home: string, { mode }: Stats, files: readonly { path: string; status: Stats }[]): Finding | null {
  if ((mode & ENTER) === 0) return null;
  const open = files.find(({ status }) => status.isFile() && (status.mode & READ) !== 0);
  return {
    says: `${home} can be entered or listed by other users of this machine (mode ${modeText(mode)})${open === undefined ? '' : `, and they can read ${open.path}`}.`,
    next: `${shell`chmod -R go-rwx ${home}`}.`,
  };
}

function first<T>(items: readonly T[], find: (item: T) => Finding | null): Finding | null {
  for (const item of items) {
    const found = find(item);
    if (found !== null) return found;
  }
  return null;
}

function statusOf(path: string, look: (path: string) => Stats): Stats | null {
  try {
    return look(path);
  } catch {
    // Not there, or not for us to see: then whatever needs it says so.
    return null;
  }
}
