import { spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, chownSync, constants, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { steadyPort } from '../../src/free-port.js';
import { letGo, spawnHeld } from './held-process.js';

const USER = 'curfew';
/** A hang limit: a busy machine may take long to make a cluster. */
const START_LIMIT_MS = 60_000;
const ATTEMPTS = 3;

/** A PostgreSQL of one's own, on loopback, in a temporary folder; it dies with the process that started it. */
export interface TestPostgres {
  readonly password: string;
  readonly port: number;
  /** @returns the URL of a new, empty database */
  createDatabase(): Promise<string>;
  /** Runs a statement as superuser in the database `postgres`. */
  admin(sql: string, parameters?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** Stops the server as an administrator would ("fast"): running transactions are cut off. The data stays. */
  shutDown(): Promise<void>;
  /** Starts it again after {@link shutDown}, on the same port. */
  startAgain(): Promise<void>;
  /** Stops it for good and removes its folder. */
  stop(): Promise<void>;
}

/** @throws {Error} if PostgreSQL is not installed: tests that need it must fail, not pass unseen */
export async function startPostgres(): Promise<TestPostgres> {
  const binaries = findBinaries();
  const account = unprivilegedAccount();
  const folder = mkdtempSync(join(tmpdir(), 'curfew-postgres-'));
  const password = randomBytes(12).toString('hex');
  try {
    if (account !== undefined) chownSync(folder, account.uid, account.gid);
    initialise(binaries, folder, password, account);
    let server = await startOnFreePort(binaries, folder, account, password);
    const { port } = server;
    let databases = 0;

    const admin: TestPostgres['admin'] = async (sql, parameters = []) => {
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
      password,
      port,
      admin,
      createDatabase: async () => {
        const name = `test_${++databases}`;
        await admin(`create database ${name}`);
        return urlOf(port, password, name);
      },
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

interface Account {
  readonly uid: number;
  readonly gid: number;
}

interface Server {
  readonly port: number;
  readonly process: ChildProcess;
}

const urlOf = (port: number, password: string, database: string): string =>
  `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;

/** Path of one of PostgreSQL's programs, such as `pg_dump`. */
export const postgresBinary = (name: string): string => join(findBinaries([name]), name);

/** PATH first, then where Debian and its kin put them, newest first. */
function findBinaries(programs: readonly string[] = ['initdb', 'postgres']): string {
  const debian = '/usr/lib/postgresql';
  const versions = (() => {
    try {
      return readdirSync(debian).sort((a, b) => Number(b) - Number(a));
    } catch {
      return [];
    }
  })();
  const candidates = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...versions.map((version) => join(debian, version, 'bin')),
  ];
  const found = candidates.find((folder) =>
    programs.every((binary) => {
      try {
        accessSync(join(folder, binary), constants.X_OK);
        return folder !== '';
      } catch {
        return false;
      }
    }),
  );
  if (found === undefined) {
    throw new Error(
      'These tests need the PostgreSQL server (initdb and postgres), and none was found on PATH or in /usr/lib/postgresql. ' +
        'Install it: apt-get install postgresql (Debian, Ubuntu); it need not run.',
    );
  }
  return found;
}

/** PostgreSQL refuses to run as root. @returns undefined when we are not root */
export function unprivilegedAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, name], { encoding: 'utf8' }));
    if (uid?.status === 0 && gid?.status === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  }
  throw new Error(
    'PostgreSQL refuses to run as root, and there is neither a user "postgres" nor "nobody" to run it as.',
  );
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
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr || String(made.error)}`);
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
    max_connections: 60,
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
