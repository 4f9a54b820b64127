import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { got } from 'got';
import * as z from 'zod';
import { LOOPBACK_CHANNEL_ARGS } from './loopback.js';
import { NAMESPACE, type ServerProcess } from './server-process.js';

/** Where the embedded server of a home listens. */
export interface ServerPlace {
  /** `127.0.0.1:port` of its gRPC frontend. */
  readonly address: string;
  /** Of its HTTP API on the same host. Null for a server that an older Curfew started: it is not known. */
  readonly httpPort: number | null;
  /** The one host name that its HTTP API answers to; null: any. */
  readonly httpHost: string | null;
}

const POLL_MS = 200;
/** An answer on loopback takes milliseconds, ms. */
const ANSWER_WITHIN_MS = 2_000;

/**
 * Whether our Temporal server answers there, with its namespace in place.
 *
 * On the usual port a server of someone else may answer, which was quicker to take it, while ours is still on its way to
 * find that out; orders would then go to a stranger. So the namespace's id, which every server makes up for itself, is
 * asked for twice: at the gRPC address, and at the HTTP port by the host name that only we and our server know.
 */
export async function isAnswering({ address, httpPort, httpHost }: ServerPlace): Promise<boolean> {
  const connection = Connection.lazy({ address, interceptors: [], channelArgs: LOOPBACK_CHANNEL_ARGS });
  try {
    const { namespaceInfo } = await connection.withDeadline(Date.now() + ANSWER_WITHIN_MS, () =>
      connection.workflowService.describeNamespace({ namespace: NAMESPACE }),
    );
    return httpPort === null || namespaceInfo?.id === (await namespaceIdAt(httpPort, httpHost));
  } catch {
    return false;
  } finally {
    await connection.close();
  }
}

/**
 * Waits until the server answers.
 *
 * @returns `answering`, `exited` when it ended first, or `timeout`
 * @throws the reason of `signal`
 */
export async function waitUntilAnswering(
  server: Pick<ServerProcess, 'exited'>,
  place: ServerPlace,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<'answering' | 'exited' | 'timeout'> {
  const began = performance.now();
  let hasExited = false;
  void server.exited.then(() => (hasExited = true));
  while (performance.now() - began < timeoutMs) {
    await sleep(POLL_MS);
    signal.throwIfAborted();
    const answering = await isAnswering(place);
    if (hasExited) return 'exited';
    if (answering) return 'answering';
  }
  return 'timeout';
}

const described = z.object({ namespaceInfo: z.object({ id: z.string().min(1) }) });

async function namespaceIdAt(httpPort: number, httpHost: string | null): Promise<string> {
  const answer = await got(`http://127.0.0.1:${httpPort}/api/v1/namespaces/${NAMESPACE}`, {
    ...(httpHost === null ? {} : { headers: { host: httpHost } }),
    retry: { limit: 0 },
    followRedirect: false,
    timeout: { request: ANSWER_WITHIN_MS },
    // Of its own: the global one may be sent through the proxy of the environment.
    agent: { http: new Agent() },
  }).json();
  return described.parse(answer).namespaceInfo.id;
}
