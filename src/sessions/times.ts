import { DateTime } from 'luxon';

const MAX_RETRY_AFTER_MS = 3_600_000;

/**
 * Reads a time of the vendor: ISO 8601 with `Z`, with an offset or without a zone (then UTC), up to any fraction of a second.
 * A date alone or a time alone is not a moment, and luxon would complete it with values nobody sent.
 *
 * @returns ms since the Unix epoch; null when it cannot be read, never an error
 */
export function parseTime(value: unknown): number | null {
  if (typeof value !== 'string') return null;
  const text = value.trim();
  if (!/^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}/i.test(text)) return null;
  const time = DateTime.fromISO(text.replace(' ', 'T'), { zone: 'utc' });
  return time.isValid ? time.toMillis() : null;
}

/** Reads an HTTP date (all three forms of RFC 9110). @returns ms since the Unix epoch, or null */
export function parseHttpDate(value: string | undefined): number | null {
  if (value === undefined) return null;
  const time = DateTime.fromHTTP(value.trim());
  return time.isValid ? time.toMillis() : null;
}

/**
 * Reads `Retry-After`: seconds, or an HTTP date.
 *
 * @param serverNowMs - the moment that a date is relative to: the server's own clock where it told us
 * @returns ms to wait, 0 to 3,600,000; null when absent or unusable
 */
export function parseRetryAfter(value: string | undefined, serverNowMs: number): number | null {
  if (value === undefined) return null;
  const text = value.trim();
  const at = parseHttpDate(text);
  const waitMs = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : at === null ? null : at - serverNowMs;
  return waitMs === null ? null : Math.min(Math.max(waitMs, 0), MAX_RETRY_AFTER_MS);
}
