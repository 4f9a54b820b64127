import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startReady, type Settings } from '../support/curfew-process.js';
import { temporalBinary } from '../support/embedded-server.js';
import { resourceOf, spansOf, startOtlpReceiver, type OtlpReceiver } from './otlp-receiver.js';
import { closeHomes, openHome } from '../support/own-home.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

const STORY_LIMIT_MS = 4 * 60_000;
const API_KEY = 'key-that-must-stay-secret';

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);
afterAll(closeHomes, 60_000);

/** What one order left behind that a worker carried out. */
interface Story {
  readonly receiver: OtlpReceiver;
  /** Of the worker. */
  readonly stdout: string;
  readonly stderr: string;
}

/** @param settingsOf - of the worker; commands have none of them */
const afterOneOrder =
  (settingsOf: (receiver: OtlpReceiver) => Settings, check: (story: Story) => void = () => {}) =>
  async (): Promise<void> => {
    const headers = { OTEL_EXPORTER_OTLP_HEADERS: 'x-collector-key=collector-secret' };
    const own = await openHome(headers, { apiKey: API_KEY });
    const receiver = await startOtlpReceiver();
    try {
      own.simulator.world.addSession({ agent: 'agent_test', id: 'sess_1', turnAge: '1h', runsFor: null });
      const { process: up } = await startReady(['up'], { ...own.settings, ...settingsOf(receiver) });
      expect((await own.run('cancel', 'sess_1', '--wait', '--reason', 'private words')).code).toBe(0);
      up.signal('SIGTERM');
      const { code, stdout, stderr } = await up.ended;
      expect(code).toBe(0);
      check({ receiver, stdout, stderr });
    } finally {
      await own.close();
      await receiver.close();
    }
  };

describe('a worker with a collector of spans', () => {
  it.concurrent(
    'I7: sends those of one case as one trace, without keys, headers, bodies or words of people; its log lines name the trace',
    afterOneOrder(
      ({ url }) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: url, CURFEW_LOG_FORMAT: 'json' }),
      ({ receiver, stderr }) => {
        expect(receiver.posts.length).toBeGreaterThan(0);
        expect(new Set(receiver.posts.map(({ path }) => path))).toEqual(new Set(['/v1/traces']));
        expect(receiver.posts[0]?.contentType).toBe('application/x-protobuf');
        expect(resourceOf(receiver.posts[0]?.body ?? Buffer.alloc(0))).toMatchObject({ 'service.name': 'curfew' });

        const spans = receiver.posts.flatMap(({ body }) => spansOf(body));
        const ofCase = spans.filter(({ attributes }) => attributes['curfew.case_id'] === 'cancel/sess_1');
        expect(new Set(ofCase.map(({ name }) => name))).toEqual(
          new Set(['cancelSession', 'confirmCancellation', 'watchForRestart']),
        );
        const [traceId] = ofCase.map((span) => span.traceId);
        expect(new Set(ofCase.map((span) => span.traceId)).size).toBe(1);

        const parentOf = (span: (typeof spans)[number] | undefined) =>
          spans.find(({ spanId }) => spanId === span?.parentSpanId);
        const request = spans.find(({ name }) => name === 'POST /sessions/{id}/cancel');
        expect(request).toMatchObject({
          traceId,
          attributes: {
            'http.request.method': 'POST',
            'url.template': '/sessions/{id}/cancel',
            'http.response.status_code': 200,
          },
        });
        expect(parentOf(request)?.name).toBe('cancelSession');
        const read = spans.find(({ name, traceId: id }) => name === 'gate.read' && id === traceId);
        expect(read?.attributes['curfew.session_id']).toBe('sess_1');
        expect(spans.find(({ parentSpanId }) => parentSpanId === read?.spanId)?.name).toBe('GET /sessions/{id}');
        expect(spans.some(({ name, traceId: id }) => name === 'gate.register' && id === traceId)).toBe(true);

        const sent = receiver.posts.map(({ body }) => body.toString('latin1')).join('');
        for (const secret of [API_KEY, 'collector-secret', 'private words', 'Bearer', 'authorization']) {
          expect(sent.toLowerCase().includes(secret.toLowerCase())).toBe(false);
        }
        expect(sent).toContain('sess_1');

        const lines = stderr
          .split('\n')
          .filter((line) => line.startsWith('{'))
          .map((line) => JSON.parse(line) as Record<string, unknown>);
        const settled = lines.find(({ msg }) => msg === 'order settled');
        expect(settled).toMatchObject({ sessionId: 'sess_1', caseId: 'cancel/sess_1', trace_id: traceId });
        expect(stderr).not.toContain('collector-secret');
      },
    ),
    STORY_LIMIT_MS,
  );

  it.concurrent(
    'goes on, says so, and ends in time, when the collector is away',
    afterOneOrder(
      () => ({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', CURFEW_LOG_FORMAT: 'json' }),
      ({ stderr }) => {
        const lines = stderr.split('\n').filter((line) => line.includes('OpenTelemetry'));
        expect(lines.length).toBeGreaterThan(0);
        for (const line of lines) expect(JSON.parse(line)).toMatchObject({ level: 40 });
        expect(lines[0]).toContain('ECONNREFUSED');
        expect(stderr).not.toContain('collector-secret');
      },
    ),
    STORY_LIMIT_MS,
  );

  it.concurrent(
    'records nothing where it is told so, and opens no connection for it',
    afterOneOrder(
      ({ url }) => ({
        OTEL_EXPORTER_OTLP_ENDPOINT: url,
        OTEL_TRACES_EXPORTER: 'none',
        CURFEW_LOG_FORMAT: 'json',
      }),
      ({ receiver, stdout, stderr }) => {
        expect(receiver.connections()).toBe(0);
        expect(stdout + stderr).not.toContain('trace_id');
        // And each line of the case says which case it is.
        const settled = stderr.split('\n').find((line) => line.includes('order settled'));
        expect(JSON.parse(settled ?? '{}')).toMatchObject({ sessionId: 'sess_1', caseId: 'cancel/sess_1' });
      },
    ),
    STORY_LIMIT_MS,
  );
});

it.each([
  [{ OTEL_TRACES_EXPORTER: 'zipkin' }, /^curfew: OTEL_TRACES_EXPORTER is "zipkin".*\n {2}next: .*\n$/],
  [
    { OTEL_TRACES_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_HEADERS: 'authorization=s3cret%' },
    /^curfew: OTEL_EXPORTER_OTLP_HEADERS can't be used(?!.*s3cret).*\n {2}next: (?!.*s3cret).*\n$/,
  ],
])('says which settings of OpenTelemetry it does not carry: %j', async (settings, message) => {
  const own = await openHome(settings);
  const { code, stderr } = await own.run('up');
  expect(code).toBe(2);
  expect(stderr).toMatch(message);
});
