import { afterEach, describe, expect, it } from '@jest/globals';
import { Bench } from './support.js';

describe('listing teams', () => {
  let bench: Bench;
  afterEach(() => bench.close());
  const teams = async () => (await bench.call('/teams')).body;
  const agentsOf = async (team: string) => {
    const { status, body } = await bench.call(`/agents?team_id=${team}`);
    return status === 200 ? body.agents.map(({ id }) => id) : status;
  };

  it('shows those that the user is in, in the form of the vendor’s SDK', async () => {
    bench = await Bench.start();
    expect(await teams()).toEqual({ teams: [] });
    bench.world.addTeam({ id: 'team_1', name: 'Research' });
    bench.world.addAgent({ id: 'agent_2', teamId: 'team_2' });
    bench.world.addTeam({ id: 'team_unlisted', listed: false });
    bench.world.addAgent({ id: 'agent_3', teamId: 'team_unlisted' });
    bench.world.addTeam({ id: 'team_foreign', member: false });
    bench.world.addAgent({ id: 'agent_4', teamId: 'team_foreign' });
    expect(await teams()).toEqual({
      teams: [
        { id: 'team_1', name: 'Research' },
        { id: 'team_2', name: 'team_2' },
      ],
    });
    expect(await agentsOf('team_1')).toEqual([]);
    expect(await agentsOf('team_2')).toEqual(['agent_2']);
    expect(await agentsOf('team_unlisted')).toEqual(['agent_3']);
    expect(await agentsOf('team_foreign')).toBe(403);
    expect(bench.world.truth().requests).toMatchObject({ teams: 2, agents: 4 });
  });

  it('can fail, and so can the list of one team’s agents alone', async () => {
    bench = await Bench.start();
    bench.world.addTeam({ id: 'team_1', faults: [{ fault: 'server-error', on: 'agents' }] });
    bench.world.setFaults('everywhere', [{ fault: 'not-found', on: 'teams' }]);
    expect((await bench.call('/teams')).status).toBe(404);
    expect((await bench.call('/agents')).status).toBe(200);
    expect(await agentsOf('team_2')).toEqual([]);
    expect(await agentsOf('team_1')).toBe(503);
    expect(await agentsOf('team_1')).toEqual([]);
  });
});

describe('listing agents', () => {
  let bench: Bench;
  afterEach(() => bench.close());
  const ids = (body: { agents: { id: string }[] }) => body.agents.map(({ id }) => id);

  it('pages only when page_size or cursor is sent', async () => {
    bench = await Bench.start();
    for (let i = 0; i < 30; i++) bench.world.addAgent({ id: `agent_${i}` });
    const whole = await bench.call('/agents');
    expect([whole.body.agents.length, whole.body.next_cursor]).toEqual([31, null]);
    const first = await bench.call('/agents?page_size=20');
    const second = await bench.call(`/agents?cursor=${String(first.body.next_cursor)}`);
    expect([...ids(first.body), ...ids(second.body)]).toEqual(ids(whole.body));
    expect(second.body.next_cursor).toBeNull();
  });

  it('shows own agents, or those of the team that is asked for, and no retired ones', async () => {
    bench = await Bench.start();
    bench.world.addAgent({ id: 'agent_team', teamId: 'team_1' });
    bench.world.addAgent({ id: 'agent_other', creatorUserId: 'somebody' });
    bench.world.addAgent({ id: 'agent_old' });
    bench.world.retireAgent('agent_old');
    expect(ids((await bench.call('/agents')).body)).toEqual(['agent_a']);
    expect(ids((await bench.call('/agents?team_id=team_1')).body)).toEqual(['agent_team']);
    expect((await bench.call('/agents/agent_old/sessions')).status).toBe(404);
  });

  it('filters and sorts', async () => {
    bench = await Bench.start();
    bench.world.addAgent({ id: 'agent_b', name: 'Beta', triggerCount: 2, tools: ['gmail'], flows: ['flow_1'] });
    for (const query of ['search=BET', 'has_triggers=true', 'tool=gmail', 'flow=flow_1']) {
      expect(ids((await bench.call(`/agents?${query}`)).body)).toEqual(['agent_b']);
    }
    expect(ids((await bench.call('/agents?sort_order=name_desc')).body)).toEqual(['agent_b', 'agent_a']);
  });

  it.each([
    ['page_size=0', 'invalid_page_size'],
    ['page_size=101', 'invalid_page_size'],
    ['page_size=ten', 'invalid_page_size'],
    ['sort_order=best', 'invalid_sort'],
    ['cursor=nonsense', 'invalid_cursor'],
    ['has_triggers=maybe', 'invalid_request'],
  ])('refuses %s with %s', async (query, code) => {
    bench = await Bench.start();
    const reply = await bench.call(`/agents?${query}`);
    expect([reply.status, reply.body.error.code]).toEqual([400, code]);
  });
});

describe('listing sessions', () => {
  let bench: Bench;
  afterEach(() => bench.close());
  const list = async (query: string) => (await bench.call(`/agents/agent_a/sessions?${query}`)).body;
  const ids = (body: { sessions: { id: string }[] }) => body.sessions.map(({ id }) => id);

  it('walks a large agent by state without loss, repeats or messages', async () => {
    bench = await Bench.start({ slots: 10_000 });
    for (let i = 0; i < 2_500; i++) {
      bench.world.addSession({ agent: 'agent_a', turnAge: i % 7, state: i % 5 === 0 ? 'completed' : 'processing' });
    }
    const found: string[] = [];
    let pages = 0;
    for (let cursor: string | null = ''; cursor !== null; pages++) {
      const page = await list(`state=processing&page_size=100${cursor === '' ? '' : `&cursor=${cursor}`}`);
      expect(page.sessions.every((item: { messages: unknown[] }) => item.messages.length === 0)).toBe(true);
      found.push(...ids(page));
      cursor = page.next_cursor;
    }
    expect([pages, found.length, new Set(found).size]).toEqual([20, 2_000, 2_000]);
  });

  it('keeps its place while sessions come and go between pages', async () => {
    bench = await Bench.start();
    for (let i = 1; i <= 4; i++) bench.world.addSession({ agent: 'agent_a', id: `sess_${i}`, turnAge: i * 1_000 });
    const first = await list('page_size=2');
    bench.world.addSession({ agent: 'agent_a', id: 'sess_new' });
    bench.world.removeSession('sess_2');
    const second = await list(`page_size=2&cursor=${String(first.next_cursor)}`);
    expect([ids(first), ids(second)]).toEqual([
      ['sess_1', 'sess_2'],
      ['sess_3', 'sess_4'],
    ]);
  });

  it('sorts by age of the conversation, credits or name', async () => {
    bench = await Bench.start();
    const spent = (credits: number) => ({ usageBefore: { credits }, usagePerSecond: { credits: 0 } });
    bench.world.addSession({ agent: 'agent_a', id: 'sess_b', name: 'b', turnAge: '1m', ...spent(5) });
    bench.world.addSession({ agent: 'agent_a', id: 'sess_a', name: 'a', turnAge: '2m', ...spent(9) });
    bench.world.addSession({ agent: 'agent_a', id: 'sess_c', name: 'c', turnAge: '3m', ...spent(7) });
    expect(ids(await list(''))).toEqual(['sess_b', 'sess_a', 'sess_c']);
    expect(ids(await list('sort_order=oldest'))).toEqual(['sess_c', 'sess_a', 'sess_b']);
    expect(ids(await list('sort_order=credits_desc'))).toEqual(['sess_a', 'sess_c', 'sess_b']);
    expect(ids(await list('sort_order=name_asc'))).toEqual(['sess_a', 'sess_b', 'sess_c']);
    const { next_cursor: cursor } = await list('sort_order=name_asc&page_size=1');
    expect(ids(await list(`sort_order=name_asc&cursor=${String(cursor)}`))).toEqual(['sess_b', 'sess_c']);
    // A cursor belongs to its sort.
    expect((await bench.call(`/agents/agent_a/sessions?cursor=${String(cursor)}`)).status).toBe(400);
  });

  it('filters by type, creator, trigger and text, and refuses a state that is not documented', async () => {
    bench = await Bench.start();
    bench.world.addSession({ agent: 'agent_a' });
    const special = { id: 'sess_s', type: 'slack', creatorUserId: 'u2', triggerId: 't1', name: 'Needle' };
    bench.world.addSession({ agent: 'agent_a', ...special });
    for (const query of ['type=slack', 'creator_user_id=u2', 'trigger_id=t1', 'search=needle', 'search_query=NEED']) {
      expect(ids(await list(query))).toEqual(['sess_s']);
    }
    expect((await bench.call('/agents/agent_a/sessions?state=approval_required')).status).toBe(400);
  });
});
