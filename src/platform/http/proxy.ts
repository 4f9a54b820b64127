import { isIPv4 } from 'node:net';
import { ExitCode, UserError } from '../../core/errors.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** A proxy for requests to other machines. */
export interface Proxy {
  readonly url: URL;
  /** Host and port; never its user and password. */
  readonly describe: string;
  /** The variable that names it. */
  readonly setting: string;
}

/** As curl has it: the lower case wins. */
const VARIABLES: Readonly<Record<string, readonly string[]>> = {
  'https:': ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'],
  'http:': ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'],
};
export const PROXY_VARIABLES: readonly string[] = [
  ...new Set([...Object.values(VARIABLES).flat(), 'no_proxy', 'NO_PROXY']),
];

/**
 * Which proxy a request goes through. This machine itself is never reached through one, whatever the variables say: a proxy would
 * look for it on its own.
 *
 * @returns null: straight there
 * @throws {UserError} with exit code 2 for a proxy that can't be used, without its address, which may hold a password
 */
export function proxyFor(address: string | URL, env: Environment = process.env): Proxy | null {
  const target = new URL(address);
  const setting = (VARIABLES[target.protocol] ?? []).find((name) => (env[name]?.trim() ?? '') !== '');
  if (setting === undefined || isThisMachine(target.hostname) || isExcepted(target, env)) return null;
  return readProxy(setting, env[setting]?.trim() ?? '');
}

/** @throws {UserError} with exit code 2 for a proxy that can't be used, also where no request would go through it yet */
export function checkProxies(env: Environment): void {
  for (const name of new Set(Object.values(VARIABLES).flat())) {
    const text = env[name]?.trim() ?? '';
    if (text !== '') readProxy(name, text);
  }
}

function readProxy(setting: string, text: string): Proxy {
  // Many write host:port.
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(address) ? new URL(address) : null;
  const isUsable =
    url !== null &&
    (url.protocol === 'http:' || url.protocol === 'https:') &&
    url.hostname !== '' &&
    [url.username, url.password].every(canDecode) &&
    (url.pathname === '/' || url.pathname === '') &&
    url.search === '' &&
    url.hash === '';
  if (!isUsable) {
    throw new UserError(
      `${setting} is not the address of an HTTP proxy.`,
      'Set it to http://host:port or http://user:password@host:port; special characters in user and password percent-encoded.',
      ExitCode.usage,
    );
  }
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  url.port = port;
  return { url, describe: `${url.hostname}:${port}`, setting };
}

function canDecode(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

const isThisMachine = (hostname: string): boolean =>
  hostname === 'localhost' ||
  hostname.endsWith('.localhost') ||
  hostname === '[::1]' ||
  (isIPv4(hostname) && hostname.startsWith('127.'));

/** A name stands for itself and what is below it, with or without a leading `.` or `*.`; a port narrows it down. */
function isExcepted({ hostname, port, protocol }: URL, env: Environment): boolean {
  const list = env['no_proxy']?.trim() || env['NO_PROXY']?.trim() || '';
  const host = hostname.toLowerCase().replace(/^\[|\]$/g, '');
  const actualPort = port || (protocol === 'https:' ? '443' : '80');
  return list.split(/[\s,]+/).some((entry) => {
    if (entry === '*') return true;
    const [, bracketed, name = '', wantedPort] = /^(?:\[([^\]]+)\]|([^:]+|.*:.*:.*?))(?::(\d+))?$/.exec(entry) ?? [];
    if (wantedPort !== undefined && wantedPort !== actualPort) return false;
    const excepted = (bracketed ?? name).toLowerCase().replace(/^\*?\./, '');
    return excepted !== '' && (host === excepted || (!isIPv4(host) && host.endsWith(`.${excepted}`)));
  });
}

/** What `proxy-authorization` has to say; undefined for a proxy that knows everybody. */
export function proxyAuthorization({ url }: Proxy): string | undefined {
  if (url.username === '' && url.password === '') return undefined;
  const plain = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return `Basic ${Buffer.from(plain).toString('base64')}`;
}
