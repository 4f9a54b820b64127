import { readFile } from 'node:fs/promises';
import { ExitCode, UserError } from '../core/errors.js';
import { utf8Text } from '../core/text/encoding.js';
import { shell } from '../core/text/shell.js';
import { readPolicyFile, type ReadPolicyFile } from '../core/policy-file/index.js';

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
async function policyText(file: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new UserError(
      `The policy file ${file} can't be read (${code}).`,
      code === 'ENOENT' ? 'Check the path.' : 'Check that it is a file, and that you may read it.',
      ExitCode.usage,
    );
  }
  const read = utf8Text(bytes);
  if ('text' in read) return read.text;
  throw read.encoding === 'utf-16'
    ? new UserError(
        `The policy file ${file} is in UTF-16, but must be in UTF-8. Nothing was changed.`,
        `Save it as UTF-8, for example: ${shell`iconv -f UTF-16 -t UTF-8 ${file}`} > utf-8.yaml`,
        ExitCode.usage,
      )
    : new UserError(
        `The policy file ${file} is not in UTF-8: line ${read.line} holds bytes of another encoding. Nothing was changed.`,
        'Save it as UTF-8: in another encoding, names with accents would match no agent.',
        ExitCode.usage,
      );
}
