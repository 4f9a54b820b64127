import {
  CST,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type Node,
  type Scalar,
  type YAMLMap,
  type YAMLError,
} from 'yaml';
import { FILE_BOUNDS } from '../bounds.js';
import type { Path } from './finding.js';

/** Over any real policy file, and little enough to check in a moment. */
const MOST_CHARACTERS = FILE_BOUNDS.policyFile.most;
const MOST_LEVELS = FILE_BOUNDS.policyLevels.most;
const MOST_ALIASES = FILE_BOUNDS.policyAliases.most;
const MOST_KEYS = FILE_BOUNDS.policyKeys.most;
const MOST_VALUES = FILE_BOUNDS.policyValues.most;
/** After a broken line the parser often misreads what follows. */
const MOST_SYNTAX_ERRORS = 5;

interface Place {
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
  const tooMuch = countedTooMuch(text);
  if (tooMuch !== null) return unreadable([{ ...tooMuch, suggestion: WRITE_OUT }]);
  const lines = new LineCounter();
  // Keys that are written twice are looked for below: the parser would compare each key with all others of its mapping.
  // YAML 1.2: `off` and `3:00` are texts.
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    version: '1.2',
    merge: false,
    uniqueKeys: false,
  });
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const slips: Slip[] = [...document.errors, ...document.warnings].map((slip) => ({
    ...placeAt(slip.pos[0]),
    ...slipWords(slip),
  }));
  const anchors = new Set<string>();
  const anchored = (_key: unknown, node: Node): void => {
    if ('anchor' in node && typeof node.anchor === 'string') anchors.add(node.anchor);
  };
  visit(document, {
    Scalar: anchored,
    Seq: anchored,
    Map(key, map) {
      anchored(key, map);
      for (const again of repeatedKeys(map)) slips.push({ ...placeAt(again.range?.[0] ?? 0), ...TWICE });
    },
    Alias(_key, alias) {
      if (anchors.has(alias.source)) return;
      const suggestion = 'Write &name before the value that it stands for; a text that begins with * needs quotes.';
      slips.push({ ...placeAt(alias.range?.[0] ?? 0), message: 'this alias has no anchor before it', suggestion });
    },
  });
  // A repeated key leaves the rest readable; anything else may have shifted what follows.
  if (document.errors.length > 0) return unreadable(slips.slice(0, MOST_SYNTAX_ERRORS));

  const placeOf = (path: Path, at: 'key' | 'value'): Place => placeAt(offsetOf(document, path, at));
  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: MOST_ALIASES });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    return unreadable(slips.length > 0 ? slips : [REPEATED]);
  }
  const count = { values: 0 };
  const tooDeep = deepest(data, [], count);
  if (count.values > MOST_VALUES) return unreadable([...slips, anchors.size > 0 ? REPEATED : TOO_MANY]);
  if (tooDeep !== null) {
    return unreadable([...slips, { ...placeOf(tooDeep, 'key'), message: TOO_DEEP, suggestion: WRITE_OUT }]);
  }
  return { data, slips, placeOf };
}

const START: Place = { line: 1, column: 1 };
const TOO_DEEP = `more than ${MOST_LEVELS} levels are nested here, or an alias holds itself`;
const WRITE_OUT = 'Write the rules out, with fewer levels.';
const TOO_LARGE = {
  message: `the file has more than ${MOST_CHARACTERS.toLocaleString('en')} characters`,
  suggestion: 'Check that this is a policy file.',
};

const unreadable = (slips: readonly Slip[]): Source => ({ data: undefined, slips, placeOf: () => START });

const REPEATED: Slip = { ...START, message: 'aliases repeat too much of this file', suggestion: WRITE_OUT };
const TOO_MANY: Slip = {
  ...START,
  message: `the file holds more than ${MOST_VALUES.toLocaleString('en')} values`,
  suggestion: TOO_LARGE.suggestion,
};
const TWICE = { message: 'this key is written twice in the same mapping', suggestion: 'Remove or rename one of them.' };

/**
 * Counts what a file holds by its signs alone, before anything is made of them: the parser takes long for many levels and aliases.
 *
 * @returns where it has too much, and of what; null: nowhere
 */
function countedTooMuch(text: string): Omit<Slip, 'suggestion'> | null {
  let [aliases, anchors, keys, items, level, line, column] = [0, 0, 0, 0, 0, 1, 1];
  const over = (message: string): Omit<Slip, 'suggestion'> => ({ line, column, message });
  for (const sign of new Lexer().lex(text)) {
    switch (CST.tokenType(sign)) {
      case 'alias':
        if ((aliases += 1) > MOST_ALIASES) return over(`the file has more than ${MOST_ALIASES} aliases`);
        break;
      case 'anchor':
        if ((anchors += 1) > MOST_ALIASES) return over(`the file has more than ${MOST_ALIASES} anchors`);
        break;
      case 'map-value-ind':
      case 'explicit-key-ind':
        if ((keys += 1) > MOST_KEYS) return over(`the file has more than ${MOST_KEYS.toLocaleString('en')} keys`);
        break;
      case 'comma':
      case 'seq-item-ind':
        if ((items += 1) > MOST_VALUES) return over(TOO_MANY.message);
        break;
      case 'flow-map-start':
      case 'flow-seq-start':
        if ((level += 1) > MOST_OPEN) return over('too much is nested here');
        break;
      case 'flow-map-end':
      case 'flow-seq-end':
        level -= 1;
        break;
      default:
    }
    const lineEnd = sign.lastIndexOf('\n');
    if (lineEnd < 0) column += sign.length;
    else {
      line += sign.split('\n').length - 1;
      column = sign.length - lineEnd;
    }
  }
  return null;
}

/** Brackets and braces that are open at once. Up to here the nesting is looked at when the file has been read. */
const MOST_OPEN = 200;

/** Keys that stand in their mapping before, as the nodes of the later ones. */
function repeatedKeys({ items }: YAMLMap): Scalar[] {
  const seen = new Set<unknown>();
  return items.flatMap(({ key }) => {
    if (!isScalar(key)) return [];
    if (seen.has(key.value)) return [key];
    seen.add(key.value);
    return [];
  });
}

/** The path to the first value that lies too deep; null when none does. Ends when there are too many values. */
function deepest(value: unknown, path: Path, count: { values: number }): Path | null {
  count.values += 1;
  if (count.values > MOST_VALUES) return null;
  if (typeof value !== 'object' || value === null) return null;
  if (path.length > MOST_LEVELS) return path;
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? value.map((item, index) => [index, item as unknown])
    : Object.entries(value);
  for (const [key, item] of entries) {
    const found = deepest(item, [...path, key], count);
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
