import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ENDED_OUTCOMES, type BulkStatus, type OrderResult } from '../../src/contract.js';
import { ExitCode } from '../../src/errors.js';
import { homePaths } from '../../src/home.js';
import { openLedger, type Ledger } from '../../src/ledger/ledger.js';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import {
  runCurfew,
  settingsFor,
  startReady,
  stopEverything,
  type CurfewProcess,
  type Settings,
} from '../support/curfew-process.js';
import { makeHome, removeHome, temporalBinary, until } from '../support/embedded-server.js';
import { allOrders, untilSettled } from '../support/standing.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit. */
const STORY_LIMIT_MS = 5 * 60_000;
const TARGETS = Array.from({ length: 80 }, (_, index) => `sess_bulk_${index}`);

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);

let home: string;
let simulator: Simulator;
let settings: Settings;

beforeEach(async () => {
  home = makeHome();
  simulator = await startSimulator({ slots: 1_000 });
  simulator.world.addAgent({ id: 'agent_test' });
  settings = await settingsFor(dirname(home), {
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: simulator.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    CURFEW_RETRY_CAP: '1s',
    CURFEW_REQUESTS_PER_SECOND: '1000',
  });
});

afterEach(async () => {
  await stopEverything();
  await simulator.close();
  removeHome(home);
}, 60_000);

const world = () => simulator.world;
const cancels = (): number => world().truth().cancels.length;
const up = async (): Promise<CurfewProcess> => (await startReady(['up'], settings)).process;

async function stop(worker: CurfewProcess): Promise<void> {
  worker.signal('SIGTERM');
  expect((await worker.ended).code).toBe(0);
}

async function curfew<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await runCurfew([...args, '--json'], settings);
  if (code !== 0) throw new Error(`curfew ${args.join(' ')} ended with ${code}:\n${stderr}`);
  return JSON.parse(stdout) as T;
}

async function withLedger<T>(use: (ledger: Ledger) => Promise<T>): Promise<T> {
  const ledger = await openLedger(homePaths(home).ledger);
  try {
    return await use(ledger);
  } finally {
    await ledger.close();
  }
}

const add = (id: string, more: object = {}): void =>
  void world().addSession({ agent: 'agent_test', id, turnAge: '30m', runsFor: null, ...more });

/** An order that is being tried in vain, one that is done, and a bulk job under way. */
async function begin(): Promise<{ readonly worker: CurfewProcess; readonly planId: string }> {
  add('sess_done');
  add('sess_trying', { faults: [{ fault: 'failed-to-abort', times: 'forever' }] });
  for (const id of TARGETS) add(id);
  const worker = await up();
  await curfew('cancel', 'sess_done', '--wait');
  await curfew('cancel', 'sess_trying');
  const { planId } = await curfew<BulkStatus>('bulk', 'plan', '--all', '--reason', 'a test');
  await curfew('bulk', 'apply', planId, '--yes', '--rate', '1/s', '--canary', '0');
  await until(() => TARGETS.filter((id) => world().truth(id).cancels.length > 0).length >= 5);
  await until(() => world().truth('sess_trying').cancels.length > 1);
  return { worker, planId };
}

/** Everything comes to its end, and then people go on with their sessions. */
async function endAndGoOn(worker: CurfewProcess, planId: string): Promise<void> {
  world().clearFaults({ sessionId: 'sess_trying' });
  await withLedger(async (ledger) => {
    await ledger.bulk.steer(planId, { action: 'rate', by: 'a test', rate: 100 });
    await untilSettled(ledger);
    await until(async () => (await ledger.bulk.get(planId))?.state === 'finished');
  });
  await stop(worker);
  // The vendor's clock shows whole seconds.
  await sleep(1_100);
  for (const id of ['sess_done', 'sess_trying', ...TARGETS]) world().startTurn(id, { runsFor: null });
}

function expectNewerTurnsAlive(): void {
  const { sessions } = world().truth();
  const ended = ['sess_done', 'sess_trying', ...TARGETS].filter((id) => sessions[id]?.state !== 'processing');
  expect(ended).toEqual([]);
}

const withoutEvents = ({ events: _events, ...result }: OrderResult) => result;

const temporalFiles = (): string[] => ['', '-wal', '-shm'].map((suffix) => `${homePaths(home).temporalDb}${suffix}`);

describe('a backup of the ledger that is put back', () => {
  it.each(['kept', 'deleted'] as const)(
    'I1, I2: ends no turn that began since, and gives each order an outcome (data of Temporal %s)',
    async (temporal) => {
      const { worker, planId } = await begin();
      const copy = join(dirname(home), 'ledger-backup.db');
      expect(await curfew('backup', copy)).toMatchObject({ file: copy, ledger: homePaths(home).ledger });
      expect(statSync(copy).mode & 0o777).toBe(0o600);

      // Unknown to the backup.
      add('sess_after');
      await curfew('cancel', 'sess_after', '--wait');
      await endAndGoOn(worker, planId);
      const before = cancels();

      for (const suffix of ['', '-wal', '-shm']) rmSync(`${homePaths(home).ledger}${suffix}`, { force: true });
      copyFileSync(copy, homePaths(home).ledger);
      if (temporal === 'deleted') for (const file of temporalFiles()) rmSync(file, { force: true });
      await withLedger(async (ledger) => {
        const open = (await allOrders(ledger)).filter(({ result }) => result.outcome === null);
        expect(open.map(({ result }) => result.sessionId)).toEqual(['sess_trying']);
        // The backup was in the middle: else nothing is shown.
        const job = await ledger.bulk.get(planId);
        expect(job?.state).toBe('running');
        expect(job?.counts?.byStatus.waiting ?? 0).toBeGreaterThan(0);
      });

      await up();
      await withLedger(async (ledger) => {
        await untilSettled(ledger);
        await until(async () => (await ledger.bulk.get(planId))?.state === 'finished', 120_000);
        const results = await untilSettled(ledger);
        expect(results.map(({ sessionId }) => sessionId)).not.toContain('sess_after');
        expect(results.filter(({ outcome }) => outcome === null || !ENDED_OUTCOMES.includes(outcome))).toEqual([]);
        const targets = await ledger.bulk.targets(planId, { afterSeq: -1, limit: 1_000 });
        expect(targets.filter(({ decidedAtMs, orderId }) => decidedAtMs === null && orderId === null)).toEqual([]);
      });
      expectNewerTurnsAlive();
      expect(cancels()).toBe(before);
    },
    STORY_LIMIT_MS,
  );

  it(
    'I1: of Temporal alone leads to cases that find nothing to do: the ledger knows',
    async () => {
      const { worker, planId } = await begin();
      await stop(worker);
      const kept = join(dirname(home), 'temporal-backup');
      mkdirSync(kept);
      for (const file of temporalFiles())
        if (existsSync(file)) copyFileSync(file, join(kept, file.split('/').at(-1) ?? ''));
      await endAndGoOn(await up(), planId);
      const before = cancels();
      const results = await withLedger((ledger) => untilSettled(ledger));

      for (const file of temporalFiles()) rmSync(file, { force: true });
      for (const name of readdirSync(kept)) copyFileSync(join(kept, name), join(home, name));
      await up();
      // A new order goes through: what Temporal had open before it has been taken up as well.
      add('sess_new');
      await curfew('cancel', 'sess_new', '--wait');
      await sleep(3_000);
      expectNewerTurnsAlive();
      expect(cancels()).toBe(before + 1);
      await withLedger(async (ledger) => {
        const after = (await untilSettled(ledger)).filter(({ sessionId }) => sessionId !== 'sess_new');
        // A case that was looking for a restart then looks again, and tells of the newer turn.
        expect(after.map(withoutEvents)).toEqual(results.map(withoutEvents));
      });
    },
    STORY_LIMIT_MS,
  );
});

describe('`curfew backup`', () => {
  it('replaces nothing, and says which command backs up PostgreSQL, without the password', async () => {
    await stop(await up());
    const copy = join(dirname(home), 'copy.db');
    await curfew('backup', copy);
    const size = statSync(copy).size;
    const again = await runCurfew(['backup', copy], settings);
    expect(again.code).toBe(ExitCode.usage);
    expect(again.stderr).toContain('exists already');
    expect(statSync(copy).size).toBe(size);

    const url = 'postgres://curfew:s3cretword@db.example.com:5433/ledger';
    const postgres = await runCurfew(['backup', join(dirname(home), 'x.dump')], {
      ...settings,
      CURFEW_DATABASE_URL: url,
    });
    expect(postgres.code).toBe(ExitCode.usage);
    expect(postgres.stderr).toContain('pg_dump --format=custom');
    expect(postgres.stderr).toContain('--host=db.example.com --port=5433 --username=curfew ledger');
    expect(postgres.stderr + postgres.stdout).not.toContain('s3cretword');
    expect(existsSync(join(dirname(home), 'x.dump'))).toBe(false);
  }, 120_000);

  it('says where it looked when there is no ledger, and makes none', async () => {
    const { code, stderr } = await runCurfew(['backup', join(dirname(home), 'x.db')], settings);
    expect(code).toBe(ExitCode.unreachable);
    expect(stderr).toContain(homePaths(home).ledger);
    expect(existsSync(homePaths(home).ledger)).toBe(false);
    expect(existsSync(join(dirname(home), 'x.db'))).toBe(false);
  });
});
