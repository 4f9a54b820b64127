import type { OrderReason } from '../contract.js';
import type { Reason, Verdict } from './assess.js';
import type { Facts } from './facts.js';

/** The reason of an order: all that explains it later, when the facts have moved on. */
export function orderReasonOf(verdict: Verdict, facts: Facts, version: number): OrderReason {
  const reason = verdict.reasons[0];
  return {
    text: verdict.reasons
      .filter(({ level }) => level === 'broken')
      .map(({ text }) => text)
      .join('; '),
    policy: verdict.policy,
    policyVersion: version,
    limit: reason === undefined ? null : { name: reason.limit, value: reason.limitValue, unit: reason.unit },
    observed:
      reason === undefined
        ? null
        : {
            value: reason.observed,
            errorBound: reason.errorBound,
            unit: reason.unit,
            seenAt: iso(facts.timeline.turn?.confirmedAtMs ?? facts.timeline.seenAtMs),
            brokenSince: reason.brokenAtMs === null ? null : iso(reason.brokenAtMs),
            turnStartedAt: verdict.turnStartedAtMs === null ? null : iso(verdict.turnStartedAtMs),
            ...asOf(reason, facts),
          },
  };
}

/** From where on the turn was over its limit: a time, or what the session had spent in all when that was seen. */
function asOf(reason: Reason, facts: Facts): Record<string, unknown> {
  const reachedAtMs = limitReachedAtMs(reason, facts);
  if (reachedAtMs !== null) return { limitReachedAt: iso(reachedAtMs) };
  return reason.unit === 'credits' ? { sessionCredits: facts.timeline.credits } : {};
}

/** When a time limit was reached by the clock that was judged by, vendor's time in ms; null: it is no time, or not known. */
export function limitReachedAtMs({ unit, observed, limitValue }: Reason, { timeline }: Facts): number | null {
  return unit !== 'ms' || observed === null ? null : timeline.seenAtMs - (observed - limitValue);
}

const iso = (ms: number): string => new Date(ms).toISOString();
