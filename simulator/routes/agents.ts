import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import { comparePlaces, decodeCursor, encodeCursor, page, type Place } from '../cursor.js';
import { badRequest, forbiddenTeam } from '../errors.js';
import type { Exchange } from '../exchange.js';
import { agentOnWire, type AgentRecord } from '../wire.js';
import type { World } from '../world.js';
import { pageSize, parseInput, queryBoolean } from './input.js';

const SORTS = ['newest', 'oldest', 'name_asc', 'name_desc'] as const;
type Sort = (typeof SORTS)[number];

const listQuery = z.object({
  team_id: z.string().optional(),
  search: z.string().optional(),
  creator: z.string().optional(),
  has_triggers: queryBoolean.optional(),
  tool: z.string().optional(),
  flow: z.string().optional(),
  sort_order: z.enum(SORTS).default('newest'),
  include_last_used: queryBoolean.default(false),
  include_last_updated: queryBoolean.default(false),
  page_size: pageSize.optional(),
  cursor: z.string().optional(),
});
type ListQuery = z.output<typeof listQuery>;

export function agentRoutes(app: FastifyInstance, world: World, exchange: Exchange): void {
  app.get('/agents', { config: { operation: 'agents' } }, (request, reply) =>
    exchange.answer(request, reply, 'agents', { teamId: teamAsked(request.query) }, () => {
      const query = parseInput(listQuery, request.query);
      // What the vendor says of a team that it does not know is not documented: here it has no agents.
      if (query.team_id !== undefined && world.team(query.team_id)?.member === false) throw forbiddenTeam();
      return { status: 200, body: listAgents(world, query) };
    }),
  );
}

function teamAsked(query: unknown): string | undefined {
  const { team_id: teamId } = query as { readonly team_id?: unknown };
  return typeof teamId === 'string' ? teamId : undefined;
}

function listAgents(world: World, query: ListQuery) {
  const matching = [...world.agents()].filter((agent) => isWanted(agent, query, world.options.userId));
  const { sort_order: sort } = query;
  const placeOf = (agent: AgentRecord): Place => ({
    value: sort.startsWith('name') ? agent.name : agent.createdAt,
    id: agent.id,
  });
  const items = matching.sort((a, b) => comparePlaces(placeOf(a), placeOf(b)));
  const isPaged = query.page_size !== undefined || query.cursor !== undefined;
  const { items: found, more } = page(
    { items, placeOf },
    {
      descending: isDescending(sort),
      after: query.cursor === undefined ? undefined : placeAfter(query.cursor, sort),
      size: isPaged ? (query.page_size ?? 20) : Infinity,
      wanted: () => true,
    },
  );
  const last = found.at(-1);
  return {
    agents: found.map((agent) =>
      agentOnWire(
        agent,
        query.include_last_used ? (world.sessionsOf(agent.id).at(-1)?.createdAt ?? null) : null,
        query.include_last_updated ? agent.createdAt : null,
      ),
    ),
    next_cursor: more && last !== undefined ? encodeCursor(placeOf(last), sort) : null,
  };
}

const isDescending = (sort: Sort): boolean => sort === 'newest' || sort === 'name_desc';

function placeAfter(cursor: string, sort: Sort): Place {
  const place = decodeCursor(cursor, sort);
  if (place === undefined) throw badRequest('invalid_cursor', 'The cursor is not one of this listing.');
  return place;
}

function isWanted(agent: AgentRecord, query: ListQuery, userId: string): boolean {
  if (!agent.active) return false;
  const isInScope =
    query.team_id === undefined
      ? agent.teamId === null && agent.creatorUserId === userId
      : agent.teamId === query.team_id;
  return (
    isInScope &&
    agent.name.toLowerCase().includes((query.search ?? '').toLowerCase()) &&
    (query.creator === undefined || agent.creatorUserId === query.creator) &&
    (query.has_triggers !== true || agent.triggerCount > 0) &&
    (query.tool === undefined || agent.tools.includes(query.tool)) &&
    (query.flow === undefined || agent.flows.includes(query.flow))
  );
}
