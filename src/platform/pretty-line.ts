import { formatDuration } from '../core/duration.js';

export type LogRecord = Readonly<Record<string, unknown>>;

/** A line in words, and the fields that they say; null: said in no special way. */
export type Sentence = (
  message: string,
  fields: LogRecord,
) => { readonly text: string; readonly said: readonly string[] } | null;

/** Of the line itself, or about where the work runs; `json` lines have them. */
const NOT_SHOWN = new Set(['level', 'time', 'msg', 'caseId', 'workflowId', 'trace_id', 'span_id']);
/** Numbers above are moments, ms since the Unix epoch; others are durations. */
const MOMENT_MS = Date.UTC(2000);
const LONGEST_VALUE = 200;

/**
 * A line of the log for people: what happened, to whom, and what else is known of it as `key=value`.
 *
 * @param record - the line as JSON has it
 * @param sentence - words for lines that are known
 * @param withStacks - also where an error came from
 */
export function prettyLine(record: LogRecord, sentence: Sentence, withStacks: boolean): string {
  const message = typeof record['msg'] === 'string' ? record['msg'] : '';
  const known = sentence(message, record);
  const said = new Set(known?.said);
  const left = Object.entries(record).filter(
    ([name, value]) => !NOT_SHOWN.has(name) && !said.has(name) && value !== null,
  );
  const errors = left.filter(([, value]) => isError(value)) as [string, ErrorInLine][];
  const subject = known === null && typeof record['sessionId'] === 'string' ? record['sessionId'] : null;
  const named = subject === null || message.includes(subject) ? '' : `${subject}: `;
  const why = errors.map(([, { message: text }]) => `: ${text}`).join('');
  const rest = left
    .filter(([name, value]) => !isError(value) && (name !== 'sessionId' || known !== null))
    .flatMap(([name, value]) => pairs(name, value));
  const line = [`${named}${known?.text ?? message}${why}`, ...rest].join(' ');
  return withStacks ? [line, ...errors.map(([, { stack }]) => placesOf(stack))].join('\n') : line;
}

interface ErrorInLine {
  readonly message: string;
  readonly stack: string;
}

const isError = (value: unknown): value is ErrorInLine =>
  typeof value === 'object' && value !== null && 'stack' in value && 'message' in value;

/** Its message is in the line already. */
const placesOf = (stack: string): string => stack.slice(Math.max(0, stack.search(/ {4}at /)));

/** `afterMs: 2000` is `after=2s`; an object is a pair for each of its fields. */
function pairs(name: string, value: unknown): string[] {
  if (value === null || value === undefined) return [];
  if (typeof value === 'number' && /.Ms$/.test(name)) {
    const text = value > MOMENT_MS ? new Date(value).toISOString() : formatDuration(value);
    return [`${name.slice(0, -2)}=${text}`];
  }
  if (typeof value === 'object' && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([field, inner]) => pairs(`${name}.${field}`, inner));
  }
  return [`${name}=${valueText(value)}`];
}

function valueText(value: unknown): string {
  const text = Array.isArray(value) ? value.map(plain).join(',') : plain(value);
  const short = text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text;
  return /[\s"=]/.test(short) || short === '' ? JSON.stringify(short) : short;
}

const plain = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
