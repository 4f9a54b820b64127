import { DateTime } from 'luxon';
import { VENDOR_BOUNDS } from '../core/bounds.js';

const MAX_RETRY_AFTER_MS = 3_600_000;
/** A number from here on is no span of time but a moment, in s and in ms since the Unix epoch. No standard allows it, and servers send it. */
const EPOCH = { seconds: 1e9, ms: 1e12 };

/**
 * A complete moment with a zone, as nearly all answers hold: these `Date.parse` reads exactly, at a fraction of luxon's cost.
 * Days that not every year or month has are left to luxon, because V8 would take 30 February for 2 March.
 */
const PLAIN_TIME =
  /^\d{4}-(?!02-29|02-3|0[469]-31|11-31)(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)$/;

/**
 * Reads a time of the vendor: ISO 8601 with `Z`, with an offset or without a zone (then UTC), up to any fraction of a second.
 * A date alone or a time alone is not a moment, and luxon would complete it with values nobody sent.
 *
 * @returns ms since the Unix epoch; null when it cannot be read, never an error
 */
export function parseTime(value: unknown): number | null {
  if (typeof value !== 'string' || value.length > VENDOR_BOUNDS.scalar.most) return null;
  const text = value.trim();
  if (PLAIN_TIME.test(text)) return Date.parse(text);
  if (!/^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}/i.test(text)) return null;
  const time = DateTime.fromISO(text.replace(' ', 'T'), { zone: 'utc' });
  return time.isValid ? time.toMillis() : null;
}

/** The last HTTP date and its value: all answers of one second have the same. */
let lastHttpDate: { readonly text: string; readonly value: number | null } = { text: '', value: null };

/** Reads an HTTP date (all three forms of RFC 9110). @returns ms since the Unix epoch, or null */
export function parseHttpDate(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (text !== lastHttpDate.text) {
    const time = DateTime.fromHTTP(text.trim());
    lastHttpDate = { text, value: time.isValid ? time.toMillis() : null };
  }
  return lastHttpDate.value;
}

/**
 * Reads `Retry-After`: seconds, or an HTTP date; also a moment since the Unix epoch, in seconds or ms.
 *
 * @param serverNowMs - the moment that a date is relative to: the server's own clock where it told us
 * @returns whole ms to wait, as the ledger stores times, 0 to 3,600,000; null when absent or unusable
 */
export function parseRetryAfter(value: string | undefined, serverNowMs: number): number | null {
  if (value === undefined) return null;
  const text = value.trim();
  const number = /^\d+(\.\d+)?$/.test(text) ? Number(text) : null;
  const at = number === null ? parseHttpDate(text) : momentOf(number);
  const waitMs = at !== null ? at - serverNowMs : number === null ? null : number * 1000;
  return waitMs === null ? null : Math.min(Math.max(Math.ceil(waitMs), 0), MAX_RETRY_AFTER_MS);
}

const momentOf = (number: number): number | null =>
  number >= EPOCH.ms ? number : number >= EPOCH.seconds ? number * 1000 : null;
