import type { EventToRecord } from '../../adapters/ledger/ledger.js';
import type { OrderView } from '../../adapters/ledger/results.js';
import { ENDED_BY_REQUEST } from '../../adapters/ledger/ended-turns.js';
import { SessionsError, type SessionsClient } from '../../adapters/vendor/index.js';
import type { OrderResult, Outcome } from '../../core/contract.js';
import { flightOf } from '../../core/policy/state.js';
import type { CaseDependencies } from './case.js';
import type { Read } from './gate.js';
import type { WrittenOrder } from './open-case.js';

/** Outcomes after which a session may start again by itself: up to 20 queued messages are sent when a turn ends. */
const WATCHED: ReadonlySet<Outcome> = new Set<Outcome>(ENDED_BY_REQUEST);
/** A turn that began so soon after the end was not typed by anybody who had seen it, ms. */
const BY_ITSELF_MS = 10_000;
/** An end longer ago than this is no reason to watch, ms. */
const RECENT_MS = 15 * 60_000;

type RestartDependencies = Pick<CaseDependencies, 'ledger' | 'log' | 'rules'>;

/** Orders that ended a turn of the session a short time ago, newest first. @throws LedgerUnavailableError */
export async function endedLately(
  { ledger }: Pick<CaseDependencies, 'ledger'>,
  sessionId: string,
): Promise<OrderView[]> {
  const since = (await ledger.now()) - RECENT_MS;
  return (await ledger.orders.views({ sessionId, limit: 50 })).filter(
    ({ result, decidedAtMs }) => result.outcome !== null && WATCHED.has(result.outcome) && (decidedAtMs ?? 0) > since,
  );
}

/**
 * Reports, on each order that ended a turn, that the session has started another one, and orders the end of that where a policy
 * says so.
 *
 * @param ended - as {@link endedLately} has them
 * @param queued - messages waited when the turn ended
 * @param holder - the worker that carries out what is ordered; left out: a case does
 * @returns null: it has not started again; else the orders that were given
 * @throws LedgerUnavailableError
 */
export async function noteRestart(
  { ledger, log, rules }: RestartDependencies,
  ended: readonly OrderView[],
  read: Read,
  queued: boolean,
  holder: string | null = null,
): Promise<WrittenOrder[] | null> {
  const { sighting } = read;
  // An ended turn in flight again is the vendor's stale read, not a restart.
  const anotherTurn = ended.every(({ result }) => result.turnKey !== sighting.turnKey);
  if (flightOf(sighting.state) !== 'in-flight' || !anotherTurn) return null;
  const events = ended
    .filter(({ result }) => !result.events.some((event) => event.kind === 'restarted'))
    .map(({ orderId, result: { sessionId } }): EventToRecord => ({
      ...{ kind: 'restarted', sessionId, orderId },
      data: { turnKey: sighting.turnKey, state: sighting.state },
    }));
  await ledger.recordEvents(events);
  for (const { sessionId, orderId } of events) {
    log.warn({ sessionId, orderId, turnKey: sighting.turnKey }, 'session started again after its end');
  }
  return orderRestart({ ledger, log, rules }, ended, read, queued, holder);
}

/**
 * What to do about a restart is a policy's choice; the newest order that it gave decides. Only what started by itself is
 * meant: a message that waited in the queue. One that somebody wrote after the end is a new turn with limits of its own.
 */
async function orderRestart(
  { ledger, log, rules }: RestartDependencies,
  ended: readonly OrderView[],
  read: Read,
  queued: boolean,
  holder: string | null,
): Promise<WrittenOrder[]> {
  const policies = new Set<string>();
  const orders: WrittenOrder[] = [];
  for (const { result } of ended) {
    const { policy } = result.reason;
    if (policy === null || policies.has(policy)) continue;
    policies.add(policy);
    if (!queued && !(await beganWithTheEnd({ ledger }, result, read))) continue;
    const order = await rules.onRestart(result, read);
    if (order === null) continue;
    const orderId = await ledger.orders.create({ ...order, ...(holder === null ? {} : { holder }) });
    const { sessionId, turnKey, reason } = order;
    log.warn({ sessionId, turnKey, orderId, policy, reason: reason.text }, 'policy ordered the end of a turn');
    orders.push({ orderId, sessionId });
  }
  return orders;
}

/**
 * A message that waited is sent as soon as the turn ends. That is when the request was answered: its end may have been seen much later,
 * when a list no longer had the session.
 */
async function beganWithTheEnd(
  { ledger }: Pick<CaseDependencies, 'ledger'>,
  { sessionId, turnKey, endedAt }: OrderResult,
  { sighting }: Read,
): Promise<boolean> {
  if (endedAt === null || turnKey === null || sighting.turnStartedAtMs === null) return false;
  const sent = await ledger.requests.forTurn(sessionId, turnKey, 0, null);
  const answeredAts = sent.flatMap(({ answer, answeredAtMs }) =>
    answer === 'refused' || answeredAtMs === null ? [] : [answeredAtMs],
  );
  return (
    sighting.turnStartedAtMs <= Math.min(Date.parse(endedAt), Math.max(...answeredAts, 0) || Infinity) + BY_ITSELF_MS
  );
}

/**
 * Leaves word of messages that wait in the queue of a session whose turn was ended: they start it again.
 *
 * @returns whether there are any; false where the vendor has no message queue (generation A), or won't show it
 * @throws SessionsError when it may tell at another try
 */
export async function noteQueue(
  {
    ledger,
    limiter,
    sessions,
  }: Pick<CaseDependencies, 'ledger' | 'limiter'> & { readonly sessions: Pick<SessionsClient, 'listQueue'> },
  sessionId: string,
  ended: readonly OrderView[],
): Promise<boolean> {
  await limiter.acquire('confirm');
  const messages = await messagesWaiting(sessions, sessionId);
  if (messages === 0) return false;
  const kind = 'queued-messages-waiting';
  await ledger.recordEvents(ended.map(({ orderId }) => ({ kind, sessionId, orderId, data: { messages } })));
  return true;
}

async function messagesWaiting(sessions: Pick<SessionsClient, 'listQueue'>, sessionId: string): Promise<number> {
  try {
    return (await sessions.listQueue(sessionId)).value.length;
  } catch (error) {
    if (error instanceof SessionsError && !error.retryable) return 0;
    throw error;
  }
}
