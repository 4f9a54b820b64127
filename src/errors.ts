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
 * A failure that a person can act on: printed as two lines (what happened, what to do next), never as a stack trace.
 *
 * @param message - what happened and what is safe, in one sentence, without secrets
 * @param next - what to do next; a command to type where there is one
 */
export class UserError extends Error {
  override readonly name = 'UserError';

  constructor(
    message: string,
    readonly next: string,
    readonly exitCode: ExitCode = ExitCode.failed,
  ) {
    super(message);
  }
}
