import { closeSync, existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'libsql';
import { openPrivateFile } from './private-file.js';

/** A lock that is held. */
export interface FileLock {
  /** Gives the lock back. Twice is fine. */
  release(): void;
}

/**
 * Takes the lock on a file, if nobody else has it.
 *
 * It is SQLite's exclusive lock on an empty database: a lock of the operating system, which ends with the process that
 * holds it, however that ends. So there are no stale locks to judge by age or process id.
 *
 * @param path - the lock's own file, in an existing folder; it is created and stays
 * @returns null when another holder, in this or another process, has it
 */
export function tryFileLock(path: string): FileLock | null {
  // SQLite would make it readable for all, and follow a link.
  closeSync(openPrivateFile(path, 'append'));
  const database = new Database(path, { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (isBusy(error)) return null;
    throw error;
  }
  return {
    release() {
      if (database.open) database.close();
    },
  };
}

/** Whether somebody holds the lock now. Never creates its file. */
export function isFileLockHeld(path: string): boolean {
  if (!existsSync(path)) return false;
  const lock = tryFileLock(path);
  lock?.release();
  return lock === null;
}

/**
 * Waits for the lock.
 *
 * @param onWait - called before each further try, with the ms waited so far
 * @throws the reason of `signal` when it is aborted first
 */
export async function waitForFileLock(
  path: string,
  options: { signal?: AbortSignal | undefined; pollMs?: number; onWait?: (waitedMs: number) => void } = {},
): Promise<FileLock> {
  const { signal, pollMs = 250, onWait } = options;
  const began = performance.now();
  for (;;) {
    signal?.throwIfAborted();
    const lock = tryFileLock(path);
    if (lock) return lock;
    onWait?.(performance.now() - began);
    await sleep(pollMs);
  }
}

function isBusy(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'SQLITE_BUSY';
}
