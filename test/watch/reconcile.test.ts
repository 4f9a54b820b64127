import { jest, describe, expect, it } from '@jest/globals';
import type { Ledger } from '../../src/adapters/ledger/ledger.js';
import { reconcileWatches, resumeOverdue } from '../../src/worker/keepers/watches.js';

const logger = () => ({ debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() });

function ledgerWith(overdue: () => Promise<string[]>) {
  const asked: number[] = [];
  const watches = {
    overdue: (dueBefore: number) => {
      asked.push(dueBefore);
      return overdue();
    },
  } as unknown as Ledger['watches'];
  return { asked, ledger: { watches, now: () => Promise.resolve(1_000_000) } };
}

describe('lost watches', () => {
  it('are taken up at boot, all that are open: nobody is known to be at work on them', async () => {
    const { ledger, asked } = ledgerWith(() => Promise.resolve(['sess_1', 'sess_2']));
    const stopping = new AbortController();
    const resumed: string[] = [];
    const resume = (sessionId: string): Promise<void> => {
      resumed.push(sessionId);
      if (resumed.length === 2) stopping.abort();
      return Promise.resolve();
    };
    await reconcileWatches(ledger, { resume }, logger(), stopping.signal);
    expect(asked).toEqual([Number.MAX_SAFE_INTEGER]);
    expect(resumed).toEqual(['sess_1', 'sess_2']);
  });

  it('that can’t be started keep no other waiting', async () => {
    const ids = Array.from({ length: 25 }, (_, index) => `sess_${index}`);
    const { ledger } = ledgerWith(() => Promise.resolve(ids));
    const resumed: string[] = [];
    const resume = (sessionId: string): Promise<void> => {
      if (sessionId === 'sess_3') return Promise.reject(new Error('no'));
      resumed.push(sessionId);
      return Promise.resolve();
    };
    const log = logger();
    await resumeOverdue(ledger, { resume }, log, 7, new AbortController().signal);
    expect(resumed).toHaveLength(24);
    expect(log.warn).toHaveBeenCalledTimes(1);
  });

  it('I10: are left for the next pass while the ledger is away', async () => {
    const { ledger, asked } = ledgerWith(() => Promise.reject(new Error('away')));
    const [log, stopping] = [logger(), new AbortController()];
    log.warn.mockImplementation(() => stopping.abort());
    const resume = jest.fn(() => Promise.resolve());
    await reconcileWatches(ledger, { resume }, log, stopping.signal);
    expect(asked).toHaveLength(1);
    expect(resume).not.toHaveBeenCalled();
    expect(log.warn).toHaveBeenCalledTimes(1);
  });
});
