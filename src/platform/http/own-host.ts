import { isIP } from 'node:net';
import { bareHost, isLoopbackHost } from '../loopback-host.js';

/**
 * Whether a request meant this server: by the host that it names. A page in a browser can have a name of its own point to this
 * machine, and then read what is answered; it can't have the browser name another host than the page's.
 *
 * @param named - host of the request, without a port; empty where it names none, which no browser does
 * @param listening - name or address that the server listens on
 */
export function isOwnHost(named: string, listening: string): boolean {
  const [asked, own] = [bareHost(named), bareHost(listening)];
  if (named === '' || isLoopbackHost(named) || asked === own) return true;
  // On all interfaces: any address of this machine. Pages have names; an address can't be made to point elsewhere.
  return (own === '0.0.0.0' || own === '::') && isIP(asked) !== 0;
}
