import { isIPv4 } from 'node:net';
import { ExitCode, UserError } from '../../core/errors.js';

const NEXT = 'Set GUMLOOP_BASE_URL to the address of the API, for example https://api.gumloop.com/api/v1, or unset it.';

/**
 * Checks the address that all requests, and with them the key, go to.
 *
 * @param allowPlainHttp - accept `http:` for hosts other than this machine, where anyone on the way can read the key
 * @returns the address without a trailing slash
 * @throws {UserError} when it is no usable address; the address is not repeated, because it may hold a password
 */
export function checkBaseUrl(text: string, allowPlainHttp: boolean): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const refuse = (why: string): never => {
    throw new UserError(`The base URL of the sessions API ${why}. Nothing was sent.`, NEXT, ExitCode.usage);
  };
  if (url === null) return refuse('is not a URL');
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return refuse('is neither http nor https');
  if (url.username !== '' || url.password !== '') return refuse('holds a user name or password');
  if (url.search !== '' || url.hash !== '') return refuse('holds a query or fragment');
  if (url.protocol === 'http:' && !allowPlainHttp && !isLoopback(url.hostname)) {
    return refuse('uses http to another machine, which would show the key to everyone on the way');
  }
  return url.href.replace(/\/+$/, '');
}

function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname === '[::1]' ||
    (isIPv4(hostname) && hostname.startsWith('127.'))
  );
}
