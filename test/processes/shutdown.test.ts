import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { BulkStatus } from '../../src/contract.js';
import { homePaths } from '../../src/home.js';
import { openLedger, type Ledger } from '../../src/ledger/ledger.js';
import { openDatabase } from '../../src/ledger/open.js';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { runCurfew, settingsFor, startReady, stopEverything, type Settings } from '../support/curfew-process.js';
import { makeHome, removeHome, temporalBinary, until } from '../support/embedded-server.js';
import { untilSettled } from '../support/standing.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit. */
const STORY_LIMIT_MS = 4 * 60_000;
const TARGETS = 80;

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);

let home: string;
let simulator: Simulator;
let settings: Settings;
let ledger: Ledger | undefined;

beforeEach(async () => {
  home = makeHome();
  simulator = await startSimulator({ slots: 1_000 });
  simulator.world.addAgent({ id: 'agent_test' });
  settings = await settingsFor(dirname(home), {
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: simulator.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    CURFEW_REQUESTS_PER_SECOND: '1000',
  });
});

afterEach(async () => {
  await stopEverything();
  await ledger?.close();
  ledger = undefined;
  await simulator.close();
  removeHome(home);
}, 60_000);

const up = async () => {
  const { process: worker } = await startReady(['up'], settings);
  ledger ??= await openLedger(homePaths(home).ledger);
  return worker;
};
const opened = (): Ledger => {
  if (ledger === undefined) throw new Error('There is no ledger before the first worker.');
  return ledger;
};
const cancels = () => simulator.world.truth().cancels;
/** Requests whose answer the vendor has not given yet. */
const pending = () => cancels().filter(({ answered }) => answered.kind === 'pending').length;

/** A session whose vendor takes its time to answer a cancel request. */
function slow(id: string): void {
  simulator.world.addSession({
    ...{ agent: 'agent_test', id, turnAge: '30m', runsFor: null },
    faults: [{ fault: 'lagging-answer', on: 'cancel', delay: '5s', effectAfter: '2s', times: 'forever' }],
  });
}

async function requestsInLedger(): Promise<{ status: string; answer: string | null }[]> {
  const { db, close } = await openDatabase(homePaths(home).ledger);
  try {
    return await db.selectFrom('requests').select(['status', 'answer']).execute();
  } finally {
    await close();
  }
}

describe('a worker that is told to stop', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'I2, I4: waits for the answer to the request under way, and stores it (%s)',
    async (signal) => {
      slow('sess_slow');
      const worker = await up();
      await runCurfew(['cancel', 'sess_slow'], settings);
      await until(() => pending() === 1);
      worker.signal(signal);

      const { code, stderr } = await worker.ended;
      expect({ code, pending: pending() }).toEqual({ code: 0, pending: 0 });
      expect(stderr).not.toMatch(/\n\s+at .*:\d+/);
      expect(await requestsInLedger()).toEqual([{ status: 'answered', answer: 'accepted' }]);

      await up();
      const [result] = await untilSettled(opened());
      expect(result).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 1 });
      expect(cancels()).toHaveLength(1);
    },
    STORY_LIMIT_MS,
  );

  it(
    'I3: hands over to a worker that is there already, which sends nothing again',
    async () => {
      slow('sess_slow');
      const first = await up();
      await runCurfew(['cancel', 'sess_slow'], settings);
      await until(() => pending() === 1);
      await up();
      first.signal('SIGTERM');
      expect((await first.ended).code).toBe(0);
      const [result] = await untilSettled(opened());
      expect(result).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 1 });
      expect(cancels()).toHaveLength(1);
    },
    STORY_LIMIT_MS,
  );

  it.each([
    ['and goes on with the next start', false],
    ['and another worker goes on at once', true],
  ])(
    'I2, I3: ends a bulk job in the middle without losing an answer, %s',
    async (_how, another) => {
      const ids = Array.from({ length: TARGETS }, (_, index) => `sess_${index}`);
      for (const id of ids) slow(id);
      const first = await up();
      const plan = await runCurfew(['bulk', 'plan', '--all', '--reason', 'a test', '--json'], settings);
      const { planId } = JSON.parse(plan.stdout) as BulkStatus;
      await runCurfew(['bulk', 'apply', planId, '--yes', '--rate', '10/s', '--canary', '0'], settings);
      await until(() => pending() >= 20);
      if (another) await up();
      first.signal('SIGTERM');
      expect((await first.ended).code).toBe(0);
      if (!another) {
        expect(pending()).toBe(0);
        const { targets } = await targetsOf(planId);
        expect(targets.filter(({ status }) => status === 'sent')).toEqual([]);
        // In the middle: else it shows nothing.
        expect(targets.filter(({ status }) => status === 'waiting').length).toBeGreaterThan(0);
        await up();
      }
      // The lease, the server's restart and the rest of the job: half a minute on a quiet machine.
      await until(async () => (await opened().bulk.get(planId))?.state === 'finished', 180_000);
      const { targets } = await targetsOf(planId);
      expect(targets.map(({ status, attribution, attempts }) => ({ status, attribution, attempts }))).toEqual(
        ids.map(() => ({ status: 'cancelled', attribution: 'strong', attempts: 1 })),
      );
      for (const id of ids) expect(simulator.world.truth(id).cancels).toHaveLength(1);
    },
    STORY_LIMIT_MS,
  );

  it(
    'I2: stops at once when told twice; what it had sent is found in the ledger and read about, not sent again',
    async () => {
      slow('sess_slow');
      const worker = await up();
      await runCurfew(['cancel', 'sess_slow'], settings);
      await until(() => pending() === 1);
      worker.signal('SIGINT');
      await worker.says('Stopping');
      worker.signal('SIGINT');
      expect((await worker.ended).code).toBe(130);
      expect(await requestsInLedger()).toEqual([{ status: 'open', answer: null }]);
      // The vendor ends the turn all the same.
      await sleep(2_500);
      await up();
      const [result] = await untilSettled(opened());
      expect(result).toMatchObject({ outcome: 'cancelled', attribution: 'probable', attempts: 1 });
      expect(cancels()).toHaveLength(1);
    },
    STORY_LIMIT_MS,
  );
});

const targetsOf = async (planId: string) => ({
  targets: await opened().bulk.targets(planId, { afterSeq: -1, limit: TARGETS }),
});
