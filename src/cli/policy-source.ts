import { readFile } from 'node:fs/promises';
import { ExitCode, UserError } from '../errors.js';
import { readPolicyFile, type ReadPolicyFile } from '../policy-file/index.js';

/** A policy file that has no problems, and its text. */
export interface PolicySource extends ReadPolicyFile {
  readonly text: string;
}

/** @throws UserError with exit code 2: all problems with their lines, or why it can't be read */
export async function readPolicySource(file: string): Promise<PolicySource> {
  const text = await policyText(file);
  return { text, ...readPolicyFile(text, file) };
}

/** @throws UserError with exit code 2 */
export async function policyText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new UserError(
      `The policy file ${file} can't be read (${code}).`,
      code === 'ENOENT' ? 'Check the path.' : 'Check that it is a file, and that you may read it.',
      ExitCode.usage,
    );
  }
}
