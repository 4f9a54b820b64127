import type { PolicyFile } from '../policy/policy.js';
import { crossChecks } from './checks.js';
import { error, pathText, type Finding } from './finding.js';
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
  if (source.data === undefined) throw refusal(fileName, text, inOrder(slips));

  const parsed = fileSchema.safeParse(source.data);
  const findings = isMapping(source.data)
    ? [...findingsOf(parsed.error?.issues ?? [], source.data), ...crossChecks(source.data, nowMs)]
    : [notAMapping(source.data)];
  const problemsOf = (severity: Finding['severity']): Problem[] =>
    findings.filter((finding) => finding.severity === severity).map((finding) => problemOf(finding, source, fileName));
  const problems = inOrder([...slips, ...problemsOf('error')]);
  const warnings = inOrder(problemsOf('warning'));
  if (problems.length > 0 || !parsed.success) throw refusal(fileName, text, problems, warnings);
  return { file: policyFileOf(parsed.data), warnings };
}

/** With odd spaces in its structure a file is misread, and all else that is found in it is beside the point. */
function refusal(
  file: string,
  text: string,
  problems: readonly Problem[],
  warnings: readonly Problem[] = [],
): PolicyFileError {
  const spaces = oddSpaces(text);
  if (spaces === null) return new PolicyFileError(file, problems, warnings);
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
  suggestion: finding.suggestion,
});

/** By line, and each once: a rule that is used by several aliases is wrong in one place. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const once = new Map(problems.map((problem) => [`${problem.line}:${problem.column}:${problem.message}`, problem]));
  return [...once.values()].sort((a, b) => a.line - b.line || a.column - b.column);
}
