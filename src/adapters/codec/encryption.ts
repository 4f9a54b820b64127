import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { DataConverter, PayloadCodec } from '@temporalio/common';
import { UserError } from '../../core/errors.js';
import type { Logger } from '../../platform/telemetry.js';
import { createKeyFile } from './key-file.js';
import { createPayloadCodec } from './payload-codec.js';

/** How payloads travel to and from Temporal. */
export interface Encryption {
  /** For clients and workers alike; lets payloads pass where no keys are configured. */
  readonly codec: PayloadCodec;
  /** Whether keys are configured. */
  readonly on: boolean;
  /**
   * Reads the keys, where some are configured.
   *
   * @returns the id of the key that encrypts, and what should be better about the file; null when none are configured
   * @throws {UserError} (usage) if they can't be used
   */
  check(): Promise<{ readonly keyId: string; readonly warning: string | null } | null>;
}

/** Whoever can write to the namespace can make up ids of keys. */
const REMEMBERED = 100;

const SETTING = 'CURFEW_CODEC_KEYS_FILE';

/** @param env - `CURFEW_CODEC_KEYS_FILE` names the file of keys, and switches encryption on */
export function payloadEncryption(env: Readonly<Record<string, string | undefined>>): Encryption {
  const path = env[SETTING]?.trim();
  if (!path) return { codec: createPayloadCodec(null), on: false, check: () => Promise.resolve(null) };
  const keys = createKeyFile(path, SETTING);
  return {
    codec: createPayloadCodec(keys),
    on: true,
    check: async () => ({ keyId: (await keys.read()).primaryId, warning: await keys.warning() }),
  };
}

/** For clients. They make no failures, and read encoded ones anyway. */
export const clientConverter = ({ codec }: Encryption): DataConverter => ({ payloadCodecs: [codec] });

/**
 * For workers: messages and stack traces of failures travel as a payload too, where payloads are encrypted. A payload that
 * can't be read is told in the worker's own log, once for each key: the SDK would tell only Temporal.
 */
export const workerConverter = ({ codec, on }: Encryption, log: Logger): DataConverter => ({
  payloadCodecs: [telling(codec, log)],
  ...(on && { failureConverterPath: failureConverterPath() }),
});

function telling(codec: PayloadCodec, log: Logger): PayloadCodec {
  const told = new Set<string>();
  return {
    encode: (payloads, context) => codec.encode(payloads, context),
    decode: async (payloads, context) => {
      try {
        return await codec.decode(payloads, context);
      } catch (error) {
        if (error instanceof UserError && !told.has(error.message)) {
          if (told.size >= REMEMBERED) told.clear();
          told.add(error.message);
          log.error(`${error.message} What needs it waits. ${error.next}`);
        }
        throw error;
      }
    },
  };
}

/** The SDK loads it by its path, with `require`. */
function failureConverterPath(): string {
  // Seen from dist/src/cli, where all code is built into, or, when the sources themselves run (tests), from here.
  for (const place of [
    '../adapters/codec/failure-converter.cjs',
    '../../../dist/src/adapters/codec/failure-converter.cjs',
  ]) {
    const path = fileURLToPath(new URL(place, import.meta.url));
    if (existsSync(path)) return path;
  }
  throw new UserError(
    'A part of payload encryption is missing: Curfew was installed without being built.',
    'Run `npm run build`.',
  );
}
