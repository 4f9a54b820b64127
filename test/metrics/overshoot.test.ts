import { describe, expect, it } from '@jest/globals';
import type { OrderReason } from '../../src/core/contract.js';
import { detectionLagMs } from '../../src/engines/fleet/detection-lag.js';
import type { Facts } from '../../src/core/policy/facts.js';
import type { Verdict } from '../../src/core/policy/assess.js';
import type { SettledNews } from '../../src/adapters/ledger/news.js';
import { overshootOf } from '../../src/worker/metrics/overshoot.js';

const REACHED = Date.UTC(2026, 0, 5, 12, 0, 0);
const SECOND = 1_000;
const MINUTE = 60 * SECOND;

const reason = (limit: object, observed: object): OrderReason => ({
  ...{ text: null, policy: 'rule', policyVersion: 1 },
  limit: { ...limit },
  observed: { ...observed },
});
const BY_TIME = reason(
  { name: 'max_runtime', value: 10 * MINUTE, unit: 'ms' },
  { value: 11 * MINUTE, unit: 'ms', limitReachedAt: new Date(REACHED).toISOString() },
);
const BY_CREDITS = reason(
  { name: 'max_credits', value: 100, unit: 'credits' },
  { value: 120, unit: 'credits', sessionCredits: 500 },
);
const settled = (more: Partial<SettledNews> = {}): SettledNews => ({
  ...{ by: 'policy', outcome: 'cancelled', attribution: 'strong', reason: BY_TIME, endedAtMs: REACHED + 70 * SECOND },
  seen: { confirmedAfterMs: 2_000, sessionCredits: 507.5 },
  ...more,
});

describe('overshoot', () => {
  it('in time counts from the limit to when the turn was seen over', () => {
    expect(overshootOf(settled())).toEqual({ limit: 'max_runtime', unit: 'ms', by: 70 * SECOND });
  });

  it('in credits is what was over when it was ordered, and what was spent since', () => {
    expect(overshootOf(settled({ reason: BY_CREDITS }))).toEqual({ limit: 'max_credits', unit: 'credits', by: 27.5 });
  });

  it.each<[string, Partial<SettledNews>]>([
    ['the end was not seen', { endedAtMs: null }],
    ['the turn was not ended', { outcome: 'already-ended' }],
    ['nobody ordered it by a policy', { reason: { ...BY_TIME, policy: null } }],
    ['a bulk job settled it', { reason: null }],
    ['it was ordered because the session started again', { reason: { ...BY_TIME, limit: { name: 'on_restart' } } }],
    ['an older version wrote the order', { reason: reason(BY_TIME.limit ?? {}, { value: 1, unit: 'ms' }) }],
    ['nobody knows what was spent', { reason: BY_CREDITS, seen: { confirmedAfterMs: null, sessionCredits: null } }],
    ['tokens are counted', { reason: reason({ name: 'max_tokens', value: 1 }, { value: 2, unit: 'tokens' }) }],
  ])('is not told when %s', (_why, more) => {
    expect(overshootOf(settled(more))).toBeNull();
  });
});

describe('the lag of detection', () => {
  const seenAtMs = REACHED + MINUTE;
  const facts = { timeline: { seenAtMs } } as Facts;
  const verdict = (unit: 'ms' | 'credits') =>
    ({ policy: 'rule', reasons: [{ unit, observed: 11 * MINUTE, limitValue: 10 * MINUTE }] }) as unknown as Verdict;
  const rules = (graceMs: number, appliedAtMs = 0) =>
    ({ policies: [{ name: 'rule', graceMs }], appliedAtMs }) as unknown as Parameters<typeof detectionLagMs>[2];
  const now = REACHED + 61 * SECOND;

  it('counts from the moment at which the limit was reached', () => {
    expect(detectionLagMs({ facts }, verdict('ms'), rules(0), now)).toBe(61 * SECOND);
  });

  it('counts from the end of grace', () => {
    expect(detectionLagMs({ facts }, verdict('ms'), rules(MINUTE), now)).toBe(SECOND);
  });

  it('counts from when the policies were applied, or the exemption ended: nobody can act before', () => {
    expect(detectionLagMs({ facts }, verdict('ms'), rules(0, REACHED + 50 * SECOND), now)).toBe(11 * SECOND);
    const exempt = { facts, exemptAtMs: REACHED + 58 * SECOND };
    expect(detectionLagMs(exempt, verdict('ms'), rules(0), now)).toBe(3 * SECOND);
  });

  it('is not told where there is no deadline, or no time', () => {
    expect(detectionLagMs({ facts }, verdict('credits'), rules(0), now)).toBeNull();
    expect(detectionLagMs({ facts }, verdict('ms'), rules(0), null)).toBeNull();
  });
});
