import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Bench } from './support.js';

describe('the control API', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.start();
  });
  afterEach(() => bench.close());

  const post = async (path: string, body?: unknown) => {
    const reply = await bench.control(path, { method: 'POST', ...(body === undefined ? {} : { body }) });
    expect([path, reply.status]).toEqual([path, 200]);
    return reply.body;
  };
  const state = (id: string) => bench.world.session(id).state;

  it('does what the world does, without a credential', async () => {
    await post('/agents', { id: 'agent_b' });
    const { id, turnKey } = await post('/sessions', { agent: 'agent_b', turnAge: '50m', queuedMessages: 1 });
    expect((await bench.control(`/sessions/${String(id)}`)).body).toEqual({
      id,
      agentId: 'agent_b',
      state: 'processing',
      turnKey,
      queuedMessages: 1,
    });
    const session = `/sessions/${String(id)}`;
    expect((await post(`${session}/steer`, { message: 'Faster.' })).turnKey).not.toBe(turnKey);
    await post(`${session}/require-approval`);
    expect(state(id)).toBe('approval_required');
    await post(`${session}/approve`);
    expect(state(id)).toBe('processing');
    await post(`${session}/queue`, { message: 'Later.' });
    expect(bench.world.session(id).queuedMessages).toBe(2);
    for (let left = 2; left >= 0; left--) await post(`${session}/end`, { as: 'failed' });
    expect(bench.world.session(id)).toMatchObject({ state: 'failed', queuedMessages: 0 });
    await post(`${session}/turns`, { runsFor: '1m' });
    await post('/clock', { advance: '1m' });
    expect(state(id)).toBe('completed');
    expect((await bench.control('/')).body.counts).toMatchObject({ sessions: 1, completed: 1 });
    await bench.control(session, { method: 'DELETE' });
    expect((await bench.retrieve(id)).status).toBe(404);
    await bench.control('/agents/agent_b', { method: 'DELETE' });
    expect((await bench.call('/agents/agent_b/sessions')).status).toBe(404);
  });

  it('releases held sessions', async () => {
    const { id } = await post('/sessions', { agent: 'agent_a', state: 'queued' });
    await post(`/sessions/${String(id)}/release`);
    expect(state(id)).toBe('processing');
  });

  it('sets faults, adds to them and clears them', async () => {
    const put = (body: unknown) => bench.control('/faults', { method: 'PUT', body });
    await put({ agent: 'agent_a', faults: [{ fault: 'conflict', times: 'forever' }] });
    await put({ agent: 'agent_a', faults: [{ fault: 'server-error', on: 'list' }] });
    await post('/faults', { agent: 'agent_a', faults: [{ fault: 'not-found', on: 'list', times: 'forever' }] });
    const status = async () => (await bench.call('/agents/agent_a/sessions')).status;
    expect([await status(), await status(), await status()]).toEqual([503, 404, 404]);
    await bench.control('/faults?agent=agent_a', { method: 'DELETE' });
    expect(await status()).toBe(200);
    await put({ faults: [{ fault: 'server-error', times: 'forever' }] });
    await bench.control('/faults?all=true', { method: 'DELETE' });
    expect(await status()).toBe(200);
  });

  it('revokes and restores the key', async () => {
    await post('/key/revoke');
    expect((await bench.call('/agents')).status).toBe(401);
    await post('/key/restore');
    expect((await bench.call('/agents')).status).toBe(200);
  });

  it('tells the truth, of all or of one session', async () => {
    const ids = await post('/scenario', { agents: [{ id: 'agent_c', sessions: [{ id: 'sess_c', count: 2 }] }] });
    expect(ids).toEqual({ agents: 1, sessions: 2 });
    await bench.cancel('sess_c_1');
    await bench.cancel('sess_c_2');
    const all = (await bench.control('/truth')).body;
    expect(Object.keys(all.sessions)).toEqual(['sess_c_1', 'sess_c_2']);
    expect(all.requests).toMatchObject({ cancel: 2, retrieve: 0 });
    const one = (await bench.control('/truth?session=sess_c_2')).body;
    expect(one.cancels).toMatchObject([{ sessionId: 'sess_c_2', effect: true }]);
    expect(Object.keys(one.sessions)).toEqual(['sess_c_2']);
  });

  it('tells when each cancel request came, and when each turn began and ended, by the clock', async () => {
    const begun = bench.clock.now;
    const { id, turnKey } = bench.world.addSession({ agent: 'agent_a', state: 'queued' });
    bench.clock.advance(60_000);
    bench.world.release(id);
    bench.clock.advance(5_000);
    const reply = await bench.cancel(id);
    bench.clock.advance(1_000);
    await bench.cancel(id);
    const { cancels, sessions } = (await bench.control(`/truth?session=${id}`)).body;
    expect(cancels).toMatchObject([
      { at: begun + 65_000, turnInFlight: turnKey, endedTurn: turnKey, effect: true },
      { at: begun + 66_000, turnInFlight: null, effect: false },
    ]);
    const times = { createdAt: begun, startedAt: begun + 60_000, endedAt: begun + 65_000 };
    const endedBy = { requestId: reply.headers.get('x-request-id') };
    expect(sessions).toMatchObject({ [id]: { turns: [{ turnKey, ...times, endedAs: 'failed', endedBy }] } });
  });

  it('counts requests by operation, refused ones too, and not those of control', async () => {
    const { id } = bench.world.addSession({ agent: 'agent_a' });
    await bench.call('/agents');
    await bench.retrieve(id);
    await bench.retrieve('none');
    await bench.call('/agents/agent_a/sessions', { headers: { authorization: 'Bearer wrong' } });
    const counts = (await bench.control('/requests')).body;
    expect(counts).toEqual({
      now: bench.clock.now,
      requests: {
        teams: 0,
        agents: 1,
        list: 1,
        create: 0,
        retrieve: 2,
        send: 0,
        cancel: 0,
        queue: 0,
        approvals: 0,
        triggers: 0,
      },
      unauthorized: 1,
    });
    expect(bench.world.requestCounts()).toEqual(counts);
    expect(bench.world.truth()).toMatchObject(counts);
  });

  it('says what is wrong with a request', async () => {
    const reply = await bench.control('/faults', { method: 'PUT', body: { faults: [{ fault: 'hang', on: 'lunch' }] } });
    expect([reply.status, reply.body.error.message]).toEqual([400, expect.stringMatching(/faults\[0\]\.on/)]);
    const both = { session: 's', agent: 'a', faults: [] };
    expect((await bench.control('/faults', { method: 'PUT', body: both })).status).toBe(400);
    expect((await bench.control('/sessions/none/end', { method: 'POST' })).status).toBe(404);
    const { id } = bench.world.addSession({ agent: 'agent_a' });
    expect((await bench.control(`/sessions/${id}/turns`, { method: 'POST' })).status).toBe(409);
  });
});
