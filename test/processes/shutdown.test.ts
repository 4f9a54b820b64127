import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { BulkStatus } from '../../src/core/contract.js';
import { homePaths } from '../../src/platform/home.js';
import { openDatabase } from '../../src/adapters/ledger/open.js';
import { temporalBinary, until } from '../support/embedded-server.js';
import { closeHomes, inOwnHome, type OwnHome } from '../support/own-home.js';
import { untilSettled } from '../support/standing.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit. */
const STORY_LIMIT_MS = 4 * 60_000;
const TARGETS = 80;

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);
afterAll(closeHomes, 60_000);

const story = <A extends readonly unknown[]>(tell: (own: OwnHome, ...args: A) => Promise<void>) =>
  inOwnHome({ CURFEW_REQUESTS_PER_SECOND: '1000' }, tell);

const cancels = ({ simulator }: OwnHome) => simulator.world.truth().cancels;
/** Requests whose answer the vendor has not given yet. */
const pending = (own: OwnHome): number => cancels(own).filter(({ answered }) => answered.kind === 'pending').length;

/** A session whose vendor takes its time to answer a cancel request. */
function addSlow({ simulator }: OwnHome, id: string): void {
  simulator.world.addSession({
    ...{ agent: 'agent_test', id, turnAge: '30m', runsFor: null },
    faults: [{ fault: 'lagging-answer', on: 'cancel', delay: '5s', effectAfter: '2s', times: 'forever' }],
  });
}

/** Orders the end of `sess_slow`, whose request is then under way. */
async function request(own: OwnHome): Promise<void> {
  await own.curfew('cancel', 'sess_slow');
  await until(() => pending(own) === 1);
}

const settled = (own: OwnHome) => own.withLedger(untilSettled);

async function requestsInLedger({ home }: OwnHome): Promise<{ status: string; answer: string | null }[]> {
  const { db, close } = await openDatabase(homePaths(home).ledger);
  try {
    return await db.selectFrom('requests').select(['status', 'answer']).execute();
  } finally {
    await close();
  }
}

describe('a worker that is told to stop', () => {
  it.concurrent.each(['SIGTERM', 'SIGINT'] as const)(
    'I2, I4: waits for the answer to the request under way, and stores it (%s)',
    story(async (own, signal: 'SIGTERM' | 'SIGINT') => {
      addSlow(own, 'sess_slow');
      const worker = await own.up();
      await request(own);
      worker.signal(signal);

      const { code, stderr } = await worker.ended;
      expect({ code, pending: pending(own) }).toEqual({ code: 0, pending: 0 });
      expect(stderr).not.toMatch(/\n\s+at .*:\d+/);
      expect(await requestsInLedger(own)).toEqual([{ status: 'answered', answer: 'accepted' }]);

      await own.up();
      const [result] = await settled(own);
      expect(result).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 1 });
      expect(cancels(own)).toHaveLength(1);
    }),
    STORY_LIMIT_MS,
  );

  it.concurrent(
    'I3: hands over to a worker that is there already, which sends nothing again',
    story(async (own) => {
      addSlow(own, 'sess_slow');
      const first = await own.up();
      await request(own);
      await own.up();
      first.signal('SIGTERM');
      expect((await first.ended).code).toBe(0);
      const [result] = await settled(own);
      expect(result).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 1 });
      expect(cancels(own)).toHaveLength(1);
    }),
    STORY_LIMIT_MS,
  );

  it.concurrent.each([
    ['and goes on with the next start', false],
    ['and another worker goes on at once', true],
  ])(
    'I2, I3: ends a bulk job in the middle without losing an answer, %s',
    story(async (own, _how: string, another: boolean) => {
      const ids = Array.from({ length: TARGETS }, (_, index) => `sess_${index}`);
      for (const id of ids) addSlow(own, id);
      const first = await own.up();
      const { planId } = await own.curfew<BulkStatus>('bulk', 'plan', '--all', '--reason', 'a test');
      const targets = () => own.withLedger((ledger) => ledger.bulk.targets(planId, { afterSeq: -1, limit: TARGETS }));
      await own.curfew('bulk', 'apply', planId, '--yes', '--rate', '10/s', '--canary', '0');
      await until(() => pending(own) >= 20);
      if (another) await own.up();
      first.signal('SIGTERM');
      expect((await first.ended).code).toBe(0);
      if (!another) {
        expect(pending(own)).toBe(0);
        const left = await targets();
        expect(left.filter(({ status }) => status === 'sent')).toEqual([]);
        // In the middle: else it shows nothing.
        expect(left.filter(({ status }) => status === 'waiting').length).toBeGreaterThan(0);
        await own.up();
      }
      // The lease, the server's restart and the rest of the job: half a minute on a quiet machine.
      await own.withLedger(({ bulk }) => until(async () => (await bulk.get(planId))?.state === 'finished', 180_000));
      expect((await targets()).map(({ status, attribution, attempts }) => ({ status, attribution, attempts }))).toEqual(
        ids.map(() => ({ status: 'cancelled', attribution: 'strong', attempts: 1 })),
      );
      for (const id of ids) expect(own.simulator.world.truth(id).cancels).toHaveLength(1);
    }),
    STORY_LIMIT_MS,
  );

  it.concurrent(
    'I2: stops at once when told twice; what it had sent is found in the ledger and read about, not sent again',
    story(async (own) => {
      addSlow(own, 'sess_slow');
      const worker = await own.up();
      await request(own);
      worker.signal('SIGINT');
      await worker.says('Stopping');
      worker.signal('SIGINT');
      expect((await worker.ended).code).toBe(130);
      expect(await requestsInLedger(own)).toEqual([{ status: 'open', answer: null }]);
      // The vendor ends the turn all the same.
      await until(() => own.simulator.world.session('sess_slow').state === 'failed');
      await own.up();
      const [result] = await settled(own);
      expect(result).toMatchObject({ outcome: 'cancelled', attribution: 'probable', attempts: 1 });
      expect(cancels(own)).toHaveLength(1);
    }),
    STORY_LIMIT_MS,
  );
});
