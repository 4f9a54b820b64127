import { closeSync, constants, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { ExitCode, UserError } from '../core/errors.js';

/** For its user alone. */
export const PRIVATE_FILE_MODE = 0o600;

/** A file's mode as `chmod` writes it: 0644. */
export const modeText = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0');

/** Windows has no such flag, and no links that everybody may make. */
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;

const FLAGS = {
  append: constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT,
  read: constants.O_RDONLY,
  /** There is none yet. */
  create: constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
} as const;

/**
 * Opens a file of the home. A symbolic link in its place is refused: whoever put it there would have us write where it leads.
 *
 * @returns the file's descriptor
 * @throws {UserError} (refused) for a link; otherwise what the system says
 */
export function openPrivateFile(path: string, how: keyof typeof FLAGS): number {
  try {
    return openSync(path, FLAGS[how] | NO_FOLLOW, PRIVATE_FILE_MODE);
  } catch (error) {
    // FreeBSD has its own code for it.
    if (!['ELOOP', 'EMLINK'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    throw new UserError(
      `${path} is a symbolic link, and links in the home folder are not followed. Nothing was written.`,
      'See where it leads, and remove it.',
      ExitCode.refused,
    );
  }
}

/** Puts a text in a file's place, so that a reader sees the old or the new one, readable by its user alone. */
export function replacePrivateFile(path: string, text: string): void {
  const partial = `${path}.${process.pid}.partial`;
  rmSync(partial, { force: true });
  const file = openPrivateFile(partial, 'create');
  try {
    writeSync(file, text);
  } finally {
    closeSync(file);
  }
  renameSync(partial, path);
}
