import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startSimulator, scenario, type Simulator } from '../../simulator/index.js';

const AGENT = 'agent_1';
let simulator: Simulator;
const start = (cancelFailsTrigger?: boolean): Promise<Simulator> =>
  startSimulator({
    scenario: scenario({
      ...(cancelFailsTrigger === undefined ? {} : { cancelFailsTrigger }),
      agents: [
        {
          id: AGENT,
          triggers: [
            { id: 'trg_nightly', maxFailures: 2 },
            { id: 'trg_once', type: 'webhook', maxFailures: 1 },
          ],
        },
      ],
    }),
  });

beforeEach(async () => {
  simulator = await start();
});
afterEach(() => simulator.close());

const call = async (path: string, method = 'GET'): Promise<{ status: number; body: Record<string, unknown> }> => {
  const headers = { authorization: `Bearer ${simulator.apiKey}`, 'x-auth-key': simulator.userId };
  const response = await fetch(`${simulator.url}${path}`, { method, headers });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};
const addRun = (id: string, triggerId: string | null = 'trg_nightly'): unknown =>
  simulator.world.addSession({ agent: AGENT, id, triggerId });
const isOn = async (): Promise<unknown> => {
  const { triggers } = (await call(`/agents/${AGENT}/triggers`)).body as {
    triggers: { id: string; enabled: boolean }[];
  };
  return triggers.find(({ id }) => id === 'trg_nightly')?.enabled;
};

describe('triggers of an agent', () => {
  it('are listed in pages, with what the vendor’s package reads', async () => {
    const first = await call(`/agents/${AGENT}/triggers?page_size=1`);
    expect(first.body).toEqual({
      triggers: [
        {
          ...{ id: 'trg_nightly', type: 'schedule', enabled: true, status: 'active' },
          ...{ max_failures: 2, last_run_at: null },
        },
      ],
      next_cursor: expect.any(String),
    });
    const cursor = encodeURIComponent(String(first.body['next_cursor']));
    const second = await call(`/agents/${AGENT}/triggers?page_size=1&cursor=${cursor}`);
    expect(second.body).toMatchObject({ triggers: [{ id: 'trg_once', type: 'webhook' }], next_cursor: null });
    expect((await call(`/agents/${AGENT}/triggers?cursor=x`)).status).toBe(400);
    expect((await call('/agents/agent_none/triggers')).status).toBe(404);
  });

  it('are named by their sessions, in lists and alone; other sessions say nothing of any', async () => {
    addRun('sess_run');
    addRun('sess_other', null);
    expect((await call('/sessions/sess_run')).body['session']).toMatchObject({ trigger_id: 'trg_nightly' });
    expect((await call('/sessions/sess_other')).body['session']).not.toHaveProperty('trigger_id');
    const { sessions } = (await call(`/agents/${AGENT}/sessions`)).body as { sessions: { trigger_id?: string }[] };
    expect(sessions.map(({ trigger_id: id }) => id).sort()).toEqual(['trg_nightly', undefined]);
  });

  it('switch themselves off after so many failed runs in a row, cancelled ones included', async () => {
    for (const id of ['sess_1', 'sess_2', 'sess_3']) addRun(id);
    await call('/sessions/sess_1/cancel', 'POST');
    simulator.world.endTurn('sess_2');
    await call('/sessions/sess_3/cancel', 'POST');
    expect(await isOn()).toBe(true);
    addRun('sess_4');
    simulator.world.endTurn('sess_4', 'failed');
    expect(await isOn()).toBe(false);
    expect(simulator.world.agent(AGENT).triggers.find(({ id }) => id === 'trg_once')?.enabled).toBe(true);
  });

  it('stay on whatever is cancelled, where the scenario says that this is no failure', async () => {
    await simulator.close();
    simulator = await start(false);
    for (const id of ['sess_1', 'sess_2', 'sess_3']) {
      addRun(id);
      await call(`/sessions/${id}/cancel`, 'POST');
    }
    expect(await isOn()).toBe(true);
  });
});
