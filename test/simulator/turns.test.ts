import { afterEach, describe, expect, it } from '@jest/globals';
import { Bench, until } from './support.js';

describe('turns of the simulator', () => {
  let bench: Bench;
  afterEach(() => bench.close());

  const turnsOf = (id: string) => bench.world.truth(id).sessions[id]?.turns ?? [];
  const lastTurn = (id: string) => turnsOf(id).at(-1);

  it('end by themselves exactly when their time is up, though nobody looks until later', async () => {
    bench = await Bench.start();
    const { id, turnKey } = bench.world.addSession({ agent: 'agent_a', turnAge: '10m', runsFor: '30s' });
    const endsAt = bench.clock.now + 30_000;
    bench.clock.advance(29_999);
    expect(bench.world.session(id).state).toBe('processing');
    bench.clock.advance(1);
    expect(bench.world.session(id).state).toBe('completed');
    bench.clock.advance(3_600_000);
    expect(lastTurn(id)).toMatchObject({ turnKey, endedAt: endsAt, endedAs: 'completed', endedBy: 'natural' });
  });

  it('wait for a slot when all are taken, and move on in order at the moment one is free', async () => {
    bench = await Bench.start({ slots: 2 });
    const add = (runsFor: string) =>
      bench.world.addSession({ agent: 'agent_a', state: 'queued', leavesQueue: 'slot', runsFor }).id;
    const start = bench.clock.now;
    const [first, second, third, fourth] = [add('10s'), add('40s'), add('5s'), add('5s')] as const;
    expect((await bench.retrieve(third)).body.queue_position).toBe(1);
    expect((await bench.retrieve(fourth)).body.queue_position).toBe(2);
    expect((await bench.retrieve(first)).body.queue_position).toBeNull();
    bench.clock.advance(60_000);
    expect(lastTurn(third)).toMatchObject({ startedAt: start + 10_000, endedAt: start + 15_000 });
    expect(lastTurn(fourth)).toMatchObject({ startedAt: start + 15_000, endedAt: start + 20_000 });
    expect(lastTurn(second)).toMatchObject({ endedAt: start + 40_000 });
  });

  it('are refused with the flat code when the plan has no queue', async () => {
    bench = await Bench.start({ slots: 1, whenSlotsAreFull: 'reject' });
    const create = () => bench.call('/agents/agent_a/sessions', { method: 'POST', body: { input: 'Go.' } });
    expect((await create()).status).toBe(202);
    const refused = await create();
    expect([refused.status, refused.body.error]).toEqual([429, 'gummie_rate_limit']);
  });

  it('stay queued while they are held, and go when released', async () => {
    bench = await Bench.start();
    const { id } = bench.world.addSession({ agent: 'agent_a', state: 'queued', turnAge: '6h' });
    const later = bench.world.addSession({ agent: 'agent_a', state: 'queued', leavesQueue: '1m' }).id;
    bench.clock.advance(60_000);
    expect(bench.world.session(id).state).toBe('queued');
    expect(bench.world.session(later).state).toBe('processing');
    bench.world.release(id);
    expect(bench.world.session(id).state).toBe('processing');
  });

  it('spend while they process, in steps, and not while they wait or pause', async () => {
    bench = await Bench.start();
    const usagePerSecond = { credits: 2, toolCredits: 1, inputTokens: 100, outputTokens: 10 };
    const { id } = bench.world.addSession({ agent: 'agent_a', usagePerSecond });
    const usage = async () => (await bench.retrieve(id)).body.session.usage;
    expect(await usage()).toMatchObject({ credit_cost: null, input_tokens: null });
    bench.clock.advance(1_500);
    expect(await usage()).toMatchObject({ credit_cost: 2, tool_credit_cost: 1, input_tokens: 100, output_tokens: 10 });
    bench.clock.advance(500);
    bench.world.requireApproval(id);
    bench.clock.advance(3_600_000);
    expect(await usage()).toMatchObject({ credit_cost: 4 });
    bench.world.approve(id);
    bench.clock.advance(1_000);
    expect(await usage()).toMatchObject({ credit_cost: 6, input_tokens: 300 });
    const listed = await bench.call('/agents/agent_a/sessions');
    expect(listed.body.sessions[0]?.usage).toMatchObject({ credit_cost: 6 });
  });

  it('start with the first waiting message as soon as the one before ends, one message each', async () => {
    bench = await Bench.start();
    const { id } = bench.world.addSession({ agent: 'agent_a', runsFor: '10s', queuedMessages: ['two', 'three'] });
    bench.clock.advance(25_000);
    const { messages } = (await bench.retrieve(id)).body.session;
    expect(messages.map((message: { content: string | null }) => message.content)).toEqual([
      'Please do the work.',
      null,
      'two',
      null,
      'three',
    ]);
    expect(turnsOf(id).map((turn) => turn.endedBy)).toEqual(['natural', 'natural', null]);
  });

  it('go on under a new key when somebody steers them', async () => {
    bench = await Bench.start();
    const { id, turnKey } = bench.world.addSession({ agent: 'agent_a' });
    const steered = bench.world.steer(id, 'Faster.').turnKey;
    expect(bench.world.session(id)).toMatchObject({ state: 'processing', turnKey: steered });
    expect(turnsOf(id)).toMatchObject([{ turnKey: steered, earlierKeys: [turnKey], endedAt: null }]);
  });

  it('resume after an approval without a new user message, and keep what is left of their time', async () => {
    bench = await Bench.start();
    const { id, turnKey } = bench.world.addSession({ agent: 'agent_a', runsFor: '10s' });
    bench.clock.advance(4_000);
    bench.world.requireApproval(id);
    bench.clock.advance(86_400_000);
    bench.world.approve(id);
    bench.clock.advance(5_999);
    expect(bench.world.session(id)).toMatchObject({ state: 'processing', turnKey });
    bench.clock.advance(1);
    expect(bench.world.session(id)).toMatchObject({ state: 'completed', turnKey });
  });

  it('are cut short by "send now", and the next one begins', async () => {
    bench = await Bench.start();
    const { id, turnKey } = bench.world.addSession({ agent: 'agent_a', queuedMessages: ['now'] });
    const queued = (await bench.call(`/sessions/${id}/queue`)).body.queue[0]?.id ?? '';
    const reply = await bench.call(`/sessions/${id}/queue/${queued}/send`, { method: 'POST', body: {} });
    expect(reply.body.session.state).toBe('processing');
    expect(turnsOf(id)[0]).toMatchObject({ turnKey, endedAs: 'failed', endedBy: { requestId: expect.any(String) } });
  });
});

describe('a cancel', () => {
  let bench: Bench;
  afterEach(() => bench.close());

  it.each(['processing', 'queued'] as const)('ends a turn that is %s, and leaves an error part', async (state) => {
    bench = await Bench.start();
    const { id, turnKey } = bench.world.addSession({ agent: 'agent_a', state });
    const reply = await bench.cancel(id);
    expect(reply.body).toEqual({
      session: {
        id,
        agent_id: 'agent_a',
        state: 'failed',
        messages: [],
        created_at: null,
        agent_name: null,
        agent_team_id: null,
        agent_creator_user_id: null,
        agent_icon_url: null,
        agent_tools: [],
        participants: {},
        creator: null,
      },
      queue_position: null,
    });
    const { session, queue_position: position } = (await bench.retrieve(id)).body;
    expect([session.state, position]).toEqual(['failed', null]);
    expect(session.messages.at(-1)).toMatchObject({ role: 'assistant', content: null });
    expect(session.messages.at(-1)?.parts.at(-1)).toMatchObject({ type: 'error' });
    const { cancels, sessions } = bench.world.truth();
    const requestId = reply.headers.get('x-request-id');
    expect(cancels).toMatchObject([
      {
        requestId,
        sessionId: id,
        turnInFlight: turnKey,
        stateBefore: state,
        effect: true,
        endedTurn: turnKey,
        fault: null,
        answered: { kind: 'answer', status: 200, state: 'failed', contentType: 'application/json' },
      },
    ]);
    expect(sessions[id]?.turns.at(-1)).toMatchObject({ endedAs: 'failed', endedBy: { requestId } });
  });

  it.each(['completed', 'failed', 'idle', 'approval_required'] as const)('changes nothing when %s', async (state) => {
    bench = await Bench.start();
    const { id } = bench.world.addSession({ agent: 'agent_a', state });
    const before = (await bench.retrieve(id)).text;
    const reply = await bench.cancel(id);
    expect([reply.status, reply.body.session.state]).toEqual([200, state]);
    expect((await bench.retrieve(id)).text).toBe(before);
    expect(bench.world.truth().cancels).toMatchObject([{ effect: false, turnInFlight: null, stateBefore: state }]);
  });

  it('frees the slot for the next in line', async () => {
    bench = await Bench.start({ slots: 1 });
    const running = bench.world.addSession({ agent: 'agent_a' }).id;
    const waiting = bench.world.addSession({ agent: 'agent_a', state: 'queued', leavesQueue: 'slot' }).id;
    expect(bench.world.session(waiting).state).toBe('queued');
    await bench.cancel(running);
    expect(bench.world.session(waiting).state).toBe('processing');
  });

  it.each([
    ['continue-queue', 'processing', 1],
    ['keep-queue', 'failed', 2],
    ['clear-queue', 'failed', 0],
  ] as const)('does with waiting messages what the session says: %s', async (afterCancel, state, left) => {
    bench = await Bench.start();
    const { id } = bench.world.addSession({ agent: 'agent_a', queuedMessages: 2, afterCancel });
    expect((await bench.cancel(id)).body.session.state).toBe('failed');
    expect(bench.world.session(id)).toMatchObject({ state, queuedMessages: left });
  });

  it('is accepted without a body and with an empty one, and refused with one that is no object', async () => {
    bench = await Bench.start();
    const { id } = bench.world.addSession({ agent: 'agent_a' });
    expect((await bench.cancel(id, { body: undefined })).status).toBe(200);
    const empty = { body: undefined, headers: { 'content-type': 'application/json' } };
    expect((await bench.cancel(id, empty)).status).toBe(200);
    expect((await bench.cancel(id, { body: [1] })).status).toBe(400);
  });

  it('is seen side by side with another for the same session, and only then', async () => {
    bench = await Bench.start();
    const { id } = bench.world.addSession({ agent: 'agent_a' });
    const other = bench.world.addSession({ agent: 'agent_a', faults: [{ fault: 'hang' }] }).id;
    const client = new AbortController();
    const hanging = bench.cancel(other, { signal: client.signal }).catch(() => 'gave up');
    await until(() => bench.world.truth(other).cancels.length === 1);
    await bench.cancel(id);
    await bench.cancel(id);
    expect(bench.world.truth().maxConcurrentCancels).toBe(1);
    await bench.cancel(other);
    expect(bench.world.truth().sessions[other]?.maxConcurrentCancels).toBe(2);
    client.abort();
    await hanging;
    expect(bench.world.truth(id).maxConcurrentCancels).toBe(1);
  });
});
