import { jsonParser, type Token } from 'stream-json/core/parser.js';
import { VENDOR_BOUNDS } from '../../core/bounds.js';
import { isMany, none } from 'stream-chain/defs.js';

/**
 * What is wanted of a JSON text: a plain value, an object with some of its fields, or a list whose items are handed out one
 * by one and not kept. Everything else is passed over.
 */
export type Wanted =
  | { readonly kind: 'value' }
  | { readonly kind: 'object'; readonly fields: ReadonlyMap<string, Wanted> }
  | { readonly kind: 'list'; readonly items: Wanted; onStart(): void; onItem(item: unknown): void };

export const VALUE: Wanted = { kind: 'value' };
export const objectOf = (fields: Readonly<Record<string, Wanted>>): Wanted => ({
  kind: 'object',
  fields: new Map(Object.entries(fields)),
});

/** Takes a JSON text in pieces, and keeps of it only what is wanted. */
export interface JsonExtract {
  /** @throws {Error} when it is not JSON, or nested too deeply */
  write(piece: Uint8Array): void;
  /** @returns what was wanted, in the shape of the text; lists without their items @throws {Error} when the text is not complete */
  end(): unknown;
}

/** A longer key, text or number is as good as none: nothing that is wanted is so long. UTF-16 units. */
const LONGEST_TEXT = VENDOR_BOUNDS.text.most;
/** Deeper than anybody nests by hand or by tool, and still a few kilobytes of memory. */
const DEEPEST = VENDOR_BOUNDS.depth.most;

interface Open {
  readonly wanted: Wanted;
  readonly value: Record<string, unknown>;
  key: string | null;
}

/** UTF-16 units. V8 copies a shorter part of a text by itself. */
const SHORTEST_PART = 13;

/**
 * A part that is cut out of a text is a view of it in V8, and would keep the whole piece that the network delivered for as long
 * as a session's id is remembered.
 */
const ownCopyOf = (part: string): string =>
  part.length < SHORTEST_PART ? part : Buffer.from(part, 'utf16le').toString('utf16le');

/** All that a value of this form would hold is new, whatever comes in its place: it may have been there before. */
function startLists(wanted: Wanted): void {
  if (wanted.kind === 'list') wanted.onStart();
  else if (wanted.kind === 'object') for (const field of wanted.fields.values()) startLists(field);
}

/** Stands for a value that is not kept. It differs from null, which is a value. */
const PASSED_OVER = undefined;
/** Stands for a list: its items were handed out. */
const HANDED_OUT: readonly unknown[] = Object.freeze([]);

/**
 * Memory does not grow with the text: the tokenizer hands out long strings in parts, and a piece is at most what the network
 * delivers at once.
 */
export function extractJson(root: Wanted): JsonExtract {
  const tokenize = jsonParser({ packValues: false, streamValues: true });
  const decoder = new TextDecoder();
  const open: Open[] = [];
  /** Levels of what is passed over. */
  let skipping = 0;
  let text: string | null = null;
  let result: unknown = PASSED_OVER;
  let complete = false;

  const wantedHere = (): Wanted | null => {
    const parent = open.at(-1);
    if (parent === undefined) return root;
    if (parent.wanted.kind === 'list') return parent.wanted.items;
    return parent.wanted.kind === 'object' && parent.key !== null
      ? (parent.wanted.fields.get(parent.key) ?? null)
      : null;
  };
  const take = (value: unknown): void => {
    const parent = open.at(-1);
    if (parent === undefined) {
      result = value;
      complete = true;
    } else if (parent.wanted.kind === 'list') parent.wanted.onItem(value);
    // As JSON.parse does: of fields of one name the last one counts.
    else if (parent.key !== null && wantedHere() !== null) parent.value[parent.key] = value;
  };
  const enter = (kind: 'object' | 'list'): void => {
    const wanted = skipping > 0 ? null : wantedHere();
    if (wanted !== null) startLists(wanted);
    if (wanted?.kind !== kind) {
      skipping += 1;
      if (skipping > DEEPEST) throw new Error('it is nested too deeply');
      return;
    }
    open.push({ wanted, value: {}, key: null });
  };
  const leave = (): void => {
    if (skipping > 0) {
      skipping -= 1;
      if (skipping === 0) take(PASSED_OVER);
      return;
    }
    const left = open.pop();
    take(left?.wanted.kind === 'list' ? HANDED_OUT : left?.value);
  };
  const add = (part: string): void => {
    if (text !== null) text = text.length + part.length > LONGEST_TEXT ? null : text + part;
  };
  const begin = (): void => {
    text = skipping === 0 ? '' : null;
  };
  const plain = (value: unknown): void => {
    if (skipping > 0) return;
    const wanted = wantedHere();
    if (wanted !== null) startLists(wanted);
    take(value ?? null);
  };

  const see = (token: Token): void => {
    switch (token.name) {
      case 'startObject':
        return enter('object');
      case 'startArray':
        return enter('list');
      case 'endObject':
      case 'endArray':
        return leave();
      case 'startKey':
      case 'startString':
      case 'startNumber':
        return begin();
      case 'stringChunk':
      case 'numberChunk':
        return add(token.value);
      case 'endKey': {
        const parent = open.at(-1);
        if (skipping === 0 && parent !== undefined) parent.key = text;
        return;
      }
      case 'endString':
        return plain(text === null ? null : ownCopyOf(text));
      case 'endNumber':
        return plain(text === null ? null : Number(text));
      case 'trueValue':
      case 'falseValue':
      case 'nullValue':
        return plain(token.value);
      case 'keyValue':
      case 'stringValue':
      case 'numberValue':
      case 'whitespace':
        return;
    }
  };
  const seeAll = (tokens: unknown): void => {
    if (isMany(tokens)) for (const token of tokens.values) see(token as Token);
  };

  return {
    write: (piece) => seeAll(tokenize(decoder.decode(piece, { stream: true }))),
    end() {
      seeAll(tokenize(decoder.decode()));
      // The library's sign for the end; its types know texts alone.
      seeAll(tokenize(none as unknown as string));
      if (!complete) throw new Error('it is not complete');
      return result;
    },
  };
}
