import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What the receiver does with a message: a status, or the answer by hand (nothing: it hangs). */
export type Behaviour = number | ((response: ServerResponse, message: Received) => void);

/** Someone on loopback who is told things, and remembers them. */
export interface Receiver {
  readonly url: string;
  readonly received: Received[];
  /** Behaviours for the next messages; after them every message is taken. */
  plan: Behaviour[];
  /** Hears of questions whether anybody is there; those are no messages. */
  heads?: (path: string) => void;
  close(): Promise<void>;
}

export async function startReceiver(): Promise<Receiver> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    // Somebody wants to know whether anybody is there.
    if (request.method === 'HEAD') {
      receiver.heads?.(request.url ?? '');
      return void response.end();
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const message = {
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString('utf8'),
      };
      received.push(message);
      const behaviour = receiver.plan.shift() ?? 200;
      if (typeof behaviour === 'number') response.writeHead(behaviour).end('ok');
      else behaviour(response, message);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    plan: [],
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return receiver;
}
