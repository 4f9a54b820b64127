import { join } from 'node:path';
import { readDotEnv, type DotEnv } from './dot-env.js';
import { DEFAULT_TIMING, type CaseTiming } from '../core/policy/timing.js';
import { homePaths, resolveHome } from './home.js';
import type { HttpAddress } from './http/address.js';
import { checkProxies } from './http/proxy.js';
import { secretSetting } from './secret-setting.js';
import { readSettings } from './settings.js';
import type { LogFormat, LogLevel } from './log-settings.js';

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

/**
 * Reads the settings.
 *
 * @param processEnv - normally `process.env`; it wins over `.env`
 * @param folder - where `.env` is looked for
 * @throws UserError with exit code 2 that names the setting, and says what to write instead
 */
export function loadConfig(processEnv: Environment, folder: string): Config {
  const dotEnv = readDotEnv(join(folder, '.env'), processEnv);
  const env = { ...dotEnv?.settings, ...definedOnly(processEnv) };
  const home = resolveHome(env);
  checkProxies(env);
  const settings = readSettings(env);
  return {
    env,
    dotEnv: dotEnv?.source ?? null,
    home,
    databaseUrl: secretSetting(env, 'CURFEW_DATABASE_URL') ?? homePaths(home).ledger,
    apiBaseUrl: settings.GUMLOOP_BASE_URL,
    logLevel: settings.CURFEW_LOG,
    logFormat: settings.CURFEW_LOG_FORMAT,
    timing: {
      ...DEFAULT_TIMING,
      alertAfterMs: settings.CURFEW_ALERT_AFTER,
      giveUpAfterMs: settings.CURFEW_GIVE_UP_AFTER,
      retryCapMs: settings.CURFEW_RETRY_CAP,
      accountRetryMs: settings.CURFEW_KEY_RETRY,
    },
    requestsPerSecond: settings.CURFEW_REQUESTS_PER_SECOND,
    scanMs: settings.CURFEW_SCAN_INTERVAL,
    retentionMs: settings.CURFEW_RETENTION,
    bulkTypeAbove: settings.CURFEW_BULK_TYPE_ABOVE,
    httpAddress: settings.CURFEW_HTTP_ADDRESS,
  };
}

const definedOnly = (env: Environment): Record<string, string> =>
  Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
