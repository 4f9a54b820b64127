import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Bench, Contract, type Reply } from './support.js';

describe('answers and the API description', () => {
  let bench: Bench;
  let contract: Contract;
  const seen = new Set<string>();

  beforeAll(async () => {
    bench = await Bench.start();
    contract = await Contract.load();
  });
  afterAll(() => bench.close());

  const expectToFit = (operationId: string, reply: Reply, status: number) => {
    seen.add(operationId);
    expect(reply.status).toBe(status);
    expect(contract.violations(operationId, reply)).toEqual([]);
  };

  it('fit for agents', async () => {
    expectToFit('listAgents', await bench.call('/agents?include_last_used=true&include_last_updated=true'), 200);
    expectToFit('listAgents', await bench.call('/agents?page_size=1'), 200);
    expectToFit('listAgents', await bench.call('/agents?page_size=0'), 400);
    expectToFit('listAgents', await bench.call('/agents', { headers: { authorization: 'Bearer no' } }), 401);
  });

  it('fit for a session in every state', async () => {
    for (const state of ['idle', 'queued', 'processing', 'approval_required', 'completed', 'failed'] as const) {
      const { id } = bench.world.addSession({ agent: 'agent_a', state, turnAge: '1m', earlierTurns: 1 });
      const reply = await bench.retrieve(id);
      expectToFit('retrieveSession', reply, 200);
      expect(reply.body.session.state).toBe(state);
    }
    expectToFit('listSessions', await bench.call('/agents/agent_a/sessions?page_size=100'), 200);
    expectToFit('listSessions', await bench.call('/agents/agent_none/sessions'), 404);
    expectToFit('retrieveSession', await bench.retrieve('sess_none'), 404);
  });

  it('fit for creating and sending', async () => {
    const path = '/agents/agent_a/sessions';
    expectToFit('createSession', await bench.call(path, { method: 'POST' }), 201);
    const created = await bench.call(path, { method: 'POST', body: { input: 'Go.', session_id: 'sess_mine' } });
    expectToFit('createSession', created, 202);
    expectToFit('createSession', await bench.call(path, { method: 'POST', body: { session_id: 'sess_mine' } }), 409);
    expectToFit('createSession', await bench.call(path, { method: 'POST', body: { name: '  ' } }), 400);
    const tooLong = ` ${'x'.repeat(256)}`;
    expectToFit('createSession', await bench.call(path, { method: 'POST', body: { name: tooLong } }), 400);

    const send = (input: unknown) => bench.call('/sessions/sess_mine/messages', { method: 'POST', body: { input } });
    expectToFit('sendMessage', await send('More.'), 409);
    bench.world.endTurn('sess_mine');
    expectToFit('sendMessage', await send('More.'), 202);
    expectToFit('sendMessage', await send(5), 400);
  });

  it('fit for cancelling, whatever comes of it', async () => {
    const { id } = bench.world.addSession({ agent: 'agent_a' });
    bench.world.setFaults({ sessionId: id }, [
      { fault: 'failed-to-abort' },
      { fault: 'failed-to-abort', shape: 'flat' },
      { fault: 'forbidden-session' },
      { fault: 'forbidden-account' },
      { fault: 'unauthorized', shape: 'flat' },
      { fault: 'rate-limited' },
      { fault: 'conflict' },
    ]);
    for (const status of [500, 500, 403, 403, 401, 429, 409, 200, 200]) {
      expectToFit('cancelSession', await bench.cancel(id), status);
    }
  });

  it('fit for the message queue and approvals', async () => {
    const { id } = bench.world.addSession({ agent: 'agent_a', queuedMessages: 2 });
    const listed = await bench.call(`/sessions/${id}/queue`);
    expectToFit('listQueuedMessages', listed, 200);
    const first = `/sessions/${id}/queue/${String(listed.body.queue[0]?.id)}`;
    expectToFit('deleteQueuedMessage', await bench.call(first, { method: 'DELETE' }), 200);
    expectToFit('deleteQueuedMessage', await bench.call(first, { method: 'DELETE' }), 404);

    const path = `/sessions/${id}/approvals`;
    const body = (ask: string) => ({ approval_responses: [{ action_request_id: ask, action: 'reject' }] });
    expectToFit('resolveApprovals', await bench.call(path, { method: 'POST', body: body('ask_x') }), 409);
    const { askId } = bench.world.requireApproval(id);
    expectToFit('resolveApprovals', await bench.call(path, { method: 'POST', body: body('ask_x') }), 400);
    expectToFit('resolveApprovals', await bench.call(path, { method: 'POST', body: body(askId) }), 200);
  });

  it('were checked for every operation described', () => {
    expect([...seen].sort()).toEqual(contract.operationIds().sort());
  });

  it('would be found out if they did not fit', async () => {
    const { id } = bench.world.addSession({ agent: 'agent_a' });
    bench.world.setFaults({ sessionId: id }, [
      { fault: 'unknown-state', state: 'confused' },
      { fault: 'zoneless-times' },
    ]);
    const violations = contract.violations('retrieveSession', await bench.retrieve(id)).join('\n');
    expect(violations).toMatch('/session/state');
    expect(violations).toMatch('/session/created_at');
    expect(violations).toMatch('/session/messages/0/created_at');
  });
});
