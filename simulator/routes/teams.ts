import type { FastifyInstance } from 'fastify';
import type { Exchange } from '../exchange.js';
import type { World } from '../world.js';

/**
 * The caller's teams. Not in the API description that we have; form from the vendor's Python SDK 0.5.9, which knows neither
 * parameters nor pages.
 */
export function teamRoutes(app: FastifyInstance, world: World, exchange: Exchange): void {
  app.get('/teams', { config: { operation: 'teams' } }, (request, reply) =>
    exchange.answer(request, reply, 'teams', {}, () => ({
      status: 200,
      body: {
        teams: [...world.teams()]
          .filter(({ member, listed }) => member && listed)
          .map(({ id, name }) => ({ id, name })),
      },
    })),
  );
}
