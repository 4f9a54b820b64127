import { bad, good, shown, type Reading } from '../../core/policy-file/reading.js';

/** Where a server listens. */
export interface HttpAddress {
  /** Name or address; IPv6 without brackets. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

export const HTTP_ADDRESS = 'CURFEW_HTTP_ADDRESS';

/** Reads the setting: `127.0.0.1:9464`, `[::1]:9464`, `0.0.0.0:9464`. */
export function readHttpAddress(text: string): Reading<HttpAddress> {
  const [, bracketed, plain, digits] = /^(?:\[([\da-f:.]+)\]|([\w.-]+)):(\d{1,5})$/i.exec(text.trim()) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  return host !== undefined && port <= 65_535
    ? good({ host, port })
    : bad(
        `is ${shown(text)}, which is not a host and a port`,
        `Write both: ${HTTP_ADDRESS}=127.0.0.1:9464; port 0 takes any free one.`,
      );
}

/** As it stands in a URL. */
export const urlOf = ({ host, port }: HttpAddress): string =>
  `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
