/** What the vendor, or someone who can name an agent, may put into a message at most, in characters. */
const LONGEST_NAME = 120;
const LONGEST_TEXT = 600;

/**
 * A text of others, in one line: no control, invisible or direction-changing characters, which could make a message look
 * like another one.
 */
export function plain(text: string, most = LONGEST_TEXT): string {
  const line = text
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .replaceAll('`', "'")
    .trim();
  const characters = [...line];
  return characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : line;
}

/** A name, set apart so that no character of it formats the text around it. */
export const quoted = (name: string): string => `\`${plain(name, LONGEST_NAME)}\``;

/** A word of a command line that a person will paste into a shell. */
export const shellWord = (word: string): string =>
  /^[\w./:@%+=-]+$/.test(word) && !word.startsWith('-') ? word : `'${word.replaceAll("'", `'\\''`)}'`;

/** `2026-01-05 12:47:15 UTC` */
export const moment = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
