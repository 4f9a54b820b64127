import { accessSync, constants, createReadStream } from 'node:fs';
import { pipeline, Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { ExitCode, UserError } from '../core/errors.js';
import { isSessionId } from '../core/ids.js';
import { FORMS, LONGEST_LINE, numbered, type NumberedLine } from './text-lines.js';
import { type GivenId, type LeftLines, type GivenIds, EXAMPLES } from '../engines/bulk/given-ids.js';

const BATCH = 1_000;
/** Names of fields and columns that hold an id, the best one first. */
const ID_FIELDS = ['sessionId', 'session_id', 'id'] as const;
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
    const lines = numbered(input, name);
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
    const parser = parse({
      delimiter,
      record_delimiter: '\n',
      trim: true,
      relax_column_count: true,
      skip_empty_lines: true,
      info: true,
      max_record_size: LONGEST_LINE,
    });
    const quotes = new Quotes();
    const text = withoutComments({ line: headerLine, text: header }, rest, delimiter, quotes);
    // Unlike `pipe`, it takes along what goes wrong with the text: whoever reads the rows is told, here below.
    pipeline(Readable.from(text), parser, () => undefined);
    let column: number | null = null;
    for await (const row of readableRows(parser, headerLine, quotes, name)) {
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
      `${name} is a JSON array, which Curfew would have to read whole. No plan was made.`,
      'Turn it into lines: jq -r ".[] | .sessionId // .session_id // .id // ." FILE | curfew bulk plan --ids-file -',
      ExitCode.usage,
    );
  }
  if (text.startsWith('{') || text.startsWith('"')) {
    if (parsedJson(text) !== undefined) return { kind: 'json-lines' };
    if (text.startsWith('{')) {
      throw new UserError(
        `${name} begins like JSON, but its first line is not a whole object. No plan was made.`,
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

/** Undefined: it is not JSON. */
function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Where a quote of CSV that is still open began. */
class Quotes {
  openedAt: number | null = null;

  see({ line, text }: NumberedLine): void {
    if (hasOddQuotes(text)) this.openedAt = this.openedAt === null ? line : null;
  }
}

/**
 * The lines of CSV from its header on. Comments become blank lines. CSV knows none, so only a line that can be no row is one: it
 * begins with `#` and has one cell. What could be a row is one: an agent may be called "#general".
 */
async function* withoutComments(
  header: NumberedLine,
  rest: AsyncGenerator<NumberedLine>,
  delimiter: string,
  quotes: Quotes,
): AsyncGenerator<string> {
  yield header.text;
  quotes.see(header);
  // Before each line instead of after it: the parser would count an empty one at the end.
  for await (const line of rest) {
    const { text } = line;
    const isComment = quotes.openedAt === null && text.trimStart().startsWith('#') && !text.includes(delimiter);
    yield isComment ? '\n' : `\n${text}`;
    if (!isComment) quotes.see(line);
  }
}

/** @throws UserError for what is no CSV, with its line in the file */
async function* readableRows(
  parser: AsyncIterable<unknown>,
  headerLine: number,
  quotes: Quotes,
  name: string,
): AsyncGenerator<CsvRow> {
  try {
    for await (const row of parser) yield row as CsvRow;
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const { code } = error;
    const line = headerLine - 1 + Number((error as { lines?: unknown }).lines ?? 1);
    if (code === 'CSV_QUOTE_NOT_CLOSED') throw noCsv(name, quotes.openedAt ?? line, 'a quote that is never closed');
    if (code === 'CSV_MAX_RECORD_SIZE')
      throw noCsv(
        name,
        quotes.openedAt ?? line,
        `a row of more than ${LONGEST_LINE} bytes; perhaps a quote is not closed`,
      );
    throw noCsv(name, line, 'a quote within a cell, or text behind one');
  }
}

const hasOddQuotes = (text: string): boolean => text.split('"').length % 2 === 0;

const noCsv = (name: string, line: number, what: string): UserError =>
  new UserError(
    `${name} is not valid CSV: line ${line} has ${what}. No plan was made.`,
    'Fix that line, for example a quote that is not closed; or write one id a line.',
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
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error;
  return new UserError(
    `${name} can't be read (${code}). No plan was made.`,
    code === 'ENOENT' ? 'Check the path.' : 'Check that it is a file, and that you may read it.',
    ExitCode.usage,
  );
}
