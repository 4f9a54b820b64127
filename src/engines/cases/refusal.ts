import type { OpenOrder } from '../../adapters/ledger/orders.js';
import type { SessionsError } from '../../adapters/vendor/index.js';
import { refusedIn } from '../../core/policy/meaning.js';
import { joinedRefusals, noteRefusal, settlesOrder, type Refusal } from '../../core/policy/refusals.js';
import { TryAgain } from '../../core/try-again.js';
import type { CaseDependencies } from './case.js';
import { tryAgain, waitAfter } from './waits.js';

/** The refusal that settles orders, and all that were met. */
export interface MetRefusal {
  readonly refusal: Refusal;
  readonly refusals: readonly Refusal[];
}

/**
 * A call about a session failed. One refusal settles nothing, and a refused account is not about the session: then, and after
 * every other failure, it is tried again after a wait.
 *
 * @param orders - open orders on the session
 * @returns the refusal that settles the orders that it was for
 * @throws TryAgain
 */
export async function meetFailure(
  deps: CaseDependencies,
  orders: readonly Pick<OpenOrder, 'refusals'>[],
  error: SessionsError,
  failures: number,
): Promise<MetRefusal> {
  const refused = refusedIn(error);
  if (refused === null) throw await tryAgain(deps, error, failures);
  const nowMs = await deps.ledger.now();
  const met = noteRefusal(joinedRefusals(orders.map(({ refusals }) => refusals)), refused, nowMs);
  const { refusal, refusals } = met;
  const forMs = nowMs - refusal.sinceMs;
  const concernsAccount = await deps.account.concernsAccount(error, forMs);
  if (concernsAccount !== false) throw await tryAgain(deps, error, failures, concernsAccount);
  if (settlesOrder(refusal, deps.timing.refusedForMs)) return met;
  // A read that is refused while others come through is not the API's outage, and its time counts.
  const keyWorks = error.kind === 'forbidden' || error.accountWide;
  const isItsOwn = refused.on === 'cancel' || keyWorks || (refusal.times > 1 && deps.account.acceptedWithin(forMs));
  const reason = isItsOwn ? 'Refused' : 'ApiUnavailable';
  throw new TryAgain(reason, error.message, waitAfter(deps, error, failures), refusals);
}
