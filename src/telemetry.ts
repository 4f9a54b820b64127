import { pino, type Logger as PinoLogger } from 'pino';
import { build as prettyStream } from 'pino-pretty';
import { fieldsOfNow } from './log-context.js';

export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error'>;

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_FORMATS = ['json', 'pretty'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/**
 * Logs go to stderr: stdout belongs to results. JSON lines, or lines for people where a person watches.
 *
 * @param level - from `CURFEW_LOG`
 */
export function createLogger(level: LogLevel, pretty: boolean): PinoLogger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, mixin: fieldsOfNow };
  return pretty
    ? pino(
        options,
        prettyStream({
          destination: 2,
          sync: true,
          colorize: process.stderr.hasColors?.() ?? false,
          translateTime: 'SYS:HH:MM:ss',
          singleLine: true,
        }),
      )
    : pino(options, pino.destination({ dest: 2, sync: true }));
}
