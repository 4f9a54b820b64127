import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import { duration } from './duration.js';
import { badRequest } from './errors.js';
import { faultSchema } from './fault-schema.js';
import type { Scope } from './faults.js';
import { populate, scenarioSchema } from './scenario.js';
import type { World } from './world.js';
import { agentSchema, sessionSchema, teamSchema, turnSchema } from './world-schema.js';

/** Whole scenarios come through here, so far more than the API's usual body is let in. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

const message = z.strictObject({ message: z.string().min(1).optional() }).default({});
const scope = {
  session: z.string().optional(),
  agent: z.string().optional(),
  team: z.string().optional(),
};
const faultsBody = z.strictObject({ ...scope, faults: z.array(faultSchema) });
const scopeQuery = z.strictObject({ ...scope, all: z.literal('true').optional() });
const truthQuery = z.strictObject({ session: z.string().optional() });

interface ById {
  Params: { id: string };
}

/**
 * The control API: every operation of `World`, over HTTP and without a credential, for demos, scripts and tests in other
 * languages. Described in docs/simulator.md.
 */
export function controlRoutes(app: FastifyInstance, world: World): void {
  const options = { bodyLimit: MAX_BODY_BYTES };
  app.get('/', () => ({ now: world.settle(), keyRevoked: world.keyRevoked, counts: world.counts() }));
  app.get('/truth', (request) => world.truth(check(truthQuery, request.query).session));
  app.get('/requests', () => world.requestCounts());
  app.post('/scenario', options, (request) => populate(world, check(scenarioSchema, request.body)));

  app.post('/teams', (request) => done(world.addTeam(check(teamSchema, request.body))));
  app.post('/agents', (request) => world.addAgent(check(agentSchema, request.body ?? {})));
  app.delete<ById>('/agents/:id', (request) => done(world.retireAgent(request.params.id)));

  app.post('/sessions', (request) => world.addSession(check(sessionSchema, request.body)));
  app.get<ById>('/sessions/:id', (request) => world.session(request.params.id));
  app.delete<ById>('/sessions/:id', (request) => done(world.removeSession(request.params.id)));
  sessionControls(app, world);

  app.put('/faults', (request) => {
    const { faults, ...where } = check(faultsBody, request.body);
    return done(world.setFaults(scopeOf(where), faults));
  });
  app.post('/faults', (request) => {
    const { faults, ...where } = check(faultsBody, request.body);
    return done(world.addFaults(scopeOf(where), faults));
  });
  app.delete('/faults', (request) => {
    const { all, ...where } = check(scopeQuery, request.query);
    return done(world.clearFaults(all === 'true' ? undefined : scopeOf(where)));
  });
  app.post('/key/revoke', () => done(world.revokeKey()));
  app.post('/key/restore', () => done(world.restoreKey()));
  app.post('/clock', (request) => {
    const { advance } = check(z.strictObject({ advance: duration }), request.body);
    return { now: world.advanceClock(advance) };
  });
}

function sessionControls(app: FastifyInstance, world: World): void {
  app.post<ById>('/sessions/:id/turns', (request) =>
    world.startTurn(request.params.id, check(turnSchema, request.body ?? {})),
  );
  app.post<ById>('/sessions/:id/end', (request) => {
    const { as } = check(z.strictObject({ as: z.enum(['completed', 'failed']).optional() }).default({}), request.body);
    return done(world.endTurn(request.params.id, as));
  });
  app.post<ById>('/sessions/:id/steer', (request) =>
    world.steer(request.params.id, check(message, request.body).message),
  );
  app.post<ById>('/sessions/:id/require-approval', (request) => {
    const { title } = check(z.strictObject({ title: z.string().min(1).optional() }).default({}), request.body);
    return world.requireApproval(request.params.id, title);
  });
  app.post<ById>('/sessions/:id/approve', (request) => done(world.approve(request.params.id)));
  app.post<ById>('/sessions/:id/release', (request) => done(world.release(request.params.id)));
  app.post<ById>('/sessions/:id/queue', (request) =>
    world.queueMessage(request.params.id, check(message, request.body).message ?? 'And one more thing.'),
  );
}

/** @throws {ApiError} 400 that lists what does not fit */
function check<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw badRequest('invalid_request', z.prettifyError(parsed.error));
}

function scopeOf({ session, agent, team }: { [name in keyof typeof scope]?: string | undefined }): Scope {
  if ([session, agent, team].filter((name) => name !== undefined).length > 1) {
    throw badRequest('invalid_request', 'Name one session, agent or team; none means everywhere.');
  }
  if (team !== undefined) return { teamId: team };
  if (session !== undefined) return { sessionId: session };
  return agent === undefined ? 'everywhere' : { agentId: agent };
}

const done = (_nothing: void) => ({ ok: true });
