import { describe, expect, it } from '@jest/globals';
import {
  afterAccepted,
  FOR_NOW,
  joinedRefusals,
  noteRefusal,
  settlesOrder,
  type Refusal,
  type Refused,
} from '../../src/core/policy/refusals.js';

const MINUTE = 60_000;
const refused = (status: number, on: Refused['on'] = 'cancel', code: string | null = 'denied'): Refused => ({
  ...{ on, status, code },
});
/** The refusals of one session, at so many seconds each. @returns when the order was settled; null: it was not */
function settledAt(...met: readonly (readonly [number, Refused])[]): number | null {
  let known: readonly Refusal[] = [];
  for (const [second, one] of met) {
    const { refusals, refusal } = noteRefusal(known, one, second * 1_000);
    if (settlesOrder(refusal, MINUTE)) return second;
    // As in the ledger.
    known = JSON.parse(JSON.stringify(refusals)) as Refusal[];
  }
  return null;
}

describe('a refusal settles an order', () => {
  it.each<[string, (number | null)[], ...(readonly [number, Refused])[]]>([
    ['not the first time', [null], [0, refused(403)]],
    ['not the second time within a minute', [null], [0, refused(403)], [59, refused(403)]],
    ['the same again a minute later', [60], [0, refused(403)], [60, refused(403)]],
    ['whatever came in between', [70], [0, refused(403)], [1, refused(403)], [30, refused(500)], [70, refused(403)]],
    ['not another 403', [null], [0, refused(403, 'cancel', 'a')], [70, refused(403, 'cancel', 'b')]],
    [
      'the one of two that came back',
      [80],
      [0, refused(403, 'cancel', 'a')],
      [70, refused(404)],
      [80, refused(403, 'cancel', 'a')],
    ],
    ['an unknown 4xx, whatever its number', [61], [0, refused(404)], [30, refused(410)], [61, refused(418)]],
    ['not an unknown 4xx and a 403', [null], [0, refused(404)], [90, refused(403)]],
    ['not 401, ever', [null], [0, refused(401)], [70, refused(401)], [999, refused(401)]],
    ['not one for now, ever', [null], [0, refused(403, 'cancel', FOR_NOW)], [999, refused(403, 'cancel', FOR_NOW)]],
    ['not a 403 after one for now', [null], [0, refused(403, 'cancel', FOR_NOW)], [999, refused(403)]],
    ['a read by 403', [60], [0, refused(403, 'read')], [60, refused(403, 'read')]],
    ['not a read by another 4xx', [null], [0, refused(400, 'read')], [999, refused(400, 'read')]],
    ['not by one read and one cancel request', [null], [0, refused(403, 'read')], [999, refused(403)]],
  ])('%s', (_title, [expected], ...met) => {
    expect(settledAt(...met)).toBe(expected);
  });

  it('no sooner and no later when the clock is set back', () => {
    expect(settledAt([1_000, refused(403)], [0, refused(403)], [59, refused(403)])).toBeNull();
    expect(settledAt([1_000, refused(403)], [0, refused(403)], [60, refused(403)])).toBe(60);
  });

  it('is remembered in a bounded place, however many codes the vendor invents', () => {
    let known: readonly Refusal[] = [];
    for (let i = 0; i < 100; i += 1) known = noteRefusal(known, refused(403, 'cancel', `code-${i}`), i).refusals;
    expect(known.length).toBeLessThanOrEqual(8);
    expect(known.at(-1)).toMatchObject({ code: 'code-99', times: 1 });
  });
});

describe('what is accepted', () => {
  const onRead = noteRefusal([], refused(403, 'read'), 0).refusal;
  const onCancel = noteRefusal([], refused(403), 0).refusal;

  it('in a read refutes refused reads only, in a cancel request all', () => {
    expect(afterAccepted([onRead, onCancel], 'read')).toEqual([onCancel]);
    expect(afterAccepted([onRead, onCancel], 'cancel')).toEqual([]);
  });
});

it('several orders on one session share what was refused, from the first time on', () => {
  const early = noteRefusal([], refused(403), 10).refusals;
  const late = noteRefusal([], refused(403), 500).refusals;
  const other = noteRefusal([], refused(404), 300).refusals;
  expect(joinedRefusals([late, early, other, []])).toEqual([...early, ...other]);
});
