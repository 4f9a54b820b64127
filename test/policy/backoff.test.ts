import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { backoffMs } from '../../src/core/policy/backoff.js';
import { DEFAULT_TIMING } from '../../src/core/policy/timing.js';

const CAP = 60_000;
const NEARLY_ONE = 1 - Number.EPSILON;

describe('backoffMs', () => {
  it.each([
    [1, 1_000],
    [2, 2_000],
    [3, 4_000],
    [6, 32_000],
    [7, 60_000],
    [1_000_000, 60_000],
  ])('after %i failures draws from up to %i ms', (failures, ceiling) => {
    expect(backoffMs(failures, CAP, NEARLY_ONE)).toBe(ceiling);
    expect(backoffMs(failures, CAP, 0.5)).toBe(ceiling / 2);
  });

  it('leaves the vendor a quarter of a second at least', () => {
    expect(backoffMs(1, CAP, 0)).toBe(250);
    expect(backoffMs(50, CAP, 0)).toBe(250);
  });

  it('is a finite wait between the floor and the cap, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1 }),
        fc.integer({ min: 250, max: 3_600_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (failures, cap, random) => {
          const wait = backoffMs(failures, cap, random);
          expect(wait).toBeGreaterThanOrEqual(250);
          expect(wait).toBeLessThanOrEqual(cap);
        },
      ),
    );
  });
});

describe('the default timing', () => {
  it('reads at about 2, 5, 10, 20 and 40 s after an accepted request', () => {
    let sum = 0;
    expect(DEFAULT_TIMING.confirmGapsMs.map((gap) => (sum += gap))).toEqual([2_000, 5_000, 10_000, 20_000, 40_000]);
  });

  it('tells someone long before it gives up', () => {
    expect(DEFAULT_TIMING).toMatchObject({ alertAfterMs: 300_000, giveUpAfterMs: 86_400_000, missingGapMs: 60_000 });
  });
});
