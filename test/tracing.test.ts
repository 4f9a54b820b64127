import { describe, expect, it } from '@jest/globals';
import { ExitCode, UserError } from '../src/errors.js';
import { templateOf } from '../src/sessions/traced-exchange.js';
import { startTracing } from '../src/tracing/index.js';
import { traceExportOf } from '../src/tracing/settings.js';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };

describe('tracing by the standard variables', () => {
  it.each([
    ['off by default', {}, 'off'],
    ['on with an address', ENDPOINT, 'otlp'],
    [
      'on with an address for traces',
      { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://otel.example.com/v1/traces' },
      'otlp',
    ],
    ['on with an exporter', { OTEL_TRACES_EXPORTER: 'otlp' }, 'otlp'],
    ['on the console', { OTEL_TRACES_EXPORTER: 'console' }, 'console'],
    ['off when said so', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }, 'off'],
    ['off when the SDK is disabled', { ...ENDPOINT, OTEL_SDK_DISABLED: 'true' }, 'off'],
    ['off when variables are handed down empty', { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_TRACES_EXPORTER: '' }, 'off'],
    ['on with the protocol that is carried', { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' }, 'otlp'],
    [
      'on where the protocol for traces wins',
      { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/protobuf' },
      'otlp',
    ],
  ])('is %s', (_what, env, expected) => expect(traceExportOf(env)).toBe(expected));

  it.each([
    [{ OTEL_TRACES_EXPORTER: 'jaeger' }, /OTEL_TRACES_EXPORTER is "jaeger"/],
    [{ ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, /OTEL_EXPORTER_OTLP_PROTOCOL is "grpc"/],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }, /no http or https URL/],
  ])('refuses what it does not carry: %j', (env, message) => {
    let error: unknown;
    try {
      traceExportOf(env);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toMatch(message);
    expect((error as UserError).exitCode).toBe(ExitCode.usage);
  });

  it('does not repeat an address, which may hold a password', () => {
    expect(() => traceExportOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'ftp://me:word@otel' })).toThrow(/^(?!.*word)/s);
  });

  it('starts nothing when it is off', async () => {
    expect(await startTracing({})).toBeNull();
  });
});

it.each([
  [['agents'], '/agents'],
  [['agents', 'agent_1', 'sessions'], '/agents/{id}/sessions'],
  [['sessions', 'sess_1', 'cancel'], '/sessions/{id}/cancel'],
])('a span names the path of a request without its ids: %j', (path, template) => {
  expect(templateOf({ path })).toBe(template);
});
