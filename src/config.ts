import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'dotenv';
import ms, { type StringValue } from 'ms';
import { ExitCode, UserError } from './errors.js';
import { DEFAULT_SCAN_MS } from './fleet/stored-facts.js';
import { homePaths, resolveHome } from './home.js';
import { HTTP_ADDRESS, readHttpAddress, type HttpAddress } from './http/address.js';
import { checkProxies } from './http/proxy.js';
import { secretSetting } from './secret-setting.js';
import { DEFAULT_TIMING, type CaseTiming } from './policy/timing.js';
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from './telemetry.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** All settings, read once. Secrets are not among them: `createCredentials` and the Temporal client read those themselves. */
export interface Config {
  /** The process environment over the `.env` file of the folder one stands in. */
  readonly env: Environment;
  /** Absolute path. */
  readonly home: string;
  readonly databaseUrl: string;
  /** Ends in `/api/v1`. */
  readonly apiBaseUrl: string;
  readonly logLevel: LogLevel;
  /** Null: lines for people on a terminal, JSON elsewhere. */
  readonly logFormat: LogFormat | null;
  readonly timing: CaseTiming;
  /** Most requests to the vendor per second, of this process. */
  readonly requestsPerSecond: number;
  /** Time between two scans of the fleet, ms. */
  readonly scanMs: number;
  /** How long the ledger keeps what is over, ms; at least a day. */
  readonly retentionMs: number;
  /** A bulk job of more targets than this wants their exact number typed before it starts. */
  readonly bulkTypeAbove: number;
  /** Where workers serve metrics and health; null: nowhere. */
  readonly httpAddress: HttpAddress | null;
}

const DAY_MS = 24 * 60 * 60_000;

export const DEFAULT_API_BASE_URL = 'https://api.gumloop.com/api/v1';

/**
 * Reads the settings.
 *
 * @param processEnv - normally `process.env`; it wins over `.env`
 * @param folder - where `.env` is looked for
 * @throws UserError with exit code 2 that names the setting, its value's form, and an example
 */
export function loadConfig(processEnv: Environment, folder: string): Config {
  const env = { ...readDotEnv(join(folder, '.env')), ...definedOnly(processEnv) };
  const home = resolveHome(env);
  checkProxies(env);
  return {
    env,
    home,
    databaseUrl: secretSetting(env, 'CURFEW_DATABASE_URL') ?? homePaths(home).ledger,
    apiBaseUrl: env['GUMLOOP_BASE_URL'] || DEFAULT_API_BASE_URL,
    logLevel: logLevelOf(env['CURFEW_LOG']),
    logFormat: logFormatOf(env['CURFEW_LOG_FORMAT']),
    timing: {
      ...DEFAULT_TIMING,
      alertAfterMs: durationOf(env, 'CURFEW_ALERT_AFTER', DEFAULT_TIMING.alertAfterMs),
      giveUpAfterMs: durationOf(env, 'CURFEW_GIVE_UP_AFTER', DEFAULT_TIMING.giveUpAfterMs),
      retryCapMs: durationOf(env, 'CURFEW_RETRY_CAP', DEFAULT_TIMING.retryCapMs),
      accountRetryMs: durationOf(env, 'CURFEW_KEY_RETRY', DEFAULT_TIMING.accountRetryMs),
    },
    requestsPerSecond: wholeNumberOf(env, 'CURFEW_REQUESTS_PER_SECOND', 50),
    scanMs: durationOf(env, 'CURFEW_SCAN_INTERVAL', DEFAULT_SCAN_MS),
    retentionMs: durationOf(env, 'CURFEW_RETENTION', 400 * DAY_MS, DAY_MS),
    bulkTypeAbove: wholeNumberOf(env, 'CURFEW_BULK_TYPE_ABOVE', 500),
    httpAddress: readHttpAddress(env[HTTP_ADDRESS]),
  };
}

const definedOnly = (env: Environment): Record<string, string> =>
  Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));

function readDotEnv(path: string): Record<string, string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    if (code === 'ENOENT') return {};
    throw new UserError(
      `The file ${path} can't be read (${code}).`,
      'Make it readable, or move it away.',
      ExitCode.usage,
    );
  }
  const broken = brokenLine(text);
  if (broken !== null) {
    throw new UserError(
      `The file ${path} is broken in line ${broken}: it is neither NAME=value, nor a comment, nor blank.`,
      'Correct that line; values with spaces or # go into quotes.',
      ExitCode.usage,
    );
  }
  return parse(text);
}

/** The dotenv parser passes over what it can't read; a misspelt setting must not pass. @returns its line, from 1 */
function brokenLine(text: string): number | null {
  let openQuote: { readonly quote: string; readonly line: number } | null = null;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (openQuote !== null) {
      if (line.includes(openQuote.quote)) openQuote = null;
      continue;
    }
    if (/^\s*(#.*)?$/.test(line)) continue;
    const value = /^\s*(?:export\s+)?[\w.-]+\s*(?:=|:\s)\s*(.*)$/.exec(line)?.[1];
    if (value === undefined) return index + 1;
    const quote = /^["'`]/.exec(value)?.[0];
    if (quote !== undefined && !value.slice(1).includes(quote)) openQuote = { quote, line: index + 1 };
  }
  return openQuote?.line ?? null;
}

function logLevelOf(text: string | undefined): LogLevel {
  if (text === undefined || text === '') return 'info';
  const level = LOG_LEVELS.find((known) => known === text.toLowerCase());
  if (level !== undefined) return level;
  throw new UserError(`CURFEW_LOG is "${text}".`, `Set it to one of ${LOG_LEVELS.join(', ')}.`, ExitCode.usage);
}

function logFormatOf(text: string | undefined): LogFormat | null {
  if (text === undefined || text === '') return null;
  const format = LOG_FORMATS.find((known) => known === text.toLowerCase());
  if (format !== undefined) return format;
  throw new UserError(
    `CURFEW_LOG_FORMAT is "${text}".`,
    `Set it to ${LOG_FORMATS.join(' or ')}, or leave it out.`,
    ExitCode.usage,
  );
}

/** @returns ms; at least one second, or what is given as the least */
function durationOf(env: Environment, name: string, fallback: number, leastMs = 1_000): number {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  const value = parseDuration(text);
  if (value !== null && value >= leastMs) return value;
  const [least, example] = leastMs >= DAY_MS ? ['a day', '400d'] : ['a second', '5m'];
  throw new UserError(
    `${name} is "${text}", which is no duration of ${least} or more.`,
    `Write it with a unit: ${name}=${example}.`,
    ExitCode.usage,
  );
}

/** "90s", "5m", "24h", "2d" → ms; null for anything else. A unit is needed: a bare number could mean anything. */
export function parseDuration(text: string): number | null {
  if (!/^\d+(\.\d+)?\s*[a-z]+$/i.test(text.trim())) return null;
  const value = ms(text.trim() as StringValue) as number | undefined;
  return value === undefined || !Number.isFinite(value) ? null : value;
}

function wholeNumberOf(env: Environment, name: string, fallback: number): number {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new UserError(
    `${name} is "${text}".`,
    `Set it to a whole number of 1 or more: ${name}=${fallback}.`,
    ExitCode.usage,
  );
}
