import { Agent } from 'node:http';
import { parseArgs } from 'node:util';
import { got } from 'got';
import { sessionIdOf } from './bulk-ids.js';

/** What a loop prints when it is through. */
export interface BareLoopResult {
  readonly mode: 'cancel' | 'read-and-cancel';
  readonly concurrency: number;
  /** Sessions that were ended. */
  readonly targets: number;
  readonly requests: number;
  readonly seconds: number;
  readonly targetsPerSecond: number;
  /** User and system, all threads, of this process while it was ending sessions. */
  readonly cpuMicrosPerTarget: number;
}

/** What it reads of a session. */
interface Retrieved {
  readonly session: { readonly state: string | null };
}

/**
 * What one would write first to end many sessions: got, so and so many at once. It keeps nothing, paces nothing and confirms
 * nothing, and the first error ends it. Prints one line of JSON.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      mode: { type: 'string', default: 'cancel' },
      sessions: { type: 'string', default: '20000' },
      /** Index of the first one. */
      from: { type: 'string', default: '0' },
      concurrency: { type: 'string', default: '64' },
    },
  });
  const { url, mode } = values;
  if (url === undefined) throw new RangeError('--url is missing: the base URL that the bulk vendor prints.');
  if (mode !== 'cancel' && mode !== 'read-and-cancel') throw new RangeError('--mode is cancel or read-and-cancel.');
  const [sessions, from, concurrency] = [Number(values.sessions), Number(values.from), Number(values.concurrency)];

  const headers = { authorization: 'Bearer bench', 'x-auth-key': 'bench' };
  const agent = { http: new Agent({ keepAlive: true }) };
  let requests = 0;

  async function end(id: string): Promise<void> {
    if (mode === 'read-and-cancel') {
      requests += 1;
      const { session } = await got(`${url}/sessions/${id}`, { headers, agent }).json<Retrieved>();
      if (session.state !== 'processing') return;
    }
    requests += 1;
    await got.post(`${url}/sessions/${id}/cancel`, { json: {}, headers, agent }).json();
  }

  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  let next = from;
  const worker = async (): Promise<void> => {
    while (next < from + sessions) await end(sessionIdOf(next++));
  };
  await Promise.all(Array.from({ length: concurrency }, worker));

  const seconds = (performance.now() - startedAt) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const result: BareLoopResult = {
    mode,
    concurrency,
    targets: sessions,
    requests,
    seconds: Math.round(seconds * 1_000) / 1_000,
    targetsPerSecond: Math.round(sessions / seconds),
    cpuMicrosPerTarget: Math.round((user + system) / sessions),
  };
  console.log(JSON.stringify(result));
  agent.http.destroy();
}

await main();
