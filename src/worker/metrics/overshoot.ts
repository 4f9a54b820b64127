import type { Outcome } from '../../core/contract.js';
import type { SettledNews } from '../../adapters/ledger/news.js';
import { LIMIT_NAMES, type LimitName } from '../../core/policy/policy.js';

export interface Overshoot {
  readonly limit: LimitName;
  /** Ms, or credits. */
  readonly by: number;
  readonly unit: 'ms' | 'credits';
}

/** Outcomes by which a turn was seen to end after it was asked to. */
const ENDED: ReadonlySet<Outcome> = new Set<Outcome>(['cancelled', 'ended-unattributed']);

/**
 * How far past its limit a turn had gone when it was seen over, by the numbers that the order was given on. Counted from
 * the limit itself: a policy's grace is part of it.
 *
 * @returns null: no policy ended it, or the end, or what was spent by then, was not seen
 */
export function overshootOf({ outcome, reason, endedAtMs, seen }: SettledNews): Overshoot | null {
  if (reason === null || reason.policy === null || !ENDED.has(outcome)) return null;
  const limit = LIMIT_NAMES.find((name) => name === reason.limit?.['name']);
  const limitValue = numberOf(reason.limit?.['value']);
  const observed = numberOf(reason.observed?.['value']);
  if (limit === undefined || limitValue === null || observed === null) return null;

  switch (reason.observed?.['unit']) {
    case 'ms': {
      const reachedAtMs = Date.parse(String(reason.observed['limitReachedAt']));
      if (endedAtMs === null || Number.isNaN(reachedAtMs)) return null;
      return { limit, unit: 'ms', by: Math.max(0, endedAtMs - reachedAtMs) };
    }
    case 'credits': {
      const spentThen = numberOf(reason.observed['sessionCredits']);
      if (spentThen === null || seen?.sessionCredits == null) return null;
      const since = Math.max(0, seen.sessionCredits - spentThen);
      return { limit, unit: 'credits', by: Math.max(0, observed + since - limitValue) };
    }
    default:
      return null;
  }
}

const numberOf = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;
