import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { isFileLockHeld, tryFileLock, waitForFileLock } from '../src/platform/file-lock.js';

describe('a file lock', () => {
  let folder: string;
  let path: string;
  let holder: ChildProcess | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'curfew-lock-'));
    path = join(folder, 'a.lock');
  });
  afterEach(() => {
    holder?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  /** Another process that takes the lock and keeps it. */
  async function holdInOtherProcess(): Promise<ChildProcess> {
    const libsql = createRequire(import.meta.url).resolve('libsql');
    const script = `const D = require(${JSON.stringify(libsql)}); const d = new D(${JSON.stringify(path)}, { timeout: 0 });
      d.exec('BEGIN EXCLUSIVE'); console.log('held'); setInterval(() => d.open, 1000);`;
    holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(holder.stdout!, 'data');
    return holder;
  }

  it('has one holder at a time within a process', () => {
    const first = tryFileLock(path);
    expect(first).not.toBeNull();
    expect(tryFileLock(path)).toBeNull();
    first?.release();
    first?.release();
    const second = tryFileLock(path);
    expect(second).not.toBeNull();
    second?.release();
  });

  it('has one holder at a time among processes, and ends with a holder that is killed', async () => {
    const other = await holdInOtherProcess();
    expect(tryFileLock(path)).toBeNull();
    expect(isFileLockHeld(path)).toBe(true);
    other.kill('SIGKILL');
    const waits: number[] = [];
    const lock = await waitForFileLock(path, { pollMs: 20, onWait: (waitedMs) => waits.push(waitedMs) });
    lock.release();
    expect(isFileLockHeld(path)).toBe(false);
  });

  it('can be waited for, with word of it, until one has enough', async () => {
    const lock = tryFileLock(path);
    const enough = new AbortController();
    const waiting = waitForFileLock(path, {
      signal: enough.signal,
      pollMs: 5,
      onWait: () => enough.abort(new Error('enough')),
    });
    await expect(waiting).rejects.toThrow('enough');
    lock?.release();
  });

  it('leaves no file behind when one only asks', () => {
    expect(isFileLockHeld(path)).toBe(false);
    expect(existsSync(path)).toBe(false);
  });
});
