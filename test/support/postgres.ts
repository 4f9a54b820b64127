import { spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { steadyPort } from '../../src/platform/free-port.js';
import { unprivilegedAccount, type Account } from './account.js';
import { letGo, spawnHeld } from './held-process.js';
import { postgresFor } from './postgres-programs.js';

const USER = 'curfew';
/** A hang limit: a busy machine may take long to make a cluster. */
const START_LIMIT_MS = 60_000;
const ATTEMPTS = 3;

export interface PostgresDatabases {
  readonly password: string;
  readonly port: number;
  /** @returns the URL of a new, empty database */
  createDatabase(): Promise<string>;
  /** Runs a statement as superuser in the database `postgres`. */
  admin(sql: string, parameters?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** Drops the databases that were created here. */
  drop(): Promise<void>;
}

/** A PostgreSQL of one's own, on loopback, in a temporary folder; it dies with the process that started it. */
export interface TestPostgres extends PostgresDatabases {
  /** Stops the server as an administrator would ("fast"): running transactions are cut off. The data stays. */
  shutDown(): Promise<void>;
  /** Starts it again after {@link shutDown}, on the same port. */
  startAgain(): Promise<void>;
  /** Stops it for good and removes its folder. */
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** Folder of `initdb` and `postgres`; default: those that all tests use. */
  readonly programs?: string;
  /** Files of the certificate and key with which the server offers TLS; default: it does not. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** @throws {Error} if there is no PostgreSQL: tests that need it must fail, not pass unseen */
export async function startPostgres({ programs, tls }: PostgresOptions = {}): Promise<TestPostgres> {
  const account = unprivilegedAccount();
  const folder = mkdtempSync(join(temporaryFolder(account), 'curfew-postgres-'));
  const password = randomBytes(12).toString('hex');
  try {
    if (account !== undefined) chownSync(folder, account.uid, account.gid);
    const binaries = programs ?? postgresFor(folder, account);
    initialise(binaries, folder, password, account);
    if (tls !== undefined) offerTls(folder, tls, account);
    let server = await startOnFreePort(binaries, folder, account, password);
    const { port } = server;
    return {
      ...postgresAt(port, password),
      shutDown: () => letGo(server.process),
      startAgain: async () => {
        server = await startOn(port, binaries, folder, account, password);
      },
      stop: async () => {
        await letGo(server.process);
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** A server that runs. */
export function postgresAt(port: number, password: string): PostgresDatabases {
  const names: string[] = [];
  const admin: PostgresDatabases['admin'] = async (sql, parameters = []) => {
    const client = new pg.Client(urlOf(port, password, 'postgres'));
    client.on('error', () => undefined);
    await client.connect();
    try {
      const { rows } = await client.query<Record<string, unknown>>(sql, [...parameters]);
      return rows;
    } finally {
      await client.end();
    }
  };
  return {
    ...{ password, port, admin },
    createDatabase: async () => {
      const name = `test_${randomBytes(8).toString('hex')}`;
      names.push(name);
      await admin(`create database ${name}`);
      return urlOf(port, password, name);
    },
    drop: async () => {
      for (const name of names.splice(0)) await admin(`drop database if exists ${name} with (force)`);
    },
  };
}

interface Server {
  readonly port: number;
  readonly process: ChildProcess;
}

const urlOf = (port: number, password: string, database: string): string =>
  `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;

/** @returns where the account can get to; TMPDIR may be a folder of ours alone */
function temporaryFolder(account: Account | undefined): string {
  const isOpen = (path: string): boolean =>
    (statSync(path).mode & 0o001) !== 0 && (dirname(path) === path || isOpen(dirname(path)));
  return account === undefined || isOpen(resolve(tmpdir())) ? tmpdir() : '/tmp';
}

function initialise(binaries: string, folder: string, password: string, account: Account | undefined): void {
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (account !== undefined) chownSync(passwordFile, account.uid, account.gid);
  const made = spawnSync(
    join(binaries, 'initdb'),
    [
      ...['-D', join(folder, 'data'), '-U', USER, '-E', 'UTF8', '--locale=C', '--no-sync'],
      ...['--auth=scram-sha-256', `--pwfile=${passwordFile}`],
    ],
    { cwd: folder, encoding: 'utf8', env: { PATH: process.env['PATH'] }, ...account },
  );
  if (made.status !== 0) {
    throw new Error(
      `initdb failed: ${made.stderr || String(made.error)}` +
        (/effective user ID/.test(made.stderr)
          ? 'It wants a user with a name: run the tests as one in /etc/passwd.'
          : ''),
    );
  }
}

/** PostgreSQL wants the key to be its own, and nobody else's. */
function offerTls(folder: string, tls: { cert: string; key: string }, account: Account | undefined): void {
  const data = join(folder, 'data');
  for (const [name, from] of [
    ['server.crt', tls.cert],
    ['server.key', tls.key],
  ] as const) {
    writeFileSync(join(data, name), readFileSync(from), { mode: 0o600 });
    if (account !== undefined) chownSync(join(data, name), account.uid, account.gid);
  }
  appendFileSync(join(data, 'postgresql.conf'), 'ssl = on\n');
}

/** The port is only free until someone takes it: so more than one try. */
async function startOnFreePort(
  binaries: string,
  folder: string,
  account: Account | undefined,
  password: string,
): Promise<Server> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOn(await steadyPort(), binaries, folder, account, password);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

async function startOn(
  port: number,
  binaries: string,
  folder: string,
  account: Account | undefined,
  password: string,
): Promise<Server> {
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'off',
    full_page_writes: 'off',
    shared_buffers: '16MB',
    max_connections: 200,
    log_min_messages: 'fatal',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  // INT is its "fast" shutdown.
  const holder = spawnHeld('INT', join(binaries, 'postgres'), ['-D', join(folder, 'data'), ...options], {
    cwd: folder,
    env: { PATH: process.env['PATH'] },
    ...account,
  });
  let said = '';
  holder.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4_000);
  });

  const giveUpAt = performance.now() + START_LIMIT_MS;
  for (;;) {
    if (holder.exitCode !== null || performance.now() > giveUpAt) {
      await letGo(holder);
      throw new Error(`PostgreSQL did not start: ${said}`);
    }
    const client = new pg.Client(urlOf(port, password, 'postgres'));
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return { port, process: holder };
    } catch {
      await sleep(100);
    }
  }
}
