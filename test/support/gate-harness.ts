import { expect, jest } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OrderResult } from '../../src/core/contract.js';
import { createAccount } from '../../src/adapters/vendor/account.js';
import { attemptCase, confirmCase } from '../../src/engines/cases/case-step.js';
import type { CaseDependencies, Step } from '../../src/engines/cases/case.js';
import { createVendorClock } from '../../src/adapters/vendor/vendor-clock.js';
import { createGate } from '../../src/engines/cases/gate.js';
import { noPoliciesInForce } from '../../src/engines/cases/rules.js';
import { TryAgain } from '../../src/core/try-again.js';
import { isLedgerUnavailable, LedgerUnavailableError } from '../../src/adapters/ledger/errors.js';
import type { EventKind } from '../../src/core/events.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import { NO_METERS } from '../../src/adapters/meters.js';
import type { NewOrder } from '../../src/adapters/ledger/orders.js';
import { DEFAULT_TIMING } from '../../src/core/policy/timing.js';
import type { Turn } from '../../src/core/policy/turn.js';
import { SessionsError, type SessionsErrorKind, type SessionsOperation } from '../../src/adapters/vendor/index.js';
import { FREE_LIMITER } from './free-limiter.js';
import { FakeClock, ScriptedVendor, type Shown } from './scripted-vendor.js';

export const SESSION = 'session-1';
/** Our clock when a test begins, and when its first order is given. */
export const BEGINNING = Date.UTC(2026, 0, 5, 12, 0, 0);

/** The turn that is there when the order is given. */
export const FIRST: Turn = { key: 'first', startedAtMs: BEGINNING - 600_000 };
/** A turn that began after the order, and before anything was sent. */
export const SECOND: Turn = { key: 'second', startedAtMs: BEGINNING + 10 };

export const shows = (state: string | null, ...turns: Turn[]): Shown => ({
  state,
  turns: turns.length === 0 ? [FIRST] : turns,
});

const STATUS: Partial<Record<SessionsErrorKind, number>> = {
  unauthorized: 401,
  'account-forbidden': 403,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'rate-limited': 429,
  'failed-to-abort': 500,
  'server-error': 503,
};

const failing =
  (operation: SessionsOperation) =>
  (kind: SessionsErrorKind, more: { readonly code?: string; readonly retryAfterMs?: number } = {}): SessionsError =>
    new SessionsError(kind, { operation, subject: SESSION, status: STATUS[kind] ?? null, ...more });

export const readFails = failing('retrieveSession');
export const cancelFails = failing('cancelSession');
export const listFails = failing('listAgents');
export const queueFails = failing('listQueue');

/** The process died here. */
export class Killed extends Error {}

export const ledgerAway = (): LedgerUnavailableError =>
  new LedgerUnavailableError('unreachable', '127.0.0.1:5432/curfew', 'connection refused');

/** Called around each call of the ledger, with its name as in `requests.register`. */
export interface LedgerHooks {
  readonly before?: (call: string) => void | Promise<void>;
  readonly after?: (call: string) => void | Promise<void>;
}

/** A ledger that says what is asked of it, and fails when a hook throws. */
export const hooked = (ledger: Ledger, hooks: LedgerHooks): Ledger => hook(ledger, '', hooks);

function hook<T extends object>(target: T, prefix: string, hooks: LedgerHooks): T {
  return new Proxy(target, {
    get(object, property, receiver) {
      const value: unknown = Reflect.get(object, property, receiver);
      const name = `${prefix}${String(property)}`;
      if (typeof value === 'function') {
        return async (...args: unknown[]): Promise<unknown> => {
          await hooks.before?.(name);
          const result: unknown = await (value as (...args: unknown[]) => Promise<unknown>)(...args);
          await hooks.after?.(name);
          return result;
        };
      }
      return typeof value === 'object' && value !== null ? hook(value, `${name}.`, hooks) : value;
    },
  });
}

/** What a test may look at or change while a case goes on. */
interface CarryOutOptions {
  /** A wait that the case asked for. Return `stop` to end here. */
  readonly onWait?: (wait: TryAgain, count: number) => void | 'stop' | Promise<void | 'stop'>;
  /** Called before each step, with its number from 0. */
  readonly beforeStep?: (step: Step, count: number) => void | Promise<void>;
}

/** What a process needs to carry out cases; a test may put its own in place of each. */
export type WorkerParts = Partial<CaseDependencies & { readonly hooks: LedgerHooks }>;

export interface Worker {
  readonly deps: CaseDependencies & { readonly sessions: ScriptedVendor };
  /** Plays the workflow, on the fake clock: steps and waits until no order is open. @returns the waits asked for */
  carryOut(options?: CarryOutOptions): Promise<TryAgain[]>;
}

export interface GateHarness {
  readonly clock: FakeClock;
  readonly vendor: ScriptedVendor;
  readonly ledger: Ledger;
  readonly db: OpenedDatabase['db'];
  /** A process of its own: what it knows, it knows from the ledger. */
  worker(parts?: WorkerParts, sessionId?: string): Worker;
  /** A person's order on the turn that is the last now, unless told otherwise. @returns its id */
  order(order?: Partial<NewOrder>): Promise<string>;
  result(orderId: string): Promise<OrderResult>;
  /** Kinds of all events, those without an order included, in order. */
  events(): Promise<string[]>;
  count(kind: EventKind): Promise<number>;
  requests(): Promise<{ status: string; answer: string | null; owner: string }[]>;
  close(): Promise<void>;
}

/** A real SQLite ledger, a scripted vendor, and one clock for all, `Date.now()` included. */
export async function openGateHarness(): Promise<GateHarness> {
  const clock = new FakeClock(BEGINNING);
  const now = jest.spyOn(Date, 'now').mockImplementation(clock.wall);
  const vendor = new ScriptedVendor(clock);
  const folder = mkdtempSync(join(tmpdir(), 'curfew-gate-'));
  const path = join(folder, 'ledger.db');
  const ledger = await openLedger(path);
  const { db, close: closeDatabase } = await openDatabase(path);

  const worker: GateHarness['worker'] = ({ hooks, ...parts } = {}, sessionId = SESSION) => {
    const log = { debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() };
    const ledgerHere = hooks === undefined ? ledger : hooked(ledger, hooks);
    const limiter = FREE_LIMITER;
    const name = randomUUID();
    const common = { sessions: vendor, ledger: ledgerHere, limiter, log, timing: DEFAULT_TIMING, ...parts };
    const deps = {
      ...common,
      gate: createGate({ ...common, clock, vendorClock: createVendorClock(clock), worker: name }),
      account: createAccount(ledgerHere, vendor, log, clock.monotonic),
      rules: noPoliciesInForce,
      meters: NO_METERS,
      random: () => 0.5,
      ...parts,
    };
    return { deps, carryOut: (options) => carryOut(deps, clock, sessionId, options) };
  };

  return {
    clock,
    vendor,
    ledger,
    db,
    worker,
    order: (order = {}) =>
      ledger.orders.create({
        sessionId: SESSION,
        source: 'person',
        requestedBy: 'ops@example.com',
        reason: { text: null, policy: null, policyVersion: null, limit: null, observed: null },
        evenIfExempt: false,
        turnKey: null,
        ...order,
      }),
    result: async (orderId) => {
      const [view] = await ledger.orders.views({ orderIds: [orderId] });
      if (view === undefined) throw new Error(`No order ${orderId}.`);
      return view.result;
    },
    events: async () => (await db.selectFrom('events').select('kind').orderBy('seq').execute()).map(({ kind }) => kind),
    count: async (kind) => (await db.selectFrom('events').select('seq').where('kind', '=', kind).execute()).length,
    requests: () => db.selectFrom('requests').select(['status', 'answer', 'owner']).orderBy('registered_at').execute(),
    close: async () => {
      await ledger.close();
      await closeDatabase();
      now.mockRestore();
      rmSync(folder, { recursive: true, force: true });
      expect(vendor.brokenPromises).toEqual([]);
    },
  };
}

/** More steps than any case of a test takes. */
const TOO_MANY_STEPS = 2_000;

async function carryOut(
  deps: CaseDependencies,
  clock: FakeClock,
  sessionId: string,
  { onWait, beforeStep }: CarryOutOptions = {},
): Promise<TryAgain[]> {
  const waits: TryAgain[] = [];
  let step: Step = { next: 'attempt', afterMs: 0 };
  let waitMs = 0;
  let failures = 0;
  for (let count = 0; step.next !== 'done'; count += 1) {
    if (count > TOO_MANY_STEPS) throw new Error('The case does not come to rest.');
    clock.advance(waitMs);
    await beforeStep?.(step, count);
    try {
      const done: Step =
        step.next === 'attempt'
          ? await attemptCase(deps, sessionId, `cancel/${sessionId}`, failures)
          : await confirmCase(deps, sessionId, step.sightings, step.look, failures);
      // Through Temporal everything travels as JSON.
      step = JSON.parse(JSON.stringify(done)) as Step;
      if (step.next !== 'done') waitMs = step.afterMs;
      failures = 0;
    } catch (error) {
      failures += 1;
      if (error instanceof TryAgain) {
        waits.push(error);
        if ((await onWait?.(error, waits.length)) === 'stop') return waits;
        waitMs = error.afterMs;
      } else if (isLedgerUnavailable(error)) {
        waitMs = deps.timing.heldRetryMs;
      } else {
        throw error;
      }
    }
  }
  return waits;
}
