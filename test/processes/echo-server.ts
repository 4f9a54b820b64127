import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Says the request's own credential back, in one of the ways in which servers and proxies do such things. */
type Echo = (credential: string, response: ServerResponse) => void;

const json =
  (
    status: number,
    body: (credential: string) => unknown,
    headers: (credential: string) => Record<string, string> = () => ({}),
  ): Echo =>
  (credential, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers(credential) });
    response.end(JSON.stringify(body(credential)));
  };

/** One of each, in this order, for every operation; after them the requests go through. */
const ECHOES: readonly Echo[] = [
  json(
    401,
    (key) => ({ error: { code: 'invalid_token', message: `Unknown credential: ${key}` } }),
    (key) => ({
      'www-authenticate': key,
    }),
  ),
  json(403, (key) => ({ error: 'tier_required_pro', message: `No plan for authorization=${key}` })),
  json(500, (key) => ({ error: { code: 'failed_to_abort', message: `authorization: ${key}` } })),
  json(500, (key) => ({ error: { code: key, message: encodeURIComponent(key) } })),
  json(
    429,
    (key) => ({ error: { code: 'slow_down', message: key } }),
    () => ({ 'retry-after': '0' }),
  ),
  (key, response) => {
    response.writeHead(502, { 'content-type': 'text/html' });
    response.end(`<h1>Bad gateway</h1><pre>Authorization: ${key}</pre>`);
  },
  (key, response) => {
    response.writeHead(307, { location: `http://127.0.0.1:9/?credential=${encodeURIComponent(key)}` });
    response.end();
  },
  json(200, (key) => ({ session: `of ${key}` })),
  (key, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.end(key);
  },
  (key, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '10000' });
    response.write(`{"session":{"id":"${key}`, () => response.destroy());
  },
];

/** Stands before an API and, for a while, answers with the caller's own credential. */
export interface EchoServer {
  readonly url: string;
  /** Answers that held the credential so far. */
  echoes(): number;
  /** Answers so once more, for every operation. */
  again(): void;
  close(): Promise<void>;
}

/** @param target - base URL of the API behind it, ending in `/api/v1` */
export async function startEchoServer(target: string): Promise<EchoServer> {
  const timesAsked = new Map<string, number>();
  let echoes = 0;
  const server = createServer((request, response) => {
    const operation = `${request.method} ${request.url
      ?.split('/')
      .at(-1)
      ?.replace(/^sess_.*/, 'session')}`;
    const times = timesAsked.get(operation) ?? 0;
    timesAsked.set(operation, times + 1);
    const echo = ECHOES[times];
    if (echo === undefined) {
      forward(target, request, response).catch(() => response.destroy());
      return;
    }
    echoes += 1;
    request.resume();
    echo(request.headers.authorization ?? '', response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/api/v1`,
    echoes: () => echoes,
    again: () => timesAsked.clear(),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function forward(target: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { authorization = '', 'x-auth-key': user = '' } = request.headers;
  const answer = await fetch(`${target}${request.url?.replace('/api/v1', '')}`, {
    method: request.method ?? 'GET',
    headers: { authorization, 'x-auth-key': String(user), 'content-type': 'application/json' },
    ...(request.method === 'POST' ? { body: '{}' } : {}),
  });
  response.writeHead(answer.status, { 'content-type': 'application/json', date: answer.headers.get('date') ?? '' });
  response.end(await answer.text());
}
