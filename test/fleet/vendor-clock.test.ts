import { afterEach, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import { createVendorClock, type VendorClock } from '../../src/fleet/vendor-clock.js';

const T0 = Date.UTC(2026, 0, 5, 9, 0, 0);
const SECOND = 1_000;
const HOUR = 3_600_000;
/** For times in the order of 10^12 ms, to which floating point numbers are exact. */
const EXACT = 0.001;

/** A vendor whose clock is ahead of our monotonic one by `offset`, ms. */
class Vendor {
  monotonic = 0;
  readonly clock: VendorClock = createVendorClock({ monotonic: () => this.monotonic });
  /** The best lower bound for the offset that answers gave so far. */
  known = -Infinity;

  constructor(public offset: number) {}

  get truth(): number {
    return this.monotonic + this.offset;
  }

  /** One request: `there` ms until the vendor writes the answer's date, `back` ms until the answer is here. */
  ask(there: number, back: number): void {
    const sentAt = this.monotonic;
    const written = this.monotonic + there + this.offset;
    this.monotonic += there + back;
    // The header has whole seconds; what is behind them is cut off.
    const serverDateMs = Math.floor(written / SECOND) * SECOND;
    this.clock.note({ serverDateMs, sentAt, receivedAt: this.monotonic });
    this.known = Math.max(this.known, serverDateMs - this.monotonic);
  }
}

const now = (vendor: Vendor): number => vendor.clock.now() ?? NaN;

afterEach(() => {
  jest.restoreAllMocks();
});

describe('the vendor’s time', () => {
  const latency = fc.double({ min: 0, max: 5_000, noNaN: true });
  const offset = fc.double({ min: T0 - HOUR, max: T0 + HOUR, noNaN: true });
  const calls = fc.array(
    fc.record({ there: latency, back: latency, pause: fc.double({ min: 0, max: 60_000, noNaN: true }) }),
    { minLength: 1, maxLength: 40 },
  );

  it('is not known before the first answer, nor by answers without a date', () => {
    const { clock } = new Vendor(T0);
    expect(clock.now()).toBeNull();
    clock.note({ serverDateMs: null, sentAt: 1, receivedAt: 2 });
    expect(clock.now()).toBeNull();
    expect(clock.at(5)).toBeNull();
  });

  it('is known as well as the answers together allow, and is never ahead of the truth', () => {
    fc.assert(
      fc.property(offset, calls, (trueOffset, asked) => {
        const vendor = new Vendor(trueOffset);
        for (const { there, back, pause } of asked) {
          vendor.ask(there, back);
          expect(now(vendor)).toBeLessThanOrEqual(vendor.truth + EXACT);
          // Nothing better can be said from below than the best single answer says.
          expect(now(vendor)).toBeGreaterThan(vendor.monotonic + vendor.known - 1 - EXACT);
          expect(vendor.truth - now(vendor)).toBeLessThan(SECOND + there + back + 1 + EXACT);
          vendor.monotonic += pause;
        }
      }),
      { numRuns: 500 },
    );
  });

  it('gets within a few ms by many answers, because one of them comes right after a full second', () => {
    const vendor = new Vendor(T0 + 123);
    for (let n = 0; n < 300; n += 1) {
      vendor.ask(3, 4);
      vendor.monotonic += 10;
    }
    expect(vendor.truth - now(vendor)).toBeLessThan(4 + 17 + 1);
    expect(now(vendor)).toBeLessThanOrEqual(vendor.truth);
  });

  it('is not spoilt by slow answers, nor by answers noted late', () => {
    const vendor = new Vendor(T0);
    vendor.ask(0, 1);
    const before = vendor.truth - now(vendor);
    const late = { serverDateMs: T0, sentAt: 0, receivedAt: 1 };
    vendor.ask(20_000, 20_000);
    vendor.clock.note(late);
    expect(vendor.truth - now(vendor)).toBeLessThanOrEqual(before);
  });

  it('can be told for any moment of our monotonic clock', () => {
    const vendor = new Vendor(T0);
    vendor.ask(0, 0);
    expect(vendor.clock.at(0)).toBe(T0);
    expect(vendor.clock.at(90.7)).toBe(T0 + 90);
    vendor.monotonic = 5_000;
    expect(vendor.clock.now()).toBe(T0 + 5_000);
    expect(vendor.clock.at(-HOUR)).toBe(T0 - HOUR);
  });

  it.each([
    ['an hour ahead', HOUR],
    ['an hour back', -HOUR],
    ['by two seconds ahead', 2 * SECOND],
    ['by ten seconds back', -10 * SECOND],
  ])('follows the vendor’s clock when it is set %s, with the next answer', (_how, jump) => {
    fc.assert(
      fc.property(offset, calls, fc.double({ min: 0, max: 400, noNaN: true }), (trueOffset, asked, quick) => {
        const vendor = new Vendor(trueOffset);
        // Answers quick enough to tell the jump from their own uncertainty.
        for (const { pause } of asked) {
          vendor.ask(quick / 2, quick / 2);
          vendor.monotonic += pause;
        }
        vendor.offset += jump;
        vendor.ask(quick / 2, quick / 2);
        expect(now(vendor)).toBeLessThanOrEqual(vendor.truth + EXACT);
        expect(vendor.truth - now(vendor)).toBeLessThan(SECOND + quick + 1 + EXACT);
      }),
    );
  });

  it('is within two seconds of the truth after a jump of any size', () => {
    fc.assert(
      fc.property(
        offset,
        calls,
        fc.double({ min: -2 * HOUR, max: 2 * HOUR, noNaN: true }),
        calls,
        (trueOffset, before, jump, after) => {
          const vendor = new Vendor(trueOffset);
          const askQuickly = (asked: typeof before): void => {
            for (const { pause } of asked) {
              vendor.monotonic += pause;
              vendor.ask(20, 20);
            }
          };
          askQuickly(before);
          vendor.offset += jump;
          askQuickly(after);
          expect(Math.abs(vendor.truth - now(vendor))).toBeLessThan(2 * SECOND);
        },
      ),
    );
  });

  it('stays true while our monotonic clock runs a little fast or slow', () => {
    for (const perMs of [500e-6, -500e-6]) {
      const vendor = new Vendor(T0 + 0.5);
      for (let n = 0; n < 2_000; n += 1) {
        vendor.ask(5, 5);
        vendor.monotonic += 4_321;
        vendor.offset += perMs * 4_331;
        expect(now(vendor) - vendor.truth).toBeLessThan(SECOND);
        expect(vendor.truth - now(vendor)).toBeLessThan(2 * SECOND);
      }
    }
  });

  it('never asks our wall clock, which may jump', () => {
    jest.spyOn(Date, 'now').mockImplementation(() => {
      throw new Error('the wall clock was read');
    });
    const wall = jest.fn(() => 0);
    let monotonic = 0;
    const clock = createVendorClock({ monotonic: () => monotonic, wall } as { monotonic: () => number });
    clock.note({ serverDateMs: T0, sentAt: 0, receivedAt: 0 });
    monotonic = 7_000;
    expect(clock.now()).toBe(T0 + 7_000);
    expect(wall).not.toHaveBeenCalled();
  });

  it('takes no note of an answer that came before it was asked for', () => {
    const vendor = new Vendor(T0);
    vendor.ask(0, 0);
    vendor.clock.note({ serverDateMs: T0 + HOUR, sentAt: 10_000, receivedAt: 0 });
    expect(vendor.clock.at(0)).toBe(T0);
  });
});
