import { afterEach, describe, expect, it } from '@jest/globals';
import { startSimulator } from '../../simulator/index.js';
import { UserError } from '../../src/core/errors.js';
import { Bench } from './support.js';

describe('credentials', () => {
  let bench: Bench;
  afterEach(() => bench.close());
  const status = async (headers: Record<string, string>, query = '') =>
    (await bench.call(`/agents${query}`, { headers })).status;

  it('take a personal key only with its user id', async () => {
    bench = await Bench.start();
    expect(await status({})).toBe(200);
    expect(await status({ 'x-auth-key': '' })).toBe(401);
    expect(await status({ 'x-auth-key': 'somebody' })).toBe(401);
    expect(await status({ authorization: '' })).toBe(401);
    expect(await status({ authorization: 'Bearer guess' })).toBe(401);
    expect(bench.world.truth()).toMatchObject({ unauthorized: 4, requests: { agents: 5 } });
  });

  it('take an OAuth token alone, and a team key with its team', async () => {
    bench = await Bench.start({ accessToken: 'oauth', team: { apiKey: 'team-key', teamId: 'team_1' } });
    expect(await status({ authorization: 'Bearer oauth', 'x-auth-key': '' })).toBe(200);
    expect(await status({ authorization: 'Bearer team-key' })).toBe(401);
    expect(await status({ authorization: 'Bearer team-key' }, '?team_id=team_2')).toBe(401);
    expect(await status({ authorization: 'Bearer team-key' }, '?team_id=team_1')).toBe(200);
  });

  it('stop working when the key is revoked, until it is restored; refused cancels are on record', async () => {
    bench = await Bench.start();
    const { id } = bench.world.addSession({ agent: 'agent_a' });
    bench.world.revokeKey();
    expect((await bench.cancel(id)).status).toBe(401);
    expect(bench.world.truth().cancels).toMatchObject([{ effect: false, answered: { kind: 'answer', status: 401 } }]);
    bench.world.restoreKey();
    expect((await bench.cancel(id)).body.session.state).toBe('failed');
  });
});

it('personal keys can be rotated: the new one beside the old one, then alone', async () => {
  const simulator = await startSimulator({ apiKey: 'old' });
  const headers = (key: string) => ({ authorization: `Bearer ${key}`, 'x-auth-key': simulator.userId });
  const statuses = async (): Promise<number[]> => {
    const answers = ['old', 'new'].map((key) => fetch(`${simulator.url}/agents`, { headers: headers(key) }));
    return (await Promise.all(answers)).map(({ status }) => status);
  };
  try {
    expect(await statuses()).toEqual([200, 401]);
    simulator.acceptKeys('old', 'new');
    expect(await statuses()).toEqual([200, 200]);
    simulator.acceptKeys('new');
    expect(await statuses()).toEqual([401, 200]);
  } finally {
    await simulator.close();
  }
});

describe('the HTTP side', () => {
  let bench: Bench;
  afterEach(() => bench.close());

  it('dates answers by its own clock, also after a jump', async () => {
    bench = await Bench.start();
    expect((await bench.call('/agents')).headers.get('date')).toBe('Fri, 20 Nov 2026 12:00:00 GMT');
    bench.world.advanceClock(3_600_000);
    expect((await bench.call('/agents')).headers.get('date')).toBe('Fri, 20 Nov 2026 13:00:00 GMT');
  });

  it('answers unknown paths with 404 and unknown methods with 405', async () => {
    bench = await Bench.start();
    expect((await bench.call('/nothing')).status).toBe(404);
    const reply = await bench.call('/sessions/sess_x/cancel', { method: 'PUT' });
    expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'POST']);
  });

  it('refuses to stream, and bodies that are not JSON', async () => {
    bench = await Bench.start();
    const { id } = bench.world.addSession({ agent: 'agent_a' });
    expect((await bench.call(`/sessions/${id}?stream=true`)).status).toBe(400);
    const create = { method: 'POST', body: { input: 'x', stream: true } };
    expect((await bench.call('/agents/agent_a/sessions', create)).status).toBe(400);
    const { url, apiKey, userId } = bench.simulator;
    const headers = { authorization: `Bearer ${apiKey}`, 'x-auth-key': userId, 'content-type': 'application/json' };
    const raw = await fetch(`${url}/sessions/${id}/cancel`, { method: 'POST', headers, body: '{"half' });
    expect(raw.status).toBe(400);
  });

  it('says so when its port is taken', async () => {
    bench = await Bench.start();
    const port = Number(new URL(bench.simulator.url).port);
    await expect(startSimulator({ port })).rejects.toThrow(UserError);
    expect((await bench.call('/agents')).status).toBe(200);
  });

  it('uses the error shape that it is set to', async () => {
    bench = await Bench.start({ errorShape: 'flat' });
    expect((await bench.retrieve('sess_none')).body).toMatchObject({ error: 'not_found', message: expect.any(String) });
  });

  it('answers 404 for a session that was removed, while the truth remembers it', async () => {
    bench = await Bench.start();
    const { id } = bench.world.addSession({ agent: 'agent_a' });
    bench.world.removeSession(id);
    expect((await bench.retrieve(id)).status).toBe(404);
    expect((await bench.cancel(id)).status).toBe(404);
    expect(bench.world.truth().sessions[id]?.turns).toMatchObject([{ endedBy: 'control' }]);
  });
});
