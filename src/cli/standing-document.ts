import type { PolicyStanding } from '../core/policy/standing.js';

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

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
