import type { OpenOrder } from '../ledger/orders.js';
import type { Sighting } from '../policy/sighting.js';

/**
 * What the policies in force say about an order at the gate.
 *
 * - `send`: it may leave
 * - `no-longer-violating`: the fresh read clears the session
 * - `capped`: the policy has used up its cap for now
 * - `unknown`: the policy, or the version that ordered, is not known here; nothing is ended on a guess
 */
export type RuleVerdict = 'send' | 'no-longer-violating' | 'capped' | 'unknown';

/** Asked for each order that a policy gave, before each request. */
export interface PolicyRules {
  judge(order: OpenOrder, sighting: Sighting): Promise<RuleVerdict>;
}

/** For a worker that has no policy in force: it holds policy orders, because it can't judge them again. */
export const noPoliciesInForce: PolicyRules = { judge: () => Promise.resolve('unknown') };
