import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import type { Answer } from '../answer.js';
import { cancelSession, changeInBetween } from '../cancel.js';
import { ApiError, badRequest } from '../errors.js';
import type { Exchange } from '../exchange.js';
import { isInFlight, type SessionRecord } from '../session.js';
import { sessionOnWire } from '../wire.js';
import type { World } from '../world.js';
import { messageFields, parseInput, refuseStream, textOf } from './input.js';
import { listSessions, sessionListQuery } from './session-list.js';

const createBody = z
  .object({
    ...messageFields,
    session_id: z.string().min(1).max(200).optional(),
    // Counted as sent: the description bounds what is sent, not what is left of it.
    name: z.string().max(256).trim().min(1).optional(),
    metadata: z.record(z.string(), z.unknown()).optional(),
  })
  .default({});

const sendBody = z.object({
  ...messageFields,
  attachments: z
    .array(z.object({ file_name: z.string(), media_type: z.string().nullable().optional() }))
    .max(10)
    .optional(),
  approval_responses: z.unknown().optional(),
});

const cancelBody = z.record(z.string(), z.unknown()).optional();

interface AgentParams {
  Params: { agent_id: string };
}
interface SessionParams {
  Params: { session_id: string };
}

export function sessionRoutes(app: FastifyInstance, world: World, exchange: Exchange): void {
  app.get<AgentParams>('/agents/:agent_id/sessions', { config: { operation: 'list' } }, (request, reply) => {
    const agentId = request.params.agent_id;
    return exchange.answer(request, reply, 'list', { agentId }, (at) => ({
      status: 200,
      body: listSessions(world, agentId, parseInput(sessionListQuery, request.query), at),
    }));
  });

  app.post<AgentParams>('/agents/:agent_id/sessions', { config: { operation: 'create' } }, (request, reply) => {
    const agentId = request.params.agent_id;
    return exchange.answer(request, reply, 'create', { agentId }, (at) =>
      createSession(world, agentId, parseInput(createBody, request.body), at),
    );
  });

  app.get<SessionParams>('/sessions/:session_id', { config: { operation: 'retrieve' } }, (request, reply) => {
    const sessionId = request.params.session_id;
    return exchange.answer(request, reply, 'retrieve', { sessionId }, (at, fault) => {
      refuseStream((request.query as { stream?: unknown }).stream);
      const session = world.find(sessionId);
      const answer = sessionAnswer(world, session, 200, at);
      if (fault !== null) changeInBetween(world, session, fault, at);
      return answer;
    });
  });

  app.post<SessionParams>('/sessions/:session_id/messages', { config: { operation: 'send' } }, (request, reply) => {
    const sessionId = request.params.session_id;
    return exchange.answer(request, reply, 'send', { sessionId }, (at) =>
      sendMessage(world, world.find(sessionId), parseInput(sendBody, request.body), at),
    );
  });

  app.post<SessionParams>('/sessions/:session_id/cancel', { config: { operation: 'cancel' } }, (request, reply) => {
    const sessionId = request.params.session_id;
    return exchange.answer(request, reply, 'cancel', { sessionId }, (at, fault) => {
      parseInput(cancelBody, request.body);
      return cancelSession(world, world.find(sessionId), request.id, at, fault);
    });
  });
}

/** The full session as create, retrieve and send return it. */
export function sessionAnswer(world: World, session: SessionRecord, status: number, at: number): Answer {
  const seen = world.look(session, at);
  return {
    status,
    body: {
      session: sessionOnWire(session, world.agentOf(session), seen),
      queue_position: seen.state === 'queued' ? world.slots.positionOf(session) : null,
    },
  };
}

function createSession(world: World, agentId: string, body: z.output<typeof createBody>, at: number): Answer {
  refuseStream(body.stream);
  world.agent(agentId);
  const text = textOf(body);
  if (text !== null) refuseWhenFull(world);
  const { id } = world.addSession({
    agent: agentId,
    id: body.session_id,
    name: body.name ?? (text?.slice(0, 60).trim() || 'New session'),
    state: 'idle',
    runsFor: world.options.turnsRunFor,
  });
  const session = world.find(id);
  if (text === null) return sessionAnswer(world, session, 201, at);
  world.turns.start(session, { ...session.nextTurns, text, leavesQueue: 'slot' }, at);
  return sessionAnswer(world, session, 202, at);
}

function sendMessage(world: World, session: SessionRecord, body: z.output<typeof sendBody>, at: number): Answer {
  refuseStream(body.stream);
  if (body.approval_responses !== undefined) {
    throw badRequest('approvals_require_stream_or_approvals_endpoint', 'Answer asks at /approvals.');
  }
  // Nobody can upload a file here, so every attachment is foreign.
  if (body.attachments !== undefined && body.attachments.length > 0) {
    throw badRequest('invalid_attachment', 'There is no such file.');
  }
  const text = textOf(body);
  if (text === null) throw badRequest('input_required', 'A message needs an input.');
  if (isInFlight(session)) {
    throw new ApiError(409, 'interaction_not_in_terminal_state', 'A turn of this session is still in flight.');
  }
  refuseWhenFull(world);
  world.turns.start(session, { ...session.nextTurns, text, leavesQueue: 'slot' }, at);
  return sessionAnswer(world, session, 202, at);
}

/** @throws {ApiError} 429 when the account has neither a free slot nor a queue */
function refuseWhenFull(world: World): void {
  if (world.options.whenSlotsAreFull === 'reject' && !world.slots.hasRoom()) {
    throw new ApiError(429, 'gummie_rate_limit', 'All concurrent runs are in use.', { shape: 'flat' });
  }
}
