import type { WatchStatus } from '../../core/contract.js';
import { orderReasonOf } from '../../core/policy/order-reason.js';
import { mayOrder } from '../../core/policy/order-again.js';
import type { Read } from '../cases/gate.js';
import { TryAgain } from '../../core/try-again.js';
import { openCase } from '../cases/open-case.js';
import { noteRead, noteUnread } from '../cases/unjudged.js';
import { tryAgain } from '../cases/waits.js';
import type { NewOrder } from '../../adapters/ledger/orders.js';
import { refusalsOf } from '../../adapters/ledger/refusals.js';
import type { OrderView } from '../../adapters/ledger/results.js';
import type { Watch, WatchNote } from '../../adapters/ledger/watches.js';
import { assess, type Assessment, type Verdict } from '../../core/policy/assess.js';
import type { Facts } from '../../core/policy/facts.js';
import { observe } from '../../core/policy/observe.js';
import { durationText } from '../../core/policy/reason.js';
import { remember } from '../../core/policy/remember.js';
import { flightOf } from '../../core/policy/state.js';
import { SessionsError } from '../../adapters/vendor/index.js';
import { observationOf } from '../cases/read-observation.js';
import type { WatchDependencies } from './dependencies.js';
import { policyOf } from './limits.js';
import { deadlineOf, nextLookIn, scanMsOf } from './spacing.js';
import { lastOrder, statusOf } from './status.js';
import { capital } from '../../core/text/capital.js';

/** What the workflow does next. Plain data: it travels through Temporal. */
export type WatchLook =
  | { readonly next: 'look'; readonly afterMs: number; readonly status: WatchStatus }
  /** The watch is over. */
  | { readonly next: 'done'; readonly status: WatchStatus };

/** The ledger holds no such watch: it was lost with its data. */
export class WatchUnknownError extends Error {
  override readonly name = 'WatchUnknownError';
}

/** At rest for so long, by two reads, is at the end, ms: where the watch saw the turn end by itself … */
const REST_MS = 5_000;
/** … and where it did not: the turn may be about to begin, or waiting messages may begin another after our request. */
const REST_OTHERWISE_MS = 30_000;
const REST_LOOK_MS = 10_000;
/** Waits for the outcome of an order grow with its age, within these bounds, ms. The ledger alone is asked. */
const OUTCOME_LOOK_MS = { least: 1_000, most: 60_000 };
/** Without a `Date` header nothing can be timed; wait before the next look, ms. */
const UNTIMED_LOOK_MS = 60_000;

/**
 * One look of a watch: reads the session, judges it by the rules of the fleet, and orders the end of a turn that broke a
 * limit. Its end is the business of a case. Safe to run again: what a look did is in the ledger, and the next one begins there.
 *
 * What can't be read or is not known ends nothing, neither the session nor the watch.
 *
 * @throws TryAgain when it has to be done again after a wait; WatchUnknownError
 */
export async function lookAtWatch(deps: WatchDependencies, sessionId: string, failures: number): Promise<WatchLook> {
  const watch = await deps.ledger.watches.get(sessionId);
  if (watch === null) throw new WatchUnknownError(`The ledger knows no watch of ${sessionId}.`);
  const order = await lastOrder(deps.ledger, watch);
  if (watch.state !== 'watching') return { next: 'done', status: statusOf(watch, order) };
  if (order !== null && order.result.outcome === null) return awaitOutcome(deps, watch, order);

  try {
    const read = await readSession(deps, sessionId, failures);
    return await record(deps, watch, order, await judge(deps, watch, order, read));
  } catch (error) {
    if (error instanceof TryAgain) await noteHeld(deps, watch, error);
    throw error;
  }
}

async function readSession(deps: WatchDependencies, sessionId: string, failures: number): Promise<Read> {
  try {
    const read = await deps.gate.read(sessionId, 'look');
    await deps.account.works();
    await noteRead(deps, sessionId, 'watch');
    return read;
  } catch (error) {
    if (!(error instanceof SessionsError)) throw error;
    const wait = await tryAgain(deps, error, failures);
    if (wait.reason === 'ApiUnavailable')
      await noteUnread(deps, { sessionId, by: 'watch', orderId: null }, error, wait.afterMs);
    throw wait;
  }
}

async function judge(deps: WatchDependencies, watch: Watch, last: OrderView | null, read: Read): Promise<WatchNote> {
  if (read.session === null) return missing(deps, watch);
  const sight = observationOf(deps.vendorClock, read, null, null);
  if (sight === null) {
    const note = 'The vendor’s answers carry no usable Date header, so nothing can be timed. Nothing is ended.';
    return look('held', note, watch.facts, UNTIMED_LOOK_MS);
  }

  const scanMs = scanMsOf(watch.limits);
  const seen = observe(watch.facts, sight, { scanMs });
  const nowMs = Math.max(deps.vendorClock.now() ?? sight.atMs, seen.timeline.seenAtMs);
  const exemptUntilMs = (await deps.ledger.exemptions.running(deps.vendorClock.now())).get(watch.sessionId);
  const exempt = exemptUntilMs !== undefined;
  const assessment = assess(seen, [policyOf(watch.limits)], nowMs, { scanMs, exempt });
  const facts = remember(seen, assessment);
  if (flightOf(facts.timeline.state) === 'at-rest') return resting(facts, last);

  const [verdict] = assessment.verdicts;
  if (verdict === undefined) throw new Error('An assessment has a verdict for each policy.');
  if (verdict.kind === 'cancel' && verdict.turnKey !== null) {
    return overLimit(deps, watch, last, facts, verdict);
  }
  let afterMs = nextLookIn(facts, watch.limits, assessment, nowMs);
  if (exempt) afterMs = Math.min(afterMs, Math.max(1_000, exemptUntilMs - (await deps.ledger.now())));
  const note = noteOf(facts, watch, verdict, assessment, nowMs, exemptUntilMs ?? null);
  return look(exempt ? 'exempt' : 'watching', note, facts, afterMs);
}

/** A limit is broken. Unless an earlier order on this turn speaks against it, its end is ordered. */
async function overLimit(
  deps: WatchDependencies,
  watch: Watch,
  last: OrderView | null,
  facts: Facts,
  verdict: Verdict,
): Promise<WatchNote> {
  const given = orderReasonOf(verdict, facts, 0);
  const text = given.text ?? '';
  if (last !== null && last.result.turnKey === verdict.turnKey) {
    const { outcome } = last.result;
    const refusals = refusalsOf(last.result.lastError);
    const earlier = { policy: verdict.policy, outcome, decidedAtMs: last.decidedAtMs, refusals };
    // This look has just read the session.
    if (!mayOrder(verdict.policy, [earlier], { nowMs: await deps.ledger.now(), readAgoMs: 0 })) {
      const note = `Over its limit: ${text}. The order on this turn ended as “${outcome}”, so the watch gives no other now.`;
      return look('watching', note, facts, scanMsOf(watch.limits));
    }
  }
  const order: NewOrder = {
    sessionId: watch.sessionId,
    source: 'service',
    requestedBy: watch.requestedBy,
    reason: {
      ...given,
      text: watch.reason === null ? text : `${text} (${watch.reason})`,
      policy: null,
      policyVersion: null,
    },
    evenIfExempt: false,
    turnKey: verdict.turnKey,
    turnStartedAtMs: verdict.turnStartedAtMs,
  };
  return { ...look('ending', `Ordered the end of the turn: ${text}.`, facts, OUTCOME_LOOK_MS.least), order };
}

/** A turn is over. Another one may follow at once, so two spaced reads must agree. */
function resting(facts: Facts, last: OrderView | null): WatchNote {
  const { state, seenAtMs, stateSinceMs, otherAtMs } = facts.timeline;
  const sawItEnd = otherAtMs !== null && last === null;
  const restedMs = seenAtMs - stateSinceMs;
  const leftMs = (sawItEnd ? REST_MS : REST_OTHERWISE_MS) - restedMs;
  if (leftMs <= 0) return { ...look('ended', `At rest (${state}).`, facts, 0), ending: 'at-rest' };
  const note = `Seen at rest (${state}); looking again before the watch ends.`;
  // A moment more than needed: the clock of the next read may be a little behind.
  return look('resting', note, facts, Math.min(REST_LOOK_MS, leftMs + 500));
}

async function missing(deps: WatchDependencies, watch: Watch): Promise<WatchNote> {
  const nowMs = await deps.ledger.now();
  const missingSinceMs = watch.missingSinceMs ?? nowMs;
  // A clock that was set back says nothing.
  const leftMs = Math.min(deps.timing.missingGapMs, missingSinceMs + deps.timing.missingGapMs - nowMs);
  const noted = { ...look('missing', 'The session was not found (404).', watch.facts, leftMs), missingSinceMs };
  if (watch.missingSinceMs === null || leftMs > 0) return noted;
  const note = 'The session was not found (404), twice a minute apart.';
  return { ...noted, phase: 'ended', note, ending: 'gone' };
}

/** Writes what the look found out, then acts on it. A watch that was changed meanwhile is looked at again, at once. */
async function record(
  deps: WatchDependencies,
  read: Watch,
  last: OrderView | null,
  found: WatchNote,
): Promise<WatchLook> {
  const watch = await deps.ledger.watches.noteLook(read, found);
  if (watch === null) return { next: 'look', afterMs: 0, status: statusOf(read, last) };
  const { sessionId, orderId } = watch;
  if (found.ending !== null) deps.log.info({ sessionId, ending: found.ending }, 'watch ended');
  if (found.order !== null && orderId !== null) {
    const { turnKey, reason } = found.order;
    deps.log.warn({ sessionId, turnKey, orderId, reason: reason.text }, 'watch ordered the end of a turn');
    await openCase(deps, { sessionId, orderId });
  }
  const order = orderId === last?.orderId ? last : await lastOrder(deps.ledger, watch);
  const status = statusOf(watch, order);
  return found.ending === null ? { next: 'look', afterMs: found.nextLookInMs, status } : { next: 'done', status };
}

/** The case carries the order out, and the reconciler sees to it that there is one. Here is only to wait. */
async function awaitOutcome(deps: WatchDependencies, watch: Watch, order: OrderView): Promise<WatchLook> {
  if (order.phase === 'ordered') await openCase(deps, { sessionId: watch.sessionId, orderId: order.orderId });
  const ageMs = (await deps.ledger.now()) - Date.parse(order.result.orderedAt);
  const { least, most } = OUTCOME_LOOK_MS;
  const afterMs = Math.round(Math.min(Math.max(ageMs / 8, least), most));
  return record(deps, watch, order, look('ending', watch.note, watch.facts, afterMs));
}

/** Leaves word why nothing could be seen. Without the ledger there is no word, and the look itself says so. */
async function noteHeld(deps: WatchDependencies, watch: Watch, { message, afterMs, reason }: TryAgain): Promise<void> {
  const { sessionId, missingSinceMs } = watch;
  deps.log.warn({ sessionId, reason, afterMs }, `a watch can't look: ${message}`);
  const note = `${message} This ends nothing; the watch continues.`;
  await deps.ledger.watches.noteLook(watch, { ...look('held', note, watch.facts, afterMs), missingSinceMs });
}

const look = (phase: WatchNote['phase'], note: string, facts: Facts | null, nextLookInMs: number): WatchNote => ({
  phase,
  note,
  facts,
  missingSinceMs: null,
  nextLookInMs,
  order: null,
  ending: null,
});

function noteOf(
  facts: Facts,
  { limits }: Watch,
  verdict: Verdict,
  { nextLookAt }: Assessment,
  nowMs: number,
  exemptUntilMs: number | null,
): string {
  const { state } = facts.timeline;
  const said = verdict.reasons.map(({ text }) => text).join('; ');
  if (exemptUntilMs !== null) {
    const until = new Date(exemptUntilMs).toISOString();
    return `Exempt until ${until}: not ended by this watch${said === '' ? '' : `. Without that: ${said}`}.`;
  }
  if (verdict.note === 'paused') return `Not running (${state}): nothing counts now.`;
  if (verdict.note === 'state-unknown') return `In a state that is not known (${state ?? 'null'}): nothing is ended.`;
  if (verdict.kind === 'undecided') return `${capital(state ?? 'unknown')}; not decided: ${said}.`;
  const deadlineMs = deadlineOf(facts, limits) ?? nextLookAt;
  const left = deadlineMs === null || deadlineMs <= nowMs ? '' : `; ${durationText(deadlineMs - nowMs)} left`;
  return `${capital(state ?? 'unknown')}, within its limits${deadlineOf(facts, limits) === null ? '' : left}.`;
}
