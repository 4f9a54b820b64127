import { isIP } from 'node:net';

/** A host name or address as it is compared: without the brackets of IPv6, in lower case. */
export const bareHost = (host: string): string => host.replace(/^\[|\]$/g, '').toLowerCase();

/** Whether a host name or address, with or without brackets, is this machine's. A name other than `localhost` may be made to point anywhere. */
export function isLoopbackHost(host: string): boolean {
  const bare = bareHost(host);
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'));
}
