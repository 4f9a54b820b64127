import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { OpenOrder } from '../../adapters/ledger/orders.js';
import type { RequestRow } from '../../adapters/ledger/request-row.js';
import { bindOrder } from '../../core/policy/binding.js';
import { conclude, type Conclusion } from '../../core/policy/conclusion.js';
import { viewOf, type OrderedTurn, type Sighting } from '../../core/policy/sighting.js';
import type { CaseDependencies } from './case.js';
import type { Read } from './gate.js';
import type { RuleVerdict } from './rules.js';

/** An order with all that a pass has found out about it. */
export interface Known {
  readonly order: OpenOrder;
  readonly turn: OrderedTurn;
  readonly sent: readonly RequestRow[];
  readonly conclusion: Conclusion;
  /** What the rules in force say about the turn that the read showed; null: none stand behind the order, or none were asked. */
  readonly verdict: RuleVerdict | null;
  /** The session runs another turn than the ordered one, and the same policy has not ordered its end yet. */
  readonly mayFollow: boolean;
}

/**
 * Gathers what a decision needs, each thing once. Only reads.
 *
 * @param sightings - this pass's read and those before it
 * @param confirming - the confirm window is open
 * @param asksRules - a request may leave in this pass, so those who ordered by a rule are asked whether it still holds
 * @param unlistedAtMs - of a complete list without the session; see {@link conclude}
 */
export async function gather(
  deps: CaseDependencies,
  orders: readonly OpenOrder[],
  read: Read,
  sightings: readonly Sighting[],
  {
    confirming,
    asksRules,
    unlistedAtMs = null,
  }: { readonly confirming: boolean; readonly asksRules: boolean; readonly unlistedAtMs?: number | null },
): Promise<Known[]> {
  const known: Known[] = [];
  for (const order of orders) {
    const turn: OrderedTurn = order.turnFixed
      ? { key: order.turnKey, startedAtMs: order.turnStartedAtMs }
      : bindOrder(order, read.sighting, read.times);
    const sent = await requestsFor(deps, order.sessionId, turn, order.orderedAtMs);
    const conclusion = conclude(turn, sent, sightings, confirming, unlistedAtMs !== null);
    const follows = order.source === 'policy' && order.turnFixed && viewOf(read.sighting, turn) === 'newer-in-flight';
    const asks = asksRules && (conclusion.kind === 'send' || follows);
    const verdict = asks ? await judgeByRules(deps, order, read) : null;
    // Several older turns of one policy lead to the same newer one.
    const isFollowed = known.some((one) => one.mayFollow && one.order.policy === order.policy);
    const mayFollow =
      follows && verdict?.kind === 'send' && !isFollowed && !(await isOrderedToo(deps, order, read.sighting.turnKey));
    known.push({ order, turn, sent, conclusion, verdict, mayFollow });
  }
  return known;
}

/** @returns null: no rule stands behind this order */
async function judgeByRules({ rules }: CaseDependencies, order: OpenOrder, read: Read): Promise<RuleVerdict | null> {
  if (order.source === 'policy') return rules.judge(order, read);
  return order.source === 'service' ? rules.judgeService(order, read) : null;
}

/** The end of the newer turn needs an order only where the same policy gave none. */
async function isOrderedToo(
  { ledger }: CaseDependencies,
  { sessionId, policy }: OpenOrder,
  turnKey: string | null,
): Promise<boolean> {
  return turnKey === null || (await ledger.orders.ofTurn(sessionId, turnKey)).some((one) => one.policy === policy);
}

/**
 * Requests for a turn, by whomever. What was sent before an earlier order on it was settled is that order's affair.
 *
 * @param orderedAtMs - of the order that asks
 */
export async function requestsFor(
  { ledger }: { readonly ledger: Pick<Ledger, 'orders' | 'requests'> },
  sessionId: string,
  turn: OrderedTurn,
  orderedAtMs: number,
): Promise<readonly RequestRow[]> {
  if (turn.key === null) return [];
  const settledAt = await ledger.orders.concludedBefore(sessionId, turn.key, orderedAtMs);
  return ledger.requests.forTurn(sessionId, turn.key, settledAt ?? 0, turn.startedAtMs);
}
