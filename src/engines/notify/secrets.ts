import { readHookUrl } from '../../core/policy-file/values.js';
import { createSecretFile } from '../../platform/secret-file.js';

/** A secret of a route, or why it can't be used: a phrase without secret and path. */
export type RouteSecret = { readonly value: string } | { readonly problem: string };

/** Standard Webhooks: 24 to 64 random bytes. */
const LEAST_BYTES = 24;
const MOST_BYTES = 64;

/** The address of a Slack incoming webhook: who knows it can write into the channel. */
export const readSlackUrl = (path: string): Promise<RouteSecret> =>
  readSecret(path, 'the file of url_file', (text) => {
    const url = readHookUrl(text);
    return 'problem' in url ? `the address in it ${url.problem}` : null;
  });

/** The secret by which a generic webhook is signed. */
export const readSigningSecret = (path: string): Promise<RouteSecret> =>
  readSecret(path, 'the file of secret_file', (text) => {
    const base64 = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text)?.[1];
    if (base64 === undefined || base64.length % 4 !== 0) return 'it does not hold whsec_ and a secret in base64';
    const { length } = Buffer.from(base64, 'base64');
    return length < LEAST_BYTES || length > MOST_BYTES
      ? `its secret has ${length} bytes, not ${LEAST_BYTES} to ${MOST_BYTES}`
      : null;
  });

/** Read afresh each time: messages are rare, and a replaced secret counts from the next one on. */
async function readSecret(
  path: string,
  name: string,
  problemOf: (text: string) => string | null,
): Promise<RouteSecret> {
  const file = createSecretFile(path, problemOf);
  const value = await file.read();
  return value === null ? { problem: `${name} can't be used: ${file.trouble() ?? 'it is empty'}` } : { value };
}
