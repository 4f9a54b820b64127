import { HeldError } from '../../adapters/vendor/hold.js';
import { retryAfterMs, roughly } from '../../core/policy/backoff.js';
import { meaningOf } from '../../core/policy/meaning.js';
import { noteRead, noteUnread } from '../cases/unjudged.js';
import { flightOf } from '../../core/policy/state.js';
import { SessionsError, type SessionsErrorKind } from '../../adapters/vendor/index.js';
import type { Gate, Read } from '../cases/gate.js';
import { storeFindings } from './act.js';
import type { Fleet, Tracked } from './fleet.js';
import { judgeSession, type JudgeContext } from './judge-session.js';
import type { ScanDependencies } from './scan.js';
import { observationOf } from '../cases/read-observation.js';

/** Longest wait before a look that failed is tried again, ms. */
const RETRY_CAP_MS = 60_000;
/** A session that is not found, and an account that is refused, are asked for again after this, ms. */
const LATER_MS = 60_000;
/** Failures that a list which comes through does not refute. */
const CONCERNS_SESSION: ReadonlySet<SessionsErrorKind> = new Set([
  'not-found',
  'forbidden',
  'account-forbidden',
  'unauthorized',
  'rate-limited',
]);

export interface LookDependencies extends ScanDependencies {
  readonly gate: Pick<Gate, 'read'>;
}

/**
 * One look at one session whose time has come: a retrieve, unless what is known says by now that none is needed.
 *
 * Failures end nothing: the look is put off.
 *
 * @throws LedgerUnavailableError
 */
export async function lookAtSession(
  deps: LookDependencies,
  fleet: Fleet,
  session: Tracked,
  contextOf: (scanMs: number) => JudgeContext,
): Promise<void> {
  const agent = session.agentId === null ? undefined : fleet.agents.get(session.agentId);
  const scanMs = agent?.scan.scanMs ?? 0;
  let read: Read;
  try {
    read = await deps.gate.read(session.sessionId, 'look');
    if (read.notFound !== null) throw read.notFound;
  } catch (error) {
    if (!(error instanceof SessionsError)) throw error;
    const waitMs = await putOff(deps, session, error);
    await noteIfUnjudged(deps, session, error, waitMs);
    session.lookAtMs = waitMs === null ? null : contextOf(scanMs).nowMs + waitMs;
    // What concerns the vendor as a whole is over when the next list comes.
    session.putOffUntilMs = CONCERNS_SESSION.has(error.kind) ? session.lookAtMs : null;
    return;
  }
  session.failures = 0;
  session.putOffUntilMs = null;
  await deps.account.works();
  await noteRead(deps, session.sessionId, 'fleet');
  const after = fleet.endedLately.get(session.sessionId);
  if (after !== undefined && after.settledAtMs !== session.restartNoted) {
    const isNoted = await deps.inHand.readAfterEnd(session.sessionId, session.agentId, read, after.queued);
    if (isNoted) session.restartNoted = after.settledAtMs;
  }
  const seen = observationOf(deps.vendorClock, read, session.agentId, agent?.agent ?? null);
  if (seen === null) {
    session.lookAtMs = null;
    return;
  }
  const { events, cancels } = judgeSession(session, [seen], contextOf(scanMs));
  const found = { sessions: [session], scans: [], events, cancels: cancels.map((verdict) => ({ session, verdict })) };
  await storeFindings(deps, found, contextOf(scanMs).rules, read);
}

/** Its time has come, so it may be over a limit; where it is not there any more, nobody waits for a judgement. */
async function noteIfUnjudged(
  deps: LookDependencies,
  { sessionId, listed, facts }: Tracked,
  error: SessionsError,
  waitMs: number | null,
): Promise<void> {
  if (flightOf(facts.timeline.state) !== 'in-flight' || (error.kind === 'not-found' && !listed)) return;
  await noteUnread(deps, { sessionId, by: 'fleet', orderId: null }, error, waitMs ?? 0);
}

/** @returns for how long, ms; null: until a list shows it again */
async function putOff(deps: LookDependencies, session: Tracked, error: SessionsError): Promise<number | null> {
  // One that was held back was not asked, and nothing has failed.
  if (!(error instanceof HeldError)) session.failures += 1;
  const { failures } = session;
  const mayBeAccount = error.accountWide && error.kind !== 'rate-limited';
  const concernsAccount = mayBeAccount && (await deps.account.concernsAccount(error, failures > 1 ? 2 * LATER_MS : 0));
  const meaning = meaningOf(error, concernsAccount);
  const waitMs = retryAfterMs(error, failures, RETRY_CAP_MS, deps.random());
  if (meaning.kind === 'too-many') return waitMs;
  if (meaning.kind === 'account') await deps.account.refused(error);
  // Not all at the same time again, where many were refused together.
  const laterMs = roughly(LATER_MS, deps.random());
  if (meaning.kind === 'account' || meaning.kind === 'unclear') return laterMs;
  deps.log.warn({ sessionId: session.sessionId, failures }, error.message);
  if (meaning.kind === 'not-found' && !session.listed && failures > 1) return null;
  return CONCERNS_SESSION.has(error.kind) ? laterMs : waitMs;
}
