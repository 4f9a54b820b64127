import { FILE_BOUNDS } from '../bounds.js';
import type { PolicyFile } from '../policy/policy.js';
import { crossChecks } from './checks.js';
import { error, pathText, type Finding, suggestionText } from './finding.js';
import { findingsOf } from './issues.js';
import { oddSpaces } from './odd-spaces.js';
import { PolicyFileError, type Problem } from './problem.js';
import { kindOf } from './reading.js';
import { fileSchema } from './schema.js';
import { readYaml, type Source } from './source.js';
import { policyFileOf } from './to-policy.js';

export interface ReadPolicyFile {
  readonly file: PolicyFile;
  /** What is allowed, but probably not meant. */
  readonly warnings: readonly Problem[];
}

/**
 * Reads a policy file.
 *
 * @param text - YAML, or JSON, which is YAML too
 * @param fileName - for messages only
 * @param nowMs - for exemptions that are over, ms since the Unix epoch
 * @throws {PolicyFileError} with all problems at once; nothing of a file with a problem is used
 */
export function readPolicyFile(text: string, fileName: string, nowMs = Date.now()): ReadPolicyFile {
  const source = readYaml(text);
  const slips = source.slips.map((slip): Problem => ({ file: fileName, path: '', ...slip }));
  if (source.data === undefined) throw refusal(fileName, text, firstOf(inOrder(slips), slips.length));

  const parsed = fileSchema.safeParse(source.data);
  const findings = isMapping(source.data)
    ? [...findingsOf(parsed.error?.issues ?? [], source.data), ...crossChecks(source.data, nowMs)]
    : [notAMapping(source.data)];
  const shown = (severity: Finding['severity'], more: readonly Problem[]): Shown => {
    const found = findings.filter((finding) => finding.severity === severity);
    // Finding the places and suggestions of all would take too long, and nobody reads them.
    const told = found.slice(0, MOST_SHOWN).map((finding) => problemOf(finding, source, fileName));
    return firstOf(inOrder([...more, ...told]), more.length + found.length);
  };
  const problems = shown('error', slips);
  const warnings = shown('warning', []);
  if (problems.count > 0 || !parsed.success) throw refusal(fileName, text, problems, warnings.list);
  return { file: policyFileOf(parsed.data), warnings: warnings.list };
}

const MOST_SHOWN = FILE_BOUNDS.policyFindings.most;

interface Shown {
  readonly list: readonly Problem[];
  /** Those that are not in the list included. */
  readonly count: number;
}

/** The first problems; the last one says how many more there are. */
function firstOf(problems: readonly Problem[], found: number): Shown {
  const list = problems.slice(0, MOST_SHOWN);
  const last = list.at(-1);
  // Where all were placed, those that are the same in one place count once.
  const count = found <= MOST_SHOWN ? problems.length : found;
  if (last === undefined || count <= list.length) return { list, count };
  const message = `${count - list.length} more are not shown`;
  return { list: [...list, { ...last, path: '', message, suggestion: 'Fix these first.' }], count };
}

/** With odd spaces in its structure a file is misread, and all else that is found in it is beside the point. */
function refusal(
  file: string,
  text: string,
  { list, count }: Shown,
  warnings: readonly Problem[] = [],
): PolicyFileError {
  const spaces = oddSpaces(text);
  if (spaces === null) return new PolicyFileError(file, list, warnings, count);
  return new PolicyFileError(file, [{ file, path: '', ...spaces }]);
}

const isMapping = (data: unknown): data is Record<string, unknown> => kindOf(data) === 'a mapping';

const START_OF_A_FILE = 'Begin with version: 1 and a list of policies; examples/policies has five that work.';

function notAMapping(data: unknown): Finding {
  if (data === null) return error([], 'the file is empty', START_OF_A_FILE);
  return error([], `the file is ${kindOf(data)}, but must be a mapping`, START_OF_A_FILE);
}

const problemOf = (finding: Finding, source: Source, file: string): Problem => ({
  file,
  ...source.placeOf(finding.path, finding.at),
  path: pathText(finding.untold ? finding.path.slice(0, -1) : finding.path),
  message: finding.message,
  suggestion: suggestionText(finding.suggestion),
});

/** By line, and each once: a rule that is used by several aliases is wrong in one place. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const once = new Map(problems.map((problem) => [`${problem.line}:${problem.column}:${problem.message}`, problem]));
  return [...once.values()].sort((a, b) => a.line - b.line || a.column - b.column);
}
