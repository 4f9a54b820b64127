import type { Config } from '../platform/config.js';
import { groupLines, type GroupedLogger } from '../platform/grouped-log.js';
import { createLogger, type Logger } from '../platform/telemetry.js';
import { summarizeLines } from './log-summaries.js';
import { logSentence } from './log-words.js';

/** Of a command that answers and goes: unless it is asked for more, it says only what went wrong. */
export const commandLog = (config: Config): Logger =>
  createLogger(config.env['CURFEW_LOG'] === undefined ? 'error' : config.logLevel, isPretty(config), logSentence);

/** Of a worker. */
export function serviceLog(config: Config): GroupedLogger {
  const pretty = isPretty(config);
  const log = createLogger(config.logLevel, pretty, logSentence);
  return pretty ? summarizeLines(log, groupLines(log)) : groupLines(log);
}

const isPretty = ({ logFormat }: Config): boolean =>
  logFormat === null ? process.stderr.isTTY === true : logFormat === 'pretty';
