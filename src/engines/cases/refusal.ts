import type { EventToRecord } from '../../adapters/ledger/ledger.js';
import type { OpenOrder } from '../../adapters/ledger/orders.js';
import { backoffMs } from '../../core/policy/backoff.js';
import {
  FOR_NOW,
  joinedRefusals,
  noteRefusal,
  settlesOrder,
  type Refusal,
  type Refused,
} from '../../core/policy/refusals.js';
import type { SessionsError, SessionsErrorKind } from '../../adapters/vendor/index.js';
import type { CaseDependencies } from './case.js';
import { honouredMs } from '../../adapters/vendor/hold.js';
import { TryAgain } from '../../core/try-again.js';
import { tryAgain } from './waits.js';

/** Kinds of failure that refuse a call as it is. A session that a read does not find is no failure, but a sighting. */
const REFUSES: ReadonlySet<SessionsErrorKind> = new Set([
  'forbidden',
  'account-forbidden',
  'unauthorized',
  'refused-for-now',
  'bad-request',
  'not-found',
]);

/** What a failed call refused for its session; null: it failed in another way, or was never sent. */
export function refusedIn({ kind, operation, status, code }: SessionsError): Refused | null {
  if (!REFUSES.has(kind) || status === null) return null;
  if (operation !== 'retrieveSession' && operation !== 'cancelSession') return null;
  const on = operation === 'cancelSession' ? 'cancel' : 'read';
  return { on, status, code: kind === 'refused-for-now' ? FOR_NOW : code };
}

/** The refusal that settles orders, and all that were met. */
export interface MetRefusal {
  readonly refusal: Refusal;
  readonly refusals: readonly Refusal[];
}

/**
 * A call about a session was refused. One refusal settles nothing, and a refused account is not about the session: then it is
 * tried again after a wait.
 *
 * @param orders - open orders on the session
 * @returns the refusal that settles the orders that it was for
 * @throws TryAgain
 */
export async function meetRefusal(
  deps: CaseDependencies,
  orders: readonly Pick<OpenOrder, 'refusals'>[],
  refused: Refused,
  error: SessionsError,
  failures: number,
): Promise<MetRefusal> {
  const nowMs = await deps.ledger.now();
  const noted = noteRefusal(joinedRefusals(orders.map(({ refusals }) => refusals)), refused, nowMs);
  const { refusal, refusals } = noted;
  const forMs = nowMs - refusal.sinceMs;
  const concernsAccount = await deps.account.concernsAccount(error, forMs);
  if (concernsAccount !== false) throw await tryAgain(deps, error, failures, concernsAccount);
  if (settlesOrder(refusal, deps.timing.refusedForMs)) return noted;

  const backoff = backoffMs(failures + 1, deps.timing.retryCapMs, deps.random());
  // A read that is refused while others come through is not the API's outage, and its time counts.
  const keyWorks = error.kind === 'forbidden' || error.accountWide;
  const isItsOwn = refused.on === 'cancel' || keyWorks || (refusal.times > 1 && deps.account.acceptedWithin(forMs));
  const afterMs = Math.max(honouredMs(error), backoff);
  throw new TryAgain(isItsOwn ? 'Refused' : 'ApiUnavailable', error.message, afterMs, refusals);
}

/** What is told of an order that a refusal settled. */
export const forbiddenEvent = (about: { sessionId: string; orderId: string }, refusal: Refusal): EventToRecord => ({
  ...about,
  kind: 'forbidden',
  data: {
    on: refusal.on,
    status: refusal.status,
    code: refusal.code,
    times: refusal.times,
    since: new Date(refusal.sinceMs).toISOString(),
  },
});
