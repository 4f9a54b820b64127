import { jest } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startSimulator, type FaultInput, type SessionInput, type Simulator } from '../../simulator/index.js';
import type { BulkDependencies } from '../../src/engines/bulk/dependencies.js';
import { runBulk, type BulkStep } from '../../src/engines/bulk/run.js';
import { readBulkStatus } from '../../src/engines/bulk/status.js';
import type { BulkStatus } from '../../src/core/contract.js';
import { createVendorClock } from '../../src/adapters/vendor/vendor-clock.js';
import { createAccount } from '../../src/adapters/vendor/account.js';
import { systemClock } from '../../src/platform/clock.js';
import { createGate } from '../../src/engines/cases/gate.js';
import { createLimiter } from '../../src/adapters/vendor/limiter.js';
import type { BulkTarget, TargetToFreeze } from '../../src/adapters/ledger/bulk-plans.js';
import type { BulkApplication } from '../../src/adapters/ledger/bulk-steering.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { DEFAULT_TIMING, type CaseTiming } from '../../src/core/policy/timing.js';
import { createCredentials, createSessionsClient } from '../../src/adapters/vendor/index.js';
import { hooked, type LedgerHooks } from './gate-harness.js';

/** As by default, but so short that a test does not wait. The order of the waits is the same. */
const QUICK: CaseTiming = {
  ...DEFAULT_TIMING,
  confirmGapsMs: [150, 150, 200, 250, 300],
  missingGapMs: 300,
  refusedForMs: 300,
  retryCapMs: 400,
  accountRetryMs: 400,
  heldRetryMs: 200,
};

export interface BulkHarness {
  readonly simulator: Simulator;
  readonly ledger: Ledger;
  /** Cases that were joined: session and order. */
  readonly joined: { sessionId: string; orderId: string }[];
  /** Adds sessions that process, unless told otherwise. @returns their ids */
  sessions(count: number, input?: Partial<SessionInput>, agents?: number): string[];
  faults(faults: readonly FaultInput[]): void;
  /** Freezes a plan of these sessions. @returns its id */
  plan(sessionIds: readonly string[], more?: Partial<TargetToFreeze>): Promise<string>;
  apply(planId: string, how?: Partial<BulkApplication>): Promise<void>;
  /** A process of its own: what it knows, it knows from the ledger. */
  deps(parts?: Partial<BulkDependencies> & { readonly hooks?: LedgerHooks }): BulkDependencies;
  /** One slice of work. */
  slice(
    planId: string,
    parts?: Partial<BulkDependencies> & { readonly hooks?: LedgerHooks },
    stop?: AbortSignal,
  ): Promise<BulkStep>;
  /** Plays the workflow until the job rests or is over. */
  carryOut(planId: string, parts?: Partial<BulkDependencies>): Promise<BulkStatus>;
  status(planId: string): Promise<BulkStatus>;
  targets(planId: string): Promise<BulkTarget[]>;
  /** Stops what is still at work, and waits for it. */
  close(): Promise<void>;
}

/** The real simulator and a real ledger in a file, or at the given address. */
export async function openBulkHarness(
  options: { readonly databaseUrl?: string; readonly timing?: CaseTiming } = {},
): Promise<BulkHarness> {
  const folder = mkdtempSync(join(tmpdir(), 'curfew-bulk-'));
  const simulator = await startSimulator({ slots: 1_000_000 });
  const ledger = await openLedger(options.databaseUrl ?? join(folder, 'ledger.db'));
  const clients: { close(): void }[] = [];
  const joined: { sessionId: string; orderId: string }[] = [];
  const agentIds: string[] = [];
  const closing = new AbortController();
  /** What a test that failed did not wait for. */
  const underWay = new Set<Promise<unknown>>();
  const atWork = <T>(work: Promise<T>): Promise<T> => {
    underWay.add(work);
    const over = (): void => void underWay.delete(work);
    work.then(over, over);
    return work;
  };

  const deps: BulkHarness['deps'] = ({ hooks, ...parts } = {}) => {
    const clock = systemClock;
    const limiter = createLimiter(10_000, clock);
    const sessions = createSessionsClient({
      baseUrl: simulator.url,
      credentials: createCredentials({ GUMLOOP_API_KEY: simulator.apiKey, GUMLOOP_USER_ID: simulator.userId }),
      userAgent: 'curfew-test',
      onRequest: limiter.heard,
    });
    clients.push(sessions);
    const log = { debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() };
    const vendorClock = createVendorClock(clock);
    const worker = randomUUID();
    const ledgerHere = hooks === undefined ? ledger : hooked(ledger, hooks);
    const common = { sessions, ledger: ledgerHere, limiter, log, clock, vendorClock, worker };
    return {
      ...common,
      gate: createGate(common),
      account: createAccount(ledgerHere, sessions, log),
      cases: {
        join: (sessionId, orderId) => {
          joined.push({ sessionId, orderId });
          return Promise.resolve('joined');
        },
      },
      timing: options.timing ?? QUICK,
      random: () => 0.5,
      concurrency: 32,
      ...parts,
    };
  };
  const slice: BulkHarness['slice'] = (planId, parts, stop = closing.signal) =>
    atWork(
      runBulk(deps(parts), planId, {
        stop: AbortSignal.any([stop, closing.signal]),
        sliceMs: 60_000,
        onProgress: () => undefined,
      }),
    );
  const status: BulkHarness['status'] = async (planId) => {
    const job = await ledger.bulk.get(planId);
    if (job === null) throw new Error(`There is no plan ${planId}.`);
    return readBulkStatus(ledger, job);
  };

  return {
    simulator,
    ledger,
    joined,
    sessions(count, input = {}, agents = 1) {
      while (agentIds.length < agents) agentIds.push(simulator.world.addAgent().id);
      return Array.from({ length: count }, (_, index) => {
        const agent = agentIds[index % agents] ?? '';
        return simulator.world.addSession({ agent, turnAge: '1h', ...input }).id;
      });
    },
    faults: (faults) => simulator.world.addFaults('everywhere', faults),
    async plan(sessionIds, more = {}) {
      const planId = `b-${randomUUID().slice(0, 8)}`;
      await ledger.bulk.begin({
        planId,
        by: 'ops@host',
        source: 'person',
        cleanup: null,
        reason: 'incident',
        selection: {},
      });
      const seenAtMs = await ledger.now();
      const targets = sessionIds.map((sessionId) => ({
        ...{ sessionId, agentId: null, state: null, turnKey: null, turnStartedAtMs: null, seenAtMs },
        ...more,
      }));
      await ledger.bulk.addTargets(planId, 0, targets);
      await ledger.bulk.seal(planId, {
        totals: { targets: targets.length, byState: {}, byAgent: [], agents: 1, leftOut: {}, sample: [], gaps: [] },
        hash: await ledger.bulk.hash(planId),
      });
      return planId;
    },
    async apply(planId, how = {}) {
      const applied = await ledger.bulk.apply(planId, {
        ...{ by: 'ops@host', rate: 5_000, canary: 0, fast: false, evenIfExempt: false },
        ...how,
      });
      if (applied.kind !== 'started') throw new Error(`The plan was not started: ${applied.kind}.`);
    },
    deps,
    slice,
    carryOut(planId, parts) {
      const toItsEnd = async (): Promise<BulkStatus> => {
        for (;;) {
          const step = await slice(planId, parts);
          if (step.next !== 'again' || closing.signal.aborted) return status(planId);
          await sleep(step.afterMs, undefined, { signal: closing.signal }).catch(() => {});
        }
      };
      return atWork(toItsEnd());
    },
    status,
    targets: (planId) => ledger.bulk.targets(planId, { afterSeq: -1, limit: 1_000_000 }),
    async close() {
      closing.abort();
      await Promise.allSettled(underWay);
      for (const client of clients) client.close();
      await simulator.close();
      await ledger.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
