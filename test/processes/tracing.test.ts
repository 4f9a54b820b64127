import { dirname } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { runCurfew, settingsFor, startReady, stopEverything, type Settings } from '../support/curfew-process.js';
import { makeHome, removeHome, temporalBinary } from '../support/embedded-server.js';
import { resourceOf, spansOf, startOtlpReceiver, type OtlpReceiver } from '../support/otlp-receiver.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

const STORY_LIMIT_MS = 4 * 60_000;
const API_KEY = 'key-that-must-stay-secret';

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);

let home: string;
let simulator: Simulator;
let receiver: OtlpReceiver;
let settings: Settings;

beforeEach(async () => {
  home = makeHome();
  simulator = await startSimulator({ apiKey: API_KEY });
  simulator.world.addAgent({ id: 'agent_test' });
  simulator.world.addSession({ agent: 'agent_test', id: 'sess_1', turnAge: '1h', runsFor: null });
  receiver = await startOtlpReceiver();
  settings = await settingsFor(dirname(home), {
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: API_KEY,
    GUMLOOP_USER_ID: simulator.userId,
    OTEL_EXPORTER_OTLP_HEADERS: 'x-collector-key=collector-secret',
  });
});

afterEach(async () => {
  await stopEverything();
  await receiver.close();
  await simulator.close();
  removeHome(home);
}, 60_000);

/** One order carried out by a worker with these settings. @returns what the worker wrote */
async function story(more: Settings): Promise<{ readonly stderr: string; readonly stdout: string }> {
  const { process: up } = await startReady(['up'], { ...settings, ...more });
  const { code } = await runCurfew(['cancel', 'sess_1', '--wait', '--reason', 'private words'], settings);
  expect(code).toBe(0);
  up.signal('SIGTERM');
  const ended = await up.ended;
  expect(ended.code).toBe(0);
  return ended;
}

describe('a worker that records spans', () => {
  it(
    'I7: sends those of one case as one trace, without keys, headers, bodies or words of people; its log lines name the trace',
    async () => {
      const { stderr } = await story({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, CURFEW_LOG_FORMAT: 'json' });

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
    STORY_LIMIT_MS,
  );

  it(
    'goes on, and ends in time, when the collector is away',
    async () => {
      await story({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' });
    },
    STORY_LIMIT_MS,
  );
});

it(
  'without settings a worker records nothing and opens no connection for it',
  async () => {
    const { stdout, stderr } = await story({
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_TRACES_EXPORTER: 'none',
      CURFEW_LOG_FORMAT: 'json',
    });
    expect(receiver.connections()).toBe(0);
    expect(stdout + stderr).not.toContain('trace_id');
    // And each line of the case says which case it is.
    const settled = stderr.split('\n').find((line) => line.includes('order settled'));
    expect(JSON.parse(settled ?? '{}')).toMatchObject({ sessionId: 'sess_1', caseId: 'cancel/sess_1' });
  },
  STORY_LIMIT_MS,
);

it('says which settings of OpenTelemetry it does not carry', async () => {
  const { code, stderr } = await runCurfew(['up'], { ...settings, OTEL_TRACES_EXPORTER: 'zipkin' });
  expect(code).toBe(2);
  expect(stderr).toMatch(/^curfew: OTEL_TRACES_EXPORTER is "zipkin".*\n {2}next: /);
});
