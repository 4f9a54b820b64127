import type { OpenOrder } from '../../adapters/ledger/orders.js';
import { takeWantedProbe } from '../../adapters/ledger/hold-mark.js';
import { SessionsError } from '../../adapters/vendor/index.js';
import { ALERTS } from '../../core/events.js';
import { orderedBy } from '../../core/orders.js';
import { backoffMs } from '../../core/policy/backoff.js';
import { maxReadAge } from '../../core/policy/fresh-read.js';
import { afterAccepted, joinedRefusals, type Refusal } from '../../core/policy/refusals.js';
import type { Sighting } from '../../core/policy/sighting.js';
import { TryAgain, type TryAgainReason } from '../../core/try-again.js';
import type { CaseDependencies, Holder, Step } from './case.js';
import { decide, type Decision } from './decide.js';
import type { Read } from './gate.js';
import { gather } from './gather.js';
import { meetFailure } from './refusal.js';
import { noteRead, noteUnjudged, noteUnread, TOO_SLOW } from './unjudged.js';
import { notePhase, noteWaits, tryAgain } from './waits.js';
import { settleMs } from '../../core/policy/timing.js';

/*
 * A pass of a case: read the session, gather what else is known, decide once on all orders, write what was decided, and only
 * then send. A crash between two of these leaves nothing that the next pass does not find and do again.
 */

/** What a pass works on. */
interface Pass {
  readonly sessionId: string;
  /** All that are open, oldest first. */
  readonly orders: readonly OpenOrder[];
  /** What the vendor had refused for the session before this pass. */
  readonly refusals: readonly Refusal[];
  /** Passes that failed in a row before this one; spaces the next attempt. */
  readonly failures: number;
  readonly holder: Holder | null;
  readonly beganAt: number;
}

/**
 * One pass through the gate for all open orders of a session: read, conclude what can be concluded, and send a cancel
 * request for those whose turn is in flight.
 *
 * @param failures - passes that failed in a row before this one; spaces the next attempt
 * @param holder - who carries the orders out; null: a case
 * @throws TryAgain when it has to be done again after a wait
 */
export const attemptCase = (
  deps: CaseDependencies,
  sessionId: string,
  owner: string,
  failures: number,
  holder: Holder | null = null,
): Promise<Step> =>
  inPass(deps, sessionId, failures, 'attempting', holder, async (pass, mayProbe) => {
    const { orders } = pass;
    const maxAgeMs = Math.max(...orders.map(({ maxReadAgeMs }) => maxReadAge(maxReadAgeMs)));
    const given = holder?.read;
    const read =
      given !== undefined && deps.gate.mayGoBy(given)
        ? given
        : await reading(deps, pass, () => deps.gate.readToSend(sessionId, mayProbe, maxAgeMs));
    if (read === null) return { next: 'done' };
    const sightings = [read.sighting];
    const known = await gather(deps, orders, read, sightings, { confirming: false, asksRules: true });
    const decision = decide(known, read, sightings, deps.timing);
    await write(deps, pass, decision);
    if (decision.next.kind === 'send' && decision.next.senders.length > 0) {
      return send(deps, pass, owner, read, decision.next);
    }
    await noteRead(deps, sessionId, 'case');
    switch (decision.next.kind) {
      case 'wait':
        throw decision.next.again;
      case 'send':
        return { next: 'attempt', afterMs: 0 };
      case 'look':
        return look(deps, sessionId, read, 0, sightings);
      case 'done':
        return { next: 'done' };
    }
  });

/**
 * One confirming read. Sends nothing.
 *
 * @param sightings - what the looks before this one showed
 * @param lookNumber - from 0; after the last look of the confirm window the case goes back to the gate
 * @param holder - who carries the orders out; null: a case
 */
export const confirmCase = (
  deps: CaseDependencies,
  sessionId: string,
  sightings: readonly Sighting[],
  lookNumber: number,
  failures: number,
  holder: Holder | null = null,
): Promise<Step> =>
  inPass(deps, sessionId, failures, 'confirming', holder, async (pass, mayProbe) => {
    const read = await reading(deps, pass, () => deps.gate.read(sessionId, 'confirm', mayProbe));
    if (read === null) return { next: 'done' };
    const seen = [...sightings, read.sighting];
    const windowOpen = lookNumber + 1 < deps.timing.confirmGapsMs.length;
    const unlistedAtMs = holder?.unlistedAtMs ?? null;
    const asked = { confirming: windowOpen, asksRules: false, unlistedAtMs };
    const known = await gather(deps, pass.orders, read, seen, asked);
    const decision = decide(known, read, seen, deps.timing, unlistedAtMs);
    await write(deps, pass, decision);
    if (decision.next.kind === 'done') return { next: 'done' };
    if (decision.next.kind !== 'look') return { next: 'attempt', afterMs: 0 };
    await noteRead(deps, sessionId, 'case');
    return windowOpen
      ? look(deps, sessionId, read, lookNumber + 1, seen)
      : { next: 'attempt', afterMs: deps.timing.heldRetryMs };
  });

function inPass(
  deps: CaseDependencies,
  sessionId: string,
  failures: number,
  phase: 'attempting' | 'confirming',
  holder: Holder | null,
  work: (pass: Pass, mayProbe: boolean) => Promise<Step>,
): Promise<Step> {
  return noteWaits(deps, sessionId, async () => {
    const beganAt = performance.now();
    const orders = await deps.ledger.orders.beginPass(sessionId, holder?.worker);
    if (orders.length === 0) return { next: 'done' };
    await notePhase(deps, sessionId, phase, null, true);
    const mayProbe = failures === 0 && (await isAPersonsWish(deps, orders));
    const refusals = joinedRefusals(orders.map((order) => order.refusals));
    return work({ sessionId, orders, refusals, failures, holder, beganAt }, mayProbe);
  });
}

async function look(
  deps: CaseDependencies,
  sessionId: string,
  read: Read,
  lookNumber: number,
  sightings: readonly Sighting[],
): Promise<Step> {
  const afterMs = read.sighting.missing ? deps.timing.missingGapMs : (deps.timing.confirmGapsMs[lookNumber] ?? 0);
  await notePhase(deps, sessionId, 'confirming', afterMs, true, read.agentId);
  return { next: 'look', afterMs, look: lookNumber, sightings };
}

/** A person has just ordered, or asked to try at once: a hold by the vendor's 429 need not be sat out for that. */
const isAPersonsWish = async ({ limiter, ledger }: CaseDependencies, orders: readonly OpenOrder[]): Promise<boolean> =>
  orders.some(({ source }) => source === 'person') || (limiter.held() !== null && (await takeWantedProbe(ledger)));

/** What keeps a read away that says nothing of the account. */
const OF_SESSION: ReadonlySet<TryAgainReason> = new Set<TryAgainReason>(['ApiUnavailable', 'Refused']);

/** @returns null when the vendor forbids this session: then its orders are settled */
async function reading(deps: CaseDependencies, pass: Pass, read: () => Promise<Read>): Promise<Read | null> {
  const { sessionId, orders, failures } = pass;
  try {
    const seen = await read();
    pass.holder?.onRead?.(seen);
    await deps.account.works();
    return seen;
  } catch (error) {
    if (!(error instanceof SessionsError)) throw error;
    const known = orders.map((order) => ({
      order,
      turn: { key: order.turnKey, startedAtMs: order.turnStartedAtMs },
    }));
    await meetFailure(deps, pass, known, error, failures).catch(async (wait: unknown) => {
      // What the vendor forbids for good gets an outcome, which is told.
      if (wait instanceof TryAgain && OF_SESSION.has(wait.reason) && error.kind !== 'forbidden')
        await noteUnread(deps, { sessionId, by: 'case', orderId: orders[0]?.id ?? null }, error, wait.afterMs);
      throw wait;
    });
    return null;
  }
}

/** What was refused before and is accepted now was refused in passing. */
async function noteAccepted({ ledger }: Pick<CaseDependencies, 'ledger'>, pass: Pass, on: 'read' | 'cancel') {
  const refusals = afterAccepted(pass.refusals, on);
  if (refusals.length === pass.refusals.length) return;
  const note = { phase: 'attempting', nextTryAtMs: null, error: null, counts: true } as const;
  await ledger.orders.notePass(pass.sessionId, { ...note, refusals });
}

/** Writes what a pass has decided. Nothing is decided in here. */
async function write(deps: CaseDependencies, pass: Pass, decision: Decision): Promise<void> {
  const { ledger, log, timing } = deps;
  const { bindings, newOrders, settlements, events, alertedOrderIds, held } = decision;
  await noteAccepted(deps, pass, 'read');
  const heldBy = pass.holder === null ? {} : { holder: pass.holder.worker };
  for (const order of newOrders) await ledger.orders.create({ ...order, ...heldBy });
  for (const { orderId, turn } of bindings) await ledger.orders.bind(orderId, turn);
  if (settlements.length + events.length > 0) {
    await ledger.orders.settle({ settlements, events, alertedOrderIds });
    for (const { kind, sessionId, orderId, data } of events) {
      log[ALERTS.has(kind) ? 'error' : 'warn']({ ...data, sessionId, orderId }, kind);
    }
    for (const { orderId, sessionId, outcome, attribution, attempts } of settlements) {
      log.info({ sessionId, orderId, outcome, attribution, attempts }, 'order settled');
    }
  }
  for (const { order, why } of held) {
    const { sessionId, id: orderId, alerted } = order;
    if (alerted || !(await ledger.orders.tellNotEnding(orderId, timing.alertAfterMs, why))) continue;
    log.error({ sessionId, orderId, why }, 'not-ending');
  }
}

/** @see Gate.send for what is asked there once more, at the last moment */
async function send(
  deps: CaseDependencies,
  pass: Pass,
  owner: string,
  read: Read,
  { senders, permits }: Extract<Decision['next'], { kind: 'send' }>,
): Promise<Step> {
  const { sessionId, failures, beganAt } = pass;
  const orderIds = senders.map(({ order }) => order.id);
  const maxReadAges = new Map(
    senders.flatMap(({ order: { id, maxReadAgeMs } }) => (maxReadAgeMs === null ? [] : [[id, maxReadAgeMs]])),
  );
  const result = await deps.gate.send({ sessionId, read, orderIds, permits, maxReadAges, owner });
  // That a read has come does not say that it comes fast enough: the session can be judged where that was not in the way.
  if (result.kind !== 'read-too-old') await noteRead(deps, sessionId, 'case');
  switch (result.kind) {
    case 'paused':
      throw new TryAgain(
        'Paused',
        `${result.bulkJob === undefined ? 'Curfew' : `The bulk job ${result.bulkJob}`} is paused${result.reason === null ? '' : ` (${result.reason})`}; nothing was sent.`,
        deps.timing.heldRetryMs,
      );
    case 'busy':
      throw new TryAgain('SenderBusy', 'Another cancel request for this session is under way.', result.retryInMs);
    case 'in-doubt':
      throw new TryAgain(
        'InDoubt',
        'The session must not be ended any more, but an earlier request may still take effect; nothing was sent.',
        result.retryInMs,
      );
    case 'nothing-to-send':
      return { next: 'attempt', afterMs: 0 };
    case 'read-too-old':
      throw await tooOld(deps, sessionId, orderIds, result.ageMs, failures);
    case 'not-sent':
      throw await tryAgain(deps, result.error, failures);
    case 'answered':
      break;
  }
  if (result.error === null) {
    const sentFor = new Set(result.letOut.orderIds);
    for (const { order, sent } of senders) {
      if (!sentFor.has(order.id) || sent.some(({ answer }) => answer === 'accepted')) continue;
      deps.meters.accepted(orderedBy(order.source), order.ageMs + performance.now() - beganAt);
    }
    await deps.account.works();
    await noteAccepted(deps, pass, 'cancel');
    const afterMs = settleMs(deps.timing);
    await notePhase(deps, sessionId, 'confirming', afterMs, true, read.agentId);
    const byList = pass.holder !== null && result.answer.state === 'failed' ? { byList: true as const } : {};
    return { next: 'look', afterMs, look: 0, sightings: [], ...byList };
  }
  // What was refused in reads was accepted a moment ago. Whether a session that was not found is gone, the next read tells.
  await meetFailure(
    deps,
    { sessionId, refusals: afterAccepted(pass.refusals, 'read') },
    senders,
    result.error,
    failures,
  );
  return { next: 'attempt', afterMs: 0 };
}

async function tooOld(
  deps: CaseDependencies,
  sessionId: string,
  orderIds: readonly string[],
  ageMs: number,
  failures: number,
): Promise<TryAgain> {
  const text = `The read of the session was ${ageMs} ms old when the request was to leave; nothing was sent.`;
  const waitMs = backoffMs(failures + 1, deps.timing.retryCapMs, deps.random());
  await noteUnjudged(deps, { sessionId, by: 'case', orderId: orderIds[0] ?? null, reason: TOO_SLOW, text }, waitMs);
  return new TryAgain('ReadTooOld', text, waitMs);
}
