import { describe, expect, it } from '@jest/globals';
import { unjudgedDocument, unjudgedWords } from '../../src/cli/obstacle-words.js';
import type { UnjudgedSpell } from '../../src/adapters/ledger/unjudged.js';

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);
const SPELL: UnjudgedSpell = {
  sessionId: 'sess_1',
  by: 'case',
  reason: 'too-slow',
  text: 'The read of the session was 2300 ms old when the request was to leave; nothing was sent.',
  sinceMs: NOW - 180_000,
  lastMs: NOW - 4_000,
  told: true,
};

describe('a session that can not be judged', () => {
  it('is shown with since when and why, and what a person can do', () => {
    expect(unjudgedWords(SPELL, NOW)).toBe(
      'sess_1 could not be judged for 3 min, and is not ended meanwhile (too-slow): The read of the session was 2300 ms old when the request was to leave; nothing was sent. If reads come, but too late: curfew cancel sess_1 --even-if-read-is-old 10s',
    );
  });

  it('has times as ISO 8601 in JSON', () => {
    expect(unjudgedDocument(SPELL)).toEqual({
      ...{ sessionId: 'sess_1', by: 'case', reason: 'too-slow', text: SPELL.text, told: true },
      ...{ since: '2026-01-05T11:57:00.000Z', last: '2026-01-05T11:59:56.000Z' },
    });
  });
});
