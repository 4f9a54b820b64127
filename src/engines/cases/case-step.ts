import type { PermitRequest } from '../../adapters/ledger/breakers.js';
import { DOUBT_RETRY_MS, IN_DOUBT_MS } from '../../adapters/ledger/leases.js';
import type { OpenOrder, Settlement } from '../../adapters/ledger/orders.js';
import { backoffMs } from '../../core/policy/backoff.js';
import { viewOf, type Sighting } from '../../core/policy/sighting.js';
import { orderedBy } from '../../core/orders.js';
import { SessionsError } from '../../adapters/vendor/index.js';
import type { Read } from './gate.js';
import { afterAccepted, joinedRefusals } from '../../core/policy/refusals.js';
import { takeWantedProbe } from '../../adapters/ledger/hold-mark.js';
import { settleForbidden, settleWhatIsClear, settlementOf, type Judged } from './judge.js';
import type { Urgency } from '../../adapters/vendor/limiter.js';
import { meetRefusal, refusedIn } from './refusal.js';
import type { RuleVerdict } from './rules.js';
import { maxReadAge } from '../../core/policy/fresh-read.js';
import { TryAgain, type TryAgainReason } from '../../core/try-again.js';
import { noteRead, noteUnjudged, noteUnread, TOO_SLOW } from './unjudged.js';
import { notePhase, noteWaits, tryAgain } from './waits.js';
import type { Step, CaseDependencies } from './case.js';

/**
 * One pass through the gate for all open orders of a session: read, conclude what can be concluded, and send a cancel
 * request for those whose turn is in flight.
 *
 * @param failures - passes that failed in a row before this one; spaces the next attempt
 * @throws TryAgain when it has to be done again after a wait
 */
export async function attemptCase(
  deps: CaseDependencies,
  sessionId: string,
  owner: string,
  failures: number,
): Promise<Step> {
  return noteWaits(deps, sessionId, async () => {
    const beganAt = performance.now();
    const orders = await deps.ledger.orders.beginPass(sessionId);
    if (orders.length === 0) return { next: 'done' };
    await notePhase(deps, sessionId, 'attempting', null, true);

    const mayProbe = failures === 0 && (await isAPersonsWish(deps, orders));
    const read = await readSession(deps, sessionId, orders, failures, 'now', mayProbe);
    if (read === null) return { next: 'done' };
    return judging(deps, sessionId, async () => {
      await followNewTurn(deps, orders, read);
      const open = await settleWhatIsClear(deps, orders, read, [read.sighting], false);
      if (open.length === 0) return { next: 'done' };

      const toSend = open.filter(({ conclusion }) => conclusion.kind === 'send');
      return toSend.length === 0
        ? look(deps, sessionId, read, 0, [read.sighting])
        : send(deps, sessionId, owner, read, orders, toSend, failures, beganAt);
    });
  });
}

/** That a read has come does not say that it comes fast enough: the session can be judged where that was not in the way. */
async function judging(deps: CaseDependencies, sessionId: string, judge: () => Promise<Step>): Promise<Step> {
  try {
    const step = await judge();
    await noteRead(deps, sessionId, 'case');
    return step;
  } catch (error) {
    if (error instanceof TryAgain && error.reason !== 'ReadTooOld') await noteRead(deps, sessionId, 'case');
    throw error;
  }
}

/**
 * One confirming read. Sends nothing.
 *
 * @param sightings - what the looks before this one showed
 * @param lookNumber - from 0; after the last look of the confirm window the case goes back to the gate
 */
export async function confirmCase(
  deps: CaseDependencies,
  sessionId: string,
  sightings: readonly Sighting[],
  lookNumber: number,
  failures: number,
): Promise<Step> {
  return noteWaits(deps, sessionId, async () => {
    const orders = await deps.ledger.orders.beginPass(sessionId);
    if (orders.length === 0) return { next: 'done' };
    await notePhase(deps, sessionId, 'confirming', null, true);

    const mayProbe = failures === 0 && (await isAPersonsWish(deps, orders));
    const read = await readSession(deps, sessionId, orders, failures, 'later', mayProbe);
    if (read === null) return { next: 'done' };
    const seen = [...sightings, read.sighting];
    const windowOpen = lookNumber + 1 < deps.timing.confirmGapsMs.length;
    const open = await settleWhatIsClear(deps, orders, read, seen, windowOpen);
    if (open.length === 0) return { next: 'done' };
    if (open.some(({ conclusion }) => conclusion.kind === 'send')) return { next: 'attempt', afterMs: 0 };
    await noteRead(deps, sessionId, 'case');
    return windowOpen
      ? look(deps, sessionId, read, lookNumber + 1, seen)
      : { next: 'attempt', afterMs: deps.timing.heldRetryMs };
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
async function readSession(
  deps: CaseDependencies,
  sessionId: string,
  orders: readonly OpenOrder[],
  failures: number,
  urgency: Urgency,
  mayProbe = false,
): Promise<Read | null> {
  try {
    const read = await (urgency === 'now'
      ? deps.gate.readToSend(
          sessionId,
          mayProbe,
          Math.max(...orders.map(({ maxReadAgeMs }) => maxReadAge(maxReadAgeMs))),
        )
      : deps.gate.read(sessionId, urgency, mayProbe));
    await deps.account.works();
    await noteAccepted(deps, sessionId, orders, 'read');
    return read;
  } catch (error) {
    if (!(error instanceof SessionsError)) throw error;
    const about = { sessionId, by: 'case', orderId: orders[0]?.id ?? null } as const;
    const again = async (wait: TryAgain): Promise<TryAgain> => {
      // What the vendor forbids for good gets an outcome, which is told.
      if (OF_SESSION.has(wait.reason) && error.kind !== 'forbidden') await noteUnread(deps, about, error, wait.afterMs);
      return wait;
    };
    const refused = refusedIn(error);
    if (refused === null) throw await again(await tryAgain(deps, error, failures));
    const met = await meetRefusal(deps, orders, refused, error, failures).catch(async (wait: unknown) => {
      throw wait instanceof TryAgain ? await again(wait) : wait;
    });
    const known = orders.map((order) => ({
      order,
      turn: { key: order.turnKey, startedAtMs: order.turnStartedAtMs },
    }));
    await settleForbidden(deps, sessionId, known, met, error);
    return null;
  }
}

/** What was refused before and is accepted now was refused in passing. */
async function noteAccepted(
  deps: CaseDependencies,
  sessionId: string,
  orders: readonly OpenOrder[],
  on: 'read' | 'cancel',
): Promise<void> {
  const before = joinedRefusals(orders.map(({ refusals }) => refusals));
  const refusals = afterAccepted(before, on);
  if (refusals.length === before.length) return;
  await deps.ledger.orders.notePass(sessionId, {
    ...{ phase: 'attempting', nextTryAtMs: null, error: null, counts: true },
    refusals,
  });
}

async function send(
  deps: CaseDependencies,
  sessionId: string,
  owner: string,
  read: Read,
  orders: readonly OpenOrder[],
  candidates: readonly Judged[],
  failures: number,
  beganAt: number,
): Promise<Step> {
  const { senders, permits } = await applyRules(deps, read, candidates);
  if (senders.length === 0) return { next: 'attempt', afterMs: 0 };

  const orderIds = senders.map(({ order }) => order.id);
  const maxReadAges = new Map(
    senders.flatMap(({ order: { id, maxReadAgeMs } }) => (maxReadAgeMs === null ? [] : [[id, maxReadAgeMs]])),
  );
  const result = await deps.gate.send({ sessionId, read, orderIds, permits, maxReadAges, owner });
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
    const sentFor = new Set(result.orderIds);
    for (const { order, sent } of senders) {
      if (!sentFor.has(order.id) || sent.some(({ answer }) => answer === 'accepted')) continue;
      deps.meters.accepted(orderedBy(order.source), order.ageMs + performance.now() - beganAt);
    }
    await deps.account.works();
    await noteAccepted(deps, sessionId, orders, 'cancel');
    const afterMs = deps.timing.confirmGapsMs[0] ?? 0;
    await notePhase(deps, sessionId, 'confirming', afterMs, true, read.agentId);
    return { next: 'look', afterMs, look: 0, sightings: [] };
  }
  const { error } = result;
  const refused = refusedIn(error);
  if (refused === null) throw await tryAgain(deps, error, failures);
  // What was refused in reads was accepted a moment ago. Whether a session that was not found is gone, the next read tells.
  const known = orders.map((order) => ({ refusals: afterAccepted(order.refusals, 'read') }));
  const met = await meetRefusal(deps, known, refused, error, failures);
  await settleForbidden(deps, sessionId, senders, met, error);
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

/** Policy orders are judged again on the fresh read, before each request. */
async function applyRules(
  deps: CaseDependencies,
  read: Read,
  candidates: readonly Judged[],
): Promise<{ readonly senders: Judged[]; readonly permits: Map<string, PermitRequest> }> {
  const senders: Judged[] = [];
  const permits = new Map<string, PermitRequest>();
  const settlements: Settlement[] = [];
  let unknown: string | null = null;
  let inDoubt = false;
  for (const candidate of candidates) {
    const { order } = candidate;
    const verdict = await judgeByRules(deps, order, read);
    if (verdict === null) {
      senders.push(candidate);
      continue;
    }
    switch (verdict.kind) {
      case 'send':
        senders.push(candidate);
        if (verdict.permit !== null) permits.set(order.id, verdict.permit);
        break;
      case 'no-longer-violating':
        // What was sent may still take effect; the order is not closed before that is known.
        if (isInDoubt(candidate, read)) inDoubt = true;
        else settlements.push(settlementOf(candidate, 'no-longer-violating', null, null));
        break;
      case 'unknown':
        unknown = verdict.why;
        await tellWhenHeldLong(deps, order, verdict.why);
        break;
    }
  }
  if (settlements.length > 0) await deps.ledger.orders.settle({ settlements, events: [], alertedOrderIds: [] });
  if (senders.length === 0 && inDoubt) {
    throw new TryAgain(
      'InDoubt',
      'The order no longer has a reason, but an earlier request may still take effect; nothing was sent.',
      DOUBT_RETRY_MS,
    );
  }
  if (senders.length === 0 && unknown !== null) {
    throw new TryAgain('RuleUnknown', `${unknown}; nothing was sent.`, deps.timing.accountRetryMs);
  }
  return { senders, permits };
}

/** @returns null: no rule is asked about this order */
async function judgeByRules(deps: CaseDependencies, order: OpenOrder, read: Read): Promise<RuleVerdict | null> {
  if (order.source === 'policy') return deps.rules.judge(order, read);
  return order.source === 'service' ? deps.rules.judgeService(order, read) : null;
}

/** A request of this turn left so short a time ago that its effect may not be seen yet. */
const isInDoubt = ({ sent }: Judged, { sighting }: Read): boolean =>
  sent.some(
    ({ answer, readAtMs, leftByMs, answeredAtMs }) =>
      answer !== 'refused' && sighting.atMs - (answeredAtMs ?? leftByMs ?? readAtMs) < IN_DOUBT_MS,
  );

/** Held time counts towards nothing, so an order that can't be judged would wait without a word. */
async function tellWhenHeldLong(deps: CaseDependencies, order: OpenOrder, why: string): Promise<void> {
  const { sessionId, id: orderId } = order;
  if (order.alerted || !(await deps.ledger.orders.tellNotEnding(orderId, deps.timing.alertAfterMs, why))) return;
  deps.log.error({ sessionId, orderId, why }, 'not-ending');
}

/**
 * The session of a policy order has moved on to another turn. Where that one breaks the policy too (its clock of unbroken
 * run time, say, which a steering message does not stop), its end is ordered at once; otherwise it lives.
 */
async function followNewTurn(deps: CaseDependencies, orders: readonly OpenOrder[], read: Read): Promise<void> {
  const { turnKey, turnStartedAtMs } = read.sighting;
  if (turnKey === null) return;
  for (const order of orders) {
    if (order.source !== 'policy' || !order.turnFixed) continue;
    const ordered = { key: order.turnKey, startedAtMs: order.turnStartedAtMs };
    if (viewOf(read.sighting, ordered) !== 'newer-in-flight') continue;
    const verdict = await deps.rules.judge(order, read);
    if (verdict.kind !== 'send') continue;
    const earlier = await deps.ledger.orders.ofTurn(order.sessionId, turnKey);
    if (earlier.some(({ policy }) => policy === order.policy)) continue;
    await deps.ledger.orders.create({
      sessionId: order.sessionId,
      source: 'policy',
      requestedBy: `policy ${order.policy}`,
      reason: verdict.reason,
      evenIfExempt: false,
      turnKey,
      turnStartedAtMs,
    });
  }
}
