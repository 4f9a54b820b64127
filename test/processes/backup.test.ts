import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ENDED_OUTCOMES, type BulkStatus, type OrderResult } from '../../src/core/contract.js';
import { ExitCode } from '../../src/core/errors.js';
import { homePaths } from '../../src/platform/home.js';
import type { Ledger } from '../../src/adapters/ledger/ledger.js';
import { runCurfew, type CurfewProcess } from '../support/curfew-process.js';
import { temporalBinary, until } from '../support/embedded-server.js';
import { closeHomes, inOwnHome, type OwnHome } from '../support/own-home.js';
import { allOrders, untilSettled } from '../support/standing.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit. */
const STORY_LIMIT_MS = 5 * 60_000;
/** At one a second they are enough for a copy in the middle. */
const TARGETS = Array.from({ length: 40 }, (_, index) => `sess_bulk_${index}`);
const ORDERED = ['sess_done', 'sess_trying', ...TARGETS];

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);
afterAll(closeHomes, 60_000);

const story = <A extends readonly unknown[]>(tell: (own: OwnHome, ...args: A) => Promise<void>) =>
  inOwnHome({ CURFEW_RETRY_CAP: '1s', CURFEW_REQUESTS_PER_SECOND: '1000' }, tell);

const cancels = ({ simulator }: OwnHome): number => simulator.world.truth().cancels.length;

async function stop(worker: CurfewProcess): Promise<void> {
  worker.signal('SIGTERM');
  expect((await worker.ended).code).toBe(0);
}

const add = ({ simulator }: OwnHome, id: string, more: object = {}): void =>
  void simulator.world.addSession({ agent: 'agent_test', id, turnAge: '30m', runsFor: null, ...more });

/** An order that is being tried in vain, one that is done, and a bulk job under way. */
async function begin(own: OwnHome): Promise<{ readonly worker: CurfewProcess; readonly planId: string }> {
  const { world } = own.simulator;
  add(own, 'sess_done');
  add(own, 'sess_trying', { faults: [{ fault: 'failed-to-abort', times: 'forever' }] });
  for (const id of TARGETS) add(own, id);
  const worker = await own.up();
  await own.curfew('cancel', 'sess_done', '--wait');
  await own.curfew('cancel', 'sess_trying');
  await until(() => world.truth('sess_trying').cancels.length > 1);
  const { planId } = await own.curfew<BulkStatus>('bulk', 'plan', '--all', '--reason', 'a test');
  await own.curfew('bulk', 'apply', planId, '--yes', '--rate', '1/s', '--canary', '0');
  await until(() => TARGETS.filter((id) => world.truth(id).cancels.length > 0).length >= 5);
  return { worker, planId };
}

/** The job has been in the middle for long enough. */
async function finish({ bulk }: Ledger, planId: string): Promise<void> {
  await bulk.steer(planId, { action: 'rate', by: 'a test', rate: 100 });
  await until(async () => (await bulk.get(planId))?.state === 'finished', 120_000);
}

/** Everything comes to its end, and then people go on with their sessions. */
async function endAndGoOn(own: OwnHome, worker: CurfewProcess, planId: string): Promise<void> {
  const { world } = own.simulator;
  world.clearFaults({ sessionId: 'sess_trying' });
  await own.withLedger(async (ledger) => {
    await finish(ledger, planId);
    await untilSettled(ledger);
  });
  await stop(worker);
  // The vendor's clock shows whole seconds.
  await sleep(1_100);
  for (const id of ORDERED) world.startTurn(id, { runsFor: null });
}

function expectNewerTurnsAlive({ simulator }: OwnHome): void {
  const { sessions } = simulator.world.truth();
  expect(ORDERED.filter((id) => sessions[id]?.state !== 'processing')).toEqual([]);
}

const withoutEvents = ({ events: _events, ...result }: OrderResult) => result;

const temporalFiles = ({ home }: OwnHome): string[] =>
  ['', '-wal', '-shm'].map((suffix) => `${homePaths(home).temporalDb}${suffix}`);

describe('a backup of the ledger that is put back', () => {
  it.concurrent.each(['kept', 'deleted'] as const)(
    'I1, I2: ends no turn that began since, and gives each order an outcome (data of Temporal %s)',
    story(async (own, temporal: 'kept' | 'deleted') => {
      const { home, folder } = own;
      const { worker, planId } = await begin(own);
      const copy = join(folder, 'ledger-backup.db');
      expect(await own.curfew('backup', copy)).toMatchObject({ file: copy, ledger: homePaths(home).ledger });
      expect(statSync(copy).mode & 0o777).toBe(0o600);

      // Unknown to the backup.
      add(own, 'sess_after');
      await own.curfew('cancel', 'sess_after', '--wait');
      await endAndGoOn(own, worker, planId);
      const before = cancels(own);

      for (const suffix of ['', '-wal', '-shm']) rmSync(`${homePaths(home).ledger}${suffix}`, { force: true });
      copyFileSync(copy, homePaths(home).ledger);
      if (temporal === 'deleted') for (const file of temporalFiles(own)) rmSync(file, { force: true });
      await own.withLedger(async (ledger) => {
        const open = (await allOrders(ledger)).filter(({ result }) => result.outcome === null);
        expect(open.map(({ result }) => result.sessionId)).toEqual(['sess_trying']);
        // The backup was in the middle: else nothing is shown.
        const job = await ledger.bulk.get(planId);
        expect(job?.state).toBe('running');
        expect(job?.counts?.byStatus.waiting ?? 0).toBeGreaterThan(0);
      });

      await own.up();
      await own.withLedger(async (ledger) => {
        await finish(ledger, planId);
        const results = await untilSettled(ledger);
        expect(results.map(({ sessionId }) => sessionId)).not.toContain('sess_after');
        expect(results.filter(({ outcome }) => outcome === null || !ENDED_OUTCOMES.includes(outcome))).toEqual([]);
        const targets = await ledger.bulk.targets(planId, { afterSeq: -1, limit: 1_000 });
        expect(targets.filter(({ decidedAtMs, orderId }) => decidedAtMs === null && orderId === null)).toEqual([]);
      });
      expectNewerTurnsAlive(own);
      expect(cancels(own)).toBe(before);
    }),
    STORY_LIMIT_MS,
  );

  it.concurrent(
    'I1: of Temporal alone leads to cases that find nothing to do: the ledger knows',
    story(async (own) => {
      const { worker, planId } = await begin(own);
      await stop(worker);
      const kept = join(own.folder, 'temporal-backup');
      mkdirSync(kept);
      for (const file of temporalFiles(own))
        if (existsSync(file)) copyFileSync(file, join(kept, file.split('/').at(-1) ?? ''));
      await endAndGoOn(own, await own.up(), planId);
      const before = cancels(own);
      const results = await own.withLedger((ledger) => untilSettled(ledger));

      for (const file of temporalFiles(own)) rmSync(file, { force: true });
      for (const name of readdirSync(kept)) copyFileSync(join(kept, name), join(own.home, name));
      await own.up();
      // A new order goes through: what Temporal had open before it has been taken up as well.
      add(own, 'sess_new');
      await own.curfew('cancel', 'sess_new', '--wait');
      await sleep(3_000);
      expectNewerTurnsAlive(own);
      expect(cancels(own)).toBe(before + 1);
      await own.withLedger(async (ledger) => {
        const after = (await untilSettled(ledger)).filter(({ sessionId }) => sessionId !== 'sess_new');
        // A case that was looking for a restart then looks again, and tells of the newer turn.
        expect(after.map(withoutEvents)).toEqual(results.map(withoutEvents));
      });
    }),
    STORY_LIMIT_MS,
  );
});

describe('`curfew backup`', () => {
  it.concurrent(
    'replaces nothing, and says which command backs up PostgreSQL, without the password',
    story(async (own) => {
      await stop(await own.up());
      const copy = join(own.folder, 'copy.db');
      await own.curfew('backup', copy);
      const size = statSync(copy).size;
      const again = await own.run('backup', copy);
      expect(again.code).toBe(ExitCode.usage);
      expect(again.stderr).toContain('exists already');
      expect(statSync(copy).size).toBe(size);

      const url = 'postgres://curfew:s3cretword@db.example.com:5433/ledger?sslmode=verify-full&sslrootcert=/etc/ca.pem';
      const dump = join(own.folder, 'x.dump');
      const postgres = await runCurfew(['backup', dump], { ...own.settings, CURFEW_DATABASE_URL: url });
      expect(postgres.code).toBe(ExitCode.usage);
      expect(postgres.stderr).toContain('env PGSSLMODE=verify-full PGSSLROOTCERT=/etc/ca.pem pg_dump --format=custom');
      expect(postgres.stderr).toContain('--host=db.example.com --port=5433 --username=curfew ledger');
      expect(postgres.stderr + postgres.stdout).not.toContain('s3cretword');
      expect(existsSync(dump)).toBe(false);
    }),
    120_000,
  );

  it.concurrent(
    'says where it looked when there is no ledger, and makes none',
    story(async (own) => {
      const { ledger } = homePaths(own.home);
      const copy = join(own.folder, 'x.db');
      const { code, stderr } = await own.run('backup', copy);
      expect(code).toBe(ExitCode.unreachable);
      expect(stderr).toContain(ledger);
      expect(existsSync(ledger)).toBe(false);
      expect(existsSync(copy)).toBe(false);
    }),
  );
});
