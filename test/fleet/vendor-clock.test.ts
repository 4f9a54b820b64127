import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createVendorClock, type VendorClock } from '../../src/adapters/vendor/vendor-clock.js';

const T0 = Date.UTC(2026, 0, 5, 9, 0, 0);
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** For times in the order of 10^12 ms, to which floating point numbers are exact. */
const EXACT = 0.001;

/** A vendor, and our own two clocks. What is true is what the vendor's clock shows. */
class Vendor {
  monotonic = 0;
  readonly clock: VendorClock = createVendorClock({ monotonic: () => this.monotonic, wall: () => this.wall });
  /** The best lower bound for the vendor's clock less our monotonic one that answers gave so far. */
  known = -Infinity;

  constructor(
    /** Vendor's clock less our monotonic one, ms. */
    public offset: number,
    /** Our wall clock less our monotonic one, ms. */
    public wallOffset = offset,
  ) {}

  get truth(): number {
    return this.monotonic + this.offset;
  }
  get wall(): number {
    return this.monotonic + this.wallOffset;
  }
  get now(): number {
    return this.clock.now() ?? NaN;
  }

  /** One request: `there` ms until the vendor writes the answer's date, `back` ms until the answer is here. */
  ask(there = 20, back = 20): void {
    const sentAt = this.monotonic;
    const written = this.monotonic + there + this.offset;
    this.monotonic += there + back;
    // The header has whole seconds; what is behind them is cut off.
    const serverDateMs = Math.floor(written / SECOND) * SECOND;
    this.clock.note({ serverDateMs, sentAt, receivedAt: this.monotonic });
    this.known = Math.max(this.known, serverDateMs - this.monotonic);
  }

  /** So many quick requests, every 700 ms. */
  askOften(times = 20): void {
    for (let n = 0; n < times; n += 1) {
      this.ask();
      this.monotonic += 660;
    }
  }

  /** The machine sleeps: our monotonic clock stands still, the others go on. */
  sleep(ms: number): void {
    this.offset += ms;
    this.wallOffset += ms;
  }
}

/** Behind the truth by less than an answer leaves open, and never ahead of it. */
function expectRight(vendor: Vendor, latencyMs = 40): void {
  expect(vendor.now).toBeLessThanOrEqual(vendor.truth + EXACT);
  expect(vendor.truth - vendor.now).toBeLessThan(SECOND + latencyMs + 1 + EXACT);
}

const double = (min: number, max: number) => fc.double({ min, max, noNaN: true });
const offsets = double(T0 - HOUR, T0 + HOUR);
const calls = fc.array(fc.record({ there: double(0, 5_000), back: double(0, 5_000), pause: double(0, MINUTE) }), {
  minLength: 1,
  maxLength: 40,
});

describe('the vendor’s time', () => {
  it('is not known before the first answer, nor by answers without a date', () => {
    const { clock } = new Vendor(T0);
    expect(clock.now()).toBeNull();
    clock.note({ serverDateMs: null, sentAt: 1, receivedAt: 2 });
    expect(clock.now()).toBeNull();
    expect(clock.at(5)).toBeNull();
    expect(clock.problem()).toMatch(/no usable Date header/);
  });

  it('is known as well as the answers together allow, and is never ahead of the truth', () => {
    fc.assert(
      fc.property(offsets, double(-4 * MINUTE, 4 * MINUTE), calls, (offset, skew, asked) => {
        const vendor = new Vendor(offset, offset + skew);
        for (const { there, back, pause } of asked) {
          vendor.ask(there, back);
          expectRight(vendor, there + back);
          // Nothing better can be said from below than the best single answer says.
          expect(vendor.now).toBeGreaterThan(vendor.monotonic + vendor.known - 1 - EXACT);
          expect(vendor.clock.problem()).toBeNull();
          vendor.monotonic += pause;
        }
      }),
      { numRuns: 500 },
    );
  });

  it('is told within a few ms by many answers, because one of them comes right after a full second', () => {
    const vendor = new Vendor(T0 + 123);
    for (let n = 0; n < 300; n += 1) {
      vendor.ask(3, 4);
      vendor.monotonic += 10;
    }
    expect(vendor.truth - vendor.now).toBeLessThan(4 + 17 + 1);
    expect(vendor.now).toBeLessThanOrEqual(vendor.truth);
  });

  it('is not spoilt by slow answers, nor by answers noted late', () => {
    const vendor = new Vendor(T0);
    vendor.ask(0, 1);
    const before = vendor.truth - vendor.now;
    vendor.ask(20_000, 20_000);
    vendor.clock.note({ serverDateMs: T0, sentAt: 0, receivedAt: 1 });
    expect(vendor.truth - vendor.now).toBeLessThanOrEqual(before);
  });

  it('can be told for any moment of our monotonic clock', () => {
    const vendor = new Vendor(T0);
    vendor.ask(0, 0);
    expect(vendor.clock.at(0)).toBe(T0);
    expect(vendor.clock.at(90.7)).toBe(T0 + 90);
    vendor.monotonic = 5_000;
    expect(vendor.now).toBe(T0 + 5_000);
    expect(vendor.clock.at(-HOUR)).toBe(T0 - HOUR);
  });

  it('stays true while our monotonic clock runs a little fast or slow', () => {
    for (const perMs of [500e-6, -500e-6]) {
      const vendor = new Vendor(T0 + 0.5);
      for (let n = 0; n < 2_000; n += 1) {
        vendor.ask(5, 5);
        vendor.monotonic += 4_321;
        vendor.offset += perMs * 4_331;
        expect(vendor.now - vendor.truth).toBeLessThan(SECOND);
        expect(vendor.truth - vendor.now).toBeLessThan(2 * SECOND);
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

describe('our wall clock', () => {
  it('I5: changes nothing, however it jumps', () => {
    fc.assert(
      fc.property(calls, fc.array(double(-48 * HOUR, 48 * HOUR), { minLength: 1 }), (asked, jumps) => {
        const [vendor, undisturbed] = [new Vendor(T0), new Vendor(T0)];
        asked.forEach(({ there, back, pause }, n) => {
          for (const one of [vendor, undisturbed]) {
            one.ask(there, back);
            one.monotonic += pause;
          }
          vendor.wallOffset += jumps[n % jumps.length] ?? 0;
          expect(vendor.now).toBe(undisturbed.now);
        });
      }),
    );
  });

  it('is no reason for doubt at the start when it is ahead, or a few minutes behind', () => {
    for (const wallOffset of [T0 + 365 * 24 * HOUR, T0 + HOUR, T0, T0 - 4 * MINUTE]) {
      const vendor = new Vendor(T0, wallOffset);
      vendor.ask();
      expectRight(vendor);
    }
  });

  it('I10: is a reason at the start when it is far behind: then nothing is timed, until the two agree', () => {
    const vendor = new Vendor(T0, T0 - HOUR);
    vendor.askOften();
    expect(vendor.clock.now()).toBeNull();
    expect(vendor.clock.problem()).toMatch(/(3599|3600) s ahead/);
    vendor.wallOffset = T0;
    vendor.ask();
    expectRight(vendor);
    expect(vendor.clock.problem()).toBeNull();
  });
});

describe('a jump of the vendor’s clock', () => {
  const jumping = (wallOffset = T0): Vendor => {
    const vendor = new Vendor(T0, wallOffset);
    vendor.askOften();
    return vendor;
  };

  it.each([
    ['an hour back', -HOUR],
    ['ten seconds back', -10 * SECOND],
    ['two seconds ahead', 2 * SECOND],
    ['four seconds ahead', 4 * SECOND],
  ])('by %s is followed with the next answer', (_how, jump) => {
    const vendor = jumping();
    vendor.offset += jump;
    vendor.ask();
    expectRight(vendor);
    expect(vendor.clock.problem()).toBeNull();
  });

  it('I5: by an hour ahead, which nobody bears out, makes no turn older; it is told, and over when it is taken back', () => {
    const vendor = jumping();
    vendor.offset += HOUR;
    vendor.askOften();
    expect(vendor.truth - vendor.now).toBeGreaterThan(HOUR - SECOND);
    expect(vendor.clock.problem()).toMatch(/jumped ahead by 3(598|599|600) s/);
    vendor.offset -= HOUR;
    vendor.ask();
    expectRight(vendor);
    expect(vendor.clock.problem()).toBeNull();
  });

  it('I5: of one of its servers, among others that are right, is never believed', () => {
    const vendor = jumping();
    for (let n = 0; n < 50; n += 1) {
      vendor.offset += HOUR;
      vendor.ask();
      vendor.offset -= HOUR;
      expect(vendor.now).toBeLessThanOrEqual(vendor.truth);
      vendor.ask();
      expectRight(vendor);
    }
  });

  it('by an hour ahead is followed when our wall clock has been there all the time: it was put right', () => {
    const vendor = jumping(T0 + HOUR);
    vendor.offset += HOUR;
    vendor.ask();
    expectRight(vendor);
  });

  it('back, and then ahead again, is followed both times', () => {
    const vendor = jumping();
    for (const jump of [-HOUR, HOUR, -10 * MINUTE, 10 * MINUTE]) {
      vendor.offset += jump;
      vendor.askOften();
      expectRight(vendor);
    }
  });

  it('never leaves the time ahead of the truth', () => {
    fc.assert(
      fc.property(fc.array(double(-2 * HOUR, 2 * HOUR), { maxLength: 8 }), (jumps) => {
        const vendor = jumping();
        for (const jump of jumps) {
          vendor.offset += jump;
          vendor.askOften(3);
          // A jump back that is smaller than what answers leave open shows in none of them at first.
          expect(vendor.now - vendor.truth).toBeLessThan(SECOND + 40);
        }
      }),
    );
  });
});

describe('a machine that slept', () => {
  it.each([
    ['a right wall clock', 0],
    ['a wall clock ten minutes ahead', 10 * MINUTE],
    ['a wall clock four minutes behind', -4 * MINUTE],
  ])('goes by the vendor’s time again after its first answer, with %s', (_which, skew) => {
    for (const slept of [10 * SECOND, 10 * MINUTE, 8 * HOUR]) {
      const vendor = new Vendor(T0, T0 + skew);
      vendor.askOften();
      vendor.sleep(slept);
      vendor.ask();
      expectRight(vendor);
      expect(vendor.clock.problem()).toBeNull();
    }
  });
});
