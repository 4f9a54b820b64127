import { accessSync, constants, createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { TextDecoder } from 'node:util';
import { CsvError, parse } from 'csv-parse';
import { ExitCode, UserError } from '../errors.js';
import { looksLikeUtf16 } from '../text/encoding.js';
import { isSessionId } from '../sessions/index.js';

/** One id, and the line of the file on which it stands. */
export interface GivenId {
  readonly sessionId: string;
  readonly line: number;
}

/** What a file holds besides ids. */
export interface LeftLines {
  /** Blank lines and comments, and rows without an id. */
  readonly blank: number;
  readonly malformed: number;
  /** The first of them, with their lines, for people. */
  readonly examples: readonly string[];
  /** Ids from rows of CSV that begin with `#`, and the lines of the first: they were taken, and may have been meant as comments. */
  readonly hashRows: { readonly count: number; readonly examples: readonly string[] };
}

/** Session ids that somebody gave. They may be read once. */
export interface GivenIds {
  /** Where they come from, for messages. */
  readonly name: string;
  /**
   * The ids in their order, some at a time; duplicates are still among them.
   *
   * @throws UserError with exit code 2 when there is no usable id, or the file can't be read
   */
  batches(): AsyncGenerator<readonly GivenId[]>;
  /** As far as they were read. */
  left(): LeftLines;
  /** Stops reading. */
  close(): void;
}

export const EXAMPLES = 5;
const BATCH = 1_000;
/** Names of fields and columns that hold an id, the best one first. */
const ID_FIELDS = ['sessionId', 'session_id', 'id'] as const;
/** No text has lines as long as this; what else has them could fill the memory. */
const LONGEST_LINE = 1024 * 1024;
/** Signs of a format that a line is not in: an id could hold them, but none does. */
const NO_PLAIN_ID = /["'`{}[\],;|]/;
const DELIMITERS = [',', ';', '\t', '|'] as const;

/**
 * @param file - a path, or `-` for standard input
 * @throws UserError with exit code 2 when the file can't be read
 */
export function idsFromFile(file: string): GivenIds {
  if (file === '-') return idsFromStream(process.stdin, 'Standard input');
  try {
    accessSync(file, constants.R_OK);
  } catch (error) {
    throw readable(error, file);
  }
  const input = createReadStream(file);
  // Nobody may be reading yet when it fails; whoever reads then is told all the same.
  input.on('error', () => undefined);
  return idsFromStream(input, file);
}

/** Ids that were typed one by one, checked already. */
export function idsFromList(sessionIds: readonly string[]): GivenIds {
  return {
    name: 'The command line',
    // eslint-disable-next-line @typescript-eslint/require-await -- the same shape as a file's
    async *batches() {
      for (let first = 0; first < sessionIds.length; first += BATCH) {
        yield sessionIds
          .slice(first, first + BATCH)
          .map((sessionId, index) => ({ sessionId, line: first + index + 1 }));
      }
    },
    left: () => ({ blank: 0, malformed: 0, examples: [], hashRows: { count: 0, examples: [] } }),
    close: () => undefined,
  };
}

/**
 * Ids of a text in one of three forms, told by its first line that is neither blank nor a comment: one id per line, JSON lines
 * (objects with an id, or plain strings), or CSV with a header. Reads as it goes: a million lines need no memory.
 */
export function idsFromStream(input: Readable, name: string): GivenIds {
  const left = { blank: 0, malformed: 0, examples: [] as string[] };
  const hashRows = { count: 0, examples: [] as string[] };
  const malformed = (line: number, text: string): void => {
    left.malformed += 1;
    const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
    if (left.examples.length < EXAMPLES) left.examples.push(`line ${line}: ${JSON.stringify(shown)}`);
  };
  /** @returns an id, or null: the line is counted among those that hold none */
  const take = (line: number, text: string, sessionId: string | null): GivenId | null => {
    if (sessionId !== null && isSessionId(sessionId)) return { sessionId, line };
    malformed(line, text);
    return null;
  };

  async function* found(): AsyncGenerator<GivenId | null> {
    const lines = numbered(linesOf(input, name));
    for await (const { line, text } of lines) {
      if (isBlank(text) && !isHashHeader(text)) {
        left.blank += 1;
        continue;
      }
      const format = formatOf(text, name);
      if (format.kind === 'csv') yield* fromCsv(text, line, lines, format.delimiter);
      else yield* fromLines(text, line, lines, format.kind === 'json-lines' ? idInJson : idInLine);
      return;
    }
  }

  async function* fromLines(
    firstText: string,
    firstLine: number,
    rest: AsyncGenerator<NumberedLine>,
    idIn: (text: string) => string | null,
  ): AsyncGenerator<GivenId | null> {
    yield take(firstLine, firstText, idIn(firstText));
    for await (const { line, text } of rest) {
      if (isBlank(text)) left.blank += 1;
      else yield take(line, text, idIn(text));
    }
  }

  async function* fromCsv(
    header: string,
    headerLine: number,
    rest: AsyncGenerator<NumberedLine>,
    delimiter: string,
  ): AsyncGenerator<GivenId | null> {
    const parser = Readable.from(withoutComments(header, rest, delimiter)).pipe(
      parse({
        delimiter,
        record_delimiter: '\n',
        trim: true,
        relax_column_count: true,
        skip_empty_lines: true,
        info: true,
        max_record_size: LONGEST_LINE,
      }),
    );
    let column: number | null = null;
    for await (const row of parser as AsyncIterable<CsvRow>) {
      if (column === null) {
        column = idColumn(row.record, name);
        continue;
      }
      const cell = row.record[column] ?? '';
      if (cell === '') {
        left.blank += 1;
        continue;
      }
      const line = headerLine - 1 + row.info.lines;
      const id = take(line, cell, cell);
      if (id !== null && row.record[0]?.startsWith('#') === true) {
        hashRows.count += 1;
        if (hashRows.examples.length < EXAMPLES) hashRows.examples.push(`line ${line}`);
      }
      yield id;
    }
    left.blank += parser.info.empty_lines;
  }

  return {
    name,
    left: () => ({
      ...left,
      examples: [...left.examples],
      hashRows: { ...hashRows, examples: [...hashRows.examples] },
    }),
    close: () => void input.destroy(),
    async *batches() {
      let batch: GivenId[] = [];
      let any = false;
      try {
        for await (const id of found()) {
          if (id === null) continue;
          any = true;
          batch.push(id);
          if (batch.length < BATCH) continue;
          yield batch;
          batch = [];
        }
      } catch (error) {
        throw readable(error, name);
      }
      if (batch.length > 0) yield batch;
      if (!any) throw noIds(name, left);
    },
  };
}

interface CsvRow {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

interface NumberedLine {
  readonly line: number;
  readonly text: string;
}

/** A header whose first column begins with `#`, such as "#,session_id"; a comment has a space behind the sign. */
const isHashHeader = (text: string): boolean =>
  /^#[\S\t]/.test(text) &&
  DELIMITERS.some((delimiter) => {
    const cells = text.split(delimiter);
    return cells.length > 1 && cells.some((cell) => isIdField(cell.trim().replace(/^"(.*)"$/, '$1')));
  });

const isBlank = (text: string): boolean => /^\s*(#|$)/.test(text);

type Format = { readonly kind: 'lines' | 'json-lines' } | { readonly kind: 'csv'; readonly delimiter: string };

function formatOf(firstLine: string, name: string): Format {
  const text = firstLine.trim();
  if (isIdField(text.replace(/^"(.*)"$/, '$1'))) return { kind: 'csv', delimiter: ',' };
  if (text.startsWith('[')) {
    throw new UserError(
      `${name} is a JSON array, which would have to be read whole. No plan was made.`,
      'Make lines of it: jq -r ".[] | .sessionId // .session_id // .id // ." FILE | curfew bulk plan --ids-file -',
      ExitCode.usage,
    );
  }
  if (text.startsWith('{') || text.startsWith('"')) {
    if (parsedJson(text) !== undefined) return { kind: 'json-lines' };
    if (text.startsWith('{')) {
      throw new UserError(
        `${name} begins like JSON, but its first line is no whole object. No plan was made.`,
        'Write one object a line: jq -c . FILE | curfew bulk plan --ids-file -',
        ExitCode.usage,
      );
    }
  }
  const [most] = DELIMITERS.map((delimiter) => ({ delimiter, count: text.split(delimiter).length - 1 })).sort(
    (a, b) => b.count - a.count,
  );
  return most === undefined || most.count === 0 ? { kind: 'lines' } : { kind: 'csv', delimiter: most.delimiter };
}

const isIdField = (text: string): boolean => ID_FIELDS.some((field) => field.toLowerCase() === text.toLowerCase());

function idColumn(header: readonly string[], name: string): number {
  const names = header.map((column) => column.toLowerCase());
  for (const field of ID_FIELDS) {
    const index = names.indexOf(field.toLowerCase());
    if (index >= 0) return index;
  }
  const shown = header.slice(0, 10).map((column) => JSON.stringify(column.slice(0, 40)));
  throw new UserError(
    `${name} looks like CSV, but has no column sessionId, session_id or id; its first line has ${shown.join(', ')}. No plan was made.`,
    'Give it a header with one of these names, or write one id a line.',
    ExitCode.usage,
  );
}

function idInLine(text: string): string | null {
  const id = text.trim();
  return NO_PLAIN_ID.test(id) ? null : id;
}

function idInJson(text: string): string | null {
  const value = parsedJson(text);
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return null;
  const object = value as Readonly<Record<string, unknown>>;
  const id = ID_FIELDS.map((field) => object[field]).find((given) => given !== undefined && given !== null);
  return typeof id === 'string' ? id : null;
}

/** Undefined: it is no JSON. */
function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * The lines of CSV from its header on. Comments become blank lines. CSV knows none, so only a line that can be no row is one: it
 * begins with `#` and has one cell. What could be a row is one: an agent may be called "#general".
 */
async function* withoutComments(
  header: string,
  rest: AsyncGenerator<NumberedLine>,
  delimiter: string,
): AsyncGenerator<string> {
  yield header;
  let inQuotes = hasOddQuotes(header);
  // Before each line instead of after it: the parser would count an empty one at the end.
  for await (const { text } of rest) {
    const isComment = !inQuotes && text.trimStart().startsWith('#') && !text.includes(delimiter);
    yield isComment ? '\n' : `\n${text}`;
    if (!isComment && hasOddQuotes(text)) inQuotes = !inQuotes;
  }
}

const hasOddQuotes = (text: string): boolean => text.split('"').length % 2 === 0;

async function* numbered(lines: AsyncIterable<readonly string[]>): AsyncGenerator<NumberedLine> {
  let line = 0;
  for await (const some of lines) for (const text of some) yield { line: (line += 1), text };
}

/** Lines as they come, without their ends. @throws UserError for what is no text */
async function* linesOf(input: Readable, name: string): AsyncGenerator<readonly string[]> {
  // Takes off a byte order mark, and refuses what is not UTF-8.
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  const cut = (text: string): string[] => {
    if (text.includes('\0')) throw noText(name);
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST_LINE || lines.some((line) => line.length > LONGEST_LINE)) throw noText(name);
    return lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  };
  let isFirst = true;
  for await (const chunk of input) {
    if (isFirst && looksLikeUtf16(chunk as Buffer)) throw inUtf16(name);
    isFirst = false;
    yield cut(decoded(decoder, chunk as Buffer, name));
  }
  const last = cut(decoded(decoder, null, name));
  yield rest === '' ? last : [...last, rest.endsWith('\r') ? rest.slice(0, -1) : rest];
}

function decoded(decoder: TextDecoder, chunk: Buffer | null, name: string): string {
  try {
    return chunk === null ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch {
    throw noText(name);
  }
}

const FORMS =
  'Write one id a line, JSON lines with sessionId, session_id or id, or CSV with a header that has one of these.';

const noText = (name: string): UserError =>
  new UserError(
    `${name} is no UTF-8 text with lines (binary data, or another encoding). No plan was made.`,
    `Save it as UTF-8. ${FORMS}`,
    ExitCode.usage,
  );

const inUtf16 = (name: string): UserError =>
  new UserError(
    `${name} is in UTF-16, but must be in UTF-8. No plan was made.`,
    `Save it as UTF-8. ${FORMS}`,
    ExitCode.usage,
  );

function noIds(name: string, { blank, malformed, examples }: Omit<LeftLines, 'hashRows'>): UserError {
  const what =
    malformed > 0
      ? `${malformed} lines hold none (${examples.join('; ')})`
      : blank > 0
        ? 'it has only blank lines and comments'
        : 'it is empty';
  return new UserError(`${name} holds no session id: ${what}. No plan was made.`, FORMS, ExitCode.usage);
}

/** A failure to read, as a person can act on it. */
function readable(error: unknown, name: string): unknown {
  if (error instanceof CsvError) {
    return new UserError(
      `${name} is no valid CSV (${error.message.slice(0, 200)}). No plan was made.`,
      'Mend that line, for example a quote that is not closed; or write one id a line.',
      ExitCode.usage,
    );
  }
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error;
  return new UserError(
    `${name} can't be read (${code}). No plan was made.`,
    code === 'ENOENT' ? 'Check the path.' : 'Check that it is a file, and that you may read it.',
    ExitCode.usage,
  );
}
