import { assessPolicy, type Verdict } from './assess.js';
import type { Facts } from './facts.js';
import { observe, type ObserveOptions } from './observe.js';
import type { Observation } from './observation.js';
import type { Policy } from './policy.js';
import { flightOf } from './state.js';

export interface GateJudgement {
  /**
   * - `yes`: the turn that the read showed breaks a limit, and the policy enforces it
   * - `no`: it breaks none, or the policy does not enforce any more
   * - `unknown`: what is known does not say; nothing may be ended on it
   */
  readonly violates: 'yes' | 'no' | 'unknown';
  /** The read showed the ordered turn as the last one. */
  readonly isOrderedTurn: boolean;
  readonly verdict: Verdict;
  /** With the read in them. They explain the verdict and are not stored: scans and looks see the session again. */
  readonly facts: Facts;
}

/**
 * Judges a policy's order again, on a fresh read at the gate, by the same rules as the first time.
 *
 * The ordered turn had its grace before it was ordered. Another turn is judged on its own, grace included.
 *
 * @param facts - what is known so far; null when nothing is
 * @param read - the retrieve at the gate
 * @param turnKey - of the ordered turn; null when the order names none
 * @param nowMs - vendor time, ms
 */
export function stillViolates(
  facts: Facts | null,
  read: Observation,
  policy: Policy,
  turnKey: string | null,
  nowMs: number,
  options: ObserveOptions,
): GateJudgement {
  const seen = observe(facts, read, options);
  const verdict = assessPolicy(seen, policy, nowMs, options);
  const isOrderedTurn = verdict.turnKey !== null && verdict.turnKey === turnKey;
  return { violates: answerOf(verdict, policy, isOrderedTurn, facts, seen), isOrderedTurn, verdict, facts: seen };
}

function answerOf(
  verdict: Verdict,
  policy: Policy,
  isOrderedTurn: boolean,
  before: Facts | null,
  { timeline }: Facts,
): GateJudgement['violates'] {
  if (policy.mode !== 'enforce') return 'no';
  if (verdict.kind === 'cancel') return 'yes';
  if (isOrderedTurn && verdict.note === 'in-grace') return 'yes';
  // The unknown holds an order back, but only on its own turn: another one that breaks nothing for certain lives.
  if (verdict.kind === 'undecided') return isOrderedTurn || verdict.turnKey === null ? 'unknown' : 'no';
  // Our own clock of unbroken processing is lost with the facts, and can't show that a limit is kept.
  const hasNoClock = before === null && policy.limits.max_continuous_runtime !== null;
  return hasNoClock && flightOf(timeline.state) === 'in-flight' && verdict.kind !== 'not-matching' ? 'unknown' : 'no';
}
