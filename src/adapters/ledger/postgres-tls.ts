import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type ConnectionOptions } from 'node:tls';
import { ExitCode, UserError } from '../../core/errors.js';
import { codeOf, messageOf } from './errors.js';
import type { PostgresSettings } from './postgres-url.js';

/**
 * What the driver is to do about TLS, with the certificates read. Explicit in all, so that NODE_TLS_REJECT_UNAUTHORIZED has no say.
 *
 * @returns false for none
 * @throws {UserError} with exit code 2 for a file that can't be read, or holds something else
 */
export function tlsOptions({ tlsMode, tlsFiles }: PostgresSettings): ConnectionOptions | false {
  if (tlsMode === 'disable') return false;
  const { rootCert, client } = tlsFiles;
  const verifies = tlsMode !== 'no-verify';
  const ca = rootCert === null ? null : read('sslrootcert', rootCert);
  const cert = client === null ? null : read('sslcert', client.cert);
  const key = client === null ? null : read('sslkey', client.key);
  // Node.js passes over a CA that is none, and then trusts nobody.
  for (const [name, path, text] of [
    ['sslrootcert', rootCert, ca],
    ['sslcert', client?.cert, cert],
  ] as const) {
    if (text !== null) attempt(name, path ?? '', 'a PEM certificate', () => new X509Certificate(text));
  }
  if (client !== null && cert !== null && key !== null) {
    attempt('sslkey', client.key, 'the unencrypted PEM key of sslcert', () => createSecureContext({ cert, key }));
  }
  return {
    ...(ca === null ? {} : { ca }),
    ...(cert === null || key === null ? {} : { cert, key }),
    rejectUnauthorized: verifies,
    ...(tlsMode === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
  };
}

function read(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw unusable(name, path, codeOf(error) ?? messageOf(error));
  }
}

function attempt(name: string, path: string, what: string, use: () => unknown): void {
  try {
    use();
  } catch {
    throw unusable(name, path, `it does not hold ${what}`);
  }
}

const unusable = (name: string, path: string, why: string): UserError =>
  new UserError(
    `The file ${path}, which is the ${name} of the ledger's connection, can't be used: ${why}.`,
    `Correct ${name} in CURFEW_DATABASE_URL (or PG${name.toUpperCase()}), or the file.`,
    ExitCode.usage,
  );
