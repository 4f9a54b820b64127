import { visible, type Printable, type Untrusted } from './printable.js';

/** A word of a command line that a person will paste into a shell. */
export function shellWord(word: string | Untrusted): Printable {
  const text = visible(word);
  const safe = /^[\w./:@%+][\w./:@%+=,-]*$/.test(text);
  return (safe ? text : `'${text.replaceAll("'", `'\\''`)}'`) as Printable;
}

/** A command to paste, with every part that is put into it as one word: `` shell`curfew cases ${sessionId}` ``. */
export const shell = (command: TemplateStringsArray, ...words: readonly (string | Untrusted)[]): Printable =>
  command
    .map((text, index) => `${text}${index < words.length ? shellWord(words[index] ?? '') : ''}`)
    .join('') as Printable;
