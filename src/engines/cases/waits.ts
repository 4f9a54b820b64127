import type { CasePhase } from '../../core/contract.js';
import { retryAfterMs, roughly } from '../../core/policy/backoff.js';
import { meaningOf } from '../../core/policy/meaning.js';
import type { SessionsError } from '../../adapters/vendor/index.js';
import type { CaseDependencies, Step } from './case.js';
import { TryAgain } from '../../core/try-again.js';

type Waiting = Pick<CaseDependencies, 'timing' | 'random'>;

/** Wait before a failed call is made again, ms. @param failures - before this one */
export const waitAfter = ({ timing, random }: Waiting, error: SessionsError, failures: number): number =>
  retryAfterMs(error, failures + 1, timing.retryCapMs, random());

/** About as long as is set, so that cases which are held together do not all come back in one beat. */
export const accountRetryMs = ({ timing, random }: Waiting): number => roughly(timing.accountRetryMs, random());

/**
 * The wait that a failed call asks for.
 *
 * @param concernsAccount - by {@link Account.concernsAccount}, where that was asked already
 */
export async function tryAgain(
  deps: CaseDependencies,
  error: SessionsError,
  failures: number,
  concernsAccount?: boolean | null,
): Promise<TryAgain> {
  const isAsked = concernsAccount !== undefined || error.kind === 'rate-limited';
  const meaning = meaningOf(error, isAsked ? (concernsAccount ?? null) : await deps.account.concernsAccount(error));
  switch (meaning.kind) {
    case 'too-many':
      return new TryAgain('RateLimited', error.message, waitAfter(deps, error, failures));
    case 'account':
      await deps.account.refused(error);
      // What is refused now says nothing of the session, and neither does what was refused before.
      return new TryAgain('AccountRefused', error.message, accountRetryMs(deps), []);
    default: {
      const reason = error.operation === 'cancelSession' && error.sent ? 'CancelFailed' : 'ApiUnavailable';
      return new TryAgain(reason, error.message, waitAfter(deps, error, failures));
    }
  }
}

/** Leaves word in the ledger where the case stands and when it is next looked at. */
export async function notePhase(
  deps: CaseDependencies,
  sessionId: string,
  phase: CasePhase,
  nextInMs: number | null,
  counts: boolean,
  agentId: string | null = null,
): Promise<void> {
  const nextTryAtMs = nextInMs === null ? null : (await deps.ledger.now()) + nextInMs;
  await deps.ledger.orders.notePass(sessionId, { phase, nextTryAtMs, error: null, counts, agentId });
}

/** Leaves word in the ledger why and for how long a case waits, so that whoever waits for it can read it there. */
export async function noteWaits(deps: CaseDependencies, sessionId: string, step: () => Promise<Step>): Promise<Step> {
  try {
    return await step();
  } catch (error) {
    if (!(error instanceof TryAgain)) throw error;
    const nowMs = await deps.ledger.now();
    await deps.ledger.orders.notePass(sessionId, {
      phase: error.counts ? 'attempting' : 'held',
      nextTryAtMs: nowMs + error.afterMs,
      error: { type: error.reason, message: error.message, at: new Date(nowMs).toISOString() },
      counts: error.counts,
      ...(error.refusals === undefined ? {} : { refusals: error.refusals }),
    });
    deps.log.warn({ sessionId, reason: error.reason, afterMs: error.afterMs }, error.message);
    throw error;
  }
}
