import { createSecretKey, type KeyObject } from 'node:crypto';
import { isMap, isScalar, parseDocument } from 'yaml';

/** The keys that payloads are encrypted with. */
export interface KeyRing {
  /** Id of the key that encrypts; every key decrypts. */
  readonly primaryId: string;
  readonly keys: ReadonlyMap<string, KeyObject>;
}

const KEY_BYTES = 32;
/** Travels in the clear with each payload, and stands in messages. */
const KEY_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * Reads a file of keys: YAML (or JSON), one line `id: base64 of 32 bytes` for each key. The first one encrypts.
 *
 * @returns what is wrong instead, as a phrase that holds no part of a key
 */
export function readKeyRing(text: string): KeyRing | { readonly problem: string } {
  // All values as the text that stands there, without YAML's guesses at numbers and the like. The library's own messages
  // may quote the text, and with it a key.
  const document = parseDocument(text, { schema: 'failsafe', prettyErrors: false, uniqueKeys: false });
  const broken = document.errors[0] ?? document.warnings[0];
  if (broken !== undefined) return { problem: `line ${lineAt(text, broken.pos[0])} is not "id: key"` };
  const { contents } = document;
  if (!isMap(contents) || contents.items.length === 0) return { problem: 'it holds no lines "id: key"' };

  const keys = new Map<string, KeyObject>();
  for (const [index, { key, value }] of contents.items.entries()) {
    const id: unknown = isScalar(key) ? key.value : null;
    const which = `entry ${index + 1}`;
    if (typeof id !== 'string' || !KEY_ID.test(id)) {
      // Not shown: whoever has swapped id and key would find the key here.
      return { problem: `the id of ${which} is not 1 to 64 letters, digits, dots, dashes or underscores` };
    }
    if (keys.has(id)) return { problem: `the id of ${which} is there twice` };
    const encoded: unknown = isScalar(value) ? value.value : null;
    const bytes = typeof encoded === 'string' ? bytesOf(encoded) : null;
    if (bytes?.length !== KEY_BYTES) return { problem: `the key of ${which} is not ${KEY_BYTES} bytes in base64` };
    keys.set(id, createSecretKey(bytes));
  }
  const primaryId = keys.keys().next().value;
  return primaryId === undefined ? { problem: 'it holds no lines "id: key"' } : { primaryId, keys };
}

/** Node passes over what is no base64; a key that lost a character must not pass. */
function bytesOf(encoded: string): Buffer | null {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return null;
  const bytes = Buffer.from(encoded, 'base64');
  return bytes.toString('base64') === encoded ? bytes : null;
}

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split('\n').length;
