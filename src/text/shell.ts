import { visible } from './printable.js';

/** A word of a command line that a person will paste into a shell. */
export function shellWord(word: string): string {
  const text = visible(word);
  return /^[\w./:@%+][\w./:@%+=,-]*$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A command to paste, with every part that is put into it as one word: `` shell`curfew cases ${sessionId}` ``. */
export const shell = (command: TemplateStringsArray, ...words: readonly string[]): string =>
  command.map((text, index) => `${text}${index < words.length ? shellWord(words[index] ?? '') : ''}`).join('');
