import { ExitCode, UserError } from '../errors.js';
import { shell } from '../text/shell.js';

/** Something about a policy file that its writer should know. Holds no value that may be a secret. */
export interface Problem {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** `policies[0].limits.max_runtime`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  /** What to write instead. */
  readonly suggestion: string | null;
}

/** `curfew.yaml:12:7: max_runtime: …`, as editors and build tools link it; the suggestion in a line below. */
export const problemLines = ({ file, line, column, message, suggestion }: Problem): string[] => [
  `${file}:${line}:${column}: ${message}`,
  ...(suggestion === null ? [] : [`    ${suggestion}`]),
];

/** The file can't be put in force. Carries all problems at once, or the first hundred, sorted by line. */
export class PolicyFileError extends UserError {
  constructor(
    readonly file: string,
    readonly problems: readonly Problem[],
    readonly warnings: readonly Problem[] = [],
    /** Those that are not among `problems` included: of many only the first are. */
    readonly total = problems.length,
  ) {
    const count = total === 1 ? 'a problem' : `${total} problems`;
    super(
      [`${file} has ${count}. No policy was changed.`, ...problems.flatMap(problemLines)],
      `Correct these lines, then see what the file means: ${shell`curfew policy check ${file}`}`,
      ExitCode.usage,
    );
  }
}
