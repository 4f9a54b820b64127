import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { FailedJudgement, UnjudgedBy } from '../../adapters/ledger/unjudged.js';
import type { SessionsError, SessionsErrorKind } from '../../adapters/vendor/index.js';
import type { Logger } from '../../platform/telemetry.js';
import type { Account } from '../../adapters/vendor/account.js';

/** Someone is told within so long of the first failure, ms. */
const TOLD_WITHIN_MS = 120_000;
/** The longest attempt to judge a session, ms: a case takes a slow read of up to 30 s twice. */
const LONGEST_ATTEMPT_MS: Readonly<Record<UnjudgedBy, number>> = { case: 60_000, fleet: 30_000, watch: 30_000 };
/** Reads come, and are too old when a request is to leave. */
export const TOO_SLOW = 'too-slow';

/** Failures that say nothing of the session: there are other words for the key, the account, the limit and the network. */
const NOT_OF_SESSION: ReadonlySet<SessionsErrorKind> = new Set([
  'unauthorized',
  'account-forbidden',
  'rate-limited',
  'connection-failed',
  'redirected',
  'no-credential',
  'aborted',
]);

export interface UnjudgedDependencies {
  readonly ledger: Pick<Ledger, 'unjudged'>;
  readonly account: Pick<Account, 'answers'>;
  readonly log: Pick<Logger, 'info' | 'error'>;
}

/**
 * A session could not be judged this time. Leaves word of it, and tells someone when that has gone on for so long that by the
 * next failure it would be late; once in a spell. Where the API answers nobody, the session is not told of: it is not about it.
 *
 * @param waitMs - until the next attempt
 * @throws LedgerUnavailableError
 */
export async function noteUnjudged(
  { ledger, account, log }: UnjudgedDependencies,
  failed: FailedJudgement,
  waitMs: number,
): Promise<void> {
  const { sinceMs, lastMs, told } = await ledger.unjudged.note(failed, waitMs);
  const { sessionId, reason, by } = failed;
  const forMs = lastMs - sinceMs;
  // One failure says nothing.
  if (told || forMs === 0 || forMs + waitMs + LONGEST_ATTEMPT_MS[by] <= TOLD_WITHIN_MS) return;
  if (reason !== TOO_SLOW && !(await account.answers(forMs))) return;
  const toldNow = await ledger.unjudged.tell(failed);
  if (toldNow === null) return;
  log.error(
    toldNow === 'many' ? { reason } : { sessionId, reason, forMs },
    toldNow === 'many' ? 'not-judgeable: many sessions at once; no separate notice for the next ones' : 'not-judgeable',
  );
}

/** The same for a read that failed. */
export async function noteUnread(
  deps: UnjudgedDependencies,
  about: Pick<FailedJudgement, 'sessionId' | 'by' | 'orderId'>,
  error: SessionsError,
  waitMs: number,
): Promise<void> {
  if (NOT_OF_SESSION.has(error.kind)) return;
  await noteUnjudged(deps, { ...about, reason: error.kind, text: error.message }, waitMs);
}

/** The session was read by a scan or a watch, or judged by a case. */
export async function noteRead(
  { ledger, log }: Pick<UnjudgedDependencies, 'ledger' | 'log'>,
  sessionId: string,
  by: UnjudgedBy,
): Promise<void> {
  const ended = await ledger.unjudged.end(sessionId, by);
  if (ended?.told === true) log.info({ sessionId, reason: ended.reason }, 'the session can be judged again');
}
