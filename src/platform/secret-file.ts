import { readFile, stat } from 'node:fs/promises';

const MAX_BYTES = 64 * 1024;

/** File systems keep times in steps of up to 2 s, so two changes within one step look like one. */
const TIME_STEP_MS = 2_000;

/** A secret in a file that someone else may replace at any time. */
export interface SecretFile {
  /** @returns the secret, or null as long as none could be read since the start */
  read(): Promise<string | null>;
  /** Why the file cannot be used at present; null while it can. Holds neither the secret nor the path. */
  trouble(): string | null;
}

/**
 * Reads the file when it is first needed, and again when its modification time, size or inode has changed. While the file
 * is away, empty or unusable, as happens for a moment in many ways of rotating secrets, the last good value stays in use.
 *
 * @param problemOf - says what is wrong with a value, or null; a value with a problem is not taken
 */
export function createSecretFile(path: string, problemOf: (value: string) => string | null): SecretFile {
  let value: string | null = null;
  let fingerprint: string | null = null;
  let trouble: string | null = null;

  async function refresh(): Promise<string | null> {
    const facts = await stat(path, { bigint: true });
    // A pipe would block for ever, and a device need not end.
    if (!facts.isFile()) return 'it is not a regular file';
    if (facts.size > MAX_BYTES) return `it is larger than ${MAX_BYTES} bytes`;
    const seen = [facts.dev, facts.ino, facts.size, facts.mtimeNs, facts.ctimeNs].join(' ');
    if (seen === fingerprint) return null;
    const text = (await readFile(path, 'utf8')).trim();
    const problem = text === '' ? 'it is empty' : problemOf(text);
    if (problem !== null) return problem;
    value = text;
    // From before the read, so that a change in between is seen at the next use. Too young to tell changes apart: read again then.
    fingerprint = Date.now() - Number(facts.ctimeMs) > TIME_STEP_MS ? seen : null;
    return null;
  }

  return {
    async read() {
      try {
        trouble = await refresh();
      } catch (error) {
        trouble = `it cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`;
      }
      return value;
    },
    trouble: () => trouble,
  };
}
