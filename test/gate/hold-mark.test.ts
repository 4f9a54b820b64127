import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  createHoldTeller,
  readHold,
  REQUESTS_HELD_META,
  takeWantedProbe,
  wantProbe,
} from '../../src/adapters/ledger/hold-mark.js';
import { PROBE_MS, type Hold } from '../../src/adapters/vendor/hold.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';

let folder: string;
let ledger: Ledger;
let database: OpenedDatabase;
let now: number;
const log = { info: jest.fn(), warn: jest.fn() };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-hold-'));
  now = Date.UTC(2026, 10, 29, 12);
  jest.spyOn(Date, 'now').mockImplementation(() => now);
  ledger = await openLedger(join(folder, 'ledger.db'));
  database = await openDatabase(join(folder, 'ledger.db'));
  log.info.mockClear();
  log.warn.mockClear();
});

afterEach(async () => {
  await ledger.close();
  await database.close();
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const hold = (forMs: number, sinceMs = now): Hold => ({
  ...{ sinceMs, untilMs: now + forMs, operation: 'listSessions', askedMs: 3_600_000 },
});
const kinds = async (): Promise<string[]> =>
  (await database.db.selectFrom('events').select('kind').orderBy('seq').execute()).map(({ kind }) => kind);
/** What a teller writes, it writes afterwards; a ledger in a file keeps nobody waiting, so that some turns are enough. */
async function written(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await nextTurn();
}

describe('the word that a worker leaves of a hold', () => {
  it('is there until it is over, with one event at its beginning and one at its end', async () => {
    const { changed: tell } = createHoldTeller(ledger, log, 'a');
    const sinceMs = now;
    tell(hold(60_000));
    for (let probe = 0; probe < 5; probe += 1) {
      now += 60_000;
      tell(hold(60_000, sinceMs));
    }
    await written();
    expect(await readHold(ledger)).toMatchObject({ worker: 'a', sinceMs, untilMs: now + 60_000 });
    expect(log.warn).toHaveBeenCalledTimes(1);
    now += 60_000;
    tell(null);
    await written();
    expect(await readHold(ledger)).toBeNull();
    expect(await ledger.meta.read(REQUESTS_HELD_META)).toBeNull();
    expect(await kinds()).toEqual(['requests-held', 'requests-released']);
  });

  it('is not worth it for some seconds, unless one follows another', async () => {
    const { changed: tell } = createHoldTeller(ledger, log, 'a');
    const sinceMs = now;
    tell(hold(1_000));
    tell(null);
    tell(hold(2_000));
    await written();
    expect([await kinds(), log.warn.mock.calls]).toEqual([[], []]);
    now += 4_000;
    tell(hold(4_000, sinceMs));
    await written();
    expect(await kinds()).toEqual(['requests-held']);
  });

  it('says nothing any more when its time is over: its worker died', async () => {
    createHoldTeller(ledger, log, 'dead').changed(hold(60_000));
    await written();
    now += 60_000 + PROBE_MS;
    expect(await readHold(ledger)).not.toBeNull();
    now += 1;
    expect(await readHold(ledger)).toBeNull();
    // And does not stand in the way of another one's.
    createHoldTeller(ledger, log, 'alive').changed(hold(30_000));
    await written();
    expect(await readHold(ledger)).toMatchObject({ worker: 'alive' });
  });

  it('is taken away when its worker stops', async () => {
    const teller = createHoldTeller(ledger, log, 'a');
    teller.changed(hold(60_000));
    await teller.close();
    expect(await readHold(ledger)).toBeNull();
    expect(await kinds()).toEqual(['requests-held']);
    await teller.close();
  });

  it('of two workers is that of the one that waits longer, and each takes its own away', async () => {
    const [a, b] = ['a', 'b'].map((worker) => createHoldTeller(ledger, log, worker).changed) as [
      (hold: Hold | null) => void,
      (hold: Hold | null) => void,
    ];
    a(hold(60_000));
    await written();
    b(hold(10_000));
    await written();
    expect(await readHold(ledger)).toMatchObject({ worker: 'a' });
    b(null);
    await written();
    expect(await readHold(ledger)).toMatchObject({ worker: 'a' });
    a(null);
    await written();
    expect(await readHold(ledger)).toBeNull();
  });

  it.each(['', 'null', '{', '{"until":1}', '[]', '7'])('in another form (%j) says nothing', async (text) => {
    await ledger.meta.replace(REQUESTS_HELD_META, text);
    expect(await readHold(ledger)).toBeNull();
  });

  it('that a ledger does not take stops nothing', async () => {
    const away = { ...ledger, meta: { ...ledger.meta, read: () => Promise.reject(new Error('away')) } };
    const { changed: tell } = createHoldTeller(away, log, 'a');
    tell(hold(60_000));
    tell(null);
    await written();
    expect(log.info).toHaveBeenCalledWith(expect.anything(), 'could not record a hold');
  });
});

it('a probe that a person wants is taken by one', async () => {
  expect(await takeWantedProbe(ledger)).toBe(false);
  await wantProbe(ledger);
  await wantProbe(ledger);
  expect([await takeWantedProbe(ledger), await takeWantedProbe(ledger)]).toEqual([true, false]);
});
