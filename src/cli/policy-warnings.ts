import { problemLines, type Problem } from '../core/policy-file/index.js';
import type { Output } from './output.js';

/** What is allowed in a policy file, but probably not meant: told by every command that reads one, before its result. */
export function sayWarnings(out: Output, warnings: readonly Problem[]): void {
  for (const problem of warnings) {
    for (const line of problemLines({ ...problem, message: `warning: ${problem.message}` })) out.say(line);
  }
}
