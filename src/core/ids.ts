import { PATH_ID_CHARACTERS, VENDOR_BOUNDS } from './bounds.js';

/**
 * A session's case is the workflow `cancel/ID`, and on PostgreSQL a workflow id has 255 bytes at most (`limit.maxIDLength` in
 * deploy/temporal/dynamic-config.yaml).
 */
const MAX_ID_BYTES = VENDOR_BOUNDS.pathId.most;

/** Nearly all ids are of this form, and it is told in a fraction of the time. */
const PLAIN_ID = /^\w[\w:-]{0,199}$/;

/** {@link isSessionId} for people, after "an id has". */
export const ID_RULE = `1 to ${PATH_ID_CHARACTERS} characters (at most ${MAX_ID_BYTES} bytes), no slash, no white space, and is not . or ..`;

/**
 * Whether a text can be an id in a request path: 1 to 200 characters, 248 bytes at most, no slash, no white space, no control or
 * invisible characters, and not a dot segment, which URL parsers would resolve into another path. Agent ids follow the same rule.
 */
export function isSessionId(text: string): boolean {
  if (PLAIN_ID.test(text)) return true;
  return (
    text.length >= 1 &&
    text.length <= PATH_ID_CHARACTERS &&
    Buffer.byteLength(text) <= MAX_ID_BYTES &&
    text !== '.' &&
    text !== '..' &&
    !/[/\s\p{C}]/u.test(text)
  );
}
