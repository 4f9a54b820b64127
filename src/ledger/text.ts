/**
 * Text as both databases can store it. PostgreSQL refuses the character NUL, and SQLite cuts the text off there: so a
 * vendor's message that contains one would leave an answer unwritten, or shortened. U+FFFD takes its place.
 */
export function storableText(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text;
}

/**
 * JSON in which PostgreSQL can look: it refuses half a surrogate pair and an escaped NUL, and a vendor's name that was cut in the
 * middle of a character has one.
 */
export const storableJson = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'string' ? Buffer.from(storableText(part)).toString() : part,
  );
