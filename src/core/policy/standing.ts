import { assessPolicy, type AssessOptions, type Verdict } from './assess.js';
import type { Facts } from './facts.js';
import { readLimits } from './limits.js';
import type { LimitName, Policy } from './policy.js';
import type { Level, LimitUnit, Reading } from './reading.js';

/** Where one limit stands for one session at this moment. */
export interface LimitStanding {
  readonly limit: LimitName;
  readonly unit: LimitUnit;
  readonly limitValue: number;
  /** What was seen, and the time that went by since. Null: not known. */
  readonly observed: number | null;
  /** Until the limit, never negative, in `unit`. Null: not known. */
  readonly left: number | null;
  /**
   * The least that may be left, in `unit`: the turn may have begun, or spent, before it was first seen. The same as `left`
   * where that is known. Null: not known.
   */
  readonly leastLeft: number | null;
  /** Observed of the limit: 1 is the limit. 0 when nothing is known. */
  readonly share: number;
  readonly level: Level;
}

/** What one policy says about one session, and how far it is from its limits. */
export interface PolicyStanding {
  readonly policy: Policy;
  readonly verdict: Verdict;
  /** Limits that the session can break in its state, the nearest first. */
  readonly limits: readonly LimitStanding[];
  /**
   * Vendor time, ms, at which the turn would be over a time limit and grace at the earliest, if nothing changes; the present
   * when it is now. Null: no such time is known. Usage has none.
   */
  readonly endsAtMs: number | null;
}

export function standingsOf(
  facts: Facts,
  policies: readonly Policy[],
  nowMs: number,
  options: AssessOptions,
): PolicyStanding[] {
  return policies.map((policy) => {
    const verdict = assessPolicy(facts, policy, nowMs, options);
    const applies = verdict.kind !== 'not-matching' && verdict.note !== 'match-unknown';
    const limits = applies
      ? readLimits(facts, policy, nowMs, options.scanMs).map((reading) => limitStanding(reading, facts, nowMs))
      : [];
    limits.sort((a, b) => b.share - a.share);
    return { policy, verdict, limits, endsAtMs: endsAt(verdict, policy, limits, nowMs) };
  });
}

/** Of the policies that may be about a session, the most urgent first. */
export const standingsAbout = (
  facts: Facts,
  policies: readonly Policy[],
  nowMs: number,
  options: AssessOptions,
): PolicyStanding[] =>
  standingsOf(facts, policies, Math.max(nowMs, facts.timeline.seenAtMs), options)
    .filter(({ verdict }) => verdict.kind !== 'not-matching')
    .sort(compareStandings);

function limitStanding(reading: Reading, { timeline }: Facts, nowMs: number): LimitStanding {
  const { limit, unit, limitValue, level, doubt, errorBound } = reading;
  // Where the start was seen, a limit counts from there, whatever the error bound says; else from the earliest start.
  const startUnknown = doubt === 'turn-not-named' || doubt === 'no-baseline';
  const leastLeft = (left: number): number | null => {
    if (!startUnknown) return Math.max(0, left);
    return errorBound === null ? null : Math.max(0, left - errorBound);
  };
  const passed = unit === 'ms' ? Math.max(0, nowMs - timeline.seenAtMs) : 0;
  const observed = reading.observed === null ? null : reading.observed + passed;
  return {
    limit,
    unit,
    limitValue,
    observed,
    left: observed === null ? null : Math.max(0, limitValue - observed),
    leastLeft: observed === null ? null : leastLeft(limitValue - observed),
    share: observed === null ? 0 : observed / limitValue,
    level,
  };
}

function endsAt(
  { kind, note, reasons }: Verdict,
  policy: Policy,
  limits: readonly LimitStanding[],
  nowMs: number,
): number | null {
  if (kind === 'cancel') return nowMs;
  if (note !== null && note !== 'in-grace') return null;
  const broken = reasons.flatMap(({ brokenAtMs }) => (brokenAtMs === null ? [] : [brokenAtMs]));
  if (broken.length > 0) return Math.max(nowMs, Math.min(...broken) + policy.graceMs);
  const left = limits.flatMap((limit) =>
    limit.unit === 'ms' && limit.left !== null ? [limit.leastLeft ?? limit.left] : [],
  );
  return left.length === 0 ? null : nowMs + Math.min(...left) + policy.graceMs;
}

/** Sorts by urgency: what is over its limits, in grace, near; then by how much of a limit is used up. */
export function compareStandings(a: PolicyStanding, b: PolicyStanding): number {
  return rank(a.verdict) - rank(b.verdict) || (b.limits[0]?.share ?? 0) - (a.limits[0]?.share ?? 0);
}

/** Enforcing before observing: what will really end comes first. */
const rank = ({ kind, note, would }: Verdict): number => {
  if (kind === 'cancel') return would ? 1 : 0;
  if (note === 'in-grace') return 2;
  if (kind === 'warn') return 3;
  if (note === 'exempt') return 5;
  return kind === 'not-matching' ? 6 : 4;
};
