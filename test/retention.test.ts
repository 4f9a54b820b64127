import { describe, expect, it } from '@jest/globals';
import { RETENTION_BATCH, type Removed } from '../src/ledger/retention.js';
import { removeAllExpired } from '../src/retention.js';
import { createLogger } from '../src/telemetry.js';

const NONE: Removed = {
  orders: 0,
  events: 0,
  facts: 0,
  scans: 0,
  permits: 0,
  deliveries: 0,
  exemptions: 0,
  watches: 0,
  bulkJobs: 0,
  bulkTargets: 0,
};
const log = createLogger('silent', false);

/** A ledger that has so many batches of expired events, and then a rest. */
function ledgerWith(fullBatches: number) {
  const asked: number[] = [];
  return {
    asked,
    removeExpired: (retentionMs: number): Promise<Removed> => {
      asked.push(retentionMs);
      return Promise.resolve({ ...NONE, events: asked.length <= fullBatches ? RETENTION_BATCH : 7 });
    },
  };
}

describe('removing what is older than the retention', () => {
  it('goes on, batch by batch, until nothing can be left', async () => {
    const ledger = ledgerWith(3);
    await removeAllExpired(ledger, 5_000, log, new AbortController().signal);
    expect(ledger.asked).toEqual([5_000, 5_000, 5_000, 5_000]);
  });

  it('asks once where nothing has expired', async () => {
    const ledger = ledgerWith(0);
    await removeAllExpired(ledger, 5_000, log, new AbortController().signal);
    expect(ledger.asked).toHaveLength(1);
  });

  it('stops between two batches when told to', async () => {
    const ledger = ledgerWith(Infinity);
    const stop = new AbortController();
    const done = removeAllExpired(ledger, 5_000, log, stop.signal);
    stop.abort();
    await done;
    expect(ledger.asked.length).toBeLessThanOrEqual(2);
  });
});
