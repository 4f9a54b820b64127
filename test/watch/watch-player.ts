import { randomUUID } from 'node:crypto';
import { jest } from '@jest/globals';
import type { WatchStatus } from '../../src/core/contract.js';
import { createVendorClock } from '../../src/adapters/vendor/vendor-clock.js';
import { createGate } from '../../src/engines/cases/gate.js';
import { TryAgain } from '../../src/core/try-again.js';
import { isLedgerUnavailable } from '../../src/adapters/ledger/errors.js';
import type { LimitChanges } from '../../src/adapters/ledger/watches.js';
import { DEFAULT_TIMING } from '../../src/core/policy/timing.js';
import type { WatchDependencies } from '../../src/engines/watch/dependencies.js';
import { lookAtWatch, type WatchLook } from '../../src/engines/watch/look.js';
import { FREE_LIMITER } from '../support/free-limiter.js';
import { hooked, SESSION, type GateHarness, type LedgerHooks } from '../support/gate-harness.js';

const HELD_MS = DEFAULT_TIMING.heldRetryMs;
/** More looks than any watch of a test takes. */
const TOO_MANY_LOOKS = 2_000;

interface PlayOptions {
  /** Called before each look, with its number from 0. Return `stop` to end here. */
  readonly before?: (count: number) => void | 'stop' | Promise<void | 'stop'>;
  /** Ends here once it returns true. */
  readonly enough?: (status: WatchStatus) => boolean;
}

export interface WatchPlayer {
  readonly deps: WatchDependencies;
  /** Orders that cases were started for. */
  readonly joined: readonly string[];
  register(limits: LimitChanges, reason?: string): Promise<void>;
  look(failures?: number): Promise<WatchLook>;
  /** Plays the workflow on the fake clock until the watch is over. @returns each look's status, the waits of failed ones left out */
  play(options?: PlayOptions): Promise<WatchStatus[]>;
}

/** A watch as one process carries it out; cases are carried out as soon as they are joined, unless told otherwise. */
export function watchPlayer(
  harness: GateHarness,
  { hooks, carryOutCases = true }: { readonly hooks?: LedgerHooks; readonly carryOutCases?: boolean } = {},
): WatchPlayer {
  const { clock, vendor } = harness;
  const ledger = hooks === undefined ? harness.ledger : hooked(harness.ledger, hooks);
  const vendorClock = createVendorClock(clock);
  const log = { debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() };
  const limiter = FREE_LIMITER;
  const gate = createGate({ sessions: vendor, ledger, limiter, clock, vendorClock, log, worker: randomUUID() });
  const worker = harness.worker({ gate, ledger, limiter, log });
  const joined: string[] = [];
  const deps: WatchDependencies = {
    ...worker.deps,
    vendorClock,
    cases: {
      join: (_sessionId, orderId) => {
        joined.push(orderId);
        return Promise.resolve('joined');
      },
    },
  };
  const look = (failures = 0): Promise<WatchLook> => lookAtWatch(deps, SESSION, failures);
  return {
    deps,
    joined,
    look,
    register: async (limits, reason) => {
      const registration = { sessionId: SESSION, limits, reason: reason ?? null, requestedBy: 'a service' };
      const { kind } = await harness.ledger.watches.register(registration);
      if (kind === 'not-open' || kind === 'no-limit-left') throw new Error(`Not registered: ${kind}.`);
    },
    play: async ({ before, enough } = {}) => {
      const statuses: WatchStatus[] = [];
      let failures = 0;
      let carriedOut = 0;
      for (let count = 0; ; count += 1) {
        if (count > TOO_MANY_LOOKS) throw new Error('The watch does not come to an end.');
        if ((await before?.(count)) === 'stop') return statuses;
        try {
          // Through Temporal everything travels as JSON.
          const done = JSON.parse(JSON.stringify(await look(failures))) as WatchLook;
          failures = 0;
          statuses.push(done.status);
          if (done.next === 'done' || enough?.(done.status) === true) return statuses;
          if (carryOutCases && joined.length > carriedOut) {
            carriedOut = joined.length;
            await worker.carryOut();
          }
          clock.advance(done.afterMs);
        } catch (error) {
          failures += 1;
          if (error instanceof TryAgain) clock.advance(error.afterMs);
          else if (isLedgerUnavailable(error)) clock.advance(HELD_MS);
          else throw error;
        }
      }
    },
  };
}
