import { describe, expect, it } from '@jest/globals';
import { diag } from '@opentelemetry/api';
import { globalErrorHandler, loggingErrorHandler, setGlobalErrorHandler } from '@opentelemetry/core';
import { ExitCode, UserError } from '../src/core/errors.js';
import { templateOf } from '../src/adapters/vendor/traced-exchange.js';
import { startTracing } from '../src/platform/tracing/index.js';
import { hearTelemetry } from '../src/platform/tracing/said.js';
import { traceExportOf } from '../src/platform/tracing/settings.js';

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
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }, /not an http or https URL/],
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

  it.each([
    ['OTEL_EXPORTER_OTLP_HEADERS', 'authorization=Basic s3cret%', '%25'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'authorization=s3cret%zz', '%25'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'authorization=s3cret%ff', '%25'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'authorization=s3cret%0Ax', 'HTTP'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'authorization=s3cret€', 'HTTP'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'bad name=s3cret', 'HTTP'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'x=y,s3cret', 'name=value'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'x=s3;cret', '%3B'],
    ['OTEL_EXPORTER_OTLP_TRACES_HEADERS', 'x=s3cret%', '%25'],
    ['OTEL_RESOURCE_ATTRIBUTES', 'team=a,place=50%', '%25'],
    ['OTEL_RESOURCE_ATTRIBUTES', 'team=platform eng', '%20'],
    ['OTEL_RESOURCE_ATTRIBUTES', 'team=a=b', '%3D'],
    ['OTEL_RESOURCE_ATTRIBUTES', 'team=münchen', 'ASCII'],
    ['OTEL_RESOURCE_ATTRIBUTES', 'team', 'key=value'],
    ['OTEL_RESOURCE_ATTRIBUTES', `team=${'x'.repeat(256)}`, '255'],
    ['OTEL_EXPORTER_OTLP_TIMEOUT', '10s', 'ms'],
    ['OTEL_EXPORTER_OTLP_COMPRESSION', 'zstd', 'gzip'],
    ['OTEL_TRACES_SAMPLER', 'jaeger_remote', 'always_on'],
    ['OTEL_TRACES_SAMPLER_ARG', '10%', '0 to 1'],
    ['OTEL_BSP_SCHEDULE_DELAY', 'soon', 'ms'],
  ])('refuses what the SDK would trip over, by the name of the variable: %s=%s', (name, value, hint) => {
    let error: unknown;
    try {
      traceExportOf({ ...ENDPOINT, [name]: value });
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ name: 'UserError', exitCode: ExitCode.usage });
    const { message, next } = error as UserError;
    expect(message).toMatch(new RegExp(`^${name} `));
    expect(`${message} ${next}`).toContain(hint);
    expect(`${message} ${next}`).not.toMatch(/s3|cret/);
  });

  it.each([
    { OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20dXNlcjpwYXNz,x-scope=a b, y=1==,' },
    { OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=prod,team=platform%20eng,host="a",empty=,' },
    { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25' },
    { OTEL_BSP_SCHEDULE_DELAY: '1000', OTEL_EXPORTER_OTLP_TIMEOUT: '3000', OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' },
  ])('takes what is right: %j', (env) => {
    expect(traceExportOf({ ...ENDPOINT, ...env })).toBe('otlp');
  });

  it('looks at no value while it is off', () => {
    expect(traceExportOf({ OTEL_EXPORTER_OTLP_HEADERS: 'x=%', OTEL_RESOURCE_ATTRIBUTES: '%' })).toBe('off');
  });

  it('says what the SDK says, once a minute where it repeats itself, and nothing of what it holds', () => {
    const said: string[] = [];
    let now = 0;
    hearTelemetry({ warn: (text: unknown) => void said.push(String(text)) }, () => now);
    try {
      const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:4318'), { headers: 's3cret' });
      for (now = 0; now <= 60_000; now += 5_000) globalErrorHandler(refused);
      diag.createComponentLogger({ namespace: 'exporter' }).warn('odd', { authorization: 's3cret' });
      diag.info('chatter');
      expect(said).toEqual([
        'OpenTelemetry: Spans could not be sent, and are lost: connect ECONNREFUSED 127.0.0.1:4318.',
        'OpenTelemetry: Spans could not be sent, and are lost: connect ECONNREFUSED 127.0.0.1:4318.',
        'OpenTelemetry: exporter odd',
      ]);
    } finally {
      diag.disable();
      setGlobalErrorHandler(loggingErrorHandler());
    }
  });

  it('does not repeat an address, which may hold a password', () => {
    expect(() => traceExportOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'ftp://me:word@otel' })).toThrow(/^(?!.*word)/s);
  });

  it('starts nothing when it is off', async () => {
    expect(await startTracing({}, { warn: () => {} })).toBeNull();
  });
});

it.each([
  [['agents'], '/agents'],
  [['agents', 'agent_1', 'sessions'], '/agents/{id}/sessions'],
  [['sessions', 'sess_1', 'cancel'], '/sessions/{id}/cancel'],
])('a span names the path of a request without its ids: %j', (path, template) => {
  expect(templateOf({ path })).toBe(template);
});
