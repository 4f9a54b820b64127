import type { Cases } from '../../adapters/temporal/cases.js';
import { LedgerUnavailableError } from '../../adapters/ledger/errors.js';
import { HOLD_RENEWAL_MS } from '../../adapters/ledger/leases.js';
import { SessionsError, type SessionsClient } from '../../adapters/vendor/index.js';
import { POLICY_ENFORCEMENT } from '../../core/contract.js';
import type { LiveList } from '../../core/policy/list-witness.js';
import { TryAgain } from '../../core/try-again.js';
import { Tasks } from '../../platform/tasks.js';
import type { CaseDependencies, Holder, Step } from '../cases/case.js';
import { attemptCase, confirmCase } from '../cases/case-step.js';
import type { Read } from '../cases/gate.js';
import { openCase, type WrittenOrder } from '../cases/open-case.js';
import { endedLately, noteQueue, noteRestart } from '../cases/restarts.js';
import { ListWitnesses } from './list-witnesses.js';
import { pauseUntil } from '../../platform/pause.js';
import { confirmWindowMs, settleMs } from '../../core/policy/timing.js';

/** An order that this worker has given, and carries out itself. */
interface OrderInHand extends WrittenOrder {
  readonly agentId: string | null;
  /** The policy that gave it ends what the session starts again by itself. */
  readonly endsRestarts: boolean;
  /** The read that it rests on; null: there was none just before. */
  readonly read: Read | null;
  /** Told of each further read of the session. Must not fail. Left out: nobody is. */
  readonly onRead?: (read: Read) => void;
}

export interface InHandDependencies extends CaseDependencies {
  readonly sessions: Pick<SessionsClient, 'listQueue'>;
  readonly cases: Pick<Cases, 'join'>;
  /** Names this process in the ledger. */
  readonly worker: string;
  /** Our monotonic clock, ms. */
  readonly monotonic: () => number;
  /** Time between two scans, ms. */
  readonly scanMs: number;
  /** Aborted when this worker stops: it finishes the requests under way, and leaves the rest to others. */
  readonly stopping: AbortSignal;
  /** Left out: real time. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Does something again and again. Left out: by real time. @returns stops it */
  readonly every?: (work: () => void, ms: number) => () => void;
}

/** Orders of policies, as the rounds over the fleet give them: see {@link createInHand}. */
export interface InHand {
  /** Sessions whose orders are being carried out. */
  readonly size: number;
  /** Whether an order on the session is being carried out here: its turn needs no look meanwhile. */
  holds(sessionId: string): boolean;
  /** Takes an order over. Returns at once, and never throws. */
  take(order: OrderInHand): void;
  /** An agent's live sessions were listed. @param atMs - when that was asked for, by the vendor's clock */
  listed(agentId: string, list: LiveList, atMs: number): void;
  /**
   * A session was read whose turn was ended a short time ago. Where it has started again that is reported, and ended where a
   * policy says so.
   *
   * @param queued - messages waited when the turn ended
   * @returns whether it has
   * @throws LedgerUnavailableError
   */
  readAfterEnd(sessionId: string, agentId: string | null, read: Read, queued: boolean): Promise<boolean>;
  /** Until nothing is under way any more, after {@link InHandDependencies.stopping}. Never throws. */
  finished(): Promise<void>;
}

/** A case is opened within so long of letting go, and found missing after that, ms. */
const OPENED_WITHIN_MS = 10_000;
/** A longer wait before the next attempt is the case's, ms. */
const LONGEST_WAIT_MS = 60_000;

/**
 * Carries out the orders of policies with the steps of a case, but from this process: the first request leaves at once, and
 * one that ends the turn costs Temporal nothing. The end is confirmed by the lists of the scans, which are asked for anyway, and one read.
 *
 * What is not clear after the first request becomes a case: every failure, whatever holds requests back, and a turn that goes on.
 * The ledger says who holds an order. A worker that dies stops renewing that, and the reconciler opens the case.
 */
export function createInHand(deps: InHandDependencies): InHand {
  const { ledger, log, worker, timing, stopping } = deps;
  const pause = deps.pause ?? pauseUntil;
  const every = deps.every ?? realTimer;
  const tasks = new Tasks({ counts: () => false });
  const windowMs = confirmWindowMs(timing);
  const witnesses = new ListWitnesses(settleMs(timing));
  /** Lists that come more seldom would not confirm anything in time. */
  const waitsForLists = 2 * deps.scanMs <= windowMs;
  /** By session: what waits behind the order that is being carried out. One at a time: its pass takes all of the session along. */
  const held = new Map<string, OrderInHand[]>();
  let stopRenewing: (() => void) | null = null;

  const take = (order: OrderInHand): void => {
    const { sessionId } = order;
    const behind = held.get(sessionId);
    if (behind !== undefined) {
      behind.push(order);
      return;
    }
    const queue = [order];
    held.set(sessionId, queue);
    tasks.begin(async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await inHand(next);
      held.delete(sessionId);
    });
    stopRenewing ??= every(renew, HOLD_RENEWAL_MS);
  };
  return {
    get size() {
      return tasks.size;
    },
    holds: (sessionId) => held.has(sessionId),
    take,
    async readAfterEnd(sessionId, agentId, read, queued) {
      const ended = await endedLately(deps, sessionId);
      const orders = ended.length === 0 ? null : await noteRestart(deps, ended, read, queued, worker);
      for (const order of orders ?? []) take({ ...order, agentId, endsRestarts: true, read });
      return orders !== null;
    },
    listed: (agentId, list, atMs) => witnesses.listed(agentId, list, atMs),
    async finished() {
      await tasks.finished();
      rest();
    },
  };

  function rest(): void {
    stopRenewing?.();
    stopRenewing = null;
  }

  function renew(): void {
    if (tasks.size === 0) return rest();
    // Not all that it holds: what was dropped on the way, for want of the ledger, is for a case.
    ledger.holds.renew(worker, [...held.keys()]).catch((error: unknown) => {
      log.warn({ err: error }, 'could not renew what this worker holds; what lapses becomes a case');
    });
  }

  /** Never throws. */
  async function inHand(order: OrderInHand): Promise<void> {
    const { sessionId, orderId } = order;
    try {
      await handOver(order, await carryOut(order));
    } catch (error) {
      // The order is in the ledger, and gets its case when nobody renews it any more.
      if (error instanceof LedgerUnavailableError) return;
      log.error({ sessionId, orderId, err: error }, 'could not carry out an order; a case goes on with it');
      await letGo(order, 0).catch(() => {});
    }
  }

  /** @returns wait before a case goes on with it, ms; null: no case is needed */
  async function carryOut({ sessionId, agentId, endsRestarts, read, onRead }: OrderInHand): Promise<number | null> {
    try {
      const me: Holder = { worker, ...(onRead === undefined ? {} : { onRead }) };
      const given = read === null ? me : { ...me, read };
      let step: Step = await attemptCase(deps, sessionId, POLICY_ENFORCEMENT, 0, given);
      if (step.next === 'look' && step.byList === true && agentId !== null && waitsForLists) {
        if (stopping.aborted) return 0;
        const seen = await witnesses.wait(agentId, sessionId, deps.monotonic(), (enough) =>
          pause(windowMs, AbortSignal.any([enough, stopping])),
        );
        if (stopping.aborted) return 0;
        const unlisted = seen.kind === 'unlisted' ? { unlistedAtMs: seen.atMs } : {};
        step = await confirmCase(deps, sessionId, [], 0, 0, { ...me, ...unlisted });
      }
      while (step.next === 'look') {
        await pause(step.afterMs, stopping);
        if (stopping.aborted) return 0;
        step = await confirmCase(deps, sessionId, step.sightings, step.look, 0, me);
      }
      if (step.next === 'attempt') return step.afterMs;
      if (endsRestarts) await lookAtQueue(sessionId);
      return null;
    } catch (error) {
      if (error instanceof TryAgain) return error.afterMs;
      throw error;
    }
  }

  /** Whether messages wait is a help for those who watch for a restart, and no more. */
  async function lookAtQueue(sessionId: string): Promise<void> {
    const ended = await endedLately(deps, sessionId);
    if (ended.length === 0) return;
    await noteQueue(deps, sessionId, ended).catch((error: unknown) => {
      if (!(error instanceof SessionsError)) throw error;
    });
  }

  /** @param afterMs - wait before a case goes on, ms; null: nothing is left to do, unless somebody else has ordered meanwhile */
  async function handOver(order: OrderInHand, afterMs: number | null): Promise<void> {
    if (afterMs !== null && !stopping.aborted) await pause(Math.min(afterMs, LONGEST_WAIT_MS), stopping);
    const opens = afterMs !== null && !stopping.aborted;
    const isOpen = await letGo(order, opens ? OPENED_WITHIN_MS : 0);
    if (isOpen && opens) await openCase(deps, order);
  }

  function letGo({ sessionId }: OrderInHand, forMs: number): Promise<boolean> {
    return ledger.holds.letGo(worker, sessionId, forMs);
  }
}

function realTimer(work: () => void, ms: number): () => void {
  const timer = setInterval(work, ms).unref();
  return () => clearInterval(timer);
}
