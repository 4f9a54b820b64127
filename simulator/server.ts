import { randomUUID } from 'node:crypto';
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { isOwnHost } from '../src/platform/http/own-host.js';
import { errorAnswer } from './answer.js';
import { controlRoutes } from './control.js';
import { isAuthorized, type Credentials } from './credentials.js';
import { ApiError, unauthorized } from './errors.js';
import { Exchange } from './exchange.js';
import type { Operation } from './fault-schema.js';
import { agentRoutes } from './routes/agents.js';
import { teamRoutes } from './routes/teams.js';
import { approvalRoutes } from './routes/approvals.js';
import { queueRoutes } from './routes/queue.js';
import { sessionRoutes } from './routes/sessions.js';
import { triggerRoutes } from './routes/triggers.js';
import type { World } from './world.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the request counts as, in faults and in the truth. */
    operation?: Operation;
  }
}

const MAX_ID_LENGTH = 500;

/**
 * The HTTP side of a world: the vendor's API under `/api/v1`, the control API under `/simulator`.
 *
 * @param listening - host that it is going to listen on; requests that name another one are refused
 */
export function createServer(
  world: World,
  credentials: Credentials,
  closing: AbortSignal,
  listening: string,
): FastifyInstance {
  const app = fastify({
    logger: false,
    // Also ends connections on which a request hangs.
    forceCloseConnections: true,
    genReqId: () => `req_${randomUUID()}`,
    routerOptions: { maxParamLength: MAX_ID_LENGTH },
  });
  acceptEmptyJson(app);
  const routes = methodsByRoute(app);
  app.setNotFoundHandler((request, reply) => refuse(reply, noSuchRoute(routes(request.url)), world));
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const methods = routes(request.url);
    // Some methods fail in the framework before it looks for a route.
    const isRouted = methods.length === 0 || methods.includes(request.method);
    return refuse(reply, isRouted ? asApiError(error) : noSuchRoute(methods), world);
  });

  app.addHook('onRequest', async (request, reply) => {
    // The world's clock, not the machine's: clients measure age against this header.
    reply.header('date', new Date(world.now()).toUTCString()).header('x-request-id', request.id);
    // The control API asks for no credential: a page whose name was made to point here must not have one either.
    if (!isOwnHost(request.hostname, listening)) throw foreignHost();
  });
  void app.register(
    (api, _options, done) => {
      api.addHook('onRequest', async (request, reply) => admit(world, credentials, request, reply));
      api.addHook('onSend', async (request, reply, payload) => {
        noteCancelAnswer(world, request, reply, payload);
        return payload;
      });
      const exchange = new Exchange(world, closing);
      teamRoutes(api, world, exchange);
      agentRoutes(api, world, exchange);
      sessionRoutes(api, world, exchange);
      queueRoutes(api, world, exchange);
      approvalRoutes(api, world, exchange);
      triggerRoutes(api, world, exchange);
      done();
    },
    { prefix: '/api/v1' },
  );
  void app.register(
    (control, _options, done) => {
      controlRoutes(control, world);
      done();
    },
    { prefix: '/simulator' },
  );
  return app;
}

function admit(world: World, credentials: Credentials, request: FastifyRequest, reply: FastifyReply): void {
  const { operation } = request.routeOptions.config;
  if (operation !== undefined) world.truthBook.requests[operation] += 1;
  if (operation === 'cancel') {
    world.cancelArrived(request.id, (request.params as { session_id: string }).session_id);
    reply.raw.once('close', () => {
      world.truthBook.cancelAnswered(request.id, { kind: 'client-gone', status: null, contentType: null, state: null });
    });
  }
  const teamId = (request.query as { team_id?: unknown }).team_id;
  if (world.keyRevoked || !isAuthorized(credentials, request.headers, teamId)) {
    world.truthBook.unauthorized += 1;
    throw unauthorized();
  }
}

function noteCancelAnswer(world: World, request: FastifyRequest, reply: FastifyReply, payload: unknown): void {
  if (request.routeOptions.config.operation !== 'cancel') return;
  const contentType = String(reply.getHeader('content-type') ?? '').split(';')[0] ?? '';
  world.truthBook.cancelAnswered(request.id, {
    kind: 'answer',
    status: reply.statusCode,
    contentType: contentType === '' ? null : contentType,
    state: contentType === 'application/json' ? stateIn(payload) : null,
  });
}

function stateIn(payload: unknown): string | null {
  try {
    const body = JSON.parse(String(payload)) as { session?: { state?: string | null } };
    return body.session?.state ?? null;
  } catch {
    return null;
  }
}

/** The vendor's SDK sends `{}`, others nothing at all, with or without a content type. */
function acceptEmptyJson(app: FastifyInstance): void {
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    const text = String(body);
    if (text === '') {
      done(null, undefined);
      return;
    }
    try {
      done(null, JSON.parse(text));
    } catch {
      done(new ApiError(400, 'invalid_json', 'The body is not JSON.'));
    }
  });
}

/** @returns a function from a request's path to the methods that its route has */
function methodsByRoute(app: FastifyInstance): (url: string) => readonly string[] {
  const methods = new Map<string, { pattern: RegExp; methods: string[] }>();
  app.addHook('onRoute', ({ url, method }) => {
    const route = methods.get(url) ?? { pattern: new RegExp(`^${url.replace(/:\w+/g, '[^/]+')}$`), methods: [] };
    route.methods.push(...[method].flat());
    methods.set(url, route);
  });
  return (url) => {
    const path = url.split('?')[0] ?? '';
    for (const route of methods.values()) if (route.pattern.test(path)) return route.methods;
    return [];
  };
}

const foreignHost = (): ApiError =>
  new ApiError(403, 'unknown_host', 'The request names a host other than this simulator.');

function noSuchRoute(methods: readonly string[]): ApiError {
  if (methods.length === 0) return new ApiError(404, 'not_found', 'There is no such path.');
  const headers = { allow: methods.join(', ') };
  return new ApiError(405, 'method_not_allowed', 'This path has no such method.', { headers });
}

function asApiError(error: Error & { statusCode?: number; code?: string }): ApiError {
  if (error instanceof ApiError) return error;
  const status = error.statusCode ?? 500;
  return new ApiError(status, error.code?.toLowerCase() ?? 'internal_error', error.message);
}

function refuse(reply: FastifyReply, error: ApiError, world: World): FastifyReply {
  const { status, body, headers = {} } = errorAnswer(error, world.options.errorShape);
  return reply.code(status).headers(headers).type('application/json; charset=utf-8').send(JSON.stringify(body));
}
