import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { allowanceOf, capReached, LEAST_LIVE_FOR_PERCENT } from '../../src/core/policy/caps.js';

const HOUR = 3_600_000;

const situations = fc.record({
  maxCancels: fc.integer({ min: 1, max: 60 }),
  maxPercent: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.double({ min: 0.1, max: 100, noNaN: true })),
  liveSessions: fc.option(fc.integer({ min: 0, max: 300 })),
  turns: fc.integer({ min: 0, max: 80 }),
  over: fc.integer({ min: 0, max: 80 }),
});

it('lets a turn end exactly while neither the number nor the share of all that were live is passed by it', () => {
  fc.assert(
    fc.property(situations, ({ maxCancels, maxPercent, liveSessions, turns, over }) => {
      const caps = { maxCancels, maxPercent, perMs: HOUR };
      const counts = maxPercent < 100 && liveSessions !== null && liveSessions >= LEAST_LIVE_FOR_PERCENT;
      const byCancels = turns + 1 > maxCancels;
      const byPercent = counts && (turns + 1) * 100 > maxPercent * (liveSessions + over);
      const expected = byCancels ? 'max_cancels' : byPercent ? 'max_percent' : null;
      expect(capReached(caps, liveSessions, { turns, over })?.cap ?? null).toBe(expected);
      expect(allowanceOf(caps, liveSessions, { turns, over }).turns > 0).toBe(expected === null);
    }),
    { numRuns: 5_000 },
  );
});

it('takes 100 percent for no limit, however many of those that were counted are over', () => {
  const caps = { maxCancels: 1_000, maxPercent: 100, perMs: HOUR };
  // As seen: a hundred turns end within a scan, which counts what is left of them.
  expect(capReached(caps, 77, { turns: 77, over: 0 })).toBeNull();
  expect(capReached({ ...caps, maxPercent: 99 }, 77, { turns: 77, over: 0 })?.cap).toBe('max_percent');
});

it('leaves as many turns as can be let end one after the other', () => {
  fc.assert(
    fc.property(situations, ({ maxCancels, maxPercent, liveSessions, turns, over }) => {
      const caps = { maxCancels, maxPercent, perMs: HOUR };
      let more = 0;
      while (capReached(caps, liveSessions, { turns: turns + more, over }) === null) more += 1;
      expect(allowanceOf(caps, liveSessions, { turns, over }).turns).toBe(more);
    }),
  );
});
