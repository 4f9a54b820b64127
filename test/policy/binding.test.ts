import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { bindOrder, SAME_MOMENT_MS, vendorClockOffset, type ReadTimes } from '../../src/core/policy/binding.js';
import { saw, sawNothing } from './sightings.js';

/** Our clock. */
const ORDERED_AT = Date.UTC(2026, 0, 5, 12, 0, 0);
const NOTHING = { key: null, startedAtMs: null };
const HOUR = 3_600_000;

/** A read that took `tookMs`, answered by a vendor whose clock is ahead of ours by `skewMs`. */
const readAt = (sentMs: number, tookMs: number, skewMs: number): ReadTimes => ({
  sentMs,
  receivedMs: sentMs + tookMs,
  serverDateMs: Math.floor((sentMs + tookMs / 2 + skewMs) / 1_000) * 1_000,
});

describe('vendorClockOffset', () => {
  it.each([0, 1, 250, 499, 998])('is 0 for clocks that agree, %i ms into the second', (ms) => {
    expect(vendorClockOffset(readAt(ORDERED_AT + ms, 0, 0))).toBe(0);
    expect(vendorClockOffset(readAt(ORDERED_AT + ms, 40, 0))).toBe(0);
  });

  it('is 0 when the vendor sends no date', () => {
    expect(vendorClockOffset({ sentMs: 0, receivedMs: 40, serverDateMs: null })).toBe(0);
  });

  it('is off by no more than the header cuts away and the read takes', () => {
    const skew = fc.integer({ min: -24 * HOUR, max: 24 * HOUR });
    fc.assert(
      fc.property(skew, fc.nat(999), fc.nat(30_000), (skewMs, ms, tookMs) => {
        const offset = vendorClockOffset(readAt(ORDERED_AT + ms, tookMs, skewMs));
        expect(Math.abs(offset - skewMs)).toBeLessThanOrEqual(1_000 + tookMs);
      }),
      { numRuns: 1_000 },
    );
  });
});

interface Row {
  readonly when: string;
  /** Start of the last turn in our time, from the moment of the order; null: unknown. */
  readonly startedMs: number | null;
  /** The read, from the moment of the order. */
  readonly readMs: number;
  /** The vendor's clock minus ours. */
  readonly skewMs?: number;
  readonly bound: boolean;
}

describe('bindOrder', () => {
  it.each<Row>([
    { when: 'a turn that ran before the order', startedMs: -60_000, readMs: 500, bound: true },
    { when: 'a turn that ran before the order, read hours later', startedMs: -60_000, readMs: 5 * HOUR, bound: true },
    { when: 'a turn that began with the order', startedMs: 0, readMs: 500, bound: true },
    { when: 'a turn that began a moment after the order', startedMs: 1, readMs: 500, bound: false },
    { when: 'a turn that began long after the order', startedMs: 60_000, readMs: 90_000, bound: false },
    {
      when: "a vendor's clock ahead, turn before the order",
      startedMs: -5_000,
      readMs: 500,
      skewMs: HOUR,
      bound: true,
    },
    {
      when: "a vendor's clock ahead, turn after the order",
      startedMs: 5_000,
      readMs: 9_000,
      skewMs: HOUR,
      bound: false,
    },
    {
      when: "a vendor's clock behind, turn before the order",
      startedMs: -5_000,
      readMs: 500,
      skewMs: -HOUR,
      bound: true,
    },
    {
      when: "a vendor's clock behind, turn after the order",
      startedMs: 5_000,
      readMs: 9_000,
      skewMs: -HOUR,
      bound: false,
    },
    { when: 'no time, read at once', startedMs: null, readMs: 500, bound: true },
    { when: 'no time, read within the same moment', startedMs: null, readMs: SAME_MOMENT_MS, bound: true },
    { when: 'no time, read later', startedMs: null, readMs: SAME_MOMENT_MS + 1, bound: false },
  ])('$when: bound $bound', ({ startedMs, readMs, skewMs = 0, bound }) => {
    const turnStartedAtMs = startedMs === null ? null : ORDERED_AT + startedMs + skewMs;
    const sighting = saw('processing', { turnKey: 'last', turnStartedAtMs });
    expect(bindOrder({ orderedAtMs: ORDERED_AT }, sighting, readAt(ORDERED_AT + readMs, 0, skewMs))).toEqual(
      bound
        ? { key: 'last', startedAtMs: turnStartedAtMs }
        : { ...NOTHING, ...(startedMs === null ? { unidentified: true } : {}) },
    );
  });

  it.each([
    { maxReadAgeMs: null, sentMs: 1_000, tookMs: 12_000, bound: false },
    { maxReadAgeMs: 14_000, sentMs: 1_000, tookMs: 12_000, bound: true },
    { maxReadAgeMs: 60_000, sentMs: SAME_MOMENT_MS, tookMs: 30_000, bound: true },
    { maxReadAgeMs: 60_000, sentMs: SAME_MOMENT_MS + 1, tookMs: 30_000, bound: false },
    { maxReadAgeMs: 60_000, sentMs: SAME_MOMENT_MS + 1, tookMs: 0, bound: false },
    { maxReadAgeMs: 11_999, sentMs: 1_000, tookMs: 12_000, bound: false },
    // As soon as any other.
    { maxReadAgeMs: 3_000, sentMs: 1_000, tookMs: 9_000, bound: true },
  ])('of no time, and a person’s word: $maxReadAgeMs ms, sent after $sentMs, took $tookMs: bound $bound', (row) => {
    const sighting = saw('processing', { turnKey: 'last', turnStartedAtMs: null });
    const order = { orderedAtMs: ORDERED_AT, maxReadAgeMs: row.maxReadAgeMs };
    expect(bindOrder(order, sighting, readAt(ORDERED_AT + row.sentMs, row.tookMs, 0))).toEqual(
      row.bound ? { key: 'last', startedAtMs: null } : { ...NOTHING, unidentified: true },
    );
  });

  it('binds nothing to a session that is not there', () => {
    expect(bindOrder({ orderedAtMs: ORDERED_AT }, sawNothing(), readAt(ORDERED_AT, 40, 0))).toEqual(NOTHING);
  });

  const ms = (span: number): fc.Arbitrary<number> => fc.integer({ min: -span, max: span });

  it('never binds a turn that began after the order, as far as one read can put the clocks right', () => {
    fc.assert(
      fc.property(ms(5_000), fc.nat(2 * HOUR), fc.nat(500), ms(24 * HOUR), (startedMs, readMs, tookMs, skewMs) => {
        const sighting = saw('queued', { turnStartedAtMs: ORDERED_AT + startedMs + skewMs });
        const times = readAt(ORDERED_AT + readMs, tookMs, skewMs);
        const bound = bindOrder({ orderedAtMs: ORDERED_AT }, sighting, times).key !== null;
        const error = 1_000 + tookMs;
        if (startedMs > error) expect(bound).toBe(false);
        if (startedMs < -error) expect(bound).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  /** A date may be written at any moment of a slow read. */
  const slowReadAt = (sentMs: number, tookMs: number, writtenAt: number, skewMs: number): ReadTimes => ({
    ...readAt(sentMs, 0, 0),
    receivedMs: sentMs + tookMs,
    serverDateMs: Math.floor((sentMs + tookMs * writtenAt + skewMs) / 1_000) * 1_000,
  });
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const skews = fc.oneof(ms(60_000), ms(24 * HOUR));

  it('I1: however slow the read, never binds a turn that began seconds after the order, nor calls one from before it over', () => {
    fc.assert(
      fc.property(
        ms(40_000),
        fc.nat(60_000),
        fc.nat(30_000),
        share,
        skews,
        (startedMs, readMs, tookMs, writtenAt, skewMs) => {
          const sighting = saw('processing', { turnStartedAtMs: ORDERED_AT + startedMs + skewMs });
          const times = slowReadAt(ORDERED_AT + readMs, tookMs, writtenAt, skewMs);
          const bound = bindOrder({ orderedAtMs: ORDERED_AT }, sighting, times);
          if (startedMs > 3_000) expect(bound.key).toBeNull();
          if (startedMs < -3_000) expect(bound.key !== null || bound.unidentified === true).toBe(true);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('goes by what other answers told of the vendor’s clock, where the read was slow', () => {
    const vendorAheadMs = { least: -20_400, most: -19_600 };
    for (const [startedMs, key] of [
      [-1_000, 'last'],
      [1_000, null],
      [15_000, null],
    ] as const) {
      const sighting = saw('processing', { turnKey: 'last', turnStartedAtMs: ORDERED_AT + startedMs - 20_000 });
      const times = { ...slowReadAt(ORDERED_AT, 30_000, 1, -20_000), vendorAheadMs };
      const bound = bindOrder({ orderedAtMs: ORDERED_AT }, sighting, times);
      expect(bound).toEqual(key === null ? NOTHING : { key, startedAtMs: sighting.turnStartedAtMs });
    }
  });

  it('never binds a turn that began a moment after the order, when the clocks agree', () => {
    fc.assert(
      fc.property(ms(5_000), fc.nat(2 * HOUR), fc.nat(500), (startedMs, readMs, tookMs) => {
        const sighting = saw('queued', { turnStartedAtMs: ORDERED_AT + startedMs });
        const bound = bindOrder({ orderedAtMs: ORDERED_AT }, sighting, readAt(ORDERED_AT + readMs, tookMs, 0));
        expect(bound.key !== null).toBe(startedMs <= 0);
      }),
      { numRuns: 1_000 },
    );
  });
});
