import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cacheDir } from '../../src/platform/home.js';
import { obtainTemporalCli } from '../../src/adapters/temporal/binary.js';
import { isServerOf, readServerNote } from '../../src/adapters/temporal/server-note.js';

let binary: Promise<string> | undefined;

/** The real Temporal CLI, found as `curfew up` finds it. */
export const temporalBinary = (): Promise<string> =>
  (binary ??= obtainTemporalCli({ env: process.env, cacheDir: cacheDir(process.env) }).then(({ path }) => path));

/** A new, empty home folder. */
export function makeHome(): string {
  const home = join(mkdtempSync(join(tmpdir(), 'curfew-test-')), 'home');
  mkdirSync(home, { mode: 0o700 });
  return home;
}

/** Removes a home folder, and ends the server that a failed test may have left in it. */
export function removeHome(home: string): void {
  const pid = readServerNote(home)?.pid;
  if (pid != null && isServerOf(home, pid)) process.kill(pid, 'SIGKILL');
  rmSync(join(home, '..'), { recursive: true, force: true, maxRetries: 3 });
}

/** Far more than anything here takes on a quiet machine, ms. */
const HANG_LIMIT_MS = 150_000;

/** Waits for something that is bound to happen. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  limitMs: number = HANG_LIMIT_MS,
): Promise<void> {
  const began = performance.now();
  while (!(await condition())) {
    if (performance.now() - began > limitMs) throw new Error(`in vain: ${condition.toString()}`);
    await sleep(50);
  }
}
