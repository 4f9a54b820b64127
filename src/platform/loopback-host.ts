import { isIP } from 'node:net';

/** Whether a host name or address, with or without brackets, is this machine's. A name other than `localhost` may be made to point anywhere. */
export function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'));
}
