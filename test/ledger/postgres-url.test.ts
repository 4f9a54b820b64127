import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readPostgresUrl, type PostgresSettings, type UrlProblem } from '../../src/adapters/ledger/postgres-url.js';

const ENV = { USER: 'somebody' };
const read = (url: string, env: Record<string, string> = ENV): PostgresSettings | UrlProblem =>
  readPostgresUrl(url, env);
function settings(url: string, env: Record<string, string> = ENV): PostgresSettings {
  const result = read(url, env);
  if ('why' in result) throw new Error(result.why);
  return result;
}
function problem(url: string, env: Record<string, string> = ENV): UrlProblem {
  const result = read(url, env);
  if (!('why' in result)) throw new Error(`${url} was accepted`);
  return result;
}

describe('a PostgreSQL URL', () => {
  it('says where the ledger is, and who asks', () => {
    expect(settings('postgres://me:p%40ss%2Fw%23r@db.example.com:6432/my%20ledger?application_name=x')).toEqual({
      ...{ host: 'db.example.com', port: 6432, user: 'me', database: 'my ledger', password: 'p@ss/w#r' },
      ...{ tlsMode: 'disable', tlsFiles: { rootCert: null, client: null }, directTls: false, channelBinding: false },
      ...{ applicationName: 'x', options: null, connectMs: null },
    });
  });

  it.each([
    ['postgresql://h', { host: 'h', port: 5432, user: 'somebody', database: 'somebody', password: null }],
    ['postgres://', { host: 'localhost', port: 5432, user: 'somebody', database: 'somebody' }],
    ['postgres:///d', { host: 'localhost', database: 'd' }],
    ['postgres://me@/d', { host: 'localhost', user: 'me', database: 'd' }],
    ['postgres://me:a:b@h/d', { user: 'me', password: 'a:b', host: 'h' }],
    ['postgres://me:ü@h/d', { password: 'ü' }],
    ['postgres://me@[::1]:5433/d', { host: '::1', port: 5433 }],
    ['postgres://me@[fe80::1%25eth0]/d', { host: 'fe80::1%eth0' }],
    ['postgres://me@%2Frun%2Fpostgresql/d', { host: '/run/postgresql' }],
    ['postgres://me@/d?host=/run/postgresql&port=5433', { host: '/run/postgresql', port: 5433 }],
    ['postgres://?user=me&password=x&host=h&dbname=d', { user: 'me', password: 'x', host: 'h', database: 'd' }],
    ['postgres://me@h/d?connect_timeout=3', { connectMs: 3_000 }],
    ['postgres://me@h/d?connect_timeout=0', { connectMs: null }],
  ])('takes %s', (url, expected) => {
    expect(settings(url)).toMatchObject(expected);
  });

  it('is completed from PG… variables, and wins over them', () => {
    const env = {
      ...{ PGHOST: 'h', PGPORT: '1', PGUSER: 'u', PGDATABASE: 'd', PGPASSWORD: 'p', PGSSLMODE: 'verify-full' },
      ...{
        PGSSLROOTCERT: '/ca',
        PGAPPNAME: 'a',
        PGOPTIONS: '-c x=y',
        PGCONNECT_TIMEOUT: '7',
        PGSSLNEGOTIATION: 'direct',
      },
    };
    expect(settings('postgres://', env)).toEqual({
      ...{ host: 'h', port: 1, user: 'u', database: 'd', password: 'p', tlsMode: 'verify-full', directTls: true },
      ...{ tlsFiles: { rootCert: '/ca', client: null }, applicationName: 'a', options: '-c x=y', connectMs: 7_000 },
      channelBinding: false,
    });
    expect(
      settings('postgres://me:x@g:2/e?sslmode=no-verify&sslrootcert=/other&sslnegotiation=postgres', env),
    ).toMatchObject({
      ...{ host: 'g', port: 2, user: 'me', database: 'e', password: 'x', tlsMode: 'no-verify', directTls: false },
      tlsFiles: { rootCert: '/other' },
    });
  });

  it.each([
    ['', 'disable'],
    ['sslmode=disable', 'disable'],
    ['sslmode=require', 'verify-full'],
    ['sslmode=verify-full', 'verify-full'],
    ['sslmode=verify-full&sslrootcert=system', 'verify-full'],
    ['sslmode=verify-ca&sslrootcert=/ca', 'verify-ca'],
    ['sslmode=no-verify', 'no-verify'],
    ['sslrootcert=/ca', 'verify-full'],
    ['sslcert=/c&sslkey=/k', 'verify-full'],
    ['ssl=true', 'verify-full'],
    ['ssl=1', 'verify-full'],
    ['ssl=false', 'disable'],
    ['ssl=0', 'disable'],
    ['ssl=no-verify', 'no-verify'],
    ['ssl=true&sslmode=require', 'verify-full'],
  ])('with "%s" means TLS %s', (query, mode) => {
    expect(settings(`postgres://me@h/d?${query}`).tlsMode).toBe(mode);
  });

  it('has no TLS where there is a Unix socket', () => {
    expect(settings('postgres://me@/d?host=/run&sslmode=verify-full').tlsMode).toBe('disable');
  });

  it.each([
    ['sslmode=prefer', /sslmode is "prefer"/],
    ['sslmode=allow', /sslmode is "allow"/],
    ['sslmode=', /sslmode is not one of/],
    ['sslmode=REQUIRE', /sslmode is not one of/],
    ['sslmode=verify_full', /sslmode is not one of/],
    ['ssl=', /ssl is not one of/],
    ['ssl=on', /ssl is not one of/],
    ['ssl=False', /ssl is not one of/],
    ['ssl=require', /ssl is not one of/],
    ['ssl=false&sslmode=verify-full', /contradict/],
    ['sslmode=verify-ca', /an authority of your own/],
    ['sslmode=verify-ca&sslrootcert=system', /an authority of your own/],
    ['sslmode=verify-full&sslcert=/c', /both sslcert and sslkey/],
    ['sslnegotiation=direct', /needs TLS/],
    ['sslmode=no-verify&channel_binding=require', /channel_binding/],
    ['sslmode=disable&sslmode=require', /sslmode twice/],
    ['sslmod=verify-full', /"sslmod"/],
    ['target_session_attrs=read-write', /"target_session_attrs"/],
    ['uselibpqcompat=true&sslmode=require', /"uselibpqcompat"/],
    ['connect_timeout=soon', /connect_timeout/],
    ['port=0', /port/],
  ])('is refused with "%s", by the name of the parameter', (query, why) => {
    const found = problem(`postgres://me:hunter2@h/d?${query}`);
    expect(found).toMatchObject({ setting: 'CURFEW_DATABASE_URL', why: expect.stringMatching(why) });
    expect(JSON.stringify(found)).not.toContain('hunter2');
    expect(found.next).not.toBe('');
  });

  it.each([
    [{ PGSSLMODE: 'prefer' }, /^PGSSLMODE$/],
    [{ PGSSLMODE: 'x' }, /^PGSSLMODE$/],
    [{ PGPORT: 'x' }, /^PGPORT$/],
    [{ PGHOST: 'a b' }, /^PGHOST$/],
    [{ PGSSLNEGOTIATION: 'direct' }, /^PGSSLNEGOTIATION$/],
    [{ PGCONNECT_TIMEOUT: 'x' }, /^PGCONNECT_TIMEOUT$/],
  ])('is not blamed for what a variable says: %j', (env, setting) => {
    expect(problem('postgres://me@/d', { ...ENV, ...env }).setting).toMatch(setting);
  });

  it('is refused when nobody says which user', () => {
    expect(problem('postgres://h/d', {})).toMatchObject({ why: expect.stringContaining('names no user') });
  });

  it.each([
    'postgres://curfew:p@ss/w#r@localhost/db',
    'postgres://curfew:p@ss@localhost/db',
    'postgres://curfew:p/ss@localhost/db',
    'postgres://curfew:p?ss@localhost/db',
    'postgres://curfew:12?ss=1@localhost/db',
    'postgres://curfew:p#ss@localhost/db',
    'postgres://curfew:p%ss@localhost/db',
    'postgres://curfew:p%ff@localhost/db',
    'postgres://curfew:p%00@localhost/db',
    'postgres://curfew:p ss@localhost/db',
    'postgres://curfew:pa\nss@localhost/db',
    'postgres://cur@few:pss@localhost/db',
  ])('with a character that is not encoded is never guessed at: %s', (url) => {
    expect(problem(url)).toMatchObject({ next: expect.stringContaining('%40') });
  });

  it('is read as it was written, whatever the password', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (password) => {
        fc.pre(!password.includes('\0'));
        const url = `postgres://me:${encodeURIComponent(password)}@h:1/d`;
        expect(settings(url)).toMatchObject({ user: 'me', password, host: 'h', port: 1, database: 'd' });
      }),
    );
  });

  it('never shows a part of a password that is not encoded, nor takes it for a host', () => {
    const secret = fc.string({ minLength: 12, maxLength: 24, unit: fc.constantFrom(...'Zq9@/?#%:&=[]\\ ') });
    const words = /[Zq9]{2,}/g;
    fc.assert(
      fc.property(secret, fc.constantFrom('', '?sslmode=disable'), (password, query) => {
        const result = read(`postgres://me:${password}@h/d${query}`);
        if (!('why' in result)) {
          expect(result).toMatchObject({ user: 'me', host: 'h', database: 'd' });
          return;
        }
        const shown = JSON.stringify(result);
        for (const word of password.match(words) ?? []) expect(shown).not.toContain(word);
      }),
    );
  });
});
