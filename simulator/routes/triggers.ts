import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import { comparePlaces, decodeCursor, encodeCursor, page, type Place } from '../cursor.js';
import { badRequest } from '../errors.js';
import type { Exchange } from '../exchange.js';
import { triggerOnWire, type TriggerRecord } from '../wire.js';
import type { World } from '../world.js';
import { pageSize, parseInput } from './input.js';

const SORT = 'id';
const listQuery = z.object({ page_size: pageSize.default(20), cursor: z.string().optional() });

/** Known from the vendor's Python package 0.5.9, not from the API description. */
export function triggerRoutes(app: FastifyInstance, world: World, exchange: Exchange): void {
  app.get<{ Params: { agent_id: string } }>(
    '/agents/:agent_id/triggers',
    { config: { operation: 'triggers' } },
    (request, reply) => {
      const { agent_id: agentId } = request.params;
      return exchange.answer(request, reply, 'triggers', { agentId }, () => ({
        status: 200,
        body: listTriggers(world, agentId, parseInput(listQuery, request.query)),
      }));
    },
  );
}

function listTriggers(world: World, agentId: string, query: z.output<typeof listQuery>) {
  const placeOf = ({ id }: TriggerRecord): Place => ({ value: id, id });
  const after = query.cursor === undefined ? undefined : decodeCursor(query.cursor, SORT);
  if (query.cursor !== undefined && after === undefined) {
    throw badRequest('invalid_cursor', 'The cursor is not one of this listing.');
  }
  const sorted = [...world.agent(agentId).triggers].sort((a, b) => comparePlaces(placeOf(a), placeOf(b)));
  const { items, more } = page(
    { items: sorted, placeOf },
    { descending: false, after, size: query.page_size, wanted: () => true },
  );
  const last = items.at(-1);
  return {
    triggers: items.map(triggerOnWire),
    next_cursor: more && last !== undefined ? encodeCursor(placeOf(last), SORT) : null,
  };
}
