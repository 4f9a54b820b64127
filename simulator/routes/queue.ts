import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import type { Answer } from '../answer.js';
import { notFound } from '../errors.js';
import type { Exchange } from '../exchange.js';
import type { SessionRecord } from '../session.js';
import { queueOnWire } from '../wire.js';
import type { World } from '../world.js';
import { parseInput } from './input.js';
import { sessionAnswer } from './sessions.js';

const addBody = z.object({ input: z.string().trim().min(1) });

interface SessionParams {
  Params: { session_id: string };
}
interface MessageParams {
  Params: { session_id: string; queued_message_id: string };
}

/** Messages that wait for the end of the turn: list and delete, and add and send now as the vendor's SDK knows them. */
export function queueRoutes(app: FastifyInstance, world: World, exchange: Exchange): void {
  const config = { operation: 'queue' } as const;

  app.get<SessionParams>('/sessions/:session_id/queue', { config }, (request, reply) => {
    const sessionId = request.params.session_id;
    return exchange.answer(request, reply, 'queue', { sessionId }, () => queueAnswer(world.find(sessionId)));
  });

  app.post<SessionParams>('/sessions/:session_id/queue', { config }, (request, reply) => {
    const sessionId = request.params.session_id;
    return exchange.answer(request, reply, 'queue', { sessionId }, () => {
      const session = world.find(sessionId);
      const { id } = world.queueMessage(sessionId, parseInput(addBody, request.body).input);
      const queue = queueOnWire(session);
      return { status: 200, body: { queue, queued_message: queue.find((message) => message.id === id) } };
    });
  });

  const one = '/sessions/:session_id/queue/:queued_message_id';
  app.delete<MessageParams>(one, { config }, (request, reply) => {
    const { session_id: sessionId, queued_message_id: messageId } = request.params;
    return exchange.answer(request, reply, 'queue', { sessionId }, () => {
      const session = world.find(sessionId);
      mustBeQueued(session, messageId);
      session.queue = session.queue.filter(({ id }) => id !== messageId);
      return queueAnswer(session);
    });
  });

  app.post<MessageParams>(`${one}/send`, { config }, (request, reply) => {
    const { session_id: sessionId, queued_message_id: messageId } = request.params;
    return exchange.answer(request, reply, 'queue', { sessionId }, (at) => {
      const session = world.find(sessionId);
      mustBeQueued(session, messageId);
      world.turns.sendNow(session, messageId, request.id, at);
      return sessionAnswer(world, session, 202, at);
    });
  });
}

function mustBeQueued(session: SessionRecord, messageId: string): void {
  if (!session.queue.some(({ id }) => id === messageId)) throw notFound('queued message');
}

const queueAnswer = (session: SessionRecord): Answer => ({ status: 200, body: { queue: queueOnWire(session) } });
