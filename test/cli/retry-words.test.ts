import { expect, it } from '@jest/globals';
import { retriedWords } from '../../src/cli/words.js';

it.each([
  ['held', 'Trying now: sess_1. Follow it: curfew cases sess_1'],
  ['attempting', 'Trying now: sess_1. Follow it: curfew cases sess_1'],
  [
    'confirming',
    'A request was sent for sess_1, and its end is being confirmed: the next read comes at 12:00:05Z by itself, and the next request after it, if the turn still runs. Follow it: curfew cases sess_1',
  ],
] as const)('a retry of a case that is %s promises what it does', (phase, text) => {
  expect(retriedWords({ sessionId: 'sess_1', phase, nextTryAtMs: Date.UTC(2026, 0, 1, 12, 0, 5) })).toBe(text);
});
