import type { OrderReason, OrderResult } from '../../core/contract.js';
import type { PermitRequest } from '../../adapters/ledger/breakers.js';
import type { NewOrder, OpenOrder } from '../../adapters/ledger/orders.js';
import type { Read } from './gate.js';

/**
 * What the policies in force say about an order at the gate.
 *
 * - `send`: the turn that the read showed breaks the policy; it may leave, if the policy gets the permit that it needs
 * - `no-longer-violating`: the fresh read clears the session
 * - `unknown`: what is known does not say, or the policy is not known here; nothing is ended on a guess
 */
export type RuleVerdict =
  | { readonly kind: 'send'; readonly permit: PermitRequest | null; readonly reason: OrderReason }
  | { readonly kind: 'no-longer-violating' }
  | { readonly kind: 'unknown'; readonly why: string };

/** Asked for each order that a policy or a watch gave, before each request. */
export interface PolicyRules {
  /** About the turn that the read showed, whether it is the ordered one or not. @throws LedgerUnavailableError */
  judge(order: OpenOrder, read: Read): Promise<RuleVerdict>;
  /** The same for an order of a service. @returns null: it came from no watch, and nothing stands behind it to be asked again */
  judgeService(order: OpenOrder, read: Read): Promise<RuleVerdict | null>;
  /** A session whose turn was ended shows another one in flight. @returns the order to end that one too; null: it lives */
  onRestart(ended: OrderResult, read: Read): Promise<NewOrder | null>;
}

/** For a worker that has no policy in force: it holds policy orders, because it can't judge them again. */
export const noPoliciesInForce: PolicyRules = {
  judge: ({ policy }) =>
    Promise.resolve({
      kind: 'unknown',
      why: `The policy "${policy}" that ordered this is not in force here, so it can't be judged again`,
    }),
  judgeService: () => Promise.resolve(null),
  onRestart: () => Promise.resolve(null),
};

/** The order that a policy gives. @param reason - names it */
export const policyOrder = (
  sessionId: string,
  reason: OrderReason,
  { turnKey, turnStartedAtMs }: { readonly turnKey: string | null; readonly turnStartedAtMs: number | null },
): NewOrder => ({
  ...{ sessionId, source: 'policy', requestedBy: `policy ${reason.policy}`, reason },
  ...{ evenIfExempt: false, turnKey, turnStartedAtMs },
});
