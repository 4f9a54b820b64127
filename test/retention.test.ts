import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Ledger } from '../src/adapters/ledger/ledger.js';
import { RETENTION_BATCH, type Removed } from '../src/adapters/ledger/retention.js';
import {
  clockDoubt,
  removeAllExpired,
  retentionRound,
  type RetentionDependencies,
} from '../src/worker/keepers/retention.js';
import { createLogger } from '../src/platform/telemetry.js';

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
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 10, 29, 12);
const log = createLogger('silent', false);
const going = new AbortController().signal;

/** A ledger that has so many batches of expired events, and then a rest. */
function ledgerWith(fullBatches: number) {
  const asked: [number, number][] = [];
  return {
    asked,
    removeExpired: (retentionMs: number, latestMs: number): Promise<Removed> => {
      asked.push([retentionMs, latestMs]);
      return Promise.resolve({ ...NONE, events: asked.length <= fullBatches ? RETENTION_BATCH : 7 });
    },
  };
}

describe('removing what is older than the retention', () => {
  it('goes on, batch by batch, until nothing can be left', async () => {
    const ledger = ledgerWith(3);
    await removeAllExpired({ ledger, retentionMs: 5_000, log }, NOW, going);
    expect(ledger.asked).toEqual(Array(4).fill([5_000, NOW]));
  });

  it('asks once where nothing has expired', async () => {
    const ledger = ledgerWith(0);
    await removeAllExpired({ ledger, retentionMs: 5_000, log }, NOW, going);
    expect(ledger.asked).toHaveLength(1);
  });

  it('stops between two batches when told to', async () => {
    const ledger = ledgerWith(Infinity);
    const stop = new AbortController();
    const done = removeAllExpired({ ledger, retentionMs: 5_000, log }, NOW, stop.signal);
    stop.abort();
    await done;
    expect(ledger.asked.length).toBeLessThanOrEqual(2);
  });
});

describe('a round', () => {
  let warnings: string[];
  let meta: Map<string, string>;
  beforeEach(() => {
    warnings = [];
    meta = new Map();
  });

  /** The clocks as they stand at a round. @returns from when on ages were counted; null: nothing was removed */
  async function round(clocks: {
    ledger: number;
    vendor: number | null;
    wall?: number;
    newest?: number | null;
  }): Promise<number | null> {
    const removing = ledgerWith(0);
    const ledger = {
      ...removing,
      now: () => Promise.resolve(clocks.ledger),
      newestRow: () => Promise.resolve(clocks.newest ?? null),
      meta: {
        read: (key: string) => Promise.resolve(meta.get(key) ?? null),
        replace: (key: string, value: string) => Promise.resolve(void meta.set(key, value)),
      } as Ledger['meta'],
    };
    const deps: RetentionDependencies = {
      ledger,
      vendorNow: () => Promise.resolve(clocks.vendor),
      wall: () => clocks.wall ?? clocks.ledger,
      retentionMs: 400 * DAY,
      log: {
        ...log,
        info: jest.fn(),
        debug: jest.fn(),
        error: jest.fn(),
        warn: (text: unknown) => warnings.push(String(text)),
      } as never,
    };
    await retentionRound(deps, going);
    return removing.asked[0]?.[1] ?? null;
  }

  it('removes where the vendor’s clock and the newest row bear ours out', async () => {
    expect(await round({ ledger: NOW, vendor: NOW - 400, newest: NOW - HOUR })).toBe(NOW - 400);
    expect(await round({ ledger: NOW + HOUR, vendor: NOW + HOUR })).toBe(NOW + HOUR);
    expect(warnings).toEqual([]);
  });

  it('removes nothing with a clock 402 days ahead, round after round', async () => {
    const ahead = 402 * DAY;
    for (let hour = 0; hour < 3; hour += 1) {
      const at = NOW + hour * HOUR;
      // The worker writes rows with the same clock.
      expect(await round({ ledger: at + ahead, vendor: at, newest: at + ahead })).toBeNull();
    }
    expect(warnings).toHaveLength(3);
    expect(warnings[0]).toContain('402 days ahead of the vendor’s');
  });

  it('removes nothing while the vendor’s time is not known', async () => {
    expect(await round({ ledger: NOW, vendor: null, newest: NOW })).toBeNull();
    expect(warnings[0]).toContain('not known');
  });

  it('is skipped after a step of over a day, though the vendor’s clock made it as well, and the next one goes on', async () => {
    await round({ ledger: NOW, vendor: NOW });
    const later = NOW + 3 * DAY;
    expect(await round({ ledger: later, vendor: later, newest: later })).toBeNull();
    expect(warnings[0]).toContain('3 days ahead of what it last saw');
    expect(await round({ ledger: later + HOUR, vendor: later + HOUR })).toBe(later + HOUR);
    expect(await round({ ledger: NOW, vendor: NOW })).toBeNull();
  });

  it('is skipped where the newest row of a ledger without rounds is over a day old', async () => {
    expect(await round({ ledger: NOW, vendor: NOW, newest: NOW - 2 * DAY })).toBeNull();
    expect(await round({ ledger: NOW + HOUR, vendor: NOW + HOUR, newest: NOW - 2 * DAY })).toBe(NOW + HOUR);
  });

  it('counts ages from the earliest of all clocks', async () => {
    const clocks = { ledger: NOW, vendor: NOW + 10 * 60_000, newest: NOW };
    expect(await round(clocks)).toBe(NOW);
    expect(await round({ ...clocks, wall: NOW - 500 * DAY })).toBe(NOW - 500 * DAY);
  });

  it('takes a mark that is no time for none that it may trust', () => {
    expect(clockDoubt({ ledgerMs: NOW, vendorMs: NOW, lastMs: NaN })).toMatchObject({ kind: 'step' });
  });
});
