import { setTimeout as sleep } from 'node:timers/promises';
import type { Limiter } from './limiter.js';
import type { Urgency } from './urgency.js';
import { refusesAccount, type ListingCalls } from './listing.js';
import { backoffMs } from '../../core/policy/backoff.js';
import { SessionsError } from './errors.js';
import type { SessionsClient } from './index.js';

/** A scan comes again by itself, a plan does not: what fails once is asked again, so many times in all. */
const MOST_TRIES = 4;
const LONGEST_WAIT_MS = 8_000;

/**
 * Asks until there is an answer, or a failure that will stay.
 *
 * @param urgency - of another try
 * @param ask - called with its turn at the limiter taken already
 * @throws SessionsError of the last try; the signal's reason when it is aborted
 */
export async function patiently<T>(
  limiter: Limiter,
  urgency: Urgency,
  signal: AbortSignal,
  ask: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SessionsError) || !error.retryable || refusesAccount(error) || tries >= MOST_TRIES) {
        throw error;
      }
      // After a 429 the limiter knows for how long.
      if (error.kind !== 'rate-limited') {
        await sleep(backoffMs(tries, LONGEST_WAIT_MS, Math.random()), undefined, { signal });
      }
      await limiter.acquire(urgency);
    }
  }
}

/** Reads of a plan, each asked until there is an answer. Their first turns at the limiter are taken already. */
export function askedPatiently(
  sessions: ListingCalls & Pick<SessionsClient, 'retrieveSession' | 'listTriggers'>,
  limiter: Limiter,
): typeof sessions {
  const { signal } = new AbortController();
  const asked = <T>(urgency: Urgency, ask: () => Promise<T>): Promise<T> => patiently(limiter, urgency, signal, ask);
  return {
    teamId: sessions.teamId,
    listTeams: (options) => asked('list', () => sessions.listTeams(options)),
    listTriggers: (agentId, options) => asked('confirm', () => sessions.listTriggers(agentId, options)),
    listAgents: (options) => asked('list', () => sessions.listAgents(options)),
    listSessions: (agentId, options) => asked('list', () => sessions.listSessions(agentId, options)),
    retrieveSession: (id, options) => asked('confirm', () => sessions.retrieveSession(id, options)),
  };
}

/** A limiter whose holds are waited for, however long they are, until the signal is aborted. A plan is made once, and whole. */
export const untilAborted = (limiter: Limiter, signal: AbortSignal): Limiter => ({
  acquire: async (urgency) => {
    signal.throwIfAborted();
    await limiter.acquire(urgency, { holdMs: Infinity, signal });
  },
  held: () => null,
});

/** @throws the signal's reason as soon as it is aborted, whatever becomes of the promise */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
