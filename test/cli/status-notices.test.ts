import { expect, it } from '@jest/globals';
import { statusDocument, statusWords, type Status } from '../../src/cli/status-words.js';

const NOW = Date.UTC(2026, 0, 5, 12);

const statusWith = (notices: Status['notices']): Status => ({
  ...{ nowMs: NOW, inForce: { kind: 'none' }, hold: null, strangers: [], breakers: [], openOrders: [], unjudged: [] },
  pauseSwitch: { paused: false, reason: null, changedBy: null, changedAtMs: null },
  openWatches: 0,
  exempt: { total: 0, exemptions: [] },
  notices,
  live: { nowMs: NOW, coverage: null, count: 0, nearest: [] },
});
const rows = (notices: Status['notices']): string[] =>
  statusWords(statusWith(notices))
    .split('\n')
    .filter((line) => line.includes('notices '));

it('names the routes that do not take what they are told, since when, why, and what to do', () => {
  const shown = rows([
    {
      route: 'ops',
      waiting: 416,
      oldestAtMs: NOW - 600_000,
      trouble: { atMs: NOW - 30_000, message: 'no answer (ENOTFOUND)' },
    },
    { route: 'audit', waiting: 1_000, oldestAtMs: NOW - 3 * 3_600_000, trouble: null },
    // Busy, and well.
    { route: 'busy', waiting: 3, oldestAtMs: NOW - 2_000, trouble: null },
    { route: 'idle', waiting: 0, oldestAtMs: null, trouble: null },
  ]);
  expect(shown).toEqual([
    'notices   ops: 416 notices wait, the oldest for 10 min; last try 30 s ago: no answer (ENOTFOUND). To test it: curfew doctor --notify',
    'notices   audit: 1000 notices or more wait, the oldest for 3 h. To test it: curfew doctor --notify',
  ]);
});

it('has every route in the document', () => {
  const trouble = { atMs: NOW - 30_000, message: 'no answer (ENOTFOUND)' };
  const document = statusDocument(
    statusWith([
      { route: 'ops', waiting: 2, oldestAtMs: NOW - 60_000, trouble },
      { route: 'audit', waiting: 0, oldestAtMs: null, trouble: null },
    ]),
  );
  expect(document).toMatchObject({
    notices: [
      {
        ...{ route: 'ops', waiting: 2, oldestAt: '2026-01-05T11:59:00.000Z' },
        lastError: { at: '2026-01-05T11:59:30.000Z', message: 'no answer (ENOTFOUND)' },
      },
      { route: 'audit', waiting: 0, oldestAt: null, lastError: null },
    ],
  });
});
