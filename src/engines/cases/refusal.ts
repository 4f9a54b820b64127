import type { EventToRecord } from '../../adapters/ledger/ledger.js';
import type { OpenOrder } from '../../adapters/ledger/orders.js';
import type { SessionsError } from '../../adapters/vendor/index.js';
import { refusedIn } from '../../core/policy/meaning.js';
import { noteRefusal, settlesOrder, type Refusal } from '../../core/policy/refusals.js';
import { TryAgain } from '../../core/try-again.js';
import type { CaseDependencies } from './case.js';
import { settlementOf } from './decide.js';
import { requestsFor, type Known } from './gather.js';
import { tryAgain, waitAfter } from './waits.js';

type Concerned = Pick<Known, 'order' | 'turn'>;

/**
 * A call about a session failed. A refusal that has lasted settles the orders that it was for. One alone settles nothing, and a
 * refused account is not about the session: then, and after every other failure, it is tried again after a wait.
 *
 * @param about - the session, and what was refused for it until now
 * @throws TryAgain
 */
export async function meetFailure(
  deps: CaseDependencies,
  about: { readonly sessionId: string; readonly refusals: readonly Refusal[] },
  orders: readonly Concerned[],
  error: SessionsError,
  failures: number,
): Promise<void> {
  const refused = refusedIn(error);
  if (refused === null) throw await tryAgain(deps, error, failures);
  const nowMs = await deps.ledger.now();
  const { refusal, refusals } = noteRefusal(about.refusals, refused, nowMs);
  const forMs = nowMs - refusal.sinceMs;
  const concernsAccount = await deps.account.concernsAccount(error, forMs);
  if (concernsAccount !== false) throw await tryAgain(deps, error, failures, concernsAccount);
  if (settlesOrder(refusal, deps.timing.refusedForMs))
    return settleForbidden(deps, about.sessionId, orders, { refusal, refusals }, error);
  // A read that is refused while others come through is not the API's outage, and its time counts.
  const keyWorks = error.kind === 'forbidden' || error.accountWide;
  const isItsOwn = refused.on === 'cancel' || keyWorks || (refusal.times > 1 && deps.account.acceptedWithin(forMs));
  const reason = isItsOwn ? 'Refused' : 'ApiUnavailable';
  throw new TryAgain(reason, error.message, waitAfter(deps, error, failures), refusals);
}

/** The vendor refuses this session to us: no retry helps, someone has to give the key the right. */
async function settleForbidden(
  { ledger, log }: CaseDependencies,
  sessionId: string,
  orders: readonly Concerned[],
  { refusal, refusals }: ReturnType<typeof noteRefusal>,
  { message }: SessionsError,
): Promise<void> {
  const alone = !(await ledger.requests.acceptedForOthers(sessionId, refusal.sinceMs));
  const { on, status, code, times, sinceMs, lastMs } = refusal;
  const data = { on, status, code, times, since: new Date(sinceMs).toISOString() };
  const settlements = [];
  const events: EventToRecord[] = [];
  for (const { order, turn } of orders) {
    const sent = await requestsFor({ ledger }, sessionId, turn, order.orderedAtMs);
    settlements.push(settlementOf({ order, turn, sent }, 'forbidden'));
    if (!(await wasToldBefore(ledger, order))) events.push({ kind: 'forbidden', sessionId, orderId: order.id, data });
  }
  await ledger.orders.notePass(sessionId, {
    ...{ phase: 'attempting', nextTryAtMs: null, counts: true },
    error: { type: 'Refused', message, at: new Date(lastMs).toISOString() },
    refusals: refusals.map((one) => (one === refusal && alone ? { ...one, alone: true } : one)),
  });
  await ledger.orders.settle({ settlements, events, alertedOrderIds: [] });
  for (const { orderId } of settlements) {
    log.error({ sessionId, orderId }, `forbidden: the vendor refuses this session: ${message}`);
  }
}

/** A policy that orders the end of the same turn again is refused again, most likely: one alert is enough. */
async function wasToldBefore(
  ledger: CaseDependencies['ledger'],
  { id, sessionId, policy, turnKey }: OpenOrder,
): Promise<boolean> {
  if (policy === null || turnKey === null) return false;
  const earlier = await ledger.orders.ofTurn(sessionId, turnKey);
  return earlier.some((order) => order.id !== id && order.policy === policy && order.outcome === 'forbidden');
}
