import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { World } from '../simulator/index.js';
import { meanOf } from './figures.js';

/** One request about one session, as the simulator got it: what it asked for, and when, ms since the Unix epoch. */
export type SessionRequest = readonly [operation: string, at: number];
export type RequestsBySession = Readonly<Record<string, readonly SessionRequest[]>>;

export interface RequestRecord {
  /** Answers every request with a {@link RequestsBySession} as JSON. */
  readonly url: string;
  stop(): void;
}

/** Keeps every request about these sessions from now on, refused ones left out. Lists are about an agent, and no part of it. */
export async function recordSessionRequests(world: World, sessionIds: ReadonlySet<string>): Promise<RequestRecord> {
  const record: Record<string, SessionRequest[]> = {};
  const strike = world.faults.strike.bind(world.faults);
  world.faults.strike = (operation, target) => {
    const { sessionId } = target;
    if (sessionId !== undefined && sessionIds.has(sessionId)) {
      (record[sessionId] ??= []).push([operation, world.now()]);
    }
    return strike(operation, target);
  };
  const server = createServer((_request, response) => response.end(JSON.stringify(record)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

interface MeanAndMax {
  readonly mean: number | null;
  readonly max: number;
}

/** What it took to end those violators whose first cancel request ended them; lists are shared by all, and not in it. */
export interface RequestsPerViolator extends MeanAndMax {
  /** How many violators that were. */
  readonly violators: number;
  readonly byKind: { readonly retrieve: MeanAndMax; readonly cancel: MeanAndMax; readonly other: MeanAndMax };
}

/** A look that a cancel request goes by may be so old, and may so come before the deadline, ms. */
const READ_BEFORE_MS = 2_000;

/**
 * Counts the requests about each session from its deadline on, with the read that its cancel request may have gone by.
 *
 * @param ended - sessions whose turn ended by the first cancel request for it
 */
export function requestsPerViolator(
  ended: readonly { readonly sessionId: string; readonly deadlineAt: number }[],
  requests: RequestsBySession,
): RequestsPerViolator {
  const counts = ended.map(({ sessionId, deadlineAt }) => {
    const operations = (requests[sessionId] ?? [])
      .filter(([, at]) => at >= deadlineAt - READ_BEFORE_MS)
      .map(([operation]) => operation);
    const of = (name: string): number => operations.filter((operation) => operation === name).length;
    const [all, retrieve, cancel] = [operations.length, of('retrieve'), of('cancel')];
    return { all, retrieve, cancel, other: all - retrieve - cancel };
  });
  const spread = (kind: 'all' | 'retrieve' | 'cancel' | 'other'): MeanAndMax => {
    const values = counts.map((count) => count[kind]);
    return { mean: meanOf(values), max: Math.max(0, ...values) };
  };
  return {
    violators: ended.length,
    ...spread('all'),
    byKind: { retrieve: spread('retrieve'), cancel: spread('cancel'), other: spread('other') },
  };
}
