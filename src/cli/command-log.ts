import type { Config } from '../platform/config.js';
import { createLogger, type Logger } from '../platform/telemetry.js';

/** @param quiet - commands that answer and go say only what went wrong */
export function commandLog(config: Config, quiet: boolean): Logger {
  const level = quiet && config.env['CURFEW_LOG'] === undefined ? 'error' : config.logLevel;
  const pretty = config.logFormat === null ? process.stderr.isTTY === true : config.logFormat === 'pretty';
  return createLogger(level, pretty);
}
