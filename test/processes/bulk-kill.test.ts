import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { BulkStatus, BulkTargetResult } from '../../src/core/contract.js';
import { homePaths } from '../../src/platform/home.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { readServerNote } from '../../src/adapters/temporal/server-note.js';
import { seededRandom } from '../../simulator/random.js';
import { insist } from '../support/commands.js';
import { runCurfew, startReady, type CurfewProcess } from '../support/curfew-process.js';
import { temporalBinary } from '../support/embedded-server.js';
import { contradictions, recordReads, type Evidence } from '../support/oracle.js';
import { openHome, type OwnHome } from '../support/own-home.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** The size that the figures in bench/README.md are of: BULK_KILL_TARGETS=5000 BULK_KILL_WORKERS=10 BULK_KILL_SERVERS=2. */
const TARGETS = Number(process.env['BULK_KILL_TARGETS'] ?? 1_000);
const KILLS = {
  worker: Number(process.env['BULK_KILL_WORKERS'] ?? 4),
  server: Number(process.env['BULK_KILL_SERVERS'] ?? 1),
};
/** Set it to the seed that a failed run has printed, to have the same faults. */
const SEED = Number(process.env['KILL_TEST_SEED'] ?? randomInt(2 ** 31));
/** Sessions a second: so that each kill meets a job at work. */
const RATE = 150;
/** A hang limit. */
const STORM_LIMIT_MS = 20 * 60_000;

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);

const kill9 = (pid: number): void => void process.kill(pid, 'SIGKILL');
const print = (figures: object): void => void process.stdout.write(`${JSON.stringify(figures)}\n`);

describe('a bulk job under kill -9 of its worker and of the Temporal server, with a tenth of all requests at fault', () => {
  let own: OwnHome;
  let ledger: Ledger;
  let evidence: Evidence;
  let report: BulkTargetResult[];
  let status: BulkStatus;
  let planId: string;
  const ids: string[] = [];

  const curfew = <T>(...args: string[]): Promise<T> => insist<T>(args, own.settings);

  beforeAll(async () => {
    const agents = Array.from({ length: 10 }, (_, agent) => `agent_${agent}`);
    own = await openHome(
      { CURFEW_RETRY_CAP: '2s', CURFEW_REQUESTS_PER_SECOND: '1000' },
      { slots: 1_000_000, seed: SEED, agents },
    );
    const { home, settings } = own;
    const { world } = own.simulator;
    for (let i = 0; i < TARGETS; i += 1) {
      const agent = `agent_${i % 10}`;
      // Some end by themselves meanwhile.
      ids.push(world.addSession({ agent, turnAge: '1h', runsFor: i % 50 === 7 ? '20s' : null }).id);
    }
    print({ test: 'bulk-kill', seed: SEED });
    const began = performance.now();
    const reads = recordReads(world);

    let worker: CurfewProcess = (await startReady(['up'], settings)).process;
    ledger = await openLedger(homePaths(home).ledger);
    ({ planId } = await curfew<BulkStatus>('bulk', 'plan', '--all', '--reason', 'kill test'));
    world.addFaults('everywhere', [
      { fault: 'failed-to-abort', times: 'forever', probability: 0.03 },
      { fault: 'failed-to-abort', effect: true, times: 'forever', probability: 0.02 },
      { fault: 'reset-after-effect', on: 'cancel', times: 'forever', probability: 0.02 },
      { fault: 'server-error', on: 'cancel', times: 'forever', probability: 0.01 },
      { fault: 'rate-limited', on: 'cancel', times: 'forever', probability: 0.01 },
      { fault: 'lagging-effect', times: 'forever', probability: 0.01 },
      { fault: 'server-error', on: 'retrieve', times: 'forever', probability: 0.02 },
      { fault: 'server-error', on: 'list', times: 'forever', probability: 0.05 },
      {
        fault: 'lagging-answer',
        on: 'cancel',
        delay: '600ms',
        effectAfter: '300ms',
        times: 'forever',
        probability: 0.3,
      },
    ]);
    await curfew<BulkStatus>('bulk', 'apply', planId, '--yes', '--rate', `${RATE}/s`, '--canary', '10');

    const random = seededRandom(SEED);
    const step = Math.floor(TARGETS / (KILLS.worker + 2));
    const serverKills = new Set(
      Array.from({ length: KILLS.server }, (_, i) => Math.floor(((i + 1) * KILLS.worker) / (KILLS.server + 1))),
    );
    for (let kill = 0; kill < KILLS.worker; kill += 1) {
      // After so many more requests than before: a kill that meets an idle worker proves nothing.
      const next = world.requestCounts().requests.cancel + step * (0.3 + 0.6 * random());
      while (world.requestCounts().requests.cancel < next) await sleep(25);
      kill9(worker.pid);
      const pid = readServerNote(home)?.pid;
      if (serverKills.has(kill) && pid != null) kill9(pid);
      await worker.ended;
      worker = (await startReady(['up'], settings)).process;
    }
    do {
      await sleep(500);
      status = await curfew<BulkStatus>('bulk', 'status', planId);
      // A brake that fires is right to; whoever has looked lets it go on.
      if (status.state === 'paused') await curfew('bulk', 'resume', planId);
    } while (status.state !== 'finished' || status.progress.openCases > 0);
    worker.signal('SIGTERM');
    await worker.ended;

    const { stdout } = await runCurfew(['bulk', 'report', planId, '--format', 'jsonl'], settings);
    report = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as BulkTargetResult);
    const truth = world.truth();
    evidence = { orders: report, truth, reads, kills: KILLS.worker };
    print({
      test: 'bulk-kill',
      seed: SEED,
      targets: TARGETS,
      kills: KILLS,
      outcomes: status.progress.outcomes,
      requests: truth.cancels.length,
      requestsByTheJobItself: status.progress.requests,
      retrieves: truth.requests.retrieve,
      lists: truth.requests.list,
      seconds: Math.round((performance.now() - began) / 1_000),
    });
  }, STORM_LIMIT_MS);

  afterAll(async () => {
    await ledger?.close();
    await own.close();
  }, 60_000);

  it('I2: gives each target exactly one outcome, and the totals are those of the report', () => {
    expect(report.map(({ sessionId }) => sessionId).sort()).toEqual([...ids].sort());
    const counted: Record<string, number> = {};
    for (const { outcome } of report) counted[outcome ?? 'none'] = (counted[outcome ?? 'none'] ?? 0) + 1;
    expect(counted).toEqual(status.progress.outcomes);
    expect(status.progress).toMatchObject({ waiting: 0, underWay: 0, openCases: 0 });
  });

  it('I2: every turn ended', () => {
    const running = ids.filter((id) => evidence.truth.sessions[id]?.state === 'processing');
    expect(running).toEqual([]);
  });

  it('I1: lets no request out without a fresh read', () => expect(contradictions(evidence).I1).toEqual([]));
  it('I3: never has two requests for one session side by side', () => expect(contradictions(evidence).I3).toEqual([]));
  it('I4: every outcome agrees with what happened, and every request is accounted for', () =>
    expect(contradictions(evidence).I4).toEqual([]));
  it('asks no session more often than its attempts say', () => {
    const attempts = new Map(report.map((target) => [target.sessionId, target.attempts]));
    const received = new Map<string, number>();
    for (const { sessionId } of evidence.truth.cancels) received.set(sessionId, (received.get(sessionId) ?? 0) + 1);
    expect([...received].filter(([id, count]) => count > (attempts.get(id) ?? 0))).toEqual([]);
  });
  it('I8: Temporal holds a case for what one request did not end, and nothing for the other targets', () => {
    const cases = report.filter(({ attempts }) => attempts > 1).length;
    expect(cases).toBeLessThan(TARGETS / 5);
  });
});
