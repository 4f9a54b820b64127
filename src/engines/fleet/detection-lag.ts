import type { Verdict } from '../../core/policy/assess.js';
import { limitReachedAtMs } from '../../core/policy/order-reason.js';
import type { Tracked } from './fleet.js';
import type { RulesInForce } from './rules-in-force.js';

/**
 * How long after its deadline the end of a turn was ordered, ms. The deadline is the moment at which the turn reached the time
 * limit, with the grace of the policy; but nobody can act before the policies are in force, or while the session is exempt.
 *
 * @param nowMs - vendor time when the order was written; null: not known
 * @returns null: the limit is on usage, which has no deadline
 */
export function detectionLagMs(
  { facts, exemptAtMs = -Infinity }: Pick<Tracked, 'facts' | 'exemptAtMs'>,
  { policy: name, reasons: [reason] }: Verdict,
  { policies, appliedAtMs }: Pick<RulesInForce, 'policies' | 'appliedAtMs'>,
  nowMs: number | null,
): number | null {
  const reachedAtMs = reason === undefined ? null : limitReachedAtMs(reason, facts);
  if (reachedAtMs === null || nowMs === null) return null;
  const graceMs = policies.find((policy) => policy.name === name)?.graceMs ?? 0;
  return Math.max(0, nowMs - Math.max(reachedAtMs + graceMs, appliedAtMs, exemptAtMs));
}
