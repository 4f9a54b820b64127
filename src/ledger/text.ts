/**
 * Text as both databases can store it. PostgreSQL refuses the character NUL, and SQLite cuts the text off there: so a
 * vendor's message that contains one would leave an answer unwritten, or shortened. U+FFFD takes its place.
 */
export function storableText(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text;
}
