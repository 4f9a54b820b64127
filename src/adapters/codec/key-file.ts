import { stat } from 'node:fs/promises';
import { ExitCode, UserError } from '../../core/errors.js';
import { createSecretFile } from '../../platform/secret-file.js';
import { readKeyRing, type KeyRing } from './key-ring.js';
import { modeText } from '../../platform/private-file.js';

/** A file of keys that may be replaced at any time. */
export interface KeyFile {
  /**
   * The keys as they stand in the file; while it is away or broken, the last good ones.
   *
   * @param id - a key that is needed: the file is looked at again when it is not among those known
   * @throws {UserError} (usage) as long as none could be read
   */
  read(id?: string): Promise<KeyRing>;
  /** What is wrong with the file although it can be read; null when nothing is. */
  warning(): Promise<string | null>;
}

/** A busy worker has thousands of payloads a second; the file is not looked at for each, ms. */
const LOOK_EVERY_MS = 1_000;
/** Anything for others, and more than reading for the group. */
const TOO_OPEN = 0o037;

/** @param setting - the environment variable that names the file, for messages */
export function createKeyFile(path: string, setting: string): KeyFile {
  let ring: KeyRing | null = null;
  let lookedAt = -Infinity;
  const file = createSecretFile(path, (text) => {
    const read = readKeyRing(text);
    if ('problem' in read) return read.problem;
    ring = read;
    return null;
  });

  return {
    async read(id) {
      const known = ring !== null && (id === undefined || ring.keys.has(id));
      if (!known || performance.now() - lookedAt >= LOOK_EVERY_MS) {
        // Before the wait: what comes meanwhile need not look as well.
        lookedAt = performance.now();
        await file.read();
      }
      if (ring !== null) return ring;
      throw new UserError(
        `The keys for Temporal's payloads can't be used: ${file.trouble() ?? 'the file is empty'}.`,
        `Let ${setting} name a readable file with lines "id: key", a key being the output of \`openssl rand -base64 32\`.`,
        ExitCode.usage,
      );
    },

    async warning() {
      if (process.platform === 'win32') return null;
      const mode = await stat(path).then(
        (facts) => facts.mode & 0o777,
        () => 0,
      );
      if ((mode & TOO_OPEN) === 0) return null;
      return `The file of ${setting} can be read or changed by others (mode ${modeText(mode)}); 0600 or 0640 is enough.`;
    },
  };
}
