import { expect, test } from '@jest/globals';
import { verdictOfList, type LiveList } from '../../src/core/policy/list-witness.js';

const SETTLE_MS = 2_000;
const ANSWERED_AT = 10_000;
const asked = { sessionId: 'sess_asked', sinceAt: ANSWERED_AT };

const list = (ids: readonly string[], more: Partial<LiveList> = {}): LiveList => ({
  ids: new Set(ids),
  complete: true,
  askedAt: ANSWERED_AT + SETTLE_MS,
  ...more,
});

test.each<[what: string, says: string, list: LiveList]>([
  ['a complete list without it, asked for late enough', 'over', list(['sess_other'])],
  ['an empty complete list', 'over', list([])],
  ['a list that still shows it', 'live', list(['sess_other', 'sess_asked'])],
  ['a list asked for a moment too soon', 'nothing', list([], { askedAt: ANSWERED_AT + SETTLE_MS - 1 })],
  ['a list asked for before the answer', 'nothing', list([], { askedAt: ANSWERED_AT - 1 })],
  ['a list that shows it, asked for too soon', 'nothing', list(['sess_asked'], { askedAt: ANSWERED_AT })],
  ['an incomplete list without it (I5)', 'nothing', list([], { complete: false })],
  ['an incomplete list that shows it', 'live', list(['sess_asked'], { complete: false })],
])('%s says: %s', (_, says, shown) => {
  expect(verdictOfList(shown, asked, SETTLE_MS)).toBe(says);
});
