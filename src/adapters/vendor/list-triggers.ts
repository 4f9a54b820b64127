import type { Limiter } from './limiter.js';
import { SessionsError } from './errors.js';
import type { SessionsClient, Trigger } from './index.js';

const MOST_PAGES = 20;

/**
 * All triggers of an agent.
 *
 * @returns null: they can't be known, because the server does not have them or this key may not see them
 * @throws {SessionsError} when asking again may help
 */
export async function listTriggers(
  { sessions, limiter }: { readonly sessions: Pick<SessionsClient, 'listTriggers'>; readonly limiter: Limiter },
  agentId: string,
): Promise<Trigger[] | null> {
  const triggers: Trigger[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    await limiter.acquire('confirm');
    try {
      const { value } = await sessions.listTriggers(agentId, cursor === null ? {} : { cursor });
      triggers.push(...value.triggers);
      if (value.nextCursor === null || value.nextCursor === cursor) return triggers;
      cursor = value.nextCursor;
    } catch (error) {
      if (!(error instanceof SessionsError)) throw error;
      if (MEANS_UNKNOWN.has(error.kind)) return null;
      throw error;
    }
  }
  return triggers;
}

const MEANS_UNKNOWN: ReadonlySet<SessionsError['kind']> = new Set<SessionsError['kind']>([
  'not-found',
  'forbidden',
  'account-forbidden',
  'bad-request',
  'unreadable',
]);
