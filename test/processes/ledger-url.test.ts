import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ExitCode } from '../../src/core/errors.js';
import { runCurfew, type Ended, type Settings } from '../support/curfew-process.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { makeCertificates, type Certificates } from '../support/tls-front.js';

let folder: string;
let certificates: Certificates;
/** One that offers TLS, with a certificate for 127.0.0.1 and not for localhost, and one that does not. */
let withTls: TestPostgres;
let without: TestPostgres;
/** Of a database, without parameters. */
let secure: string;
let plain: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-ledger-url-'));
  certificates = await makeCertificates(folder);
  withTls = await startPostgres({ tls: certificates.server });
  without = await startPostgres();
  secure = await withTls.createDatabase();
  plain = await without.createDatabase();
  for (const url of [secure, plain]) {
    const made = await run({ CURFEW_DATABASE_URL: url }, 'migrate');
    if (made.code !== 0) throw new Error(made.stderr);
  }
}, 240_000);

afterAll(async () => {
  await withTls?.stop();
  await without?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const run = (settings: Settings, ...command: string[]): Promise<Ended> =>
  runCurfew(command.length === 0 ? ['cases'] : command, {
    ...{ PATH: process.env['PATH'] ?? '', HOME: folder, CURFEW_HOME: join(folder, 'home'), USER: 'curfew' },
    ...settings,
  });

/** What a person sees: what happened and what to do, nothing of the driver, and no password. */
function expectTwoLines({ stdout, stderr }: Ended): void {
  expect(stderr).toMatch(/^curfew: .+\n {2}next: .+\n$/);
  expect(stdout + stderr).not.toContain(withTls.password);
  expect(stdout + stderr).not.toContain(without.password);
}

describe('a ledger over TLS', () => {
  it.each([
    ['verify-full', () => `${secure}?sslmode=verify-full&sslrootcert=${certificates.ca}`],
    ['require', () => `${secure}?sslmode=require&sslrootcert=${certificates.ca}`],
    [
      'verify-ca, by another name',
      () => `${secure.replace('127.0.0.1', 'localhost')}?sslmode=verify-ca&sslrootcert=${certificates.ca}`,
    ],
    ['no-verify', () => `${secure}?sslmode=no-verify`],
    ['none', () => `${secure}?sslmode=disable`],
    ['none, as ssl=false', () => `${secure}?ssl=false`],
    ['none, as ssl=0', () => `${secure}?ssl=0`],
  ])('works with %s, without a word of the driver', async (_what, url) => {
    const { code, stderr } = await run({ CURFEW_DATABASE_URL: url() });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('takes authority and mode from PG… variables, too', async () => {
    const env = { CURFEW_DATABASE_URL: secure, PGSSLMODE: 'verify-full', PGSSLROOTCERT: certificates.ca };
    expect(await run(env)).toMatchObject({ code: 0, stderr: '' });
    expect((await run({ ...env, PGSSLROOTCERT: certificates.otherCa })).stderr).toContain('not signed by an authority');
  });

  it.each([
    [
      'an authority that nobody trusts',
      () => `${secure}?sslmode=require`,
      /not signed by an authority that Node\.js trusts/,
      /sslmode=verify-full&sslrootcert=.*no-verify/,
    ],
    [
      'the authorities of the system',
      () => `${secure}?sslmode=verify-full&sslrootcert=system`,
      /not signed by an authority that Node\.js trusts/,
      /sslrootcert=/,
    ],
    [
      'the wrong authority',
      () => `${secure}?sslmode=verify-full&sslrootcert=${certificates.otherCa}`,
      /not signed by an authority in .*other-ca\.crt/,
      /Let sslrootcert name/,
    ],
    [
      'another host name',
      () => `${secure.replace('127.0.0.1', 'localhost')}?sslmode=verify-full&sslrootcert=${certificates.ca}`,
      /for another name than localhost .*temporal\.test/,
      /sslmode=verify-ca/,
    ],
    [
      'a server that has no TLS',
      () => `${plain}?sslmode=verify-full`,
      /does not offer TLS/,
      /ssl = on.*sslmode=disable/,
    ],
    ['ssl=true and an authority that nobody trusts', () => `${secure}?ssl=true`, /not signed by/, /sslrootcert=/],
  ])('is refused with %s, and the setting that mends it', async (_what, url, what, next) => {
    const began = performance.now();
    for (const command of ['cases', 'migrate']) {
      const ended = await run({ CURFEW_DATABASE_URL: url() }, command);
      expectTwoLines(ended);
      expect(ended.code).toBe(ExitCode.unreachable);
      expect(ended.stderr).toMatch(what);
      expect(ended.stderr.split('next:')[1]).toMatch(next);
    }
    expect(performance.now() - began).toBeLessThan(50_000);
  });

  it.each([
    ['sslmode=prefer', /sslmode is "prefer"/],
    ['ssl=maybe', /ssl is not one of/],
    ['sslmode=verify-full&sslrootcert=/nowhere/ca.pem', /\/nowhere\/ca\.pem.*sslrootcert.*ENOENT/],
  ])('is not even tried with %s', async (query, what) => {
    const ended = await run({ CURFEW_DATABASE_URL: `${secure}?${query}` });
    expectTwoLines(ended);
    expect(ended.code).toBe(ExitCode.usage);
    expect(ended.stderr).toMatch(what);
  });

  it.each([
    ['sslrootcert', 'a PEM certificate', (file: string) => `sslrootcert=${file}`],
    ['sslcert', 'a PEM certificate', (file: string) => `sslcert=${file}&sslkey=${certificates.client.key}`],
    ['sslkey', 'the unencrypted PEM key', (file: string) => `sslcert=${certificates.client.cert}&sslkey=${file}`],
    [
      'sslkey',
      'the unencrypted PEM key of sslcert',
      () => `sslcert=${certificates.client.cert}&sslkey=${certificates.server.key}`,
    ],
  ])('is not tried with a file for %s that does not hold %s', async (name, what, query) => {
    const file = join(folder, 'garbage.pem');
    writeFileSync(file, 'garbage');
    const ended = await run({ CURFEW_DATABASE_URL: `${secure}?sslmode=verify-full&${query(file)}` });
    expectTwoLines(ended);
    expect(ended).toMatchObject({ code: ExitCode.usage, stderr: expect.stringContaining(what) });
    expect(ended.stderr).toContain(name);
  });

  it('says so when the server takes nothing but TLS', async () => {
    const url = new URL(secure);
    await withHba(withTls, `hostssl all all 127.0.0.1/32 scram-sha-256`, async () => {
      const ended = await run({ CURFEW_DATABASE_URL: url.href });
      expectTwoLines(ended);
      expect(ended.code).toBe(ExitCode.unreachable);
      expect(ended.stderr.split('next:')[1]).toMatch(/sslmode=verify-full/);
    });
  });
});

describe('a ledger without a password', () => {
  const withoutPassword = (): string => plain.replace(`:${without.password}`, '');

  it.each(['scram-sha-256', 'md5', 'password'])('is told at once where the server asks by %s', async (method) => {
    const role = `asked_by_${method.slice(0, 3)}`;
    const encryption = method === 'scram-sha-256' ? method : 'md5';
    await without.admin(`set password_encryption = '${encryption}'; create role ${role} login password 'hunter2'`);
    await withHba(without, `host all ${role} 127.0.0.1/32 ${method}`, async () => {
      const url = plain.replace(/\/\/[^@]+@/, `//${role}@`);
      const began = performance.now();
      const ended = await run({ CURFEW_DATABASE_URL: url });
      expectTwoLines(ended);
      expect(ended.code).toBe(ExitCode.unreachable);
      expect(ended.stderr).toMatch(/asks for a password, and none is set/);
      // The server itself would wait a minute.
      expect(performance.now() - began).toBeLessThan(30_000);
      // And with it, each way in works as far as the tables, which are another's.
      const known = await run({ CURFEW_DATABASE_URL: url, PGPASSWORD: 'hunter2' });
      expect(known.stderr).toMatch(/permission denied/);
    });
  });

  it('takes it from PGPASSWORD, or from the password file, without a word of the driver', async () => {
    const url = { CURFEW_DATABASE_URL: withoutPassword() };
    expect(await run({ ...url, PGPASSWORD: without.password })).toMatchObject({ code: 0, stderr: '' });
    const home = join(folder, 'with-pgpass');
    mkdirSync(home);
    const file = join(home, '.pgpass');
    writeFileSync(file, `127.0.0.1:${without.port}:*:curfew:${without.password}\n`, { mode: 0o600 });
    expect(await run({ ...url, HOME: home })).toMatchObject({ code: 0, stderr: '' });
    chmodSync(file, 0o644);
    const ended = await run({ ...url, HOME: home });
    expectTwoLines(ended);
    expect(ended.stderr).toMatch(/none is set \(password file .* has group or world access/);
  });
});

it.each([
  'postgres://curfew:hunt@er2/w#r@localhost/db',
  'postgres://curfew:hunt/er2@localhost/db',
  'postgres://curfew:hunter2#x@localhost/db',
  'postgres://curfew:hunter2%@localhost/db',
])('a password with a special character that is not encoded is shown nowhere: %s', async (url) => {
  const ended = await run({ CURFEW_DATABASE_URL: url });
  expectTwoLines(ended);
  expect(ended.code).toBe(ExitCode.usage);
  expect(ended.stderr).toContain('%40');
  expect(ended.stderr).not.toMatch(/hunt|er2|w#r/);
  expect(existsSync(join(folder, 'home'))).toBe(false);
});

/** Puts a rule before all others, for as long as the work takes. */
async function withHba(server: TestPostgres, rule: string, work: () => Promise<void>): Promise<void> {
  const [row] = await server.admin('show hba_file');
  const file = String(row?.['hba_file']);
  const before = readFileSync(file, 'utf8');
  // Clients of the tests themselves connect to the database `postgres`, which the rules leave alone.
  const others = rule.startsWith('hostssl')
    ? 'host postgres all 127.0.0.1/32 scram-sha-256\n'
    : `host postgres all 127.0.0.1/32 scram-sha-256\n${before}`;
  try {
    writeFileSync(file, `${rule}\n${others}`);
    await server.admin('select pg_reload_conf()');
    await sleep(500);
    await work();
  } finally {
    writeFileSync(file, before);
    await server.admin('select pg_reload_conf()');
  }
}
