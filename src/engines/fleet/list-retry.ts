import { retryAfterMs } from '../../core/policy/backoff.js';
import type { SessionsError } from '../../adapters/vendor/index.js';

/** A list that fails again and again is asked for after so many scans at the latest. */
const LONGEST_SCANS = 4;

/** A list that failed, until it is read whole. */
export interface ListRetry {
  /** In a row. */
  readonly failures: number;
  /** It is not asked for again before; our monotonic clock, ms. */
  readonly notBefore: number;
}

/**
 * When a list that failed may be asked for again. Scans come in a fixed beat; what fails is not asked for in it.
 *
 * @param now - our monotonic clock, ms
 * @param random - a number in [0, 1)
 */
export function retryList(
  before: ListRetry | null,
  error: Pick<SessionsError, 'retryAfterMs'>,
  now: number,
  scanMs: number,
  random: number,
): ListRetry {
  const failures = (before?.failures ?? 0) + 1;
  return { failures, notBefore: now + retryAfterMs(error, failures, LONGEST_SCANS * scanMs, random) };
}

/** Whether a list may be asked for. */
export const mayAsk = (retry: ListRetry | null, now: number): boolean => retry === null || now >= retry.notBefore;
