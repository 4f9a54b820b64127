import { readFileSync, statSync } from 'node:fs';
import { ExitCode, UserError } from '../core/errors.js';

const MAX_BYTES = 64 * 1024;

/**
 * A secret that is needed once, at start: from the variable `name`, or from the file that `name_FILE` names. White space
 * around it is cut off.
 *
 * @returns null when neither is set; empty ones count as not set, as compose files leave them
 * @throws {UserError} (usage) if both are set, or the file holds nothing usable; shows no part of the secret
 */
export function secretSetting(env: Readonly<Record<string, string | undefined>>, name: string): string | null {
  const direct = env[name]?.trim() || null;
  const path = env[`${name}_FILE`]?.trim() || null;
  if (path === null) return direct;
  if (direct !== null) {
    // Guessing would use a stale secret after a rotation.
    throw new UserError(
      `${name} and ${name}_FILE are both set, and only one of them may be.`,
      'Unset one of them.',
      ExitCode.usage,
    );
  }
  const problem = (reason: string): UserError =>
    new UserError(
      `The file of ${name}_FILE (${path}) can't be used: ${reason}.`,
      `Let ${name}_FILE name a readable file that holds the value alone.`,
      ExitCode.usage,
    );
  let text: string;
  try {
    const facts = statSync(path);
    // A pipe would block for ever, and a device need not end.
    if (!facts.isFile()) throw problem('it is not a regular file');
    if (facts.size > MAX_BYTES) throw problem(`it is larger than ${MAX_BYTES} bytes`);
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw problem((error as NodeJS.ErrnoException).code ?? 'unknown error');
  }
  if (text === '') throw problem('it is empty');
  return text;
}
