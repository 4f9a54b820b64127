import { describe, expect, it } from '@jest/globals';
import type { Outcome } from '../../src/core/contract.js';
import { mayOrder, type EarlierOrder } from '../../src/core/policy/order-again.js';
import type { Refusal } from '../../src/core/policy/refusals.js';

const MINUTE = 60_000;
const DECIDED = 1_000 * MINUTE;
const refusal = (more: Partial<Refusal> = {}): Refusal => ({
  ...{ on: 'cancel', status: 403, code: 'denied', times: 3, sinceMs: DECIDED - 2 * MINUTE, lastMs: DECIDED },
  ...more,
});
const order = (outcome: Outcome | null, ...refusals: Refusal[]): EarlierOrder => ({
  policy: 'rule',
  outcome,
  decidedAtMs: outcome === null ? null : DECIDED,
  refusals,
});
/** Whether it is ordered so many minutes later. */
const after = (minutes: number, earlier: readonly EarlierOrder[], readAgoMs: number | null = null): boolean =>
  mayOrder('rule', earlier, { nowMs: DECIDED + minutes * MINUTE, readAgoMs });

describe('a policy orders the end of the same turn again', () => {
  it.each<[string, EarlierOrder[], number, boolean]>([
    ['not while an order is open', [order(null)], 9_999, false],
    ['a minute after an outcome that the turn denies', [order('already-ended')], 1, true],
    ['not sooner', [order('already-ended')], 0.9, false],
    ['at once after a brake', [order('capped')], 0, true],
    ['not after a person’s word', [order('abandoned')], 9_999, false],
    ['not after the vendor refused this session, and accepted others', [order('forbidden', refusal())], 9_999, false],
    ['after a `forbidden` on one answer', [order('forbidden', refusal({ times: 1, sinceMs: DECIDED }))], 1, true],
    ['after a `forbidden` without a record', [order('forbidden')], 1, true],
    ['after one in a time when nothing was accepted', [order('forbidden', refusal({ alone: true }))], 2, true],
    ['not so soon', [order('forbidden', refusal({ alone: true }))], 1.9, false],
    ['later each time', Array.from({ length: 4 }, () => order('forbidden', refusal({ alone: true }))), 15.9, false],
    ['and still', Array.from({ length: 4 }, () => order('forbidden', refusal({ alone: true }))), 16, true],
    ['not of another policy’s account', [{ ...order('abandoned'), policy: 'other' }], 0, true],
  ])('%s', (_title, earlier, minutes, expected) => {
    expect(after(minutes, earlier)).toBe(expected);
  });

  it('after refused reads, when the session has been read since', () => {
    const forbidden = [order('forbidden', refusal({ on: 'read' }))];
    expect(after(5, forbidden, 4 * MINUTE)).toBe(true);
    expect(after(5, forbidden, 6 * MINUTE)).toBe(false);
    expect(after(5, forbidden, null)).toBe(false);
  });
});
