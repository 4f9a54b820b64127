import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readKeyRing } from '../../src/adapters/codec/key-ring.js';
import { loadConfig, type Environment } from '../../src/platform/config.js';
import { ExitCode, UserError } from '../../src/core/errors.js';
import { readPostgresUrl } from '../../src/adapters/ledger/postgres-url.js';
import { checkBaseUrl } from '../../src/adapters/vendor/base-url.js';
import { createCredentials } from '../../src/adapters/vendor/index.js';
import { resolveTemporal } from '../../src/adapters/temporal/connection-target.js';
import { traceExportOf } from '../../src/platform/tracing/settings.js';

/** Whatever the environment and `.env` say, settings are read, or refused by two lines for people. */

const SECRET = 'hunter2-hunter2';
const folder = mkdtempSync(join(tmpdir(), 'curfew-settings-'));
const secretFile = join(folder, 'secret');
beforeAll(() => writeFileSync(secretFile, `${SECRET}\n`, { mode: 0o600 }));
afterAll(() => rmSync(folder, { recursive: true }));

const value = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }).filter((text) => !text.includes('\0')),
  fc.constantFrom(
    ...['', ' ', '0', '-1', '1', '5m', '1e9d', '999999999999y', '1.5 h', 'true', 'TRUE', 'yes', 'off', 'otlp', 'none'],
    ...[
      '127.0.0.1:7233',
      'localhost',
      '[::1]:1',
      ':0',
      'x:99999999',
      'a b',
      'http://',
      'https://x:y@h/',
      '/',
      '..',
      '~',
    ],
    ...[
      'postgres://u:p@h/d?sslmode=x',
      'postgres://%',
      'file:///etc',
      'console',
      'http/protobuf',
      'k=v,=',
      '%zz',
      '\r\n',
    ],
    ...['x'.repeat(5_000), '\ud800', '\u202e', SECRET, secretFile, folder, '/nonexistent', '/dev/null', '*'],
  ),
);
const name = fc.constantFrom(
  ...['CURFEW_HOME', 'CURFEW_DATABASE_URL', 'CURFEW_DATABASE_URL_FILE', 'CURFEW_LOG', 'CURFEW_LOG_FORMAT'],
  ...['CURFEW_ALERT_AFTER', 'CURFEW_GIVE_UP_AFTER', 'CURFEW_RETRY_CAP', 'CURFEW_KEY_RETRY', 'CURFEW_RETENTION'],
  ...['CURFEW_REQUESTS_PER_SECOND', 'CURFEW_SCAN_INTERVAL', 'CURFEW_BULK_TYPE_ABOVE', 'CURFEW_HTTP_ADDRESS'],
  ...['CURFEW_CODEC_KEYS_FILE', 'GUMLOOP_BASE_URL', 'GUMLOOP_API_KEY', 'GUMLOOP_API_KEY_FILE', 'GUMLOOP_USER_ID'],
  ...['GUMLOOP_ACCESS_TOKEN', 'GUMLOOP_ACCESS_TOKEN_FILE', 'GUMLOOP_TEAM_ID', 'HTTPS_PROXY', 'http_proxy', 'NO_PROXY'],
  ...['TEMPORAL_ADDRESS', 'TEMPORAL_NAMESPACE', 'TEMPORAL_PROFILE', 'TEMPORAL_API_KEY', 'TEMPORAL_API_KEY_FILE'],
  ...['TEMPORAL_TLS', 'TEMPORAL_TLS_CLIENT_CERT_PATH', 'TEMPORAL_TLS_CLIENT_KEY_DATA', 'TEMPORAL_CONFIG_FILE'],
  ...['TEMPORAL_GRPC_META_AUTHORIZATION', 'OTEL_TRACES_EXPORTER', 'OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_SDK_DISABLED'],
  ...[
    'OTEL_EXPORTER_OTLP_HEADERS',
    'OTEL_EXPORTER_OTLP_PROTOCOL',
    'OTEL_EXPORTER_OTLP_TIMEOUT',
    'OTEL_BSP_MAX_QUEUE_SIZE',
  ],
  ...['OTEL_RESOURCE_ATTRIBUTES', 'PGPASSWORD', 'PGSSLMODE', 'XDG_STATE_HOME', 'HOME'],
);
const environment = fc.dictionary(name, value, { maxKeys: 5, noNullPrototype: true });

/** All that reads settings when a command or a worker begins. */
const READERS: Readonly<Record<string, (env: Environment) => unknown>> = {
  config: (env) => loadConfig(env, folder),
  temporal: (env) => resolveTemporal({ env: { ...env }, home: folder }),
  tracing: traceExportOf,
  credentials: (env) => createCredentials(env),
  'base URL': (env) => checkBaseUrl(env['GUMLOOP_BASE_URL'] ?? '', false),
  ledger: (env) => readPostgresUrl(env['CURFEW_DATABASE_URL'] ?? 'postgres://h/d', env),
};

function check(reader: string, read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof UserError)) throw new Error(`${reader} threw`, { cause: error });
    expect(Object.values(ExitCode)).toContain(error.exitCode);
    expect(error.message.length + error.next.length).toBeLessThan(20_000);
    // eslint-disable-next-line no-control-regex -- the very thing that must not be there
    expect(error.message + error.next).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e\ud800]/u);
  }
}

describe('settings', () => {
  it('are read or refused with words, whatever the environment says', () => {
    fc.assert(
      fc.property(environment, (env) => {
        for (const [reader, read] of Object.entries(READERS)) check(reader, () => read(env));
      }),
      { numRuns: 800, interruptAfterTimeLimit: 15_000 },
    );
  });

  it('are read or refused with words, whatever `.env` says', () => {
    const line = fc.oneof(
      fc.tuple(name, value).map(([key, text]) => `${key}=${text}`),
      fc.tuple(name, value).map(([key, text]) => `export ${key}: "${text}`),
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom('TEMPORAL_CLI_PATH=/bin/true', 'NODE_OPTIONS=--x', '=', '__proto__=1', '\ufeff', '#'),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 6 }), environment, (lines, env) => {
        writeFileSync(join(folder, '.env'), lines.join('\n'), { mode: 0o600 });
        check('config', () => loadConfig(env, folder));
      }),
      { numRuns: 400, interruptAfterTimeLimit: 10_000 },
    );
    rmSync(join(folder, '.env'));
  });

  it('that hold a secret don’t repeat it when they are refused', () => {
    const secrets = fc.constantFrom('GUMLOOP_API_KEY', 'GUMLOOP_ACCESS_TOKEN', 'TEMPORAL_API_KEY', 'PGPASSWORD');
    const around = fc.constantFrom('', ' ', '\n', '\r', '\u202e', 'é', '"', '\ud800', '\t');
    fc.assert(
      fc.property(environment, secrets, around, around, (env, key, before, after) => {
        const own = Object.fromEntries(Object.entries(env).filter(([, text]) => text !== SECRET));
        const withSecret = { ...own, [key]: `${before}${SECRET}${after}` };
        for (const read of Object.values(READERS)) {
          try {
            read(withSecret);
          } catch (error) {
            expect(String((error as UserError).message) + String((error as UserError).next)).not.toContain(SECRET);
          }
        }
      }),
      { numRuns: 400, interruptAfterTimeLimit: 10_000 },
    );
  });

  it('of payload keys are read, or have a problem', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.array(fc.constantFrom('a: ', 'AAAA'.repeat(11), '=', '\n', '#', ':', ' ', '\0', 'é'), { maxLength: 12 }),
    );
    fc.assert(
      fc.property(text, (parts) => {
        const ring = readKeyRing(typeof parts === 'string' ? parts : parts.join(''));
        if ('problem' in ring) expect(ring.problem.length).toBeLessThan(500);
      }),
      { numRuns: 500 },
    );
  });
});
