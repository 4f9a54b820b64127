import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FAILURES } from '../../src/adapters/vendor/errors.js';
import { SessionsError, type OpenSessionsClient } from '../../src/adapters/vendor/index.js';
import { KEY, Started } from '../sessions/support.js';

/** Whatever a vendor answers becomes a value of bounded size, or one error of a known kind, soon. */

/** Two seconds are the aim; a busy machine is slow. Most take milliseconds. */
const SOON_MS = 10_000;

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.constantFrom<unknown>(
    ...[
      '\0',
      '\ud800',
      '\u202e',
      'x'.repeat(5_000),
      -1,
      1e308,
      -0,
      '9'.repeat(400),
      '2026-11-29T00:00:00Z',
      {},
      [],
      null,
    ],
    ...[true, 'processing', 'PROCESSING ', 'sess_1', '../../x', 'a\r\nb', KEY],
  ),
);
/** Of the right shape, with any number of its values replaced. */
const some = <T>(usual: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 4, arbitrary: usual }, { weight: 1, arbitrary: odd });
const message = some(
  fc.record(
    { id: some(fc.uuid()), role: some(fc.constantFrom('user', 'assistant')), created_at: odd, parts: odd },
    { requiredKeys: [] },
  ),
);
const session = some(
  fc.record(
    {
      ...{ id: some(fc.constant('sess_1')), agent_id: odd, agent_name: odd, name: odd, type: odd, trigger_id: odd },
      ...{ state: some(fc.constantFrom('processing', 'queued', 'failed')), created_at: odd, agent_team_id: odd },
      ...{ usage: some(fc.dictionary(fc.constantFrom('credit_cost', 'input_tokens', 'output_tokens'), odd)) },
      ...{ creator: some(fc.record({ id: odd, email: odd })), messages: some(fc.array(message, { maxLength: 6 })) },
    },
    { requiredKeys: [] },
  ),
);
const list = some(fc.array(session, { maxLength: 5 }));
const envelope = fc.oneof(
  odd,
  fc.record({ session, queue_position: odd }, { requiredKeys: [] }),
  fc.record(
    { sessions: list, agents: list, triggers: list, teams: list, queue: list, next_cursor: odd },
    { requiredKeys: [] },
  ),
  fc.record({ error: odd, code: odd, message: odd, detail: odd }, { requiredKeys: [] }),
);

const nested = (levels: number): string =>
  `{"session":{"id":"sess_1","messages":${'['.repeat(levels)}${']'.repeat(levels)}},"sessions":${'['.repeat(levels)}${']'.repeat(levels)}}`;
const text = fc.oneof(
  { weight: 6, arbitrary: envelope.map((value) => JSON.stringify(value)) },
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constantFrom('', '{', 'null', '\ufeff{"sessions":[]}', '{"session":{"id":"sess_1"}}{}', '<html>', nested(20_000)),
  fc.constantFrom(nested(500), `{"session":{"id":"sess_1","state":"${'\\u0000'.repeat(9_000)}"}}`, '"'.repeat(99)),
);

const encoded: Readonly<Record<string, (plain: Buffer) => Buffer>> = {
  gzip: gzipSync,
  deflate: deflateSync,
  br: brotliCompressSync,
  // Not true: what cannot be decompressed.
  'x-gzip': (plain) => plain,
  '': (plain) => plain,
};
const bytes = fc
  .tuple(text, fc.constantFrom<BufferEncoding>('utf8', 'utf16le', 'latin1'), fc.double({ min: 0, max: 1, noNaN: true }))
  .chain(([whole, encoding, share]) => {
    const all = Buffer.from(whole, encoding);
    return fc.constantFrom(all, all, all, all.subarray(0, Math.floor(all.length * share)));
  });
const answer: fc.Arbitrary<Answer> = fc
  .record({
    status: fc.constantFrom(200, 200, 200, 200, 201, 204, 301, 400, 401, 402, 403, 404, 409, 418, 429, 500, 503),
    plain: bytes,
    encoding: fc.constantFrom('', '', '', 'gzip', 'deflate', 'br', 'x-gzip'),
    broken: fc.boolean(),
    type: fc.constantFrom('application/json', 'text/html', 'application/json; charset=utf-16', ''),
    date: fc.constantFrom('Sun, 29 Nov 2026 00:00:00 GMT', 'yesterday', '', '0'),
    retryAfter: fc.constantFrom('', '-1', '1e99', '2', 'soon', '99999999999999999999'),
  })
  .map(({ status, plain, encoding, broken, type, date, retryAfter }) => {
    const packed = encoded[encoding]?.(plain) ?? plain;
    const body = encoding !== '' && broken ? packed.subarray(0, packed.length >> 1) : packed;
    const headers = { 'content-type': type, date, 'retry-after': retryAfter, 'content-encoding': encoding };
    return { status, body, headers: Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== '')) };
  });

const started = new Started();
let client: OpenSessionsClient;
let next: Answer;
beforeAll(async () => {
  const { origin } = await started.http((_request, response) => {
    response.writeHead(next.status, next.headers);
    response.end(next.status === 204 ? undefined : next.body);
  });
  client = started.client(origin);
});
afterAll(() => started.stop());

const CALLS: readonly (() => Promise<unknown>)[] = [
  () => client.retrieveSession('sess_1'),
  () => client.listSessions('agent_1', { pageSize: 100 }),
  () => client.listAgents(),
  () => client.listTeams(),
  () => client.listTriggers('agent_1'),
  () => client.listQueue('sess_1'),
  () => client.cancelSession('sess_1'),
];

async function sent(one: Answer, call: () => Promise<unknown>): Promise<void> {
  next = one;
  const before = performance.now();
  const outcome: unknown = await call().catch((error: unknown) => error);
  expect(performance.now() - before).toBeLessThan(SOON_MS);
  if (outcome instanceof Error) {
    expect(outcome).toBeInstanceOf(SessionsError);
    expect(Object.keys(FAILURES)).toContain((outcome as SessionsError).kind);
    expect(outcome.message.length).toBeLessThan(1_000);
    expect(outcome.message).not.toContain(KEY);
    // eslint-disable-next-line no-control-regex -- the very thing that must not be there
    expect(outcome.message).not.toMatch(/[\u0000-\u001f\u202e]/);
  } else {
    // What is kept of one item is a few kilobytes, and no answer here has ten of them.
    expect(JSON.stringify(outcome).length).toBeLessThan(80_000);
  }
}

describe('an answer of the vendor', () => {
  it('is read, or refused by an error of the client, whatever it is', async () => {
    await fc.assert(fc.asyncProperty(answer, fc.constantFrom(...CALLS), sent), {
      numRuns: 600,
      interruptAfterTimeLimit: 20_000,
    });
  });
});
