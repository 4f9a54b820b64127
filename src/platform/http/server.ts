import fastify, { type FastifyReply } from 'fastify';
import { ExitCode, UserError } from '../../core/errors.js';
import { isLoopbackHost } from '../loopback-host.js';
import { HTTP_ADDRESS, urlOf, type HttpAddress } from './address.js';
import type { Health } from './health.js';
import { isOwnHost } from './own-host.js';

export interface HttpServer {
  /** `http://127.0.0.1:9464`, with the port that was taken. */
  readonly url: string;
  /** Ends answers under way, too. */
  close(): Promise<void>;
}

export interface HttpServerOptions {
  readonly address: HttpAddress;
  readonly health: Health;
  /** The exposition in Prometheus's text format. */
  readonly metrics: () => Promise<string>;
}

/** Version 0.0.4 is the text format that every Prometheus reads. */
const EXPOSITION = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Serves `/metrics`, `/healthz` and `/readyz`, and nothing that changes anything. Whoever reaches the address may read: no
 * answer holds a secret, the id of a session or what was said in one. On a loopback address, pages in a browser of this machine
 * are kept from reading by the host that they name.
 *
 * @throws UserError when the address can't be listened on
 */
export async function startHttpServer({ address, health, metrics }: HttpServerOptions): Promise<HttpServer> {
  const app = fastify({ logger: false, forceCloseConnections: true });
  app.setNotFoundHandler((_request, reply) => {
    void reply.code(404);
    return { error: 'not found', paths: ['/metrics', '/healthz', '/readyz'] };
  });
  // Our own words only: what failed inside may quote anything.
  app.setErrorHandler((_error, _request, reply) => {
    void reply.code(500);
    return { error: 'internal error' };
  });
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('cache-control', 'no-store');
    // On other addresses probes and scrapers name a pod, a service or a node, by names that we can't know.
    if (isLoopbackHost(address.host) && !isOwnHost(request.hostname, address.host)) {
      return reply.code(403).send({ error: 'unknown host name' });
    }
  });

  app.get('/metrics', async (_request, reply) => reply.type(EXPOSITION).send(await metrics()));
  app.get('/healthz', (_request, reply) => {
    const failure = health.alive();
    return failure === null ? { status: 'ok' } : unavailable(reply, 'failed', [failure]);
  });
  app.get('/readyz', async (_request, reply) => {
    const reasons = await health.unready();
    if (reasons.length === 0) {
      const notes = health.notes();
      return { status: 'ready', ...(notes.length === 0 ? {} : { notes }) };
    }
    return reasons.includes('stopping')
      ? unavailable(reply, 'stopping', [])
      : unavailable(reply, 'unavailable', reasons);
  });

  try {
    await app.listen({ host: address.host, port: address.port });
  } catch (error) {
    await app.close();
    throw notListening(address, error);
  }
  const bound = app.server.address();
  const taken = bound === null || typeof bound === 'string' ? address.port : bound.port;
  return { url: urlOf({ ...address, port: taken }), close: () => app.close() };
}

function unavailable(reply: FastifyReply, status: string, reasons: readonly string[]) {
  void reply.code(503);
  return { status, ...(reasons.length === 0 ? {} : { reasons }) };
}

function notListening({ host, port }: HttpAddress, error: unknown): UserError {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
  const why =
    {
      EADDRINUSE: 'another process listens there',
      EADDRNOTAVAIL: 'this machine has no such address',
      EACCES: 'this user may not listen on that port',
      ENOTFOUND: 'there is no host of that name',
    }[code] ?? code;
  return new UserError(
    `${HTTP_ADDRESS} is ${host}:${port}, and can't be listened on: ${why}. No worker was started.`,
    'Choose another port, or port 0 for any free one; leave it unset to serve no metrics.',
    ExitCode.usage,
  );
}
