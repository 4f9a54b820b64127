import { once } from 'node:events';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import got from 'got';
import pMap from 'p-map';
import { createLimiter } from '../src/adapters/vendor/limiter.js';
import { systemClock } from '../src/platform/clock.js';

/** What the poller is told, as JSON in its argument. */
export interface PollerInput {
  readonly url: string;
  readonly apiKey: string;
  readonly userId: string;
  /** Most requests per second; null: as many as it can. */
  readonly requestsPerSecond: number | null;
  readonly everyMs: number;
  readonly limits: { readonly runtimeMs: number; readonly credits: number };
}

interface Listed {
  readonly id: string;
}
interface Retrieved {
  readonly state: string | null;
  readonly messages: readonly { readonly role: string; readonly created_at: string | null }[];
  readonly usage: { readonly credit_cost: number | null } | null;
}

/** Requests at once. */
const CONCURRENCY = 32;

/**
 * What one would write first: retrieve each live session every so often, cancel it when its turn is over the limit. No ledger, no
 * memory, no confirmation, no retries but the next sweep; its cancel request is not told from one for a newer turn.
 *
 * Prints one line of JSON for its start, and one for each sweep on stderr.
 */
async function main(): Promise<void> {
  const input = JSON.parse(process.argv[2] ?? '') as PollerInput;
  const limiter = input.requestsPerSecond === null ? null : createLimiter(input.requestsPerSecond, systemClock);
  const api = got.extend({
    prefixUrl: input.url,
    headers: { authorization: `Bearer ${input.apiKey}`, 'x-auth-key': input.userId },
    agent: { http: new Agent({ keepAlive: true, maxSockets: CONCURRENCY }) },
    retry: { limit: 0 },
    timeout: { request: 30_000 },
    responseType: 'json',
  });
  const get = async <T>(path: string, searchParams: Record<string, string>): Promise<T> => {
    await limiter?.acquire('list');
    return (await api.get<T>(path, { searchParams })).body;
  };

  console.log(JSON.stringify({ pid: process.pid }));
  const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]).then(() => process.exit(0));
  for (;;) {
    const startedAt = performance.now();
    const ids = await liveIds();
    const listedMs = performance.now() - startedAt;
    await pMap(ids, (id) => look(id).catch(noted), { concurrency: CONCURRENCY });
    const tookMs = performance.now() - startedAt;
    console.error(
      JSON.stringify({ sweep: { sessions: ids.length, listedMs: Math.round(listedMs), tookMs: Math.round(tookMs) } }),
    );
    await Promise.race([sleep(Math.max(0, input.everyMs - tookMs)), stopped]);
  }

  async function liveIds(): Promise<string[]> {
    const { agents } = await pages<{ id: string }>('agents', 'agents', {}).then((items) => ({ agents: items }));
    const found = await pMap(
      agents,
      async ({ id }) => [
        ...(await pages<Listed>(`agents/${id}/sessions`, 'sessions', { state: 'queued' })),
        ...(await pages<Listed>(`agents/${id}/sessions`, 'sessions', { state: 'processing' })),
      ],
      { concurrency: CONCURRENCY },
    );
    return [...new Set(found.flat().map(({ id }) => id))];
  }

  async function pages<T>(path: string, key: string, query: Record<string, string>): Promise<T[]> {
    const items: T[] = [];
    let cursor: string | null = null;
    do {
      type Page = Record<string, T[]> & { next_cursor: string | null };
      const page: Page = await get<Page>(path, { ...query, page_size: '100', ...(cursor === null ? {} : { cursor }) });
      items.push(...(page[key] ?? []));
      cursor = page.next_cursor;
    } while (cursor !== null);
    return items;
  }

  async function look(id: string): Promise<void> {
    const { session } = await get<{ session: Retrieved }>(`sessions/${id}`, {});
    if (session.state !== 'processing') return;
    const said = session.messages.findLast(({ role }) => role === 'user')?.created_at ?? null;
    const runtimeMs = said === null ? 0 : Date.now() - Date.parse(said);
    // All that the session ever cost: the vendor has no number for one turn.
    const credits = session.usage?.credit_cost ?? 0;
    if (runtimeMs < input.limits.runtimeMs && credits < input.limits.credits) return;
    await limiter?.acquire('list');
    await api.post(`sessions/${id}/cancel`, { json: {} });
  }
}

const noted = (error: unknown): void =>
  console.error(JSON.stringify({ failed: error instanceof Error ? error.message : '' }));

await main();
