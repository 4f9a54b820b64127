import { ExitCode, UserError } from '../../core/errors.js';

/** Where a server listens. */
export interface HttpAddress {
  /** Name or address; IPv6 without brackets. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

export const HTTP_ADDRESS = 'CURFEW_HTTP_ADDRESS';

/**
 * Reads the setting: `127.0.0.1:9464`, `[::1]:9464`, `0.0.0.0:9464`.
 *
 * @returns null when it is not set: then nothing is served
 * @throws UserError with exit code 2
 */
export function readHttpAddress(text: string | undefined): HttpAddress | null {
  if (text === undefined || text.trim() === '') return null;
  const [, bracketed, plain, digits] = /^(?:\[([\da-f:.]+)\]|([\w.-]+)):(\d{1,5})$/i.exec(text.trim()) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host !== undefined && port <= 65_535) return { host, port };
  throw new UserError(
    `${HTTP_ADDRESS} is "${text}", which is not a host and port.`,
    `Write both: ${HTTP_ADDRESS}=127.0.0.1:9464; port 0 takes any free one.`,
    ExitCode.usage,
  );
}

/** As it stands in a URL. */
export const urlOf = ({ host, port }: HttpAddress): string =>
  `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
