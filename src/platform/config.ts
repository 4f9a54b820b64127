import { join } from 'node:path';
import { readDotEnv, type DotEnv } from './dot-env.js';
import { durationOf, LONGEST_MS } from '../core/duration.js';
import { ExitCode, UserError } from '../core/errors.js';
import { DEFAULT_SCAN_MS, DEFAULT_TIMING, type CaseTiming } from '../core/policy/timing.js';
import { homePaths, resolveHome } from './home.js';
import { HTTP_ADDRESS, readHttpAddress, type HttpAddress } from './http/address.js';
import { checkProxies } from './http/proxy.js';
import { secretSetting } from './secret-setting.js';
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from './telemetry.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** All settings, read once. Secrets are not among them: `createCredentials` and the Temporal client read those themselves. */
export interface Config {
  /** The process environment over the `.env` file of the folder one stands in. */
  readonly env: Environment;
  /** Null: there is no such file. */
  readonly dotEnv: DotEnv | null;
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
  const dotEnv = readDotEnv(join(folder, '.env'), processEnv);
  const env = { ...dotEnv?.settings, ...definedOnly(processEnv) };
  const home = resolveHome(env);
  checkProxies(env);
  return {
    env,
    dotEnv: dotEnv?.source ?? null,
    home,
    databaseUrl: secretSetting(env, 'CURFEW_DATABASE_URL') ?? homePaths(home).ledger,
    apiBaseUrl: env['GUMLOOP_BASE_URL'] || DEFAULT_API_BASE_URL,
    logLevel: logLevelOf(env['CURFEW_LOG']),
    logFormat: logFormatOf(env['CURFEW_LOG_FORMAT']),
    timing: {
      ...DEFAULT_TIMING,
      alertAfterMs: durationSetting(env, 'CURFEW_ALERT_AFTER', DEFAULT_TIMING.alertAfterMs),
      giveUpAfterMs: durationSetting(env, 'CURFEW_GIVE_UP_AFTER', DEFAULT_TIMING.giveUpAfterMs),
      retryCapMs: durationSetting(env, 'CURFEW_RETRY_CAP', DEFAULT_TIMING.retryCapMs),
      accountRetryMs: durationSetting(env, 'CURFEW_KEY_RETRY', DEFAULT_TIMING.accountRetryMs),
    },
    requestsPerSecond: wholeNumberOf(env, 'CURFEW_REQUESTS_PER_SECOND', 50),
    scanMs: durationSetting(env, 'CURFEW_SCAN_INTERVAL', DEFAULT_SCAN_MS),
    retentionMs: durationSetting(env, 'CURFEW_RETENTION', 400 * DAY_MS, DAY_MS),
    bulkTypeAbove: wholeNumberOf(env, 'CURFEW_BULK_TYPE_ABOVE', 500),
    httpAddress: readHttpAddress(env[HTTP_ADDRESS]),
  };
}

const definedOnly = (env: Environment): Record<string, string> =>
  Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));

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
function durationSetting(env: Environment, name: string, fallback: number, leastMs = 1_000): number {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  return durationOf(name, text, { least: leastMs, most: LONGEST_MS });
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
