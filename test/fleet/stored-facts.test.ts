import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { asOfLastScan } from '../../src/adapters/ledger/stored-facts.js';
import { isWorthStoring } from '../../src/core/policy/worth-storing.js';
import type { AgentScan, StoredFacts } from '../../src/adapters/ledger/facts.js';
import { assess } from '../../src/core/policy/assess.js';
import type { Facts } from '../../src/core/policy/facts.js';
import type { Observation } from '../../src/core/policy/observation.js';
import { observe } from '../../src/core/policy/observe.js';
import { absent, factsOf, HOUR, listed, MINUTE, policy, retrieved, SCAN, SECOND, T0 } from '../policy/observing.js';

/** The last complete scan of the agent. Time in ms after {@link T0}; null: there was none. */
const scanAt = (at: number | null): AgentScan => ({
  agentId: 'agent_a',
  name: 'Support',
  teamId: null,
  creatorId: null,
  atMs: at === null ? null : T0 + at,
  scanMs: SCAN.scanMs,
  live: 1,
  problem: null,
});

const stored = (facts: Facts, isListed = true): StoredFacts => ({
  sessionId: 'session-1',
  agentId: 'agent_a',
  listed: isListed,
  facts,
});

/** The session is not there, then its turn is seen from its beginning, and named by a retrieve. */
const WATCHED = [
  absent(0),
  listed(15 * SECOND, 'processing', 10),
  retrieved(20 * SECOND, 'processing', [['m1', 5 * SECOND]], 10),
];

describe('stored facts of a session that was listed ever since', () => {
  it('are as old as the last scan, not as their last change, and there was no gap', () => {
    const facts = asOfLastScan(stored(factsOf(...WATCHED)), scanAt(40 * MINUTE));
    expect(facts.timeline).toMatchObject({
      state: 'processing',
      seenAtMs: T0 + 40 * MINUTE,
      unbrokenSinceMs: T0 + 15 * SECOND,
      gapsMs: 0,
      credits: 10,
      turn: { key: 'm1' },
    });
  });

  it('are broken by the time in which nobody scanned after that', () => {
    const facts = asOfLastScan(stored(factsOf(...WATCHED)), scanAt(40 * MINUTE));
    const later = observe(facts, listed(50 * MINUTE, 'processing', 30), SCAN);
    expect(later.timeline).toMatchObject({ unbrokenSinceMs: T0 + 50 * MINUTE, gapsMs: 10 * MINUTE });
    const soon = observe(facts, listed(40 * MINUTE + 30 * SECOND, 'processing', 30), SCAN);
    expect(soon.timeline).toMatchObject({ unbrokenSinceMs: T0 + 15 * SECOND, gapsMs: 0 });
  });

  it('are not unsettled by a read that arrives out of order after them', () => {
    const facts = asOfLastScan(stored(factsOf(...WATCHED)), scanAt(40 * MINUTE));
    const newest = observe(facts, listed(40 * MINUTE + 15 * SECOND, 'processing', 30), SCAN);
    const withLate = observe(newest, listed(40 * MINUTE + 5 * SECOND, 'processing', 29), SCAN);
    expect(withLate.timeline).toEqual(newest.timeline);
    expect(observe(newest, listed(39 * MINUTE, 'completed', 29), SCAN)).toBe(newest);
  });
});

describe('stored facts stay as they are', () => {
  const facts = factsOf(...WATCHED);
  it.each<[string, StoredFacts, AgentScan | null]>([
    ['when the session was not listed', stored(facts, false), scanAt(40 * MINUTE)],
    ['when no scan is known', stored(facts), null],
    ['when no scan was ever complete', stored(facts), scanAt(null)],
    ['when the scan is older than they are', stored(facts), scanAt(19 * SECOND)],
    ['when the scan is just as old', stored(facts), scanAt(20 * SECOND)],
  ])('%s', (_when, given, scan) => {
    expect(asOfLastScan(given, scan)).toBe(facts);
  });
});

/** Follows sights as the service does: keeps the facts, and stores them when they have changed in a way that matters. */
function followed(sights: readonly Observation[]): { readonly full: Facts; readonly stored: Facts; writes: number } {
  const [first, ...rest] = sights;
  if (first === undefined) throw new Error('no sight');
  let full = observe(null, first, SCAN);
  let written = full;
  let writes = 1;
  for (const sight of rest) {
    full = observe(full, sight, SCAN);
    if (!isWorthStoring(written, full)) continue;
    written = full;
    writes += 1;
  }
  return { full, stored: written, writes };
}

describe('storing changes and the last scan', () => {
  const start = fc.constantFrom<readonly Observation[]>(
    [listed(0, 'processing', 10)],
    [listed(0, 'queued', 10)],
    [absent(-15 * SECOND), listed(0, 'processing', 10)],
    [listed(-15 * SECOND, 'queued', 5), listed(0, 'processing', 10)],
    [absent(-15 * SECOND), retrieved(0, 'processing', [['m1', -5 * SECOND]], 10)],
    [retrieved(0, 'processing', [['m1', -20 * MINUTE]], 10)],
    [retrieved(0, 'queued', [['m1', null]], 10)],
  );
  // Mostly one scan after the other, now and then some that failed, so that there are gaps.
  const scans = fc.array(
    fc.oneof(
      { weight: 8, arbitrary: fc.constant(15 * SECOND) },
      { weight: 2, arbitrary: fc.integer({ min: 5 * SECOND, max: 30 * SECOND }) },
      { weight: 1, arbitrary: fc.integer({ min: 31 * SECOND, max: 5 * MINUTE }) },
    ),
    { minLength: 1, maxLength: 80 },
  );
  const limit = fc.option(fc.integer({ min: 30 * SECOND, max: HOUR }));
  const rules = fc
    .record({ max_runtime: limit, max_continuous_runtime: limit, max_queue_time: limit, warned: fc.boolean() })
    .map(({ warned, ...limits }) =>
      policy({ ...limits, max_credits: 5, max_session_credits: 100 }, warned ? { warnAt: 0.5 } : {}),
    );

  it('gives the same verdicts as storing each sight, for a session that stays in its state', () => {
    let savedWrites = 0;
    fc.assert(
      fc.property(start, scans, rules, fc.integer({ min: 0, max: 20 * MINUTE }), (begin, gaps, rule, wait) => {
        const state = begin.at(-1)?.state ?? null;
        let at = 0;
        const sights = gaps.map((ms) => listed((at += ms), state, null));
        const { full, stored: kept, writes } = followed([...begin, ...sights]);
        savedWrites += sights.length + 1 - writes;
        const restored = asOfLastScan(stored(kept), scanAt(at));
        expect(restored.timeline).toEqual(full.timeline);
        const nowMs = T0 + at + wait + 1;
        expect(assess(restored, [rule], nowMs, SCAN)).toEqual(assess(full, [rule], nowMs, SCAN));

        // And so it goes on, whatever is seen next.
        for (const next of [
          listed(at + wait + 1, state, 40),
          retrieved(at + wait + 1, 'completed', [['m1', -1]], 40),
        ]) {
          const [one, other] = [observe(restored, next, SCAN), observe(full, next, SCAN)];
          expect(assess(one, [rule], nowMs, SCAN)).toEqual(assess(other, [rule], nowMs, SCAN));
        }
      }),
      { numRuns: 300 },
    );
    expect(savedWrites).toBeGreaterThan(500);
  });

  it('writes a session that does nothing new once in ten minutes', () => {
    const sights = Array.from({ length: 240 }, (_, scan) => listed((scan + 1) * 15 * SECOND, 'processing', scan));
    expect(followed([absent(0), ...sights]).writes).toBeLessThanOrEqual(2 + 6);
  });
});
