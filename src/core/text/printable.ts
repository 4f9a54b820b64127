/**
 * Text from outside (names of agents, reasons, answers of the vendor, file names) as it can be shown to people. Someone else
 * chose it: with a line end, a terminal's control sequence or a sign that turns the reading direction, it could look like
 * output of ours.
 */

declare const isPrintable: unique symbol;
/**
 * Text that people may see as it is. Only the functions of this file make it, so what is shown without having passed one of them
 * is an error of types.
 */
export type Printable = string & { readonly [isPrintable]: true };

declare const isOutside: unique symbol;
/** A text of others that nobody has looked at: a string, but not one that can be put into words by mistake. */
export type Untrusted = { readonly [isOutside]: true };

/** Marks a text as one of others, where it comes in. */
export const untrusted = (text: string): Untrusted => text as unknown as Untrusted;

/** Names of agents and the like, in characters. */
export const LONGEST_NAME = 120;
/** Reasons and messages. */
const LONGEST_TEXT = 600;
/** A whole line that quotes others. */
const LONGEST_LINE = 4_000;

/** All that ends a line or takes room without a mark. NEL, which JavaScript's `\s` leaves out, ends a line too. */
const WHITE_SPACE = /[\s\p{Zl}\p{Zp}\u0085]+/gu;
/** Control and format characters, halves of surrogate pairs, what no standard names, and what is drawn as nothing. */
const INVISIBLE = /[\p{C}\p{Default_Ignorable_Code_Point}]/gu;
/** The same and what ends a line, in a text whose blanks stay. */
const UNSEEN_IN_SOURCE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
/** In JSON, which says what it has: only what steers a terminal, or the reading direction. */
const UNPRINTABLE_IN_JSON = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Without what can't be seen, and in one line. For whoever compares it first, with a secret say; else {@link printable}. */
export const visible = (text: string | Untrusted): string =>
  (text as string).replace(WHITE_SPACE, ' ').replace(INVISIBLE, '').trim();

/**
 * The one way for outside text into words: one line, no control, format or direction characters, at most `most` characters.
 * JSON has the text itself: {@link printableJson}.
 */
export const printable = (text: string | Untrusted, most = LONGEST_TEXT): Printable =>
  shortened(visible(text), most) as Printable;

/**
 * Words of ours around printable ones: `` words`Session ${printable(id)} has run` ``. Takes numbers, printable texts, and texts
 * that stand in the source; any other string is an error of types.
 */
export const words = <const Parts extends readonly (string | number)[]>(
  ours: TemplateStringsArray,
  ...parts: { [Index in keyof Parts]: string extends Parts[Index] ? never : Parts[Index] }
): Printable => ours.map((text, index) => `${text}${parts[index] ?? ''}`).join('') as Printable;

/** The same with signs of ours for others. */
export const replaced = (text: Printable, signs: readonly (readonly [from: string, to: string])[]): Printable =>
  signs.reduce<string>((left, [from, to]) => left.replaceAll(from, to), text) as Printable;

/** The first units of a text, without what was torn at their end. */
export const begun = (text: Printable, units: number, torn: RegExp): Printable =>
  text.slice(0, units).replace(torn, '') as Printable;

/** Printable words, one after the other. */
export const joined = (parts: readonly Printable[], between: '' | ' ' | ', ' | '\n' = ' '): Printable =>
  parts.join(between) as Printable;

/** A line of ours that quotes others: spaces at its beginning stay. What is over `LONGEST_LINE` is cut. */
export const printableLine = (line: string): Printable =>
  `${/^ */.exec(line)?.[0] ?? ''}${printable(line, LONGEST_LINE)}` as Printable;

/** Cuts by characters, so that none is cut in two. */
export function shortened(text: string, most: number): string {
  // Characters are one unit long or two: most texts need not be taken apart, and no text as a whole.
  if (text.length <= most) return text;
  const characters = [...text.slice(0, 2 * most + 1)];
  return characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : text;
}

/**
 * Data with every text in it made {@link printable}: what words for people are made of. Instances of classes are left as they
 * are.
 */
export function printableData<T>(data: T): T;
export function printableData(data: unknown): unknown {
  if (typeof data === 'string') return printable(data);
  if (Array.isArray(data)) return (data as readonly unknown[]).map((item) => printableData(item));
  if (data instanceof Map) {
    return new Map(
      [...(data as Map<unknown, unknown>)].map(([key, value]) => [printableData(key), printableData(value)]),
    );
  }
  if (data instanceof Set) return new Set([...(data as Set<unknown>)].map((item) => printableData(item)));
  if (typeof data !== 'object' || data === null) return data;
  const prototype: unknown = Object.getPrototypeOf(data);
  if (prototype !== Object.prototype && prototype !== null) return data;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [printable(key), printableData(value)]));
}

/**
 * A file of someone's, or some lines of it, as people may see it: blanks stay where they are, tabs become blanks, and nothing
 * steers the terminal.
 */
export const printableSource = (text: string): Printable =>
  text
    .replaceAll('\t', '    ')
    .split('\n')
    .map((line) => line.replace(UNSEEN_IN_SOURCE, ''))
    .join('\n') as Printable;

/** JSON that says the same, with every control and format character escaped: it can be read on a terminal as well. */
export const printableJson = (value: unknown): Printable => escapedJson(JSON.stringify(value));

/** The same for what is JSON already; line ends, which can't stand inside a text of JSON, stay. */
export const escapedJson = (json: string): Printable =>
  json.replace(UNPRINTABLE_IN_JSON, (sign) =>
    sign === '\n'
      ? sign
      : sign
          .split('')
          .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
          .join(''),
  ) as Printable;

/** Colours as picocolors writes them, and nothing else that begins with ESC. */
// eslint-disable-next-line no-control-regex -- that is what it looks for
const OURS = /(\x1b\[\d{1,2}m)|[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * The last look at words that were made of printable parts: lines and colours of ours stay, all else that steers a terminal
 * goes.
 */
export const terminalText = (words: string): Printable =>
  words.replace(OURS, (sign, colour: string | undefined) => colour ?? (sign === '\n' ? sign : '')) as Printable;

/** The same for what must be one line, such as a cell of a table. */
export const terminalLine = (words: string): Printable => terminalText(words.replace(WHITE_SPACE, ' '));
