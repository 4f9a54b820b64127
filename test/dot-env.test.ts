import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { chmodSync, lchownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, type Config } from '../src/platform/config.js';
import { ExitCode, UserError } from '../src/core/errors.js';
import { resolveTemporal } from '../src/adapters/temporal/connection-target.js';

const SECRET = 'a-secret-that-is-shown-nowhere';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-dot-env-'));
  path = join(folder, '.env');
});
afterEach(() => {
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

type Settings = Record<string, string>;

function load(inFile: Settings, env: Settings = {}): Config {
  const lines = Object.entries(inFile).map(([name, value]) => `${name}="${value}"\n`);
  writeFileSync(path, lines.join(''));
  chmodSync(path, 0o600);
  return loadConfig({ CURFEW_HOME: folder, ...env }, folder);
}

function refusal(read: () => unknown): UserError {
  let caught: unknown;
  try {
    read();
  } catch (error) {
    caught = error;
  }
  if (!(caught instanceof UserError)) throw new Error('it was not refused');
  expect(caught.exitCode).toBe(ExitCode.usage);
  expect(caught.message).toContain(path);
  expect(`${caught.message}${caught.next}`).not.toContain(SECRET);
  return caught;
}

describe('a .env that others can decide about', () => {
  it.each([0o620, 0o602, 0o666])('is refused with mode %o', (mode) => {
    load({ CURFEW_LOG: 'warn' });
    chmodSync(path, mode);
    const error = refusal(() => loadConfig({ CURFEW_HOME: folder }, folder));
    expect(error.message).toContain('can be written by others');
    expect(error.next).toContain(`chmod go-w ${path}`);
  });

  it.each([0o600, 0o644, 0o400])('is read with mode %o', (mode) => {
    load({ CURFEW_LOG: 'warn' });
    chmodSync(path, mode);
    expect(loadConfig({ CURFEW_HOME: folder }, folder).logLevel).toBe('warn');
  });

  /** Only root can give a file away. For others it is the user who becomes somebody else; then so it is for what a link leads to. */
  const giveAway = (): void => {
    const owner = process.geteuid?.() ?? 0;
    if (owner === 0) lchownSync(path, 12_345, 0);
    else jest.spyOn(process as Required<NodeJS.Process>, 'geteuid').mockReturnValue(owner + 1);
  };

  it('is refused when it belongs to somebody else, also where a link to it does', () => {
    load({ CURFEW_LOG: 'warn' });
    giveAway();
    expect(refusal(() => loadConfig({ CURFEW_HOME: folder }, folder)).message).toContain('belongs to another user');
    jest.restoreAllMocks();
    writeFileSync(join(folder, 'own'), 'CURFEW_LOG=warn\n', { mode: 0o600 });
    rmSync(path);
    symlinkSync(join(folder, 'own'), path);
    expect(loadConfig({ CURFEW_HOME: folder }, folder).logLevel).toBe('warn');
    giveAway();
    refusal(() => loadConfig({ CURFEW_HOME: folder }, folder));
  });

  it('is refused when this user is another one, unless it is root’s', () => {
    load({ CURFEW_LOG: 'warn' });
    const owner = process.geteuid?.() ?? 0;
    jest.spyOn(process as Required<NodeJS.Process>, 'geteuid').mockReturnValue(owner + 1);
    if (owner === 0) expect(loadConfig({ CURFEW_HOME: folder }, folder).logLevel).toBe('warn');
    else refusal(() => loadConfig({ CURFEW_HOME: folder }, folder));
  });
});

describe('a secret from elsewhere', () => {
  it.each<[string, Settings, Settings]>([
    ['the key', { GUMLOOP_API_KEY: SECRET }, { GUMLOOP_BASE_URL: 'https://evil.test/api/v1' }],
    ['the key’s file', { GUMLOOP_API_KEY_FILE: '/k' }, { GUMLOOP_BASE_URL: 'https://evil.test/api/v1' }],
    ['the token', { GUMLOOP_ACCESS_TOKEN: SECRET }, { GUMLOOP_BASE_URL: 'https://evil.test/api/v1' }],
    [
      'the key, though the file has one as well',
      { GUMLOOP_API_KEY: SECRET },
      { GUMLOOP_API_KEY: 'x', GUMLOOP_BASE_URL: 'https://evil.test/api/v1' },
    ],
    [
      'any file that it names as the key’s',
      {},
      { GUMLOOP_API_KEY_FILE: '/home/ann/.token', GUMLOOP_BASE_URL: 'https://evil.test/api/v1' },
    ],
    ['the key, by a proxy', { GUMLOOP_API_KEY: SECRET }, { https_proxy: 'http://evil.test:3128' }],
    ['the database’s password', { PGPASSWORD: SECRET }, { CURFEW_DATABASE_URL: 'postgres://curfew@evil.test/db' }],
    [
      'the collector’s credentials',
      { OTEL_EXPORTER_OTLP_HEADERS: `authorization=${SECRET}` },
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://evil.test' },
    ],
  ])('is not sent where a .env says: %s', (_what, env, inFile) => {
    const error = refusal(() => load(inFile, env));
    expect(error.message).toContain(Object.keys(inFile).at(-1));
    expect(error.message).toContain('elsewhere');
  });

  it.each<[string, Settings, Settings, Settings?]>([
    ['the key', { TEMPORAL_API_KEY: SECRET }, { TEMPORAL_ADDRESS: 'evil.test:7233' }],
    ['the key, by an authority', { TEMPORAL_API_KEY: SECRET }, { TEMPORAL_TLS_SERVER_CA_CERT_DATA: 'x' }],
    ['the key, by a profile', { TEMPORAL_API_KEY: SECRET, TEMPORAL_CONFIG_FILE: 'toml' }, { TEMPORAL_PROFILE: 'evil' }],
    ['a header', { TEMPORAL_GRPC_META_AUTHORIZATION: SECRET }, { TEMPORAL_ADDRESS: 'evil.test:7233' }],
    ['the key of the config file', { TEMPORAL_CONFIG_FILE: 'toml' }, { TEMPORAL_ADDRESS: 'evil.test:7233' }],
    ['the key of a config file of its choice', {}, { TEMPORAL_CONFIG_FILE: 'toml', TEMPORAL_ADDRESS: 'evil.test:1' }],
    ['any file that it names as the key’s', {}, { TEMPORAL_API_KEY_FILE: 'key', TEMPORAL_ADDRESS: 'evil.test:7233' }],
  ])('of Temporal’s is not sent where a .env says: %s', (_what, env, inFile) => {
    const toml = ['default', 'evil'].map((name) => `[profile.${name}]\naddress = "a.test:1"\napi_key = "${SECRET}"\n`);
    writeFileSync(join(folder, 'toml'), toml.join(''));
    writeFileSync(join(folder, 'key'), SECRET);
    const placed = (settings: Settings): Settings =>
      Object.fromEntries(
        Object.entries(settings).map(([name, value]) => [name, /_FILE$/.test(name) ? join(folder, value) : value]),
      );
    const config = load(placed(inFile), placed(env));
    expect(refusal(() => resolveTemporal(config)).message).toContain('elsewhere');
  });

  it('may be in the same .env', () => {
    const url = 'https://gumloop.test/api/v1';
    const config = load({
      GUMLOOP_API_KEY: SECRET,
      GUMLOOP_BASE_URL: url,
      HTTPS_PROXY: 'http://proxy.test:3128',
      TEMPORAL_ADDRESS: 'temporal.test:7233',
      TEMPORAL_API_KEY: SECRET,
      CURFEW_DATABASE_URL: `postgres://curfew:${SECRET}@db.test/curfew`,
    });
    expect(config.apiBaseUrl).toBe(url);
    expect(resolveTemporal(config)).toMatchObject({ kind: 'configured', address: 'temporal.test:7233' });
  });

  it('goes where the environment says, whatever the .env says', () => {
    const env = { GUMLOOP_API_KEY: SECRET, GUMLOOP_BASE_URL: 'https://gumloop.test/api/v1' };
    expect(load({ GUMLOOP_BASE_URL: 'https://evil.test/api/v1' }, env).apiBaseUrl).toBe(env.GUMLOOP_BASE_URL);
  });

  it('a profile that a .env chooses may have, where nothing else is given', () => {
    writeFileSync(join(folder, 'toml'), `[profile.eu]\naddress = "eu.test:1"\napi_key = "${SECRET}"\n`);
    const config = load({ TEMPORAL_PROFILE: 'eu' }, { TEMPORAL_CONFIG_FILE: join(folder, 'toml') });
    expect(resolveTemporal(config)).toMatchObject({ kind: 'configured', address: 'eu.test:1' });
  });
});

describe('what a .env can’t set', () => {
  it('is a program', () => {
    const error = refusal(() => load({ TEMPORAL_CLI_PATH: '/tmp/evil' }));
    expect(error.message).toContain('TEMPORAL_CLI_PATH');
    expect(load({ TEMPORAL_CLI_PATH: '/tmp/evil' }, { TEMPORAL_CLI_PATH: '/own' }).env['TEMPORAL_CLI_PATH']).toBe(
      '/own',
    );
  });

  it('is anything but settings of Curfew, Temporal, tracing and proxies', () => {
    const foreign = ['PATH', 'HOME', 'XDG_CACHE_HOME', 'NODE_OPTIONS', 'LD_PRELOAD', 'GOFLAGS', 'GOPROXY', 'PGHOST'];
    const config = load({ ...Object.fromEntries(foreign.map((name) => [name, '/tmp/evil'])), CURFEW_LOG: 'warn' });
    expect(config.env).toEqual({ CURFEW_HOME: folder, CURFEW_LOG: 'warn' });
    expect(config.dotEnv).toEqual({ path, names: ['CURFEW_LOG'], ignored: foreign });
  });

  it('is nothing where there is none', () => {
    expect(loadConfig({ CURFEW_HOME: folder }, folder).dotEnv).toBeNull();
  });
});
