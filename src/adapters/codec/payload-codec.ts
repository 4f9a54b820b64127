import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Payload, PayloadCodec } from '@temporalio/common';
import { ExitCode, UserError } from '../../core/errors.js';
import type { KeyFile } from './key-file.js';
import { packPayload, unpackPayload } from './packed-payload.js';

/** Marks an encrypted payload, as in Temporal's own samples. */
const ENCRYPTED = 'binary/encrypted';
/** Metadata that says which key a payload needs. */
const KEY_ID_METADATA = 'encryption-key-id';

const CIPHER = 'aes-256-gcm';
/** The nonce length that GCM is made for. Random ones are safe for 2^32 payloads under one key (NIST SP 800-38D, 8.3). */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Encrypts payloads on their way to Temporal, and decrypts them on their way back. What isn't encrypted is passed on as it
 * is, so payloads from before encryption was switched on stay readable.
 *
 * @param keys - null: nothing is encrypted, and an encrypted payload is refused with words that tell why
 */
export function createPayloadCodec(keys: Pick<KeyFile, 'read'> | null): PayloadCodec {
  return {
    async encode(payloads) {
      if (keys === null || payloads.length === 0) return payloads;
      const { primaryId, keys: known } = await keys.read();
      const key = known.get(primaryId);
      if (key === undefined) throw new Error('a key ring lacks its own first key');
      return payloads.map((payload) => {
        const nonce = randomBytes(NONCE_BYTES);
        const cipher = createCipheriv(CIPHER, key, nonce).setAAD(boundTo(primaryId));
        const hidden = Buffer.concat([cipher.update(packPayload(payload)), cipher.final()]);
        return {
          metadata: { encoding: Buffer.from(ENCRYPTED), [KEY_ID_METADATA]: Buffer.from(primaryId) },
          data: Buffer.concat([nonce, hidden, cipher.getAuthTag()]),
        };
      });
    },

    decode: (payloads) => Promise.all(payloads.map((payload) => decrypted(payload, keys))),
  };
}

async function decrypted(payload: Payload, keys: Pick<KeyFile, 'read'> | null): Promise<Payload> {
  const keyId = keyIdOf(payload);
  if (keyId === null) return payload;
  const named = `"${keyId.replace(/[^\x20-\x7e]/g, '?').slice(0, 64)}"`;
  if (keys === null) {
    throw new UserError(
      `A payload in Temporal is encrypted with the key ${named}, and no keys are configured here.`,
      'Set CURFEW_CODEC_KEYS_FILE as your workers do.',
      ExitCode.usage,
    );
  }
  const key = (await keys.read(keyId)).keys.get(keyId);
  if (key === undefined) {
    throw new UserError(
      `A payload in Temporal is encrypted with the key ${named}, which the file of CURFEW_CODEC_KEYS_FILE does not hold.`,
      'Add that key to the file again; a worker goes on by itself then.',
      ExitCode.usage,
    );
  }
  const data = payload.data ?? new Uint8Array();
  try {
    const end = data.length - TAG_BYTES;
    const decipher = createDecipheriv(CIPHER, key, data.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
      .setAAD(boundTo(keyId))
      .setAuthTag(data.subarray(end));
    return unpackPayload(Buffer.concat([decipher.update(data.subarray(NONCE_BYTES, end)), decipher.final()]));
  } catch {
    throw new UserError(
      `A payload in Temporal can't be decrypted with the key ${named}: it was changed or cut, or encrypted with another key of this id.`,
      'Compare the key files of all workers and machines that give orders. An id must not be used for two keys.',
      ExitCode.usage,
    );
  }
}

/**
 * The key that a payload is encrypted with, which stands in the clear.
 *
 * @returns null: it is not encrypted
 */
export const keyIdOf = ({ metadata }: Payload): string | null =>
  textOf(metadata?.['encoding']) === ENCRYPTED ? textOf(metadata?.[KEY_ID_METADATA]) : null;

/** The metadata that stays readable can't be exchanged unnoticed. */
const boundTo = (keyId: string): Buffer => Buffer.from(JSON.stringify([ENCRYPTED, keyId]));

const textOf = (value: Uint8Array | undefined): string =>
  value === undefined ? '' : Buffer.from(value).toString('utf8');
