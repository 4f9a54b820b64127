import { afterEach, describe, expect, it } from '@jest/globals';
import type { FaultInput } from '../../simulator/index.js';
import { Bench, until } from './support.js';

describe('faults of the simulator', () => {
  let bench: Bench;
  afterEach(() => bench.close());

  /** A session with a turn in flight on which these faults are set. */
  const startWith = async (...faults: FaultInput[]) => {
    bench = await Bench.start();
    return bench.world.addSession({ agent: 'agent_a', faults });
  };
  const state = (id: string) => bench.world.session(id).state;
  const cancels = () => bench.world.truth().cancels;
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => 'answered',
      (error: Error & { cause?: { code?: string } }) => error.cause?.code ?? error.name,
    );

  it('strike in order, each as often as it says, then no more', async () => {
    const { id } = await startWith(
      { fault: 'server-error', on: 'retrieve', times: 2, status: 502 },
      { fault: 'not-found', on: 'retrieve' },
      { fault: 'pass', on: 'retrieve' },
      { fault: 'conflict', on: 'retrieve' },
    );
    const statuses: number[] = [];
    for (let i = 0; i < 7; i++) statuses.push((await bench.retrieve(id)).status);
    expect(statuses).toEqual([502, 502, 404, 200, 409, 200, 200]);
  });

  it('strike one session, one agent with its sessions, or all; the nearest first', async () => {
    const { id } = await startWith({ fault: 'conflict' });
    bench.world.setFaults({ agentId: 'agent_a' }, [{ fault: 'not-found' }]);
    bench.world.setFaults('everywhere', [{ fault: 'server-error' }]);
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) statuses.push((await bench.retrieve(id)).status);
    expect(statuses).toEqual([409, 404, 503, 200]);
    bench.world.setFaults('everywhere', [{ fault: 'server-error', on: 'agents', times: 'forever' }]);
    expect((await bench.call('/agents')).status).toBe(503);
    expect((await bench.retrieve(id)).status).toBe(200);
    bench.world.clearFaults();
    expect((await bench.call('/agents')).status).toBe(200);
  });

  it('strike by chance, the same way for the same seed', async () => {
    const run = async () => {
      bench = await Bench.start({ seed: 3 });
      bench.world.setFaults('everywhere', [{ fault: 'server-error', times: 'forever', probability: 0.5 }]);
      const statuses: number[] = [];
      for (let i = 0; i < 40; i++) statuses.push((await bench.call('/agents')).status);
      await bench.close();
      return statuses;
    };
    const [first, second] = [await run(), await run()];
    expect(second).toEqual(first);
    const hits = first.filter((status) => status === 503).length;
    expect(hits).toBeGreaterThan(8);
    expect(hits).toBeLessThan(32);
    bench = await Bench.start();
  });

  it.each([
    [false, 'processing'],
    [true, 'failed'],
  ])('failed-to-abort with effect %s leaves the turn %s', async (effect, after) => {
    const { id } = await startWith({ fault: 'failed-to-abort', effect });
    const reply = await bench.cancel(id);
    expect([reply.status, reply.body.error.code]).toEqual([500, 'failed_to_abort']);
    expect(state(id)).toBe(after);
    expect(cancels()).toMatchObject([{ fault: 'failed-to-abort', effect, answered: { status: 500 } }]);
  });

  it('an effect can come long after the answer, and is still on record', async () => {
    const { id, turnKey } = await startWith({ fault: 'failed-to-abort', effect: true, effectAfter: '3s' });
    await bench.cancel(id);
    bench.clock.advance(2_999);
    expect(state(id)).toBe('processing');
    expect(cancels()).toMatchObject([{ effect: false }]);
    bench.clock.advance(1);
    expect(state(id)).toBe('failed');
    expect(cancels()).toMatchObject([{ effect: true, endedTurn: turnKey, answered: { status: 500 } }]);
  });

  it('client-error answers with HTML, JSON or nothing, with a time to come again where it is told to', async () => {
    const { id } = await startWith(
      { fault: 'client-error' },
      { fault: 'client-error', body: 'empty', retryAfterSeconds: 5 },
      { fault: 'client-error', status: 418, body: 'json', code: 'teapot', shape: 'flat', retryAfterSeconds: 7 },
    );
    const [html, empty, json] = [await bench.cancel(id), await bench.cancel(id), await bench.cancel(id)];
    expect([html.status, html.headers.get('content-type')]).toEqual([403, 'text/html; charset=utf-8']);
    expect([empty.status, empty.text]).toEqual([403, '']);
    expect([json.status, json.body.error]).toEqual([418, 'teapot']);
    expect([html, empty, json].map(({ headers }) => headers.get('retry-after'))).toEqual([null, '5', '7']);
    expect(cancels().map(({ effect }) => effect)).toEqual([false, false, false]);
  });

  it('server-error answers with HTML, JSON or nothing', async () => {
    const { id } = await startWith(
      { fault: 'server-error' },
      { fault: 'server-error', status: 504, body: 'empty' },
      { fault: 'server-error', status: 500, body: 'json' },
    );
    const [html, empty, json] = [await bench.cancel(id), await bench.cancel(id), await bench.cancel(id)];
    expect([html.status, html.headers.get('content-type')]).toEqual([503, 'text/html; charset=utf-8']);
    expect([empty.status, empty.text]).toEqual([504, '']);
    expect([json.status, json.body.error.type]).toEqual([500, 'api_error']);
    expect(cancels().map(({ answered }) => answered.contentType)).toEqual([
      'text/html',
      'text/plain',
      'application/json',
    ]);
  });

  it('rate-limited sends Retry-After in seconds, as a date, or not at all', async () => {
    const { id } = await startWith(
      { fault: 'rate-limited', retryAfterSeconds: 7 },
      { fault: 'rate-limited', retryAfterSeconds: 60, retryAfterForm: 'http-date' },
      { fault: 'rate-limited', retryAfterSeconds: null, shape: 'flat' },
    );
    const headers: (string | null)[] = [];
    for (let i = 0; i < 3; i++) {
      const reply = await bench.cancel(id);
      expect(reply.status).toBe(429);
      headers.push(reply.headers.get('retry-after'));
    }
    expect(headers).toEqual(['7', 'Fri, 20 Nov 2026 12:01:00 GMT', null]);
    expect(state(id)).toBe('processing');
  });

  it.each([
    [false, 'processing'],
    [true, 'failed'],
  ])('hang with effect %s never answers; the client gives up and the turn is %s', async (effect, after) => {
    const { id } = await startWith({ fault: 'hang', effect });
    const client = new AbortController();
    const hanging = failure(bench.cancel(id, { signal: client.signal }));
    await until(() => cancels()[0]?.fault === 'hang');
    expect(cancels()).toMatchObject([{ answered: { kind: 'pending' } }]);
    client.abort();
    expect(await hanging).toBe('AbortError');
    expect(state(id)).toBe(after);
    await until(() => cancels()[0]?.answered.kind !== 'pending');
    expect(cancels()).toMatchObject([{ effect, answered: { kind: 'client-gone' } }]);
  });

  it('a hanging request ends when the simulator closes', async () => {
    const { id } = await startWith({ fault: 'hang' });
    const hanging = failure(bench.cancel(id));
    await until(() => cancels().length === 1);
    await bench.close();
    expect(await hanging).toBe('UND_ERR_SOCKET');
  });

  it.each([
    ['reset-before-effect', 'processing'],
    ['reset-after-effect', 'failed'],
  ] as const)('%s breaks the connection and leaves the turn %s', async (fault, after) => {
    const { id } = await startWith({ fault });
    expect(await failure(bench.cancel(id))).toBe('ECONNRESET');
    expect(state(id)).toBe(after);
    expect(cancels()).toMatchObject([{ answered: { kind: 'reset' }, effect: after === 'failed' }]);
  });

  it('html-body and truncated-body spoil an answer whose effect stands', async () => {
    const first = await startWith({ fault: 'html-body' });
    const html = await bench.cancel(first.id);
    expect([html.status, html.headers.get('content-type'), html.body]).toEqual([200, 'text/html; charset=utf-8', null]);
    expect(state(first.id)).toBe('failed');

    const add = (fault: FaultInput) => bench.world.addSession({ agent: 'agent_a', faults: [fault] }).id;
    const cutOff = add({ fault: 'truncated-body' });
    expect(await failure(bench.cancel(cutOff))).toBe('UND_ERR_SOCKET');
    expect(state(cutOff)).toBe('failed');
    expect(cancels().at(-1)).toMatchObject({ answered: { kind: 'truncated', status: 200 } });

    const cutJson = add({ fault: 'truncated-body', cut: 'json' });
    const reply = await bench.cancel(cutJson);
    expect([reply.status, reply.body]).toEqual([200, null]);
    expect(reply.headers.get('content-type')).toMatch('application/json');

    const noEffect = add({ fault: 'html-body', effect: false });
    await bench.cancel(noEffect);
    expect(state(noEffect)).toBe('processing');
  });

  it('lagging-answer takes effect late, and answers later still', async () => {
    bench = await Bench.start({ now: Date.now });
    const fault = { fault: 'lagging-answer', delay: 400, effectAfter: 200 } as const;
    const { id } = bench.world.addSession({ agent: 'agent_a', faults: [fault] });
    expect((await bench.cancel(id)).body.session.state).toBe('failed');
    const ended = bench.world.truth().sessions[id]?.turns[0]?.endedAt ?? 0;
    expect(ended - (cancels()[0]?.at ?? Infinity)).toBeGreaterThanOrEqual(200);
    expect(() => bench.world.setFaults('everywhere', [{ ...fault, effectAfter: 500 }])).toThrow(/no later than/);
  });

  it('lagging-answer can take effect at once; the simulator closes without waiting for the answer', async () => {
    const { id } = await startWith({ fault: 'lagging-answer', delay: '1h' });
    const waiting = failure(bench.cancel(id));
    await until(() => state(id) === 'failed');
    expect(cancels()).toMatchObject([{ effect: true, answered: { kind: 'pending' } }]);
    await bench.close();
    expect(await waiting).toBe('UND_ERR_SOCKET');
  });

  it('lagging-effect: answer and reads say completed, later reads say failed', async () => {
    const { id } = await startWith({ fault: 'lagging-effect' });
    const before = (await bench.retrieve(id)).body.session.messages;
    expect((await bench.cancel(id)).body.session.state).toBe('completed');
    expect(state(id)).toBe('failed');
    const soon = (await bench.retrieve(id)).body.session;
    expect([soon.state, soon.messages]).toEqual(['completed', before]);
    bench.clock.advance(1_500);
    const late = (await bench.retrieve(id)).body.session;
    expect([late.state, late.messages.length]).toEqual(['failed', 2]);
  });

  it('lagging-effect: the answer says failed while lists go on saying processing', async () => {
    const { id } = await startWith({
      fault: 'lagging-effect',
      answer: 'failed',
      readsShow: 'processing',
      visibleAfter: '4s',
    });
    const listed = async () => (await bench.call('/agents/agent_a/sessions?state=processing')).body.sessions.length;
    expect((await bench.cancel(id)).body.session.state).toBe('failed');
    expect(await listed()).toBe(1);
    bench.clock.advance(4_000);
    expect(await listed()).toBe(0);
  });

  it('accepted-without-effect answers as if, and the turn goes on', async () => {
    const { id } = await startWith(
      { fault: 'accepted-without-effect' },
      { fault: 'accepted-without-effect', answer: 'processing' },
    );
    expect((await bench.cancel(id)).body.session.state).toBe('failed');
    expect((await bench.cancel(id)).body.session.state).toBe('processing');
    expect(state(id)).toBe('processing');
    expect(cancels()).toMatchObject([{ effect: false }, { effect: false }]);
  });

  it('stale-reads show the past for a while, in retrieve and in lists', async () => {
    bench = await Bench.start();
    const { id, turnKey } = bench.world.addSession({ agent: 'agent_a' });
    bench.clock.advance(10_000);
    bench.world.endTurn(id);
    const next = bench.world.startTurn(id).turnKey;
    bench.world.setFaults({ sessionId: id }, [{ fault: 'stale-reads', lag: '5s', lasts: '3s' }]);
    const read = async () => (await bench.retrieve(id)).body.session;
    expect((await read()).messages.map((message: { id: string }) => message.id)).toEqual([turnKey]);
    const listed = (await bench.call('/agents/agent_a/sessions')).body.sessions[0];
    expect([listed?.state, listed?.usage.credit_cost]).toEqual(['processing', 0.25]);
    bench.clock.advance(3_000);
    expect((await read()).messages.at(-1)?.id).toBe(next);
  });

  it('new-turn-in-between: the cancel hits a turn that its sender never saw', async () => {
    const { id, turnKey } = await startWith({ fault: 'new-turn-in-between' });
    expect((await bench.cancel(id)).body.session.state).toBe('failed');
    const turns = bench.world.truth().sessions[id]?.turns ?? [];
    expect(turns).toMatchObject([
      { turnKey, endedAs: 'completed', endedBy: 'natural' },
      { endedAs: 'failed', endedBy: { requestId: expect.any(String) } },
    ]);
    expect(cancels()).toMatchObject([{ turnInFlight: turnKey, endedTurn: turns[1]?.turnKey, effect: true }]);
  });

  it('new-turn-in-between: right after a read, another turn is there', async () => {
    const { id, turnKey } = await startWith({ fault: 'new-turn-in-between', on: 'retrieve', runsFor: '5s' });
    const read = async () => (await bench.retrieve(id)).body.session;
    expect((await read()).messages.at(-1)?.id).toBe(turnKey);
    const second = await read();
    expect(second.state).toBe('processing');
    expect(second.messages.at(-1)?.id).not.toBe(turnKey);
    bench.clock.advance(5_000);
    expect(state(id)).toBe('completed');
  });

  it('turn-ends-in-between: the cancel comes a moment too late', async () => {
    const { id, turnKey } = await startWith({ fault: 'turn-ends-in-between' });
    expect((await bench.cancel(id)).body.session.state).toBe('completed');
    expect(cancels()).toMatchObject([{ turnInFlight: turnKey, effect: false }]);
    expect(bench.world.truth().sessions[id]?.turns).toMatchObject([{ endedBy: 'natural' }]);
  });

  it('queue-continuation: a waiting message starts the next turn right after the cancel', async () => {
    bench = await Bench.start();
    const faults: FaultInput[] = [{ fault: 'queue-continuation', messages: 3 }];
    const { id } = bench.world.addSession({ agent: 'agent_a', afterCancel: 'keep-queue', faults });
    expect((await bench.cancel(id)).body.session.state).toBe('failed');
    expect(bench.world.session(id)).toMatchObject({ state: 'processing', queuedMessages: 2 });
  });

  it('redirect points to another host', async () => {
    const { id } = await startWith({ fault: 'redirect', location: 'http://127.0.0.2:9/api/v1/x', status: 302 });
    const reply = await bench.cancel(id);
    expect([reply.status, reply.headers.get('location')]).toEqual([302, 'http://127.0.0.2:9/api/v1/x']);
    expect(state(id)).toBe('processing');
  });

  it('refusals come nested or flat', async () => {
    const { id } = await startWith(
      { fault: 'unauthorized', shape: 'nested' },
      { fault: 'unauthorized', shape: 'flat' },
      { fault: 'forbidden-session' },
      { fault: 'forbidden-account' },
      { fault: 'not-found', shape: 'flat' },
    );
    const replies = [];
    for (let i = 0; i < 5; i++) replies.push(await bench.cancel(id));
    expect(replies.map(({ status, body }) => [status, body.error])).toEqual([
      [401, expect.objectContaining({ code: 'invalid_token', type: 'authentication_error' })],
      [401, 'invalid_token'],
      [403, 'permission_denied'],
      [403, 'tier_required_pro'],
      [404, 'not_found'],
    ]);
    expect(replies[3]?.body.minimum_tier).toBe('pro');
  });

  it('of form make odd answers, several at once', async () => {
    const forever = { times: 'forever' } as const;
    const { id } = await startWith(
      { fault: 'zoneless-times', ...forever },
      { fault: 'missing-usage', ...forever },
      { fault: 'null-state' },
    );
    const odd = (await bench.retrieve(id)).body.session;
    expect(odd).toMatchObject({ state: null, created_at: '2026-11-20T12:00:00.000' });
    expect(odd.messages[0]?.created_at).toBe('2026-11-20T12:00:00.000');
    expect(odd).not.toHaveProperty('usage');
    expect((await bench.retrieve(id)).body.session.state).toBe('processing');
    const listed = (await bench.call('/agents/agent_a/sessions')).body.sessions[0];
    expect(listed).not.toHaveProperty('usage');
  });

  it.each<[FaultInput, object]>([
    [{ fault: 'unknown-state' }, { state: 'cancelled' }],
    [{ fault: 'null-usage' }, { usage: null }],
    [{ fault: 'null-message-times' }, { messages: [{ created_at: null }] }],
    [{ fault: 'wrong-session-id' }, { id: 'sess_ofSomebodyElse' }],
    [{ fault: 'offset-times' }, { created_at: '2026-11-20T12:00:00.000000+00:00' }],
  ])('$fault shows in retrieve', async (fault, shown) => {
    const { id } = await startWith(fault);
    expect((await bench.retrieve(id)).body.session).toMatchObject(shown);
  });

  it('missing-state and wrong-session-id spoil the answer of a cancel that had effect', async () => {
    const { id } = await startWith({ fault: 'missing-state' }, { fault: 'wrong-session-id' });
    const { session } = (await bench.cancel(id)).body;
    expect(session).not.toHaveProperty('state');
    expect(session.id).not.toBe(id);
    expect(state(id)).toBe('failed');
  });

  it('oversize-body sends megabytes of transcript', async () => {
    const { id } = await startWith({ fault: 'oversize-body', megabytes: 3 });
    const reply = await bench.retrieve(id);
    expect(reply.text.length).toBeGreaterThan(3 * 1024 * 1024);
    expect(reply.body.session.messages.at(-1)?.role).toBe('user');
  });

  it('oversize-body may come behind the message that began the turn', async () => {
    const { id } = await startWith({ fault: 'oversize-body', megabytes: 1, place: 'behind' });
    const { messages } = (await bench.retrieve(id)).body.session;
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant']);
  });

  it.each([
    ['text', 64],
    ['wide-text', 64],
    ['values', 64],
    ['depth', 2],
  ] as const)('padded gives the session a field of its size, with %s', async (what, kilobytes) => {
    const { id } = await startWith({ fault: 'padded', kilobytes, with: what });
    const reply = await bench.retrieve(id);
    const { padding } = reply.body.session as { padding?: unknown };
    const size = JSON.stringify(padding).length;
    expect(size).toBeGreaterThan(0.9 * kilobytes * 1024);
    expect(size).toBeLessThan(1.1 * kilobytes * 1024);
  });
});
