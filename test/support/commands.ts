import { setTimeout as sleep } from 'node:timers/promises';
import { ExitCode } from '../../src/core/errors.js';
import { runCurfew, type Ended, type Settings } from './curfew-process.js';

/** A person needs a moment to type it again, ms. */
const AGAIN_AFTER_MS = 500;

/**
 * Runs a command with `--json`.
 *
 * @returns what it says
 * @throws {Error} with its messages, unless it ends with 0
 */
export async function tell<T>(args: readonly string[], settings: Settings): Promise<T> {
  return documentOf<T>(args, await runCurfew([...args, '--json'], settings));
}

/** As {@link tell}, in a storm: when Curfew can't be reached nothing was done, and the command is given again. */
export async function insist<T>(args: readonly string[], settings: Settings): Promise<T> {
  for (;;) {
    const ended = await runCurfew([...args, '--json'], settings);
    if (ended.code !== ExitCode.unreachable) return documentOf<T>(args, ended);
    await sleep(AGAIN_AFTER_MS);
  }
}

function documentOf<T>(args: readonly string[], { code, stdout, stderr }: Ended): T {
  if (code !== ExitCode.done) throw new Error(`curfew ${args.join(' ')} ended with ${code}:\n${stderr}`);
  return JSON.parse(stdout) as T;
}
