import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import type { Answer } from '../answer.js';
import { ApiError, badRequest } from '../errors.js';
import type { Exchange } from '../exchange.js';
import type { SessionRecord } from '../session.js';
import { sessionOnWire } from '../wire.js';
import type { World } from '../world.js';
import { parseInput } from './input.js';

const resolveBody = z.object({
  approval_responses: z
    .array(
      z.object({
        action_request_id: z.string(),
        action: z.enum(['accept', 'reject']),
        reason: z.string().max(1_000).optional(),
        response: z.object({ values: z.record(z.string(), z.unknown()).optional() }).optional(),
      }),
    )
    .min(1)
    .max(20),
});
type Responses = z.output<typeof resolveBody>['approval_responses'];

interface SessionParams {
  Params: { session_id: string };
}

export function approvalRoutes(app: FastifyInstance, world: World, exchange: Exchange): void {
  app.post<SessionParams>(
    '/sessions/:session_id/approvals',
    { config: { operation: 'approvals' } },
    (request, reply) => {
      const sessionId = request.params.session_id;
      return exchange.answer(request, reply, 'approvals', { sessionId }, (at) =>
        resolve(world, world.find(sessionId), parseInput(resolveBody, request.body).approval_responses, at),
      );
    },
  );
}

/** Answers asks; when none is left open the turn goes on, whatever the answers were. */
function resolve(world: World, session: SessionRecord, responses: Responses, at: number): Answer {
  if (session.state !== 'approval_required') {
    throw new ApiError(409, 'session_not_awaiting_approval', 'Nothing is waiting for an answer.');
  }
  const answered = new Set(responses.map((response) => response.action_request_id));
  if (answered.size < responses.length) throw badRequest('repeated_ask', 'One ask is answered twice.');
  const open = new Set(session.asks.map((ask) => ask.id));
  if (responses.some((response) => !open.has(response.action_request_id))) {
    throw badRequest('unknown_ask', 'There is no such open ask.');
  }
  session.asks = session.asks.filter((ask) => !answered.has(ask.id));
  if (session.asks.length === 0) world.turns.resume(session, at);
  return {
    status: 200,
    body: {
      session: sessionOnWire(session, world.agentOf(session), world.look(session, at)),
      results: responses.map(({ action_request_id, action }) => ({
        action_request_id,
        action,
        outcome: `${action}ed`,
      })),
      stream_cursor: null,
    },
  };
}
