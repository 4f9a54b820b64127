import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createRawServer, type AddressInfo, type Server as RawServer, type Socket } from 'node:net';
import { createCredentials, createSessionsClient, type OpenSessionsClient } from '../../src/adapters/vendor/index.js';
import type { SessionsClientOptions, SessionsError } from '../../src/adapters/vendor/index.js';

/** May stand in a header and in a path, and changes when it is percent-encoded. */
export const KEY = 'gum_5ecret-Key+with=signs';
export const USER = 'user_42';

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Everything that a test has started, stopped by {@link Started.stop}. */
export class Started {
  readonly #closers: (() => unknown)[] = [];

  /** A server that answers with `handler` after the whole request was read. */
  async http(
    handler: (request: Seen, response: ServerResponse) => void,
  ): Promise<{ origin: string; seen: Seen[]; server: Server }> {
    const seen: Seen[] = [];
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method = '', url = '', headers } = request;
        const one = { method, url, headers, body: Buffer.concat(chunks).toString() };
        seen.push(one);
        handler(one, response);
      });
    });
    return { origin: await this.#listen(server), seen, server };
  }

  /** A server that answers every request with the same JSON. */
  json(status: number, body: unknown, headers: Record<string, string> = {}): ReturnType<Started['http']> {
    return this.http((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
    });
  }

  /** A server below HTTP, for what no well-behaved server does. */
  async raw(onRequest: (socket: Socket, head: string) => void): Promise<{ origin: string }> {
    const sockets = new Set<Socket>();
    const server = createRawServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('data', (data) => onRequest(socket, data.toString('latin1')));
    });
    this.#closers.push(() => {
      for (const socket of sockets) socket.destroy();
    });
    return { origin: await this.#listen(server) };
  }

  client(origin: string, options: Partial<SessionsClientOptions> = {}): OpenSessionsClient {
    const client = createSessionsClient({
      baseUrl: `${origin}/api/v1`,
      credentials: createCredentials({ GUMLOOP_API_KEY: KEY, GUMLOOP_USER_ID: USER }),
      userAgent: 'curfew/test',
      ...options,
    });
    this.#closers.push(() => client.close());
    return client;
  }

  async stop(): Promise<void> {
    for (const close of this.#closers.splice(0)) await close();
  }

  async #listen(server: Server | RawServer): Promise<string> {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.#closers.push(
      () =>
        new Promise((resolve) => {
          server.close(resolve);
          if ('closeAllConnections' in server) server.closeAllConnections();
        }),
    );
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
}

/** The error of a call that must fail. */
export async function failureOf(call: Promise<unknown>): Promise<SessionsError> {
  const outcome = await call.then(
    () => null,
    (error: unknown) => error,
  );
  if (outcome === null) throw new Error('The call was expected to fail, and succeeded.');
  return outcome as SessionsError;
}
