import type { OrderResult, Outcome } from '../../core/contract.js';
import type { EventToRecord } from '../../adapters/ledger/ledger.js';
import { flightOf } from '../../core/policy/state.js';
import { SessionsError, type SessionsClient } from '../../adapters/vendor/index.js';
import type { OrderView } from '../../adapters/ledger/results.js';
import type { CaseDependencies } from './case.js';
import type { Read } from './gate.js';
import { tryAgain } from './waits.js';

/** What the watch for a restart does next. */
export type WatchStep =
  | { readonly next: 'done' }
  /** It has started again, and a policy has ordered the end of that turn too. */
  | { readonly next: 'attempt' }
  | { readonly next: 'look'; readonly afterMs: number; readonly queued: boolean };

/** Outcomes after which a session may start again by itself: up to 20 queued messages are sent when a turn ends. */
const WATCHED: ReadonlySet<Outcome> = new Set<Outcome>(['cancelled', 'ended-unattributed']);
/** A turn that began so soon after the end was not typed by anybody who had seen it, ms. */
const BY_ITSELF_MS = 10_000;
/** An end longer ago than this is no reason to watch, ms. */
const RECENT_MS = 15 * 60_000;

/**
 * One look at a session whose turn was ended lately: has it started again? A restart is reported on each order that
 * ended a turn; what to do about it is a policy's choice.
 *
 * @param lookNumber - from 0
 * @param queued - whether messages waited at the first look
 */
export async function watchForRestart(
  deps: CaseDependencies & { readonly sessions: SessionsClient },
  sessionId: string,
  lookNumber: number,
  queued: boolean,
  failures: number,
): Promise<WatchStep> {
  const since = (await deps.ledger.now()) - RECENT_MS;
  const ended = (await deps.ledger.orders.views({ sessionId, limit: 50 })).filter(
    ({ result, decidedAtMs }) => result.outcome !== null && WATCHED.has(result.outcome) && (decidedAtMs ?? 0) > since,
  );
  if (ended.length === 0) return { next: 'done' };
  try {
    const read = await deps.gate.read(sessionId, 'confirm');
    const { sighting } = read;
    // An ended turn in flight again is the vendor's stale read, not a restart.
    const anotherTurn = ended.every(({ result }) => result.turnKey !== sighting.turnKey);
    if (flightOf(sighting.state) === 'in-flight' && anotherTurn) {
      const events = ended
        .filter(({ result }) => !result.events.some((event) => event.kind === 'restarted'))
        .map(({ orderId }): EventToRecord => ({
          kind: 'restarted',
          sessionId,
          orderId,
          data: { turnKey: sighting.turnKey, state: sighting.state },
        }));
      await deps.ledger.recordEvents(events);
      for (const { orderId } of events) {
        deps.log.warn({ sessionId, orderId, turnKey: sighting.turnKey }, 'session started again after its end');
      }
      return { next: (await orderRestart(deps, ended, read, queued)) ? 'attempt' : 'done' };
    }

    const waiting = lookNumber === 0 ? await messagesWaiting(deps.sessions, sessionId) : 0;
    if (waiting > 0) {
      await deps.ledger.recordEvents(
        ended.map(({ orderId }) => ({
          kind: 'queued-messages-waiting',
          sessionId,
          orderId,
          data: { messages: waiting },
        })),
      );
    }
    const stillQueued = queued || waiting > 0;
    const { restartGapsMs, restartGapsWithQueueMs } = deps.timing;
    const gaps = stillQueued ? [...restartGapsMs, ...restartGapsWithQueueMs] : restartGapsMs;
    const afterMs = gaps[lookNumber];
    return afterMs === undefined ? { next: 'done' } : { next: 'look', afterMs, queued: stillQueued };
  } catch (error) {
    if (error instanceof SessionsError) throw await tryAgain(deps, error, failures);
    throw error;
  }
}

/**
 * What to do about a restart is a policy's choice; the newest order that it gave decides. Only what started by itself is
 * meant: a message that waited in the queue. One that somebody wrote after the end is a new turn with limits of its own.
 *
 * @returns whether it ordered the end
 */
async function orderRestart(
  deps: CaseDependencies,
  ended: readonly OrderView[],
  read: Read,
  queued: boolean,
): Promise<boolean> {
  const policies = new Set<string>();
  let ordered = false;
  for (const { result } of ended) {
    const { policy } = result.reason;
    if (policy === null || policies.has(policy)) continue;
    policies.add(policy);
    if (!queued && !beganWithTheEnd(result, read)) continue;
    const order = await deps.rules.onRestart(result, read);
    if (order === null) continue;
    const orderId = await deps.ledger.orders.create(order);
    const { sessionId, turnKey, reason } = order;
    deps.log.warn({ sessionId, turnKey, orderId, policy, reason: reason.text }, 'policy ordered the end of a turn');
    ordered = true;
  }
  return ordered;
}

/** A message that waited is sent as soon as the turn ends. */
function beganWithTheEnd({ endedAt }: OrderResult, { sighting }: Read): boolean {
  if (endedAt === null || sighting.turnStartedAtMs === null) return false;
  return sighting.turnStartedAtMs <= Date.parse(endedAt) + BY_ITSELF_MS;
}

/** @returns 0 where the vendor has no message queue (generation A) or won't show it */
async function messagesWaiting(sessions: SessionsClient, sessionId: string): Promise<number> {
  try {
    return (await sessions.listQueue(sessionId)).value.length;
  } catch (error) {
    if (error instanceof SessionsError && !error.retryable) return 0;
    throw error;
  }
}
