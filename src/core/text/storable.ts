/**
 * Text as both databases can store it, and give back as it was: without the character NUL, which PostgreSQL refuses and at which
 * SQLite cuts a text off, and without halves of surrogate pairs, which no UTF-8 has. U+FFFD takes the place of each.
 *
 * What the vendor sends passes here where it comes in, so that it is compared as it is stored; what the ledger is given passes
 * once more, so that nothing else leaves an answer unwritten.
 */
export function storableText(text: string): string {
  if (isStorable(text)) return text;
  return text.toWellFormed().replaceAll('\0', '\uFFFD');
}

export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

/** JSON in which PostgreSQL can look: it refuses half a surrogate pair and a NUL when they are escaped, too. */
export const storableJson = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) => (typeof part === 'string' ? storableText(part) : part));
