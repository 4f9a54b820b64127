import {
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type Node,
  type YAMLError,
} from 'yaml';
import type { Path } from './finding.js';

/** Over any real policy file, and little enough to check in a moment: characters, levels, and copies made by aliases. */
const MOST_CHARACTERS = 1_000_000;
const MOST_LEVELS = 40;
const MOST_ALIAS_COPIES = 1_000;
/** After a broken line the parser often misreads what follows. */
const MOST_SYNTAX_ERRORS = 5;

export interface Place {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

export interface Slip extends Place {
  readonly message: string;
  readonly suggestion: string | null;
}

/** A YAML text with the places of all that is in it. */
export interface Source {
  /** Plain data; undefined when the text can't be read as YAML, and then `slips` says why. */
  readonly data: unknown;
  /** What is wrong with the YAML itself. */
  readonly slips: readonly Slip[];
  /** Where a key or value stands; the nearest place that exists, if the path leads further than the text. */
  placeOf(path: Path, at: 'key' | 'value'): Place;
}

export function readYaml(text: string): Source {
  if (text.length > MOST_CHARACTERS) return unreadable([{ ...START, ...TOO_LARGE }]);
  const lines = new LineCounter();
  // YAML 1.2: `off` and `3:00` are texts.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2', merge: false });
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const slips: Slip[] = [...document.errors, ...document.warnings].map((slip) => ({
    ...placeAt(slip.pos[0]),
    ...slipWords(slip),
  }));
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return;
      const suggestion = 'Write &name before the value that it stands for; a text that begins with * needs quotes.';
      slips.push({ ...placeAt(alias.range?.[0] ?? 0), message: 'this alias has no anchor before it', suggestion });
    },
  });
  // A repeated key leaves the rest readable; anything else may have shifted what follows.
  const broken = document.errors.some(({ code }) => code !== 'DUPLICATE_KEY');
  if (broken) return unreadable(slips.slice(0, MOST_SYNTAX_ERRORS));

  const placeOf = (path: Path, at: 'key' | 'value'): Place => placeAt(offsetOf(document, path, at));
  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: MOST_ALIAS_COPIES });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    return unreadable(
      slips.length > 0 ? slips : [{ ...START, message: 'aliases repeat too much of this file', suggestion: WRITE_OUT }],
    );
  }
  const tooDeep = deepest(data, []);
  if (tooDeep !== null) {
    const message = `more than ${MOST_LEVELS} levels are nested here, or an alias holds itself`;
    return unreadable([...slips, { ...placeOf(tooDeep, 'key'), message, suggestion: WRITE_OUT }]);
  }
  return { data, slips, placeOf };
}

const START: Place = { line: 1, column: 1 };
const WRITE_OUT = 'Write the rules out, with fewer levels.';
const TOO_LARGE = {
  message: `the file has more than ${MOST_CHARACTERS.toLocaleString('en')} characters`,
  suggestion: 'Check that this is a policy file.',
};

const unreadable = (slips: readonly Slip[]): Source => ({ data: undefined, slips, placeOf: () => START });

/** The path to the first value that lies too deep; null when none does. */
function deepest(value: unknown, path: Path): Path | null {
  if (typeof value !== 'object' || value === null) return null;
  if (path.length > MOST_LEVELS) return path;
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? value.map((item, index) => [index, item as unknown])
    : Object.entries(value);
  for (const [key, item] of entries) {
    const found = deepest(item, [...path, key]);
    if (found !== null) return found;
  }
  return null;
}

function offsetOf(document: Document.Parsed, path: Path, at: 'key' | 'value'): number {
  let node: Node | null = document.contents;
  let key: Node | null = null;
  for (const part of path) {
    const holder: Node | null = isAlias(node) ? (node.resolve(document) ?? null) : node;
    if (isMap(holder)) {
      // Of a key that is written twice, the later one is what was read.
      const pair = holder.items.findLast((item) => isScalar(item.key) && String(item.key.value) === String(part));
      if (pair === undefined) break;
      key = pair.key as Node;
      node = pair.value as Node | null;
    } else if (isSeq(holder) && typeof part === 'number') {
      const item = holder.items[part] as Node | undefined;
      if (item === undefined) break;
      key = item;
      node = item;
    } else break;
  }
  // A key without a value has an empty node behind the colon, a block mapping begins on the next line: the key is what
  // people look for.
  const empty = node === null || (isScalar(node) && node.value === null);
  const block = isCollection(node) && node.flow !== true;
  const seen = at === 'key' || empty || block ? (key ?? node) : node;
  return seen?.range?.[0] ?? 0;
}

/** The parser's words say what it expected; these add what people usually meant. */
function slipWords({ code, message }: YAMLError): { message: string; suggestion: string | null } {
  const words = `YAML: ${message.replaceAll(/\s+/g, ' ').slice(0, 200)}`;
  switch (code) {
    case 'DUPLICATE_KEY':
      return { message: 'this key is written twice in the same mapping', suggestion: 'Remove or rename one of them.' };
    case 'TAB_AS_INDENT':
      return { message: 'a tab is used for indentation', suggestion: 'Indent with spaces.' };
    case 'BAD_ALIAS':
      return { message: words, suggestion: 'A text that begins with * needs quotes: "*".' };
    case 'BAD_SCALAR_START':
      return { message: words, suggestion: 'Put the text in quotes.' };
    case 'TAG_RESOLVE_FAILED':
      return { message: words, suggestion: 'Tags are not used here; a text that begins with ! needs quotes.' };
    case 'MULTIPLE_DOCS':
      return {
        message: 'the file holds more than one document',
        suggestion: 'Remove the line with ---, and all behind it.',
      };
    case 'RESOURCE_EXHAUSTION':
      return { message: 'too much is nested here', suggestion: WRITE_OUT };
    default:
      return { message: words, suggestion: null };
  }
}
