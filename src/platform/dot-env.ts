import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { parse } from 'dotenv';
import { ExitCode, UserError } from '../core/errors.js';
import { PROXY_VARIABLES } from './http/proxy.js';
import { modeText } from './private-file.js';
import { shell } from '../core/text/shell.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** A `.env` file that was read. Holds no values. */
export interface DotEnv {
  /** Absolute, if the folder was. */
  readonly path: string;
  /** Names whose values are those of the file; the environment has none of them. */
  readonly names: readonly string[];
  /** Names in it that are no settings of Curfew, and so are not taken. */
  readonly ignored: readonly string[];
}

/** A file of settings is small. */
const MAX_BYTES = 1024 * 1024;

/** Rights to write for the group and for all. */
const WRITABLE_BY_OTHERS = 0o022;

/**
 * What a file may set: settings of Curfew, the vendor, Temporal's client and OpenTelemetry, and proxies. A `.env` is often
 * that of another program; what it says of PATH, HOME, Node.js, Go or the loader would decide which code Curfew runs.
 */
const isSetting = (name: string): boolean =>
  /^(CURFEW|GUMLOOP|TEMPORAL|OTEL)_/.test(name) || PROXY_VARIABLES.includes(name);

/** Settings that name a program to run. */
const PROGRAMS = ['TEMPORAL_CLI_PATH'];

/**
 * Reads the settings of a `.env` file. Whoever can put a file where someone stands must not decide where their secrets go, or
 * what runs as them. So it has to be the user's own file, it names no program, and it says where a secret goes only when it
 * holds that secret itself.
 *
 * @param env - the environment, which wins
 * @returns its settings, and null when there is no such file
 * @throws {UserError} with exit code 2
 */
export function readDotEnv(
  path: string,
  env: Environment,
): { readonly settings: Readonly<Record<string, string>>; readonly source: DotEnv } | null {
  const text = readOwn(path);
  if (text === null) return null;
  const broken = brokenLine(text);
  if (broken !== null) {
    throw new UserError(
      `The file ${path} is broken in line ${broken}: it is neither NAME=value, nor a comment, nor blank.`,
      'Correct that line; values with spaces or # go into quotes.',
      ExitCode.usage,
    );
  }
  const all = Object.entries(parse(text));
  const taken = all.filter(([name]) => isSetting(name) && env[name] === undefined);
  const ignored = all.map(([name]) => name).filter((name) => !isSetting(name));
  const settings = Object.fromEntries(taken);
  refusePrograms(path, settings);
  for (const rule of DESTINATIONS) refuseRedirect(path, settings, env, rule);
  return { settings, source: { path, names: Object.keys(settings), ignored } };
}

function refusePrograms(path: string, settings: Environment): void {
  const name = PROGRAMS.find((program) => isSet(settings[program]));
  if (name === undefined) return;
  throw new UserError(
    `The file ${path} sets ${name}, which names a program. Programs are taken from the environment only, so that no folder decides what you run. Nothing was started.`,
    `Take it out of the file, and set it in the environment if you want it: export ${name}=…`,
    ExitCode.usage,
  );
}

/** Secrets, and the settings that say where they are sent. */
interface Destinations {
  readonly what: string;
  readonly secrets: readonly string[];
  readonly decides: (name: string) => boolean;
}

const DESTINATIONS: readonly Destinations[] = [
  {
    what: 'the vendor’s key',
    secrets: ['GUMLOOP_API_KEY', 'GUMLOOP_API_KEY_FILE', 'GUMLOOP_ACCESS_TOKEN', 'GUMLOOP_ACCESS_TOKEN_FILE'],
    decides: (name) => name === 'GUMLOOP_BASE_URL' || (PROXY_VARIABLES.includes(name) && !/^no_/i.test(name)),
  },
  {
    what: 'the database’s password',
    secrets: ['PGPASSWORD'],
    decides: (name) => /^CURFEW_DATABASE_URL(_FILE)?$/.test(name),
  },
  {
    what: 'the collector’s credentials',
    secrets: ['OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_EXPORTER_OTLP_TRACES_HEADERS'],
    decides: (name) => /^OTEL_EXPORTER_OTLP_(TRACES_)?(ENDPOINT|CERTIFICATE|INSECURE)$/.test(name),
  },
];

/** That of Temporal depends on its config file as well: `temporal/connection-target.ts`. */
function refuseRedirect(path: string, settings: Environment, env: Environment, rule: Destinations): void {
  const secret = rule.secrets.find((name) => isSet(env[name]) || (name.endsWith('_FILE') && isSet(settings[name])));
  const destination = Object.keys(settings).find((name) => rule.decides(name) && isSet(settings[name]));
  if (secret === undefined || destination === undefined) return;
  throw redirects({ path, destination, secret, what: rule.what });
}

/** @param secret - where it comes from, for people */
export function redirects(found: {
  readonly path: string;
  readonly destination: string;
  readonly secret: string;
  readonly what: string;
}): UserError {
  const { path, destination, secret, what } = found;
  return new UserError(
    `The file ${path} sets ${destination}, and so where ${what} goes; but that comes from elsewhere (${secret}). A file of whatever folder you are in must not send it away. Nothing was sent.`,
    `Set ${destination} where the secret is set; or take it out of the file.`,
    ExitCode.usage,
  );
}

const isSet = (value: string | undefined): boolean => (value?.trim() ?? '') !== '';

/** @returns the text of a file that nobody else can have written; null when there is none */
function readOwn(path: string): string | null {
  let file: number;
  try {
    // A pipe must not hold up a command.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw unreadable(path, codeOf(error));
  }
  try {
    const facts = fstatSync(file);
    if (facts.isDirectory()) throw unreadable(path, 'EISDIR');
    if (!facts.isFile()) throw unreadable(path, 'it is not a regular file');
    if (facts.size > MAX_BYTES) throw unreadable(path, `it is larger than ${MAX_BYTES} bytes`);
    // A link of somebody else's could lead to a file of the user's that is meant for another place.
    for (const owned of [facts, lstatSync(path)]) refuseForeign(path, owned);
    if ((facts.mode & WRITABLE_BY_OTHERS) !== 0 && process.platform !== 'win32') {
      throw new UserError(
        `The file ${path} can be written by others (mode ${modeText(facts.mode & 0o777)}): they could send your key elsewhere. Nothing was read from it.`,
        shell`See what is in it, then take their right away: chmod go-w ${path}`,
        ExitCode.usage,
      );
    }
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw unreadable(path, codeOf(error));
  } finally {
    closeSync(file);
  }
}

/** Root's files are taken: root can do as the user does anyway. Those of the user are not taken by root. */
function refuseForeign(path: string, { uid }: Pick<Stats, 'uid'>): void {
  const user = process.geteuid?.();
  if (user === undefined || uid === user || uid === 0) return;
  throw new UserError(
    `The file ${path} belongs to another user (uid ${uid}, and Curfew runs as ${user}): it could send your key elsewhere. Nothing was read from it.`,
    'Run Curfew in a folder of your own; or, if you trust the file, make it yours with chown.',
    ExitCode.usage,
  );
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown error';

const unreadable = (path: string, why: string): UserError =>
  new UserError(`The file ${path} can't be read (${why}).`, 'Make it readable, or move it away.', ExitCode.usage);

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
