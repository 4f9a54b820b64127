import { pino, type Logger as PinoLogger } from 'pino';
import { build as prettyStream } from 'pino-pretty';
import { fieldsOfNow } from './log-context.js';
import type { LogLevel } from './log-settings.js';
import { prettyLine, type Sentence } from './pretty-line.js';
import { escapedJson, printable, printableData, printableLine } from '../core/text/printable.js';

export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error'>;

/** pino's number of `error`. */
const ERROR = 50;

/**
 * Logs go to stderr: stdout belongs to results. JSON lines, or lines for people where a person watches.
 *
 * @param level - from `CURFEW_LOG`
 * @param sentence - words for lines that are known, where people read them
 */
export function createLogger(level: LogLevel, pretty: boolean, sentence: Sentence = () => null): PinoLogger {
  const options = {
    ...{ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, mixin: fieldsOfNow },
    formatters: { log: withErrorsNamed },
  };
  if (!pretty) {
    const lines = pino.destination({ dest: 2, sync: true });
    return pino(options, { write: (line: string) => void lines.write(escapedJson(line)) });
  }
  const lines = prettyStream({
    destination: 2,
    sync: true,
    colorize: process.stderr.hasColors?.() ?? false,
    translateTime: 'SYS:HH:MM:ss',
    hideObject: true,
    messageFormat: (record) => prettyLine(record, sentence, level === 'debug' || Number(record['level']) >= ERROR),
  });
  return pino(options, { write: (line: string) => void lines.write(`${printableLogLine(line)}\n`) });
}

/**
 * JSON has nothing of an error: `"error":{}`. Pino looks at the field `err` alone, and others log theirs under names of their own,
 * Temporal's SDK as `error`.
 */
const withErrorsNamed = (fields: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      value instanceof Error && name !== 'err' ? pino.stdSerializers.err(value) : value,
    ]),
  );

/** A line of JSON for people: what it says comes from anywhere. Of the texts in it only a stack is more than one line. */
export function printableLogLine(line: string): string {
  return JSON.stringify(printableLog(JSON.parse(line) as Readonly<Record<string, unknown>>));
}

const printableLog = (fields: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      if (isError(value)) {
        return [name, printableLog(value)];
      }
      return [name, name === 'stack' && typeof value === 'string' ? printableStack(value) : printableData(value)];
    }),
  );

/** As an error stands in a line. */
const isError = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && 'stack' in value && 'message' in value;

/** The message at its head may hold line ends; the places below are ours. */
function printableStack(stack: string): string {
  const places = stack.search(/\n {4}at /);
  if (places < 0) return printable(stack);
  const lines = stack.slice(places + 1).split('\n');
  return [printable(stack.slice(0, places)), ...lines.map(printableLine)].join('\n');
}
