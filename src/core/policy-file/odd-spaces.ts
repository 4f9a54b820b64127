import type { Slip } from './source.js';

/** Looks like a space, and is none to YAML: no-break spaces, those of typesetters, and one of no width. */
const ODD_SPACE = /[\u00A0\u1680\u2000-\u200B\u202F\u205F\u2060\u3000\uFEFF]/u;
/** Where a space has a meaning in YAML: before a line's first sign, after a dash, after a colon. */
const STRUCTURE = /^\s*(?:-\s+)*(?:[\w-]+:(?=\s))?\s*/u;
const LINES_NAMED = 5;

/**
 * Spaces that only look like some, where YAML needs real ones. A browser or word processor puts them into what is copied from
 * it, and all that the parser then says is beside the point.
 *
 * @returns null when there are none
 */
export function oddSpaces(text: string): Slip | null {
  const found = text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .flatMap((line, index) => {
      if (/^[ \t]*(#|\r?$)/.test(line)) return [];
      const structure = STRUCTURE.exec(line)?.[0] ?? '';
      const column = structure.search(ODD_SPACE);
      return column < 0 ? [] : [{ line: index + 1, column: column + 1, sign: structure.charAt(column) }];
    });
  const [first] = found;
  if (first === undefined) return null;
  const others = found.slice(1, LINES_NAMED).map(({ line }) => String(line));
  const more = found.length - 1 - others.length;
  const also =
    others.length === 0 ? '' : `; also in line ${others.join(', ')}${more > 0 ? ` and ${more} more lines` : ''}`;
  return {
    line: first.line,
    column: first.column,
    message: `${nameOf(first.sign)} stands here where YAML needs an ordinary space${also}`,
    suggestion:
      'Replace them by ordinary spaces: they come from copying out of a web page, a chat or a word processor.',
  };
}

/** "a no-break space (U+00A0)" */
export function nameOf(sign: string): string {
  const code = `U+${(sign.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
  return /[\u00A0\u202F]/.test(sign) ? `a no-break space (${code})` : `an unusual space (${code})`;
}
