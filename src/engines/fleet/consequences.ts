import type { EventToRecord } from '../../adapters/ledger/ledger.js';
import type { Assessment, Reason, Verdict } from '../../core/policy/assess.js';
import type { Facts } from '../../core/policy/facts.js';
import type { RulesInForce } from './rules-in-force.js';

/** What follows from an assessment. */
export interface Consequences {
  /** Said for the first time: warnings, and what a policy would end if it enforced. */
  readonly events: readonly EventToRecord[];
  /** Verdicts by which the turn is to be ended now. New or not: whether there is an order already, the ledger knows. */
  readonly cancels: readonly Verdict[];
}

export function consequencesOf(
  sessionId: string,
  facts: Facts,
  { verdicts }: Assessment,
  rules: RulesInForce,
): Consequences {
  const events: EventToRecord[] = [];
  const cancels: Verdict[] = [];
  for (const verdict of verdicts) {
    if (verdict.kind === 'cancel' && !verdict.would) cancels.push(verdict);
    else if (verdict.isNew && verdict.kind === 'warn') {
      events.push({ kind: 'warned', sessionId, data: newsOf(facts, verdict, rules) });
    } else if (verdict.isNew && verdict.kind === 'cancel') {
      events.push({ kind: 'would-end', sessionId, data: newsOf(facts, verdict, rules) });
    }
  }
  return { events, cancels };
}

/** What people need to know of a verdict: rule, version, numbers, and whose session it is. */
function newsOf({ subject }: Facts, verdict: Verdict, rules: RulesInForce): Record<string, unknown> {
  const reason = verdict.reasons[0];
  const policy = rules.policies.find(({ name }) => name === verdict.policy);
  const graceUntilMs =
    verdict.note === 'in-grace' && reason?.brokenAtMs != null && policy !== undefined
      ? reason.brokenAtMs + policy.graceMs
      : null;
  return {
    policy: verdict.policy,
    policyVersion: rules.version,
    mode: verdict.mode,
    ...(rules.open.has(verdict.policy) ? { breaker: 'open' } : {}),
    turnKey: verdict.turnKey,
    agentId: subject.agentId,
    agentName: subject.agentName,
    ...(reason === undefined ? {} : numbersOf(reason)),
    ...(graceUntilMs === null ? {} : { graceUntil: new Date(graceUntilMs).toISOString() }),
  };
}

const numbersOf = ({ limit, text, observed, limitValue, unit, errorBound }: Reason): Record<string, unknown> => ({
  limit,
  text,
  observed,
  limitValue,
  unit,
  errorBound,
});
