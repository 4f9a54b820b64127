import { accessSync, chownSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { steadyPort } from '../../src/platform/free-port.js';
import { letGo, spawnHeld } from '../support/held-process.js';
import { unprivilegedAccount } from '../support/account.js';
import type { TestPostgres } from '../support/postgres.js';

/** A hang limit. */
const START_LIMIT_MS = 60_000;

/** PgBouncer in transaction mode before a PostgreSQL, on loopback; it dies with the process that started it. */
export interface PgBouncer {
  readonly port: number;
  /** The same database, by way of it. */
  before(url: string): string;
  stop(): Promise<void>;
}

export interface PgBouncerOptions {
  /** Most connections to PostgreSQL for one database; default 20, as its own. */
  readonly poolSize?: number;
  /** After how long without a client it closes a connection to PostgreSQL, s; default 600, as its own. */
  readonly idleSeconds?: number;
}

/** @throws {Error} if PgBouncer is not installed: tests that need it must fail, not pass unseen */
export async function startPgBouncer(
  postgres: TestPostgres,
  { poolSize = 20, idleSeconds = 600 }: PgBouncerOptions = {},
): Promise<PgBouncer> {
  const binary = findPgBouncer();
  const account = unprivilegedAccount();
  const folder = mkdtempSync(join(tmpdir(), 'curfew-pgbouncer-'));
  const own = (name: string, text: string): void => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    if (account !== undefined) chownSync(join(folder, name), account.uid, account.gid);
  };
  try {
    if (account !== undefined) chownSync(folder, account.uid, account.gid);
    const port = await steadyPort();
    own('users.txt', `"curfew" "${postgres.password}"\n`);
    own(
      'pgbouncer.ini',
      [
        '[databases]',
        `* = host=127.0.0.1 port=${postgres.port}`,
        '[pgbouncer]',
        ...[`listen_addr = 127.0.0.1`, `listen_port = ${port}`, 'unix_socket_dir ='],
        ...['auth_type = scram-sha-256', `auth_file = ${join(folder, 'users.txt')}`],
        ...[
          'pool_mode = transaction',
          `default_pool_size = ${poolSize}`,
          'max_client_conn = 200',
          `server_idle_timeout = ${idleSeconds}`,
        ],
        '',
      ].join('\n'),
    );
    const holder = spawnHeld('INT', binary, ['--quiet', join(folder, 'pgbouncer.ini')], { cwd: folder, ...account });
    let said = '';
    holder.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_000)));
    const before = (url: string): string => {
      const behind = new URL(url);
      behind.port = String(port);
      return behind.href;
    };
    const stop = async (): Promise<void> => {
      await letGo(holder);
      rmSync(folder, { recursive: true, force: true });
    };
    const giveUpAt = performance.now() + START_LIMIT_MS;
    const probe = before(`postgres://curfew:${postgres.password}@127.0.0.1:1/postgres`);
    while (!(await answers(probe))) {
      if (holder.exitCode !== null || performance.now() > giveUpAt) {
        await stop();
        throw new Error(`PgBouncer did not start: ${said}`);
      }
      await sleep(100);
    }
    return { port, before, stop };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** PATH first, then where Debian and its kin put it. */
function findPgBouncer(): string {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  for (const folder of folders.filter((path) => path !== '')) {
    try {
      accessSync(join(folder, 'pgbouncer'), constants.X_OK);
      return join(folder, 'pgbouncer');
    } catch {
      // Not there.
    }
  }
  throw new Error('These tests need PgBouncer; on Debian and Ubuntu: apt-get install pgbouncer. It need not run.');
}
