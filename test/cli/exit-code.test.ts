import { describe, expect, it } from '@jest/globals';
import { exitCodeOf } from '../../src/cli/commands/cancel.js';
import { OUTCOMES, type OrderResult, type Outcome } from '../../src/core/contract.js';

const results = (...outcomes: (Outcome | null)[]): OrderResult[] =>
  outcomes.map((outcome) => ({
    sessionId: 'sess_1',
    agentId: null,
    turnKey: null,
    outcome,
    attribution: null,
    reason: { text: null, policy: null, policyVersion: null, limit: null, observed: null },
    requestedBy: 'someone@example.com',
    attempts: 0,
    orderedAt: '2026-01-01T00:00:00.000Z',
    endedAt: null,
    lastError: null,
    events: [],
  }));

describe('the exit code of cancel --wait', () => {
  const expected: Record<Outcome, number> = {
    cancelled: 0,
    'already-ended': 0,
    'ended-unattributed': 0,
    superseded: 0,
    'no-longer-violating': 0,
    exempted: 3,
    capped: 3,
    'not-in-flight': 5,
    gone: 5,
    forbidden: 5,
    'retries-exhausted': 5,
    abandoned: 5,
  };

  it.each(OUTCOMES)('%s', (outcome) => expect(exitCodeOf(results(outcome))).toBe(expected[outcome]));

  it('is 5 while an order is open', () => expect(exitCodeOf(results('cancelled', null))).toBe(5));

  it('is 3 when a rule refused one of many', () => {
    expect(exitCodeOf(results('cancelled', 'exempted', 'gone'))).toBe(3);
  });
});
