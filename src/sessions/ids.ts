const MAX_ID_LENGTH = 200;

/**
 * Whether a text can be an id in a request path: 1 to 200 characters, no slash, no white space, no control or invisible
 * characters, and not a dot segment, which URL parsers would resolve into another path. Agent ids follow the same rule.
 */
export function isSessionId(text: string): boolean {
  return text.length >= 1 && text.length <= MAX_ID_LENGTH && text !== '.' && text !== '..' && !/[/\s\p{C}]/u.test(text);
}
