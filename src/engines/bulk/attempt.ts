import type { BulkTarget } from '../../adapters/ledger/bulk-plans.js';
import type { BulkRegistration } from '../../adapters/ledger/bulk-writes.js';
import type { OrderError } from '../../core/contract.js';
import { bindOrder } from '../../core/policy/binding.js';
import { viewOf, type OrderedTurn } from '../../core/policy/sighting.js';
import { notBeforeMs } from '../../core/policy/fresh-read.js';
import type { Basis, DispatchResult } from '../cases/gate.js';
import type { SessionsError } from '../../adapters/vendor/index.js';
import type { RunContext, Unconfirmed } from './dependencies.js';

/** How one pass of a target through the gate went. */
export type Attempted =
  /** Asked to end, or over already: to be confirmed. `works`: the vendor answered as it should. */
  | { readonly kind: 'confirm'; readonly item: Unconfirmed; readonly works: boolean }
  /** Nothing was sent that had effect. */
  | { readonly kind: 'again'; readonly afterMs: number }
  | { readonly kind: 'exempt'; readonly agentId: string | null }
  /** The vendor's API failed, before or without effect. */
  | { readonly kind: 'failed'; readonly error: SessionsError }
  /** The pause switch of all of Curfew. */
  | { readonly kind: 'paused'; readonly reason: string | null }
  /** The job is not running any more. */
  | { readonly kind: 'stopped' };

/** A read that came too slowly is read again after, ms. */
const TOO_SLOW_RETRY_MS = 1_000;
/** While another sender waits for its answer, ms. */
const BUSY_RETRY_MS = 2_000;

/**
 * One pass of a target through the gate: a fresh read, and a cancel request if it shows the planned turn in flight.
 *
 * @param accepted - called when the vendor has accepted the request, before that is written
 * @throws {SessionsError} when the read fails; nothing was sent then
 */
export async function attemptTarget(run: RunContext, target: BulkTarget, accepted: () => void): Promise<Attempted> {
  const read = await run.gate.readToSend(target.sessionId);
  await run.account.works();
  const turn = plannedTurn(target, read);
  const view = viewOf(read.sighting, turn);
  const agentId = read.agentId ?? target.agentId;
  if (view !== 'in-flight' || turn.key === null) {
    const atRest = view === 'completed' || view === 'failed';
    const item: Unconfirmed = {
      ...{ target, agentId, turn, from: 'waiting' },
      // Where somebody else asked for its end, what became of it is for the reads to tell.
      byList: atRest && !(await anythingSent(run, target.sessionId, turn)) ? 'at-rest' : null,
      sinceAt: run.clock.monotonic(),
      sightings: [read.sighting],
    };
    return { kind: 'confirm', item, works: true };
  }
  const { key, startedAtMs } = turn;
  const basis = { atMs: read.sighting.atMs, read };
  const result = await dispatch(run, target, agentId, { key, startedAtMs }, basis, () => notBeforeMs(read), accepted);
  return attempted(run, result, { target, agentId, turn });
}

/** The same without a read, where a person has asked for that (`--fast`). The turn is the one of the plan, if that knew it. */
export async function attemptUnread(run: RunContext, target: BulkTarget, accepted: () => void): Promise<Attempted> {
  const { agentId, turnKey, turnStartedAtMs } = target;
  const turn = turnKey === null ? null : { key: turnKey, startedAtMs: turnStartedAtMs };
  const atMs = (): number => Math.round(run.vendorClock.now() ?? run.clock.wall());
  const result = await dispatch(run, target, agentId, turn, { atMs: atMs(), read: null }, atMs, accepted);
  return attempted(run, result, { target, agentId, turn: turn ?? UNREAD });
}

/** Stands for the turn that a request without a read met. */
export const UNREAD: OrderedTurn = { key: null, startedAtMs: null };

/** The turn that the plan means: the one that it knew, or the one that was the last when the session was seen. */
export const plannedTurn = (
  target: BulkTarget,
  read: { readonly sighting: Parameters<typeof bindOrder>[1]; readonly times: Parameters<typeof bindOrder>[2] },
): OrderedTurn =>
  target.turnKey === null
    ? bindOrder({ orderedAtMs: target.seenAtMs }, read.sighting, read.times)
    : { key: target.turnKey, startedAtMs: target.turnStartedAtMs };

function dispatch(
  run: RunContext,
  { seq, sessionId }: BulkTarget,
  agentId: string | null,
  turn: { readonly key: string; readonly startedAtMs: number | null } | null,
  basis: Basis,
  readAtMs: () => number,
  accepted: () => void,
): Promise<DispatchResult<BulkRegistration>> {
  return run.gate.dispatch<BulkRegistration>(sessionId, basis, {
    register: () => run.book.register({ seq, sessionId, agentId, turn, readAtMs: readAtMs() }),
    withdraw: () => run.book.withdraw({ seq, sessionId }),
    answer: (_, answer) => {
      if (answer.answer === 'accepted') accepted();
      return run.book.answer({ seq, sessionId, answer });
    },
    quiet: true,
  });
}

async function attempted(
  run: RunContext,
  result: DispatchResult<BulkRegistration>,
  about: Pick<Unconfirmed, 'target' | 'agentId' | 'turn'>,
): Promise<Attempted> {
  switch (result.kind) {
    case 'answered': {
      const { answer, error } = result;
      if (error !== null && answer.answer === 'refused') return { kind: 'failed', error };
      if (error === null) await run.account.works();
      const confirmedByList = answer.answer === 'accepted' && answer.state === 'failed';
      const item: Unconfirmed = {
        ...about,
        from: 'answered',
        byList: confirmedByList ? 'request' : null,
        sinceAt: run.clock.monotonic(),
        accepted: answer.answer === 'accepted',
        sightings: [],
      };
      return { kind: 'confirm', item, works: error === null };
    }
    case 'not-sent':
      return { kind: 'failed', error: result.error };
    case 'read-too-old':
      return { kind: 'again', afterMs: TOO_SLOW_RETRY_MS };
    case 'busy':
      // Its lease may be long, and its answer there in a moment.
      return { kind: 'again', afterMs: Math.min(result.retryInMs, BUSY_RETRY_MS) };
    case 'exempt':
      return { kind: 'exempt', agentId: about.agentId };
    case 'paused':
      return { kind: 'paused', reason: result.reason };
    case 'stopped':
      return { kind: 'stopped' };
  }
}

async function anythingSent(run: RunContext, sessionId: string, turn: OrderedTurn): Promise<boolean> {
  if (turn.key === null) return true;
  return (await run.ledger.requests.forTurn(sessionId, turn.key, 0, turn.startedAtMs)).length > 0;
}

export const orderErrorOf = (error: SessionsError, atMs: number): OrderError => ({
  type: error.code ?? error.kind,
  message: error.message,
  at: new Date(atMs).toISOString(),
});
