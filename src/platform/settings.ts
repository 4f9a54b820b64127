import * as z from 'zod';
import { formatDuration, LONGEST_MS, readDuration } from '../core/duration.js';
import { ExitCode, UserError } from '../core/errors.js';
import { suggestionIn, suggestionText } from '../core/policy-file/finding.js';
import { leaf } from '../core/policy-file/leaf.js';
import { bad, good, shown, type Reading } from '../core/policy-file/reading.js';
import { DEFAULT_SCAN_MS, DEFAULT_TIMING } from '../core/policy/timing.js';
import { readHttpAddress, type HttpAddress } from './http/address.js';
import { LOG_FORMATS, LOG_LEVELS, type LogFormat } from './log-settings.js';

const DAY_MS = 24 * 60 * 60_000;

export const DEFAULT_API_BASE_URL = 'https://api.gumloop.com/api/v1';

/** What the table in docs/settings.md says of a setting, in Markdown. */
interface Told {
  readonly description: string;
  readonly byDefault: string;
  /** `NAME_FILE` may name a file that holds it instead. */
  readonly secret?: true;
}

const told = <T extends z.ZodType>(schema: T, more: Told): T => schema.meta({ ...more });

/** One that is read here. */
const setting = <T>(read: (text: string) => Reading<T>, fallback: T, byDefault: string, description: string) =>
  told(leaf((text) => read(String(text)), { description }).default(fallback as never), {
    ...{ description, byDefault },
  });

const duration = (fallbackMs: number, description: string, least?: number) =>
  setting(
    (text) => readDuration(text, { ...(least === undefined ? {} : { least }), most: LONGEST_MS }),
    ...([fallbackMs, `\`${formatDuration(fallbackMs)}\``, description] as const),
  );

const wholeNumber = (fallback: number, description: string) =>
  setting(
    (text) =>
      /^[1-9]\d{0,5}$/.test(text)
        ? good(Number(text))
        : bad(`is ${shown(text)}`, `Set it to a whole number of 1 or more, such as ${fallback}.`),
    ...([fallback, `\`${fallback}\``, description] as const),
  );

const wordOf =
  <T extends string>(words: readonly T[]) =>
  (text: string): Reading<T> => {
    const word = words.find((known) => known === text.toLowerCase());
    return word === undefined ? bad(`is ${shown(text)}`, `Set it to one of ${words.join(', ')}.`) : good(word);
  };

/** One that is read where it is used. */
const elsewhere = (description: string, byDefault = '') => told(z.string().optional(), { description, byDefault });
const secret = (description: string, byDefault = '') =>
  told(z.string().optional(), { description, byDefault, secret: true });

const OWN_SERVER = 'Curfew’s own server';

/** Every setting, in the order of the table; those of OpenTelemetry and of proxies are other people's. */
export const SETTINGS = z.object({
  GUMLOOP_API_KEY: secret('API key, personal or of a team; goes with `GUMLOOP_USER_ID`'),
  GUMLOOP_USER_ID: elsewhere('owner of a personal key; with a team key, a member to act for'),
  GUMLOOP_TEAM_ID: elsewhere('the team of a team key; limits another credential to this team'),
  GUMLOOP_ACCESS_TOKEN: secret('OAuth access token, alone; it wins when a key is set, too'),
  GUMLOOP_BASE_URL: told(z.string().default(DEFAULT_API_BASE_URL), {
    description: 'address of the vendor’s API; plain http only to this machine',
    byDefault: `\`${DEFAULT_API_BASE_URL}\``,
  }),
  CURFEW_HOME: elsewhere('absolute path of the home folder', 'your state folder, on Linux `~/.local/state/curfew`'),
  CURFEW_DATABASE_URL: secret('the ledger: path for SQLite, or `postgres://…`', '`ledger.db` in the home folder'),
  CURFEW_ACTOR: elsewhere(
    'your name, recorded with what commands order, beside the system’s user; not checked',
    'no name',
  ),
  CURFEW_LOG: setting(
    wordOf(LOG_LEVELS),
    'info',
    '`info`',
    'minimum level of log lines: `debug`, `info`, `warn`, `error`, `silent`',
  ),
  CURFEW_LOG_FORMAT: setting<LogFormat | null>(
    wordOf(LOG_FORMATS),
    null,
    '`pretty` on a terminal, else `json`',
    'form of log lines: [logs and traces](tracing.md)',
  ),
  CURFEW_ALERT_AFTER: duration(DEFAULT_TIMING.alertAfterMs, 'how long to try before the event `not-ending` is raised'),
  CURFEW_GIVE_UP_AFTER: duration(
    DEFAULT_TIMING.giveUpAfterMs,
    'how long to try before an order ends as `retries-exhausted`',
  ),
  CURFEW_RETRY_CAP: duration(DEFAULT_TIMING.retryCapMs, 'longest wait between attempts'),
  CURFEW_KEY_RETRY: duration(DEFAULT_TIMING.accountRetryMs, 'wait before a refused key is tried again'),
  CURFEW_REQUESTS_PER_SECOND: wholeNumber(
    50,
    'maximum requests per second to the vendor, cancels too, for each worker',
  ),
  CURFEW_SCAN_INTERVAL: duration(DEFAULT_SCAN_MS, 'time between two scans of the fleet'),
  CURFEW_RETENTION: duration(400 * DAY_MS, 'records of what ended longer ago are deleted; at least `1d`', DAY_MS),
  CURFEW_BULK_TYPE_ABOVE: wholeNumber(500, 'above so many targets `curfew bulk apply` makes you type the exact number'),
  CURFEW_HTTP_ADDRESS: setting<HttpAddress | null>(
    readHttpAddress,
    null,
    'not served',
    'where workers serve [metrics and health](metrics.md): `127.0.0.1:9464`',
  ),
  CURFEW_CODEC_KEYS_FILE: elsewhere(
    'file of keys for [payloads in Temporal](hardening.md#payload-encryption)',
    'payloads are not encrypted',
  ),
  CURFEW_CODEC_TOKEN_FILE: elsewhere('file of the token that `curfew codec-server` asks for', 'no token'),
  TEMPORAL_CLI_PATH: elsewhere(
    'program for Curfew’s own Temporal server; not from `.env`',
    '`temporal` on `PATH`, else it is fetched',
  ),
  TEMPORAL_ADDRESS: elsewhere('address of a running Temporal, as for the `temporal` CLI', OWN_SERVER),
  TEMPORAL_NAMESPACE: elsewhere('namespace there', '`default`'),
  TEMPORAL_API_KEY: secret('API key for it'),
  TEMPORAL_TLS: elsewhere('TLS to it: `true`, `false`'),
  TEMPORAL_TLS_SERVER_NAME: elsewhere('name that its certificate must have'),
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: elsewhere('file of the authority that signed its certificate'),
  TEMPORAL_TLS_CLIENT_CERT_PATH: elsewhere('file of the certificate of Curfew'),
  TEMPORAL_TLS_CLIENT_KEY_PATH: elsewhere('file of the key of that certificate'),
  TEMPORAL_PROFILE: elsewhere('profile of Temporal’s config file', OWN_SERVER),
  TEMPORAL_CONFIG_FILE: elsewhere('Temporal’s config file', 'where the `temporal` CLI has it'),
});

/**
 * Reads the settings; what is empty counts as not set.
 *
 * @throws UserError with exit code 2 that names the setting, and says what to write instead
 */
export function readSettings(env: Readonly<Record<string, string | undefined>>): z.output<typeof SETTINGS> {
  const set = Object.fromEntries(Object.entries(env).filter(([, text]) => text !== undefined && text.trim() !== ''));
  const read = SETTINGS.safeParse(set);
  if (read.success) return read.data;
  const issue = read.error.issues[0];
  const next = issue?.code === 'custom' ? suggestionText(suggestionIn(issue)) : null;
  throw new UserError(`${String(issue?.path[0])} ${issue?.message}.`, next ?? 'Correct it.', ExitCode.usage);
}

/** What is told of each setting. */
export const toldOfSettings = (): (Told & { readonly name: string })[] =>
  Object.entries(SETTINGS.shape).map(([name, schema]) => ({ name, ...(schema.meta() as unknown as Told) }));
