import { describe, expect, it } from '@jest/globals';
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
  /** Our wall clock less our monotonic one, ms; right at first. */
  wallOffset: number;
  readonly clock: VendorClock = createVendorClock({
    monotonic: () => this.monotonic,
    wall: () => this.monotonic + this.wallOffset,
  });
  /** The best lower bound for the offset that answers gave so far. */
  known = -Infinity;

  constructor(public offset: number) {
    this.wallOffset = offset;
  }

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

  describe('when it jumps', () => {
    const quickly = (vendor: Vendor, times = 3): void => {
      for (let n = 0; n < times; n += 1) {
        vendor.ask(20, 20);
        vendor.monotonic += 1_000;
      }
    };

    it.each([
      ['an hour', HOUR],
      ['a minute', 60 * SECOND],
      ['ten seconds', 10 * SECOND],
    ])('I5: is not followed %s ahead while our wall clock says otherwise', (_how, jump) => {
      const vendor = new Vendor(T0);
      quickly(vendor);
      vendor.offset += jump;
      quickly(vendor, 100);
      expect(now(vendor)).toBeLessThanOrEqual(vendor.truth - jump);
      expect(vendor.clock.problem()).toMatch(/jumped ahead by \d+ s/);
      vendor.offset -= jump;
      quickly(vendor);
      expect(vendor.clock.problem()).toBeNull();
      expect(vendor.truth - now(vendor)).toBeLessThan(2 * SECOND);
    });

    it('is followed ahead when our machine slept: the wall clock has moved on with it', () => {
      const vendor = new Vendor(T0);
      vendor.wallOffset = T0 - 40 * SECOND;
      quickly(vendor);
      vendor.offset += HOUR;
      vendor.wallOffset += HOUR;
      quickly(vendor);
      expect(vendor.truth - now(vendor)).toBeLessThan(2 * SECOND);
      expect(vendor.clock.problem()).toBeNull();
    });

    it('is followed ahead to where our wall clock is, after it was followed back', () => {
      const vendor = new Vendor(T0);
      quickly(vendor);
      vendor.offset -= HOUR;
      quickly(vendor);
      expect(now(vendor)).toBeLessThanOrEqual(vendor.truth);
      vendor.offset += HOUR;
      quickly(vendor);
      expect(Math.abs(vendor.truth - now(vendor))).toBeLessThan(2 * SECOND);
    });

    it('is followed by a few seconds either way: drift, and servers that differ', () => {
      for (const jump of [2 * SECOND, -2 * SECOND, 4 * SECOND, -HOUR]) {
        const vendor = new Vendor(T0);
        quickly(vendor);
        vendor.offset += jump;
        vendor.ask(20, 20);
        expect(Math.abs(vendor.truth - now(vendor))).toBeLessThan(2 * SECOND);
      }
    });

    it('is not moved by our wall clock alone', () => {
      const vendor = new Vendor(T0);
      quickly(vendor);
      vendor.wallOffset += HOUR;
      quickly(vendor);
      expect(now(vendor)).toBeLessThanOrEqual(vendor.truth);
      vendor.wallOffset -= 5 * HOUR;
      quickly(vendor);
      expect(vendor.truth - now(vendor)).toBeLessThan(2 * SECOND);
    });

    it('I10: is not known at the start while it is far ahead of our wall clock, and is when they agree', () => {
      const vendor = new Vendor(T0);
      vendor.wallOffset = T0 - HOUR;
      quickly(vendor);
      expect(vendor.clock.now()).toBeNull();
      expect(vendor.clock.problem()).toMatch(/3600 s ahead of this machine’s clock.*set the clock/);
      vendor.wallOffset = T0;
      quickly(vendor);
      expect(vendor.truth - now(vendor)).toBeLessThan(2 * SECOND);
    });
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

  it('takes no note of an answer that came before it was asked for', () => {
    const vendor = new Vendor(T0);
    vendor.ask(0, 0);
    vendor.clock.note({ serverDateMs: T0 + HOUR, sentAt: 10_000, receivedAt: 0 });
    expect(vendor.clock.at(0)).toBe(T0);
  });
});
