import type { LimitStanding, PolicyStanding } from '../core/policy/standing.js';
import { amountText, durationText } from '../core/policy/reason.js';
import type { LimitUnit } from '../core/policy/reading.js';
import { span } from './output.js';
import { iso } from '../core/times.js';

/** What a policy says about a session, in one or two words for a table. */
export function verdictName({ verdict: { kind, note, would } }: PolicyStanding): string {
  if (kind === 'cancel') return would ? 'would end' : 'end';
  if (note === 'in-grace') return 'in grace';
  if (note === 'exempt') return 'exempt';
  if (kind === 'warn') return 'warn';
  if (kind === 'undecided') return 'undecided';
  return kind === 'not-matching' ? 'not matching' : 'keep';
}

/** Why: the reasons of the verdict, else how far the nearest limit is. */
export function whyWords({ verdict, limits }: PolicyStanding): string {
  const [reason] = verdict.reasons;
  if (reason !== undefined) return reason.text;
  switch (verdict.note) {
    case 'match-unknown':
      return 'unknown whether the policy matches it';
    case 'state-unknown':
      return 'its state is unknown';
    case 'at-rest':
      return 'no turn runs';
    case 'paused':
      return 'waits for a person';
    default: {
      const [nearest] = limits;
      return nearest === undefined ? 'no limit counts in this state' : limitWords(nearest);
    }
  }
}

/** "has run 12m of 45m" */
export function limitWords({ limit, unit, observed, limitValue }: LimitStanding): string {
  const seen = observed === null ? 'unknown' : amount(observed, unit);
  return `${limit} ${seen} of ${amount(limitValue, unit)}`;
}

/** What is left until the turn would end: a time where one is known, else an amount. */
export function leftWords({ verdict, limits, endsAtMs }: PolicyStanding, nowMs: number): string {
  if (verdict.kind === 'cancel') return verdict.would ? 'over' : 'now';
  if (verdict.note === 'exempt' || verdict.note === 'at-rest' || verdict.note === 'paused') return '';
  const [nearest] = limits;
  if (verdict.note === 'in-grace') return endsAtMs === null ? '?' : span(endsAtMs - nowMs);
  return nearest === undefined ? '' : limitLeft(nearest);
}

/** "12 min"; "3 to 12 min" where the turn may have begun unseen; "≤ 12 min" where nobody can tell how long before. */
export function limitLeft({ left, leastLeft, unit }: LimitStanding): string {
  if (left === null) return '?';
  const say = (value: number): string => (unit === 'ms' ? span(value) : amount(value, unit));
  if (leastLeft === null) return `≤ ${say(left)}`;
  return say(leastLeft) === say(left) ? say(left) : `${say(leastLeft)} to ${say(left)}`;
}

/** Times without the last digits that nobody reads. */
export const amount = (value: number, unit: LimitUnit): string =>
  unit === 'ms' ? durationText(value >= 10_000 ? Math.floor(value / 1_000) * 1_000 : value) : amountText(value, unit);

/** A policy's word on a session, as `--json` has it. Times are ISO 8601; amounts are in `unit`, of which `ms` is one. */
export const standingDocument = ({ policy, verdict, limits, endsAtMs }: PolicyStanding): Record<string, unknown> => ({
  policy: policy.name,
  mode: policy.mode,
  kind: verdict.kind,
  would: verdict.would,
  note: verdict.note,
  turnKey: verdict.turnKey,
  reasons: verdict.reasons.map((reason) => ({
    limit: reason.limit,
    level: reason.level,
    observed: reason.observed,
    limitValue: reason.limitValue,
    unit: reason.unit,
    errorBound: reason.errorBound,
    brokenSince: iso(reason.brokenAtMs),
    text: reason.text,
  })),
  limits: limits.map(({ limit, unit, observed, limitValue, left, leastLeft, level }) => ({
    limit,
    unit,
    observed,
    limitValue,
    left,
    leastLeft,
    level,
  })),
  endsAt: iso(endsAtMs),
});
