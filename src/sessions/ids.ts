const MAX_ID_LENGTH = 200;
/**
 * In UTF-8. A session's case is the workflow `cancel/ID`, and on PostgreSQL a workflow id has 255 bytes at most
 * (`limit.maxIDLength` in deploy/temporal/dynamic-config.yaml).
 */
const MAX_ID_BYTES = 248;

/** {@link isSessionId} for people, after "an id has". */
export const ID_RULE = `1 to ${MAX_ID_LENGTH} characters (at most ${MAX_ID_BYTES} bytes), no slash, no white space, and is not . or ..`;

/**
 * Whether a text can be an id in a request path: 1 to 200 characters, 248 bytes at most, no slash, no white space, no control or
 * invisible characters, and not a dot segment, which URL parsers would resolve into another path. Agent ids follow the same rule.
 */
export function isSessionId(text: string): boolean {
  return (
    text.length >= 1 &&
    text.length <= MAX_ID_LENGTH &&
    Buffer.byteLength(text) <= MAX_ID_BYTES &&
    text !== '.' &&
    text !== '..' &&
    !/[/\s\p{C}]/u.test(text)
  );
}
