import { joined, printableLine, type Printable } from './text/printable.js';

/** Exit codes of the `curfew` command, fixed by contract. */
export const ExitCode = {
  done: 0,
  failed: 1,
  usage: 2,
  refused: 3,
  unreachable: 4,
  someNotEnded: 5,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/**
 * A failure that a person can act on: printed as two lines (what happened, what to do next), never as a stack trace. What is
 * put into either may come from anywhere: it is made printable here.
 *
 * @param message - what happened and what is safe, in one sentence, without secrets; or several lines, where there are
 *   several problems
 * @param next - what to do next; a command to type where there is one
 */
export class UserError extends Error {
  override readonly name = 'UserError';
  declare readonly message: Printable;
  readonly next: Printable;

  constructor(
    message: string | readonly string[],
    next: string,
    readonly exitCode: ExitCode = ExitCode.failed,
  ) {
    const lines = typeof message === 'string' ? [message] : message;
    super(joined(lines.map(printableLine), '\n'));
    this.next = printableLine(next);
  }
}
