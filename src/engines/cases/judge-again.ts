import type { OpenOrder } from '../../adapters/ledger/orders.js';
import type { Agent } from '../../adapters/vendor/index.js';
import type { VendorClock } from '../../adapters/vendor/vendor-clock.js';
import type { Facts } from '../../core/policy/facts.js';
import type { Policy } from '../../core/policy/policy.js';
import { stillViolates, type GateJudgement } from '../../core/policy/still-violates.js';
import type { Read } from './gate.js';
import { observationOf } from './read-observation.js';

/** What is known of a session before the gate's read. */
export interface Remembered {
  /** As of the last scan; null: nothing is known. */
  readonly facts: Facts | null;
  readonly agentId: string | null;
  readonly agent: Agent | null;
  /** Time between two looks at the session, ms. */
  readonly scanMs: number;
}

/**
 * Judges the order of a policy or a watch again, by what is remembered and the gate's read.
 *
 * @returns a text: why it can't be judged
 */
export function judgeAgain(
  vendorClock: Pick<VendorClock, 'at'>,
  { turnKey }: Pick<OpenOrder, 'turnKey'>,
  read: Read,
  { facts, agentId, agent, scanMs }: Remembered,
  policy: Policy,
): GateJudgement | string {
  // The order came after what it rests on was seen, and this read after the order, whatever this process knows of the
  // vendor's clock: it may be up to a second behind that of the process that ordered.
  const notBeforeMs = (facts?.timeline.seenAtMs ?? 0) + 1;
  const seen = observationOf(vendorClock, read, agentId, agent, notBeforeMs);
  if (seen === null) return 'The vendor’s answer carries no usable Date header, so nothing can be timed';
  const judged = stillViolates(facts, seen, policy, turnKey, seen.atMs, { scanMs });
  // A read that lags behind what was seen before is left out of the judgement, which is then about another turn.
  return judged.verdict.turnKey === read.sighting.turnKey
    ? judged
    : 'The read of the session shows an older turn than one before it did';
}
