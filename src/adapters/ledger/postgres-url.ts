import { isIPv6 } from 'node:net';

/**
 * How a connection is protected. Every TLS mode but `no-verify` checks that an authority one trusts signed the server's
 * certificate; `verify-full` checks the host name in it as well.
 */
type TlsMode = 'disable' | 'no-verify' | 'verify-ca' | 'verify-full';

interface TlsFiles {
  /** Certificates of the authorities to trust; null: those that Node.js trusts. */
  readonly rootCert: string | null;
  /** The client's certificate and key; null: none is shown. */
  readonly client: { readonly cert: string; readonly key: string } | null;
}

/** Where and how to connect: checked, and complete. Certificates are still paths. */
export interface PostgresSettings {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  /** Null: to be looked up in the password file, if the server asks for one. */
  readonly password: string | null;
  /** `disable` for a Unix socket, which has no TLS. */
  readonly tlsMode: TlsMode;
  readonly tlsFiles: TlsFiles;
  /** Begin with TLS at once, instead of asking the server for it. */
  readonly directTls: boolean;
  /** Tie the password's proof to the server's certificate where the server can do that. */
  readonly channelBinding: boolean;
  readonly applicationName: string | null;
  /** Server settings for the session, as PGOPTIONS; connection poolers may refuse them. */
  readonly options: string | null;
  /** Null: Curfew's own limit. */
  readonly connectMs: number | null;
}

/** Host, port and database, for messages. */
export const describePlace = ({ host, port, database }: Pick<PostgresSettings, 'host' | 'port' | 'database'>): string =>
  `${host}:${port}/${database}`;

/** Why settings can't be used. Holds nothing of a URL in which something may stand in the wrong place. */
export interface UrlProblem {
  /** The variable at fault. */
  readonly setting: string;
  readonly why: string;
  readonly next: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads a PostgreSQL URL, with the PG… variables and the usual defaults for what it leaves out. Touches nothing.
 *
 * Stricter than the driver, which takes a password with an unencoded `/` or `#` for a host and looks its name up, passes over
 * parameters it does not know (`sslmod=verify-full` would be no TLS), and fails within a socket on `ssl=false`.
 *
 * Source: https://www.postgresql.org/docs/current/libpq-connect.html, sections 34.1.1.2, 34.1.2 and 34.15.
 *
 * @param url - begins with `postgres://` or `postgresql://`
 */
export function readPostgresUrl(url: string, env: Environment): PostgresSettings | UrlProblem {
  try {
    return settingsOf(partsOf(url), env);
  } catch (error) {
    if (error instanceof Unusable) return error.problem;
    throw error;
  }
}

class Unusable extends Error {
  constructor(readonly problem: UrlProblem) {
    super(problem.why);
  }
}

const URL_SETTING = 'CURFEW_DATABASE_URL';
const FORM = 'Give it as postgres://user:password@host:5432/database.';
const ENCODE =
  'In the user, the password and the name of the database, write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25, and a space as %20.';

const unusable = (why: string, next: string = FORM, setting: string = URL_SETTING): Unusable =>
  new Unusable({ setting, why, next });

const unencoded = (): Unusable =>
  unusable('a special character in it is not encoded, so that its parts can not be told apart', ENCODE);

interface Parts {
  readonly user: string | null;
  readonly password: string | null;
  readonly host: string | null;
  readonly port: string | null;
  readonly database: string | null;
  readonly parameters: ReadonlyMap<string, string>;
}

/** The URL in parts, decoded. A character that could belong to a password and changes what is a part is never guessed at. */
function partsOf(url: string): Parts {
  const [, authority = '', path = '', query = ''] =
    /^postgres(?:ql)?:\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(url) ?? [];
  if (!/^postgres(?:ql)?:\/\//i.test(url)) throw unusable('it is not a valid PostgreSQL URL');
  if (url.includes('#') || /[\s\p{Cc}]/u.test(url) || /%(?![0-9a-f]{2})/i.test(url)) throw unencoded();
  // The one @ before the host; a second one is part of a name or of a password.
  if (url.split('@').length > (authority.includes('@') ? 2 : 1)) throw unencoded();

  const at = authority.indexOf('@');
  const credentials = at === -1 ? '' : authority.slice(0, at);
  const colon = credentials.indexOf(':');
  const { host, port } = hostAndPort(authority.slice(at + 1), at !== -1);
  return {
    user: decoded(colon === -1 ? credentials : credentials.slice(0, colon)),
    password: colon === -1 ? null : decoded(credentials.slice(colon + 1)),
    host,
    port,
    database: decoded(path),
    parameters: parametersOf(query),
  };
}

/** @returns null for nothing */
function decoded(text: string): string | null {
  try {
    const plain = decodeURIComponent(text);
    // PostgreSQL ends texts at a NUL.
    if (!plain.includes('\0')) return plain || null;
  } catch {
    // Bytes that are no UTF-8.
  }
  throw unencoded();
}

/** @param afterCredentials - whether user and password stood before it; otherwise they may be what is here */
function hostAndPort(text: string, afterCredentials: boolean): { host: string | null; port: string | null } {
  if (text.includes(',')) throw unusable('it names several hosts', 'Give one host: the primary, or a proxy before it.');
  const [matched, inBrackets, plain = '', port = ''] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/.exec(text) ?? [];
  const host = decoded(inBrackets ?? plain);
  if (matched === undefined || (inBrackets === undefined ? !(host === null || isHost(host)) : !isIPv6(host ?? ''))) {
    throw unusable('its host is not a valid name or address');
  }
  if (port !== '' && !isPort(port) && !afterCredentials) throw unusable('it has no host after an @');
  return { host, port: port || null };
}

const isHost = (host: string): boolean => host.startsWith('/') || isIPv6(host) || /^[\p{L}\p{N}._-]+$/u.test(host);
const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;

/** Those that Curfew follows, as in PostgreSQL's own clients. `ssl` is Node.js's. */
const PARAMETERS = [
  ...['host', 'port', 'user', 'password', 'dbname'],
  ...['sslmode', 'ssl', 'sslrootcert', 'sslcert', 'sslkey', 'sslnegotiation', 'channel_binding'],
  ...['application_name', 'options', 'connect_timeout'],
] as const;
type Parameter = (typeof PARAMETERS)[number];

function parametersOf(query: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const pair of query.split('&').filter((text) => text !== '')) {
    const [, rawName = '', rawValue = ''] = /^([^=]*)=?(.*)$/.exec(pair) ?? [];
    const name = decoded(rawName) ?? '';
    if (!PARAMETERS.some((known) => known === name)) {
      // Safe to show: there is no further @ in the URL, so nothing in front of one has ended up here.
      const shown = /^[a-z_]{1,40}$/i.test(name) ? `"${name}"` : 'one of them';
      throw unusable(
        `it has parameters that Curfew does not follow: ${shown}`,
        `Remove it, or correct it. Curfew follows ${PARAMETERS.join(', ')}.`,
      );
    }
    if (parameters.has(name)) throw unusable(`it gives ${name} twice`, 'Give it once.');
    parameters.set(name, decoded(rawValue) ?? '');
  }
  return parameters;
}

/** A value, and the name to call it by: that of a variable, or a parameter of the URL. */
interface Given {
  readonly value: string;
  readonly setting: string;
  /** "sslmode" or "PGSSLMODE". */
  readonly name: string;
}

function settingsOf(parts: Parts, env: Environment): PostgresSettings {
  const given = (parameter: Parameter, variable: string | null, part: string | null = null): Given | null => {
    const inQuery = parts.parameters.get(parameter) ?? null;
    const value = inQuery || part || inQuery;
    if (value !== null) return { value, setting: URL_SETTING, name: parameter };
    const fromEnv = variable === null ? undefined : env[variable];
    return fromEnv === undefined || fromEnv === '' || variable === null
      ? null
      : { value: fromEnv, setting: variable, name: variable };
  };
  const text = (parameter: Parameter, variable: string | null, part: string | null = null): string | null =>
    given(parameter, variable, part)?.value || null;

  const host = hostOf(given('host', 'PGHOST', parts.host));
  const user = text('user', 'PGUSER', parts.user) ?? (env['USER'] || env['USERNAME'] || null);
  if (user === null) throw unusable('it names no user', `${FORM} Or set PGUSER.`);
  const ofSocket = host.startsWith('/');
  const wanted = tlsModeOf(parts.parameters.get('ssl') ?? null, given('sslmode', 'PGSSLMODE'), {
    rootCert: given('sslrootcert', 'PGSSLROOTCERT'),
    cert: given('sslcert', 'PGSSLCERT'),
    key: given('sslkey', 'PGSSLKEY'),
  });
  const tls = ofSocket ? { ...wanted, tlsMode: 'disable' as const } : wanted;
  return {
    host,
    port: portOf(given('port', 'PGPORT', parts.port)),
    user,
    database: text('dbname', 'PGDATABASE', parts.database) ?? user,
    password: text('password', 'PGPASSWORD', parts.password),
    ...tls,
    directTls: isDirect(given('sslnegotiation', 'PGSSLNEGOTIATION'), tls.tlsMode, ofSocket),
    channelBinding: bindsChannel(given('channel_binding', 'PGCHANNELBINDING'), tls.tlsMode),
    applicationName: text('application_name', 'PGAPPNAME'),
    options: text('options', 'PGOPTIONS'),
    connectMs: connectMsOf(given('connect_timeout', 'PGCONNECT_TIMEOUT')),
  };
}

function hostOf(given: Given | null): string {
  if (given === null || given.value === '') return 'localhost';
  if (isHost(given.value)) return given.value;
  throw given.setting === URL_SETTING
    ? unusable('its host is not a valid name or address')
    : unusable(
        'it is not a valid host name or address',
        'Set it to one host, or to the folder of a Unix socket.',
        given.name,
      );
}

function portOf(given: Given | null): number {
  if (given === null || given.value === '') return 5432;
  if (isPort(given.value)) return Number(given.value);
  throw given.setting === URL_SETTING
    ? unusable('its port is not a number from 1 to 65535', `${FORM} ${ENCODE}`)
    : unusable('it is not a number from 1 to 65535', 'Set it to the port of PostgreSQL, 5432 as a rule.', given.name);
}

const CHOICES =
  'Set sslmode=verify-full (with sslrootcert=/path/to/ca.pem for an authority of your own); sslmode=disable for no TLS; or sslmode=no-verify for TLS that anyone on the way can read and change.';

/** `require` and `verify-full` are one here: TLS with a server that could be anyone protects from nobody. */
const SSL_MODES: Readonly<Record<string, TlsMode>> = {
  disable: 'disable',
  'no-verify': 'no-verify',
  require: 'verify-full',
  'verify-ca': 'verify-ca',
  'verify-full': 'verify-full',
};
const SSL: Readonly<Record<string, TlsMode>> = {
  ...{ true: 'verify-full', 1: 'verify-full', false: 'disable', 0: 'disable' },
  'no-verify': 'no-verify',
};

interface GivenFiles {
  readonly rootCert: Given | null;
  readonly cert: Given | null;
  readonly key: Given | null;
}

function tlsModeOf(
  ssl: string | null,
  sslmode: Given | null,
  { rootCert, cert, key }: GivenFiles,
): Pick<PostgresSettings, 'tlsMode' | 'tlsFiles'> {
  const bySsl = ssl === null ? null : (SSL[ssl] ?? null);
  if (ssl !== null && bySsl === null) {
    throw unusable('its ssl is not one of true, false and no-verify', CHOICES);
  }
  const bySslmode = sslmode === null ? null : modeOf(sslmode);
  if (bySsl !== null && bySslmode !== null && sslmode?.setting === URL_SETTING && bySsl !== bySslmode) {
    throw unusable('its ssl and its sslmode contradict each other', `Remove ssl. ${CHOICES}`);
  }
  // What the URL says wins; files that it names mean TLS.
  const inUrl = sslmode?.setting === URL_SETTING ? bySslmode : null;
  const namesFiles = [rootCert, cert, key].some((file) => file?.setting === URL_SETTING);
  const tlsMode = inUrl ?? bySsl ?? (namesFiles ? 'verify-full' : (bySslmode ?? 'disable'));

  const system = rootCert?.value === 'system';
  if (tlsMode === 'verify-ca' && (rootCert === null || system)) {
    throw unusable(
      'sslmode=verify-ca needs an authority of your own: a public one signs certificates for anybody',
      'Add sslrootcert=/path/to/ca.pem, or set sslmode=verify-full.',
      sslmode?.setting,
    );
  }
  const client = cert?.value && key?.value ? { cert: cert.value, key: key.value } : null;
  if (client === null && tlsMode !== 'disable' && (cert?.value || key?.value)) {
    throw unusable('a client certificate needs both sslcert and sslkey', 'Give both, or neither.');
  }
  return { tlsMode, tlsFiles: { rootCert: system ? null : rootCert?.value || null, client } };
}

function modeOf({ value, setting, name }: Given): TlsMode {
  const mode = SSL_MODES[value];
  if (mode !== undefined) return mode;
  const its = setting === URL_SETTING ? 'its sslmode' : 'it';
  if (value === 'prefer' || value === 'allow') {
    throw unusable(
      `${its} is "${value}", which leaves it to the network whether the connection is encrypted`,
      choicesFor(name),
      setting,
    );
  }
  throw unusable(`${its} is not one of ${Object.keys(SSL_MODES).join(', ')}`, choicesFor(name), setting);
}

const choicesFor = (name: string): string => (name === 'sslmode' ? CHOICES : CHOICES.replaceAll('sslmode', name));

function isDirect(given: Given | null, mode: TlsMode, ofSocket: boolean): boolean {
  if (given === null || given.value === 'postgres') return false;
  const its = given.setting === URL_SETTING ? 'its sslnegotiation' : 'it';
  if (given.value !== 'direct')
    throw unusable(`${its} is not one of postgres, direct`, 'Correct or remove it.', given.setting);
  if (mode !== 'disable') return true;
  if (ofSocket) return false;
  throw unusable(`${its} is "direct", which needs TLS`, CHOICES, given.setting);
}

function bindsChannel(given: Given | null, mode: TlsMode): boolean {
  if (given === null || given.value === 'disable') return false;
  const its = given.setting === URL_SETTING ? 'its channel_binding' : 'it';
  if (given.value === 'prefer') return mode !== 'disable';
  if (given.value !== 'require') {
    throw unusable(`${its} is not one of disable, prefer, require`, 'Correct or remove it.', given.setting);
  }
  // Its purpose is that nobody can pose as the server; where a certificate is checked, nobody can.
  if (mode === 'verify-full' || mode === 'verify-ca') return true;
  throw unusable(
    `${its} is "require", which Curfew can only warrant where it checks the server's certificate`,
    'Set sslmode=verify-full, or channel_binding=prefer.',
    given.setting,
  );
}

function connectMsOf(given: Given | null): number | null {
  if (given === null) return null;
  // libpq: 0 and less is no limit. Then ours stays.
  if (/^-?\d{1,5}$/.test(given.value)) return Number(given.value) > 0 ? Number(given.value) * 1_000 : null;
  const its = given.setting === URL_SETTING ? 'its connect_timeout' : 'it';
  throw unusable(`${its} is not a number of seconds`, 'Correct or remove it.', given.setting);
}
