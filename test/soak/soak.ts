import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { spreadOf, type Spread } from '../../bench/figures.js';
import { startSimulator, stintsOf, type World } from '../../simulator/index.js';
import { seededRandom } from '../../simulator/random.js';
import { SEARCH_ATTRIBUTES, SESSION_CANCELLATION } from '../../src/core/contract.js';
import { homePaths } from '../../src/platform/home.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { LedgerUnavailableError } from '../../src/adapters/ledger/errors.js';
import { openDatabase } from '../../src/adapters/ledger/open.js';
import type { OrderView } from '../../src/adapters/ledger/results.js';
import { readPolicyFile } from '../../src/core/policy-file/index.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/adapters/temporal/embedded.js';
import { runCurfew, settingsFor, startReady, stopEverything, type CurfewProcess } from '../support/curfew-process.js';
import { makeHome, removeHome, temporalBinary } from '../support/embedded-server.js';
import { recordReads } from '../support/oracle.js';
import { letFail } from './faults.js';
import { judgeSoak, type Lag, type SoakFindings, type WrittenRequest } from './oracle.js';
import { peopleWorld, SOAK_LIMITS, SOAK_POLICIES } from './users.js';

export interface SoakOptions {
  /** With faults, users and kills, ms. */
  readonly runMs: number;
  /** Longest time for the rest to end afterwards, ms. */
  readonly drainMs: number;
  readonly sessions: number;
  readonly agents: number;
  /** Mean time between two kills of a worker, which come at random moments, ms. */
  readonly killEveryMs: number;
  /** Share of requests that fail, 0 to 1. */
  readonly faultShare: number;
  readonly hangingCancels: boolean;
  /** The same users, victims and chances each time; not the same moments. */
  readonly seed: number;
  /** Told what goes on. */
  readonly say?: (text: string) => void;
}

export interface SoakReport extends Omit<SoakFindings, 'lags'> {
  readonly seed: number;
  readonly seconds: number;
  readonly drainSeconds: number;
  readonly sessions: number;
  readonly agents: number;
  readonly kills: number;
  readonly turns: number;
  readonly users: Readonly<Record<string, number>>;
  readonly requests: Readonly<Record<string, number>>;
  readonly faultsStruck: { readonly total: number; readonly byFault: Readonly<Record<string, number>> };
  readonly orders: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** Executions of workflows for what was not clear after the first request, or was not asked by the watch itself. */
  readonly caseExecutions: number;
  readonly cancelRequests: number;
  /** From a limit to the first cancel request for the turn, with all faults and kills in it; null: nobody was asked. */
  readonly lagMs: Spread | null;
  /** The same by the limit that was reached first. */
  readonly lagByLimitMs: Readonly<Record<string, Spread | null>>;
  readonly slowest: readonly Lag[];
  /** How many in all; 0 is the goal. */
  readonly disagreementCount: number;
  readonly agree: boolean;
}

const TICK_MS = 200;
/** A session whose reads lag behind for a while, once in so many ms. */
const STALE_EVERY_MS = 5_000;
/** Faults, kills and scans: a limit is found well within this, ms. */
const DUE_MS = 60_000;
/** Lags that are told one by one. */
const SLOWEST = 10;

/**
 * A fleet that lives under policies for a while, while requests fail and workers die, and a comparison of every case with what
 * really happened.
 */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const { say = () => {}, seed } = options;
  const random = seededRandom(seed);
  const home = makeHome();
  const binary = await temporalBinary();
  const simulator = await startSimulator({ slots: 10_000, seed });
  const server = await startEmbeddedServer({
    home,
    binary,
    env: process.env,
    searchAttributes: SEARCH_ATTRIBUTES,
  });
  let ledger: Ledger | null = null;
  try {
    const { world } = simulator;
    const reads = recordReads(world);
    const users = peopleWorld(world, options.agents, options.sessions, random);
    const settings = await settingsFor(dirname(home), {
      GUMLOOP_BASE_URL: simulator.url,
      GUMLOOP_API_KEY: simulator.apiKey,
      GUMLOOP_USER_ID: simulator.userId,
      CURFEW_SCAN_INTERVAL: '3s',
      CURFEW_RETRY_CAP: '5s',
      CURFEW_KEY_RETRY: '2s',
      CURFEW_LOG: 'error',
    });
    const text = SOAK_POLICIES(users.exempt, new Date(Date.now() + 24 * 60 * 60_000).toISOString());
    writeFileSync(join(dirname(home), 'soak.yaml'), text);
    // Creates the ledger, which `policy apply` alone does not.
    ledger = await openLedger(homePaths(home).ledger);
    const applied = await runCurfew(['policy', 'apply', 'soak.yaml', '--yes'], settings);
    if (applied.code !== 0) throw new Error(`policy apply ended with ${applied.code}:\n${applied.stderr}`);
    const workers: CurfewProcess[] = [];
    const startWorker = async (): Promise<CurfewProcess> => (await startReady(['worker'], settings)).process;
    workers.push(await startWorker(), await startWorker());

    const began = performance.now();
    const elapsed = (): number => performance.now() - began;
    const struck = letFail(world, options.faultShare, options.hangingCancels);
    let kills = 0;
    // From half of it to one and a half.
    const untilKillMs = (): number => options.killEveryMs * (0.5 + random());
    let nextKillAt = untilKillMs();
    let nextStaleAt = STALE_EVERY_MS;
    let replacing: Promise<void> | null = null;
    while (elapsed() < options.runMs) {
      users.tick();
      if (elapsed() >= nextStaleAt) {
        nextStaleAt += STALE_EVERY_MS;
        const sessionId = users.sessionIds[Math.floor(random() * users.sessionIds.length)] ?? '';
        world.addFaults({ sessionId }, [{ fault: 'stale-reads', lag: '3s', lasts: '8s' }]);
      }
      if (elapsed() >= nextKillAt && replacing === null) {
        nextKillAt += untilKillMs();
        const victim = workers.shift();
        if (victim === undefined) throw new Error('No worker is left to kill.');
        victim.signal('SIGKILL');
        kills += 1;
        say(
          `${Math.round(elapsed() / 1_000)} s: worker ${victim.pid} killed; ${world.truthBook.cancels.length} cancel requests so far`,
        );
        replacing = victim.ended.then(async () => {
          workers.push(await startWorker());
          replacing = null;
        });
      }
      await sleep(TICK_MS);
    }
    await replacing;
    world.clearFaults();
    const drainBegan = performance.now();
    const drained = (): number => performance.now() - drainBegan;
    const { policies, exempt } = readPolicyFile(text, 'soak.yaml').file;
    const exemptIds = new Set(exempt.map(({ sessionId }) => sessionId));
    const watched = users.sessionIds.filter((id) => !exemptIds.has(id) && world.agentOf(world.find(id)).name !== 'lab');
    const isOver = async (ledger: Ledger): Promise<boolean> => {
      const inFlight = watched.filter((id) => isEndless(world, id));
      const views = await allOrders(ledger);
      const open = views.filter(({ result }) => result.outcome === null);
      const reported = new Set(
        views
          .filter(({ result }) => result.outcome === 'forbidden' || result.outcome === 'gone')
          .map(({ result }) => result.turnKey),
      );
      const left = inFlight.filter((id) => !reported.has(world.session(id).turnKey));
      if (Math.round(drained() / 1_000) % 10 === 0) say(`draining: ${left.length} turns, ${open.length} open orders`);
      return open.length === 0 && left.length === 0;
    };
    while (drained() < options.drainMs && !(await isOver(ledger))) {
      // Pauses go on being approved; new turns do not begin.
      for (const id of users.sessionIds) if (world.session(id).state === 'approval_required') world.approve(id);
      await sleep(1_000);
    }
    const drainSeconds = Math.round(drained() / 1_000);
    const caseExecutions = await countCases(server);
    for (const worker of workers) worker.signal('SIGTERM');
    await Promise.all(workers.map(({ ended }) => ended));

    const orders = (await allOrders(ledger)).map(({ result }) => result);
    const requests = await writtenRequests(homePaths(home).ledger);
    const { lags, ...findings } = judgeSoak({
      ...{ world, policies, exempt: exemptIds, orders, requests, reads, struck, kills },
      sessionIds: users.sessionIds,
      dueMs: DUE_MS,
    });
    const disagreementCount = Object.values(findings.disagreements).flat().length;
    const byFault = tally(struck.map(({ fault }) => fault));
    return {
      seed,
      seconds: Math.round(elapsed() / 1_000),
      drainSeconds,
      sessions: users.sessionIds.length,
      agents: options.agents,
      kills,
      turns: users.sessionIds.reduce((sum, id) => sum + world.find(id).turns.length, 0),
      users: users.done,
      requests: world.requestCounts().requests,
      faultsStruck: { total: struck.length, byFault },
      orders: orders.length,
      outcomes: tally(orders.map(({ outcome }) => outcome ?? 'open')),
      caseExecutions,
      cancelRequests: world.truthBook.cancels.length,
      lagMs: spreadOf(lags.map(({ ms }) => ms)),
      lagByLimitMs: byLimit(lags),
      slowest: [...lags].sort((a, b) => b.ms - a.ms).slice(0, SLOWEST),
      ...findings,
      disagreementCount,
      agree: disagreementCount === 0,
    };
  } finally {
    await ledger?.close();
    await stopEverything();
    await server.stop();
    await simulator.close();
    removeHome(home);
  }
}

/** Whether a turn is in flight that does not end by itself, or not before it breaks a limit. */
function isEndless(world: World, sessionId: string): boolean {
  const { state } = world.session(sessionId);
  if (state !== 'processing' && state !== 'queued') return false;
  const session = world.find(sessionId);
  const stint = stintsOf(session).at(-1);
  const since = world.now() - (stint?.from ?? 0);
  return session.turns.at(-1)?.remaining === null || since > 1_000 * SOAK_LIMITS.runtimeSeconds;
}

/** Workers write to it at the same time. */
async function allOrders(ledger: Ledger): Promise<OrderView[]> {
  for (;;) {
    try {
      return await ledger.orders.views({ limit: 20_000 });
    } catch (error) {
      if (!(error instanceof LedgerUnavailableError)) throw error;
      await sleep(100);
    }
  }
}

async function countCases({ address, namespace }: EmbeddedServer): Promise<number> {
  const connection = await Connection.connect({ address });
  try {
    const client = new Client({ connection, namespace });
    return (await client.workflow.count(`WorkflowType = "${SESSION_CANCELLATION}"`)).count;
  } finally {
    await connection.close();
  }
}

async function writtenRequests(path: string): Promise<WrittenRequest[]> {
  const { db, close } = await openDatabase(path);
  try {
    const rows = await db.selectFrom('requests').select(['session_id', 'turn_key', 'status', 'http_status']).execute();
    return rows.map((row) => ({
      sessionId: row.session_id,
      turnKey: row.turn_key,
      withdrawn: row.status === 'withdrawn',
      answered: row.http_status !== null,
    }));
  } finally {
    await close();
  }
}

function tally(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function byLimit(lags: readonly Lag[]): SoakReport['lagByLimitMs'] {
  const limits = [...new Set(lags.map(({ limit }) => limit))].sort();
  return Object.fromEntries(
    limits.map((limit) => [limit, spreadOf(lags.filter((lag) => lag.limit === limit).map(({ ms }) => ms))]),
  );
}
