import Table from 'cli-table3';
import pc from 'picocolors';
import {
  type Printable,
  printableData,
  printableJson,
  printableLine,
  printableSource,
  shortened,
  terminalLine,
  terminalText,
} from '../core/text/printable.js';
import { liveArea } from './live-area.js';

/**
 * Where a command writes. Results go to stdout, all else to stderr; with `--json` stdout holds one JSON document.
 *
 * Words for people are made of a view: data that is handed over here, and that the words get with every text in it printable.
 * So nobody has to think of it where words are made, as long as they use nothing but what they are given (a lint rule sees
 * to that).
 */
export interface Output {
  readonly json: boolean;
  /** The result: as JSON, or in words for people. */
  result<T>(document: unknown, view: T, words: (view: T) => string): void;
  /** A file of someone's, as a result: byte for byte where no person sees it; on a terminal, without what steers it. */
  source(text: string): void;
  /** News while the command works: one line. */
  say(line: string): void;
  /** The same with more than a line, or with colours. */
  show<T>(view: T, words: (view: T) => string): void;
  /** Where lines can be rewritten: a person watches. */
  readonly live: boolean;
  /** Takes the place of what it showed before; only where `live`. */
  redraw<T>(view: T, words: (view: T) => string): void;
  /** Takes away what `redraw` showed. */
  clear(): void;
  /** The same for results on stdout. They stay when `finish` is called. */
  readonly page: { readonly live: boolean; redraw<T>(view: T, words: (view: T) => string): void; finish(): void };
}

export function createOutput(json: boolean): Output {
  const live = process.stderr.isTTY === true;
  const pageLive = process.stdout.isTTY === true && !json;
  const [area, pageArea] = [liveArea('stderr'), liveArea('stdout')];
  return {
    json,
    live,
    result(document, view, words) {
      writeResult(json ? printableJson(document) : inWords(view, words));
    },
    source: (text) => void process.stdout.write(process.stdout.isTTY === true ? printableSource(text) : text),
    say: (line) => writeNews(printableLine(line)),
    show: (view, words) => writeNews(inWords(view, words)),
    redraw(view, words) {
      if (live) area.show(inWords(view, words));
    },
    clear() {
      if (live) area.clear();
    },
    page: {
      live: pageLive,
      redraw: (view, words) => pageArea.show(inWords(view, words)),
      finish() {
        if (pageLive) pageArea.done();
      },
    },
  };
}

/** Words of printable data. */
const inWords = <T>(view: T, words: (view: T) => string): Printable => terminalText(words(printableData(view)));

/** To stdout, with an end of line. */
function writeResult(text: Printable): void {
  process.stdout.write(`${text}\n`);
}

/** To stderr, with an end of line. */
export function writeNews(text: Printable): void {
  process.stderr.write(`${text}\n`);
}

/** What may still stand in one cell; colours are not counted where there are any. */
const WIDEST_CELL = 300;

/**
 * A plain table without borders: easy to read, to grep and to paste. A cell is one line, whatever it holds.
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const none = { top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '' };
  const rest = { 'bottom-left': '', 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '' };
  const shape = new Table({
    head: head.map((title) => pc.bold(title)),
    chars: { ...none, ...rest, 'right-mid': '', middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  shape.push(...rows.map((row) => row.map(cell)));
  return shape
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

const cell = (text: string): string => {
  const line = terminalLine(text);
  return line.includes('\x1b') ? line : shortened(line, WIDEST_CELL);
};

/** What is told, behind its name; null: it is not. */
export type Fact = readonly [name: string, text: string | null];

/** A block of facts, each on a line behind its name. */
export const factLines = (rows: readonly Fact[], width: number): string =>
  rows.flatMap(([name, text]) => (text === null ? [] : [`${name.padEnd(width)} ${text}`])).join('\n');

/** "3 s", "12 min", "5 h", "2 d": whole units, as short as it can be said. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`;
}
