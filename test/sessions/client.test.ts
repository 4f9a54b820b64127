import { afterEach, describe, expect, it } from '@jest/globals';
import { createCredentials, type Session } from '../../src/adapters/vendor/index.js';
import { failureOf, KEY, Started, USER } from './support.js';
import { transcriptOf } from '../../src/core/policy/turn.js';

const NO_TRANSCRIPT = transcriptOf([]);

const started = new Started();
afterEach(() => started.stop());

/** As the first generation answers: no usage, five states. */
const generationA = {
  session: {
    id: 'sess_1',
    agent_id: 'agent_1',
    messages: [
      { id: 'm1', role: 'user', content: 'PRIVATE TEXT', created_at: '2026-07-23T10:00:00Z', creator_id: 'u1' },
      { id: 'm2', role: 'assistant', content: null, created_at: null, parts: [{ type: 'text', text: 'PRIVATE TEXT' }] },
    ],
    created_at: '2026-07-20T08:00:00Z',
    state: 'processing',
    agent_name: 'Support',
    agent_team_id: 'team_1',
    agent_creator_user_id: 'owner_1',
    agent_icon_url: null,
    agent_tools: [],
    participants: {},
    creator: { id: 'u1', first_name: 'A', last_name: null, email: 'a@example.com', profile_picture: null },
  },
  queue_position: null,
};

describe('what is sent', () => {
  it('goes to the paths of the API, with the personal key and the user id', async () => {
    const { origin, seen } = await started.http((request, response) => {
      const session = { id: 'sess_1', state: 'failed', messages: [] };
      response.end(JSON.stringify({ teams: [], agents: [], sessions: [], queue: [], triggers: [], session }));
    });
    const client = started.client(origin);
    await client.listTeams();
    await client.listAgents();
    await client.listSessions('agent_1');
    await client.retrieveSession('sess_1');
    await client.cancelSession('sess_1');
    await client.listQueue('sess_1');
    await client.listTriggers('agent_1', { cursor: 'c+1' });

    expect(seen.map(({ method, url, body }) => [method, url, body])).toEqual([
      ['GET', '/api/v1/teams', ''],
      ['GET', '/api/v1/agents', ''],
      ['GET', '/api/v1/agents/agent_1/sessions', ''],
      ['GET', '/api/v1/sessions/sess_1', ''],
      ['POST', '/api/v1/sessions/sess_1/cancel', '{}'],
      ['GET', '/api/v1/sessions/sess_1/queue', ''],
      ['GET', '/api/v1/agents/agent_1/triggers?page_size=100&cursor=c%2B1', ''],
    ]);
    for (const { headers } of seen) {
      expect(headers.authorization).toBe(`Bearer ${KEY}`);
      expect(headers['x-auth-key']).toBe(USER);
      expect(headers['user-agent']).toBe('curfew/test');
      expect(headers.accept).toBe('application/json');
    }
    expect(seen[4]?.headers['content-type']).toBe('application/json');
  });

  it('repeats filters and cursor as query parameters', async () => {
    const { origin, seen } = await started.json(200, { teams: [], agents: [], sessions: [] });
    const client = started.client(origin);
    const cursor = 'a+b/c=&x';
    await client.listTeams({ cursor });
    await client.listSessions('a', { state: 'queued', cursor, pageSize: 100, creatorUserId: 'u', sortOrder: 'newest' });
    await client.listAgents({ cursor, pageSize: 50, teamId: 't' });

    const queries = seen.map(({ url }) => Object.fromEntries(new URL(url, origin).searchParams));
    expect(queries).toEqual([
      { cursor },
      { state: 'queued', cursor, page_size: '100', creator_user_id: 'u', sort_order: 'newest' },
      { cursor, page_size: '50', team_id: 't' },
    ]);
  });

  it('names the team on every request, and a team asked for wins', async () => {
    const { origin, seen } = await started.json(200, { agents: [], session: { id: 's', state: null } });
    const credentials = createCredentials({ GUMLOOP_API_KEY: KEY, GUMLOOP_USER_ID: USER, GUMLOOP_TEAM_ID: 'team 1' });
    const client = started.client(origin, { credentials });
    await client.cancelSession('s');
    await client.listAgents();
    await client.listAgents({ teamId: 'other' });

    const teams = seen.map(({ url }) => new URL(url, origin).searchParams.getAll('team_id'));
    expect(teams).toEqual([['team 1'], ['team 1'], ['other']]);
    expect(client.teamId).toBe('team 1');
    expect(started.client(origin).teamId).toBeNull();
    expect(seen[0]?.headers['x-auth-key']).toBe(USER);
  });

  it('sends an access token without the user id', async () => {
    const { origin, seen } = await started.json(200, { agents: [] });
    const credentials = createCredentials({ GUMLOOP_ACCESS_TOKEN: 'token-1', GUMLOOP_USER_ID: USER });
    await started.client(origin, { credentials }).listAgents();
    expect(seen[0]?.headers.authorization).toBe('Bearer token-1');
    expect(seen[0]?.headers).not.toHaveProperty('x-auth-key');
  });

  it('is not mixed up between reads and cancel requests at the same time', async () => {
    const { origin, seen } = await started.http(({ url }, response) => {
      response.end(JSON.stringify({ session: { id: url.split('/')[4], state: 'failed', messages: [] } }));
    });
    const client = started.client(origin);
    const ids = Array.from({ length: 20 }, (_, i) => `sess_${i}`);
    await Promise.all(ids.flatMap((id) => [client.retrieveSession(id), client.cancelSession(id)]));
    const sent = seen.map(({ method, url, body, headers }) => [method, url, body, headers['content-type']]);
    expect(sent.sort()).toEqual(
      ids
        .flatMap((id) => [
          ['GET', `/api/v1/sessions/${id}`, '', undefined],
          ['POST', `/api/v1/sessions/${id}/cancel`, '{}', 'application/json'],
        ])
        .sort(),
    );
  });

  it('keeps an id inside its path segment', async () => {
    const id = 'a?b#c%2F..&d=é';
    const { origin, seen } = await started.json(200, { session: { id, state: 'failed' } });
    await started.client(origin).cancelSession(id);
    expect(seen[0]?.url).toBe(`/api/v1/sessions/${encodeURIComponent(id)}/cancel`);
  });

  it.each(['', '.', '..', 'a/b', '../agents', 'a b', 'a\nb', 'a\u0000', 'a\u200b', '\ud800', 'x'.repeat(201)])(
    'sends nothing for the id %j',
    async (id) => {
      const { origin, seen } = await started.json(200, {});
      const client = started.client(origin);
      const calls = [
        client.retrieveSession(id),
        client.cancelSession(id),
        client.listQueue(id),
        client.listSessions(id),
        client.listTriggers(id),
      ];
      for (const call of calls) {
        expect(await failureOf(call)).toMatchObject({ kind: 'bad-request', retryable: false, outcomeUnknown: false });
      }
      expect(seen).toEqual([]);
    },
  );
});

describe('retrieving a session', () => {
  const retrieve = async (body: unknown): Promise<Session> => {
    const { origin } = await started.json(200, body);
    return (await started.client(origin).retrieveSession('sess_1')).value;
  };

  it('reads the first generation: no usage is not zero usage', async () => {
    expect(await retrieve(generationA)).toEqual({
      id: 'sess_1',
      agentId: 'agent_1',
      agentName: 'Support',
      name: null,
      type: null,
      state: 'processing',
      createdAtMs: Date.UTC(2026, 6, 20, 8),
      transcript: {
        turns: [{ key: 'm1', startedAtMs: Date.UTC(2026, 6, 23, 10) }],
        userMessages: 1,
        others: { firstAtMs: null, untimed: true },
      },
      usage: null,
      creatorId: 'u1',
      creatorEmail: 'a@example.com',
      teamId: 'team_1',
      triggerId: null,
      queuePosition: null,
    });
  });

  it('reads the latest generation, unknown fields and a sixth state included', async () => {
    const session = await retrieve({
      session: {
        ...generationA.session,
        trigger_id: 'trg_1',
        state: ' Approval_Required ',
        name: 'Refund',
        type: 'slack',
        pending_approvals: [{ type: 'tool_approval' }],
        usage: { credit_cost: 12.5, tool_credit_cost: 0, input_tokens: 10, output_tokens: '7', new_tokens: 1 },
        something_new: { deep: [1] },
      },
      queue_position: 3,
      trace: 'x',
    });
    expect(session).toMatchObject({
      state: 'approval_required',
      name: 'Refund',
      type: 'slack',
      queuePosition: 3,
      triggerId: 'trg_1',
    });
    expect(session.usage).toEqual({
      creditCost: 12.5,
      toolCreditCost: 0,
      flowCreditCost: null,
      inputTokens: 10,
      cachedInputTokens: null,
      cacheWriteInputTokens: null,
      outputTokens: 7,
      reasoningTokens: null,
    });
  });

  it('drops the text of messages', async () => {
    expect(JSON.stringify(await retrieve(generationA))).not.toContain('PRIVATE');
  });

  it('reads a session of which only the id and that it has no messages are known', async () => {
    expect(await retrieve({ session: { id: 'sess_1', messages: [] } })).toEqual({
      id: 'sess_1',
      agentId: null,
      agentName: null,
      name: null,
      type: null,
      state: null,
      createdAtMs: null,
      transcript: NO_TRANSCRIPT,
      usage: null,
      creatorId: null,
      creatorEmail: null,
      teamId: null,
      triggerId: null,
      queuePosition: null,
    });
  });

  it('takes fields of the wrong type for unknown, and never fails on them', async () => {
    const session = await retrieve({
      session: {
        id: 'sess_1',
        agent_id: 5,
        trigger_id: 'a/b',
        state: 7,
        created_at: 1700000000,
        messages: [null, 'text', { id: 9, role: 'USER', created_at: 'yesterday' }],
        usage: { credit_cost: -1, input_tokens: 'many', output_tokens: true, reasoning_tokens: '' },
        creator: 'someone',
      },
      queue_position: 'first',
    });
    expect(session).toMatchObject({
      agentId: null,
      state: null,
      createdAtMs: null,
      creatorId: null,
      triggerId: null,
      queuePosition: null,
    });
    // Two entries that nobody can read, and a user's message without an id of text.
    expect(session.transcript).toEqual({
      turns: [{ key: 'nth:1', startedAtMs: null }],
      userMessages: 1,
      others: { firstAtMs: null, untimed: true },
    });
    expect(Object.values(session.usage ?? {})).toEqual(Array(8).fill(null));
  });

  it('keeps a state that nobody has documented', async () => {
    expect((await retrieve({ session: { id: 'sess_1', state: 'CANCELLED', messages: [] } })).state).toBe('cancelled');
  });

  it('does not take the creator of the agent for that of the session', async () => {
    const session = await retrieve({ session: { ...generationA.session, creator: null } });
    expect(session).toMatchObject({ creatorId: null, creatorEmail: null });
  });

  it('reads null usage as none', async () => {
    expect(await retrieve({ session: { id: 'sess_1', messages: [], usage: null } })).toMatchObject({ usage: null });
  });

  it.each([{}, { messages: null }, { messages: {} }])(
    'I5: can’t read a session whose messages are not there: %j',
    async (fields) => {
      await expect(retrieve({ session: { id: 'sess_1', state: 'processing', ...fields } })).rejects.toMatchObject({
        kind: 'unreadable',
      });
    },
  );

  it('says when it was sent, when it was read, and what time it was there', async () => {
    const { origin } = await started.json(200, generationA, { date: 'Thu, 23 Jul 2026 10:00:05 GMT' });
    const before = performance.now();
    const answer = await started.client(origin).retrieveSession('sess_1');
    expect(answer.status).toBe(200);
    expect(answer.serverDateMs).toBe(Date.UTC(2026, 6, 23, 10, 0, 5));
    expect(answer.sentAt).toBeGreaterThanOrEqual(before);
    expect(answer.receivedAt).toBeGreaterThanOrEqual(answer.sentAt);
    expect(answer.receivedAt).toBeLessThanOrEqual(performance.now());
  });

  it('reads an answer behind a byte order mark', async () => {
    const { origin } = await started.http((_request, response) => {
      response.end(`\ufeff${JSON.stringify(generationA)}`);
    });
    expect((await started.client(origin).retrieveSession('sess_1')).value.state).toBe('processing');
  });

  it('does without a usable date', async () => {
    const { origin } = await started.json(200, generationA, { date: 'now' });
    expect((await started.client(origin).retrieveSession('sess_1')).serverDateMs).toBeNull();
  });
});

describe('listing triggers', () => {
  it('reads what is known of each, and passes over what has no id', async () => {
    const { origin } = await started.json(200, {
      triggers: [
        { id: 'trg_1', type: 'Schedule', enabled: false, status: 'disabled', max_failures: 3, last_run_at: null },
        { id: 'trg_2', enabled: 'yes', max_failures: 'many' },
        { type: 'webhook' },
      ],
      next_cursor: 'next',
    });
    expect((await started.client(origin).listTriggers('agent_1')).value).toEqual({
      triggers: [
        { id: 'trg_1', type: 'schedule', enabled: false, maxFailures: 3 },
        { id: 'trg_2', type: null, enabled: null, maxFailures: null },
      ],
      nextCursor: 'next',
    });
  });
});

describe('listing sessions', () => {
  it('reads items without messages, and the next cursor', async () => {
    const { origin } = await started.json(200, {
      sessions: [{ ...generationA.session, usage: { credit_cost: 2 } }],
      next_cursor: 'next',
    });
    const { value } = await started.client(origin).listSessions('agent_1');
    expect(value.nextCursor).toBe('next');
    expect(value.unreadable).toBe(0);
    expect(value.sessions).toHaveLength(1);
    expect(value.sessions[0]).toMatchObject({
      id: 'sess_1',
      transcript: NO_TRANSCRIPT,
      queuePosition: null,
      usage: { creditCost: 2 },
    });
  });

  it('counts items that it cannot read, and keeps the others', async () => {
    const items = [{ id: 's1' }, null, { state: 'processing' }, { id: 7 }, { id: '../x' }, 'text', { id: 's2' }];
    const { origin } = await started.json(200, { sessions: items });
    const { value } = await started.client(origin).listSessions('agent_1');
    expect(value.sessions.map(({ id }) => id)).toEqual(['s1', 's2']);
    expect(value.unreadable).toBe(5);
  });

  it.each([[undefined], [null], ['']])('ends at the cursor %j', async (next_cursor) => {
    const { origin } = await started.json(200, { sessions: [], agents: [], next_cursor });
    const client = started.client(origin);
    expect((await client.listSessions('agent_1')).value.nextCursor).toBeNull();
    expect((await client.listAgents()).value.nextCursor).toBeNull();
  });

  it.each([[{}], [{ sessions: null }], [{ sessions: {} }], [{ sessions: [], next_cursor: 5 }], [[]], [null]])(
    'does not take %j for an empty or last page',
    async (body) => {
      const { origin } = await started.json(200, body);
      expect(await failureOf(started.client(origin).listSessions('agent_1'))).toMatchObject({ kind: 'unreadable' });
    },
  );
});

describe('listing teams', () => {
  it('reads teams, and counts what it cannot read', async () => {
    const teams = [
      { id: 't1', name: 'Research', members: 5 },
      { id: 't2' },
      { name: 'no id' },
      { id: '../x', name: '' },
    ];
    const { origin } = await started.json(200, { teams });
    expect((await started.client(origin).listTeams()).value).toEqual({
      teams: [
        { id: 't1', name: 'Research' },
        { id: 't2', name: null },
      ],
      nextCursor: null,
      unreadable: 2,
    });
  });

  it('follows a cursor, should a server page them', async () => {
    const { origin } = await started.json(200, { teams: [], next_cursor: 'more' });
    expect((await started.client(origin).listTeams()).value.nextCursor).toBe('more');
  });

  it.each([[{}], [{ teams: null }], [{ teams: {} }], [{ teams: [], next_cursor: 5 }], [[]], [null]])(
    'does not take %j for an empty list',
    async (body) => {
      const { origin } = await started.json(200, body);
      expect(await failureOf(started.client(origin).listTeams())).toMatchObject({ kind: 'unreadable' });
    },
  );
});

describe('listing agents', () => {
  it('reads agents of all generations', async () => {
    const { origin } = await started.json(200, {
      agents: [
        {
          id: 'a1',
          name: 'One',
          team_id: 't',
          is_active: true,
          creator: { id: 'u' },
          system_prompt: 'PRIVATE',
          tools: [],
        },
        { id: 'a2', name: null, team_id: null, is_active: 'yes', creator: null },
        { name: 'no id' },
      ],
      next_cursor: null,
    });
    expect((await started.client(origin).listAgents()).value).toEqual({
      agents: [
        { id: 'a1', name: 'One', teamId: 't', creatorId: 'u', isActive: true },
        { id: 'a2', name: null, teamId: null, creatorId: null, isActive: null },
      ],
      nextCursor: null,
      unreadable: 1,
    });
  });
});

describe('cancelling', () => {
  it('reads id and state of the answer, and nothing else', async () => {
    const { origin } = await started.json(200, {
      ...generationA,
      session: { ...generationA.session, state: 'Failed' },
    });
    expect((await started.client(origin).cancelSession('sess_1')).value).toEqual({ id: 'sess_1', state: 'failed' });
  });

  it('accepts any success status, and keeps a null state', async () => {
    const { origin } = await started.json(202, { session: { id: 'sess_1', state: null } });
    const answer = await started.client(origin).cancelSession('sess_1');
    expect(answer).toMatchObject({ status: 202, value: { id: 'sess_1', state: null } });
  });

  it('never takes the answer about another session for its own', async () => {
    const { origin } = await started.json(200, { session: { id: 'sess_2', state: 'failed' } });
    const client = started.client(origin);
    expect(await failureOf(client.cancelSession('sess_1'))).toMatchObject({ kind: 'unreadable', outcomeUnknown: true });
    expect(await failureOf(client.retrieveSession('sess_1'))).toMatchObject({
      kind: 'unreadable',
      outcomeUnknown: false,
    });
  });
});

describe('listing the message queue', () => {
  it('reads the messages without their text', async () => {
    const { origin } = await started.json(200, {
      queue: [
        { id: 'q1', input: 'PRIVATE', state: 'Queued', position: 1, created_at: '2026-07-23T10:00:00+02:00' },
        { id: null, input: null, state: null, position: null, created_at: null },
        null,
      ],
    });
    const unknown = { id: null, state: null, position: null, createdAtMs: null };
    expect((await started.client(origin).listQueue('sess_1')).value).toEqual([
      { id: 'q1', state: 'queued', position: 1, createdAtMs: Date.UTC(2026, 6, 23, 8) },
      unknown,
      unknown,
    ]);
  });
});
