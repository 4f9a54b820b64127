import { Writable } from 'node:stream';
import pgpass from 'pgpass';
import { MissingPasswordError } from './connection-failure.js';
import type { PostgresSettings } from './postgres-url.js';

/**
 * The password, for a server that asks for one: of the settings, or of the password file (PGPASSFILE, ~/.pgpass). Asked for at
 * each connection, so a line that comes later is found.
 *
 * Without one, some of the driver's ways to log in wait for an answer to nothing.
 *
 * @throws {MissingPasswordError}
 */
export async function passwordOf({ password, host, port, user, database }: PostgresSettings): Promise<string> {
  if (password !== null) return password;
  let warning = '';
  const keep = new Writable({
    write(chunk: Buffer, _encoding, done) {
      warning += chunk.toString();
      done();
    },
  });
  // It would write to stderr, each time.
  pgpass.warnTo(keep);
  const found = await new Promise<string | undefined>((resolve) => pgpass({ host, port, user, database }, resolve));
  if (found !== undefined) return found;
  throw new MissingPasswordError(warning.replace(/^WARNING: /, '').trim() || null);
}
