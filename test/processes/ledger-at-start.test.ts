import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ExitCode } from '../../src/core/errors.js';
import { INTERRUPTED } from '../../src/cli/interrupt.js';
import { openDatabase } from '../../src/adapters/ledger/open.js';
import { runCurfew, startCurfew, type CurfewProcess, type Settings } from '../support/curfew-process.js';
import { temporalBinary, until } from '../support/embedded-server.js';
import { makeOlderLedger, tablesOf } from '../support/older-ledger.js';
import { closeHomes, openHome, type OwnHome } from '../support/own-home.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit. */
const LIMIT_MS = 3 * 60_000;

/** One that gives orders, one that only looks, one for the incident, and those that meet the ledger in ways of their own. */
const COMMANDS = [
  'cancel sess_1',
  'status',
  'pause',
  'policy apply policies.yaml --yes',
  'policy plan policies.yaml',
  'bulk status',
];
const POLICIES = `version: 1
policies:
  - name: runaways
    match: { agents: ["*"] }
    limits: { max_runtime: 1h }
    mode: observe
`;

let own: OwnHome;
let server: TestPostgres;
let settings: Settings;
let up: CurfewProcess;

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);

beforeAll(async () => {
  own = await openHome();
  server = await startPostgres();
  ({ settings } = own);
}, LIMIT_MS);

afterAll(async () => {
  await closeHomes();
  await server.stop();
}, 60_000);

/** Status and body of what the worker serves. */
async function served(path: string): Promise<{ status: number; body: string }> {
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(up.stderr().split('serving metrics and health')[0] ?? '')?.[0];
  const answer = await fetch(`${url}${path}`);
  return { status: answer.status, body: await answer.text() };
}

describe('while PostgreSQL is away', () => {
  it(
    'a worker waits for it, is alive, says why it is not ready, and works when it is back',
    async () => {
      settings = { ...settings, CURFEW_DATABASE_URL: await server.createDatabase() };
      await server.shutDown();
      up = startCurfew(['up'], { ...settings, CURFEW_HTTP_ADDRESS: '127.0.0.1:0' });
      await up.says('Trying again');
      expect(up.stderr()).toMatch(/The ledger at .* is not reachable/);
      expect(up.stderr()).not.toContain(server.password);
      expect(await served('/healthz')).toMatchObject({ status: 200 });
      const unready = await served('/readyz');
      expect(unready.status).toBe(503);
      expect(unready.body).toContain('ledger: not reached yet');
      expect(unready.body).not.toContain('Temporal');
      expect((await served('/metrics')).body).toMatch(/^curfew_ledger_up\S* 0$/m);

      const another = startCurfew(['worker'], settings);
      await another.says('The ledger at');
      await another.says('Trying again');
      another.signal('SIGINT');
      const { code, stderr } = await another.ended;
      expect(code).toBe(INTERRUPTED);
      expect(stderr).toContain('Stopped before it was ready.');
      expect(stderr).not.toContain('not expected');

      await server.startAgain();
      await until(async () => (await served('/readyz')).status === 200, LIMIT_MS);
      expect(up.stdout()).toContain('curfew ready');
    },
    LIMIT_MS,
  );

  it(
    'a worker with a wrong password does not wait',
    async () => {
      const wrong = settings['CURFEW_DATABASE_URL']?.replace(server.password, 'wrong-hunter2') ?? '';
      const { code, stderr } = await runCurfew(['worker'], { ...settings, CURFEW_DATABASE_URL: wrong });
      expect(code).toBe(ExitCode.unreachable);
      expect(stderr).toContain('password authentication failed');
      expect(stderr).toContain('Check user, password, database and privileges');
      expect(stderr).not.toContain('Trying again');
      expect(stderr).not.toContain('wrong-hunter2');
    },
    LIMIT_MS,
  );
});

// The worker of the first test lives on, and with it the Temporal that `cancel` asks first.
describe.each([
  ['SQLite', () => Promise.resolve(join(own.folder, 'older.db')), COMMANDS],
  // The rest goes through the same door.
  ['PostgreSQL', () => server.createDatabase(), COMMANDS.slice(0, 2)],
])('a command, and tables of an older version on %s', (_name, freshUrl, commands) => {
  let onIt: Settings;
  let url: string;
  let before: Awaited<ReturnType<typeof tablesOf>>;

  beforeAll(async () => {
    url = await freshUrl();
    await makeOlderLedger(url);
    before = await tablesOf(url);
    onIt = { ...settings, CURFEW_DATABASE_URL: url };
    writeFileSync(join(own.folder, 'policies.yaml'), POLICIES);
  });

  it.each(commands)(
    '`curfew %s` refuses, changes nothing, and says what to do',
    async (command) => {
      const { code, stderr } = await runCurfew(command.split(' '), onIt);
      expect(stderr).toMatch(/^curfew: The tables of the ledger at .+\n {2}next: Start a worker of this version.+\n$/);
      expect(code).toBe(ExitCode.refused);
      expect(await tablesOf(url)).toEqual(before);
    },
    LIMIT_MS,
  );

  it(
    '`curfew doctor` says so, and changes nothing',
    async () => {
      const { code, stdout } = await runCurfew(['doctor', '--json'], onIt);
      const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string; says: string }[] };
      expect(checks.filter(({ name }) => name === 'ledger')).toEqual([
        expect.objectContaining({ status: 'failed', says: expect.stringContaining('of an older Curfew') }),
      ]);
      expect(code).toBe(ExitCode.refused);
      expect(await tablesOf(url)).toEqual(before);
    },
    LIMIT_MS,
  );

  it(
    'works after `curfew migrate`, which is for those who want that without a worker',
    async () => {
      const migrated = await runCurfew(['migrate', '--json'], onIt);
      expect(migrated).toMatchObject({ code: ExitCode.done, stderr: '' });
      expect(JSON.parse(migrated.stdout)).toMatchObject({ changed: true });
      expect(JSON.parse((await runCurfew(['migrate', '--json'], onIt)).stdout)).toMatchObject({ changed: false });
      expect((await runCurfew(['pause', '--reason', 'restored from backup'], onIt)).code).toBe(ExitCode.done);
    },
    LIMIT_MS,
  );
});

it(
  '`curfew doctor` makes no tables in an empty PostgreSQL database, and ties no ledger to a Temporal',
  async () => {
    const url = await server.createDatabase();
    const onIt = { ...settings, CURFEW_DATABASE_URL: url };
    const ledgerCheck = async (): Promise<object | undefined> => {
      const { stdout } = await runCurfew(['doctor', '--json'], onIt);
      return (JSON.parse(stdout) as { checks: { name: string }[] }).checks.find(({ name }) => name === 'ledger');
    };
    expect(await ledgerCheck()).toMatchObject({
      status: 'warning',
      says: expect.stringContaining('There is no ledger at 127.0.0.1'),
      next: expect.stringContaining('curfew worker'),
    });
    expect(await tablesOf(url)).toEqual({ tables: [], migrations: [] });

    expect((await runCurfew(['migrate'], onIt)).code).toBe(ExitCode.done);
    expect(await ledgerCheck()).toMatchObject({ status: 'ok' });
    expect(await metaOf(url)).toEqual([]);
  },
  LIMIT_MS,
);

async function metaOf(url: string): Promise<unknown[]> {
  const { db, close } = await openDatabase(url);
  try {
    return await db.selectFrom('meta').selectAll().execute();
  } finally {
    await close();
  }
}
