import { DateTime } from 'luxon';
import { REQUEST_BOUNDS } from '../bounds.js';
import { isSessionId } from '../ids.js';
import { bad, good, kindOf, shown, type Reading } from './reading.js';

const LONGEST_TEXT = REQUEST_BOUNDS.line.most;

/** Names of policies, cleanups and routes: they appear in commands, reports and metrics. */
export const NAME_PATTERN = '^[a-z0-9]+(-[a-z0-9]+)*$';
const NAME = /^[a-z0-9]+(-[a-z0-9]+)*$/;
export const LONGEST_NAME = 60;

export function readName(value: unknown): Reading<string> {
  if (typeof value === 'string' && NAME.test(value) && value.length <= LONGEST_NAME) return good(value);
  const slug = (typeof value === 'string' ? value : '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, LONGEST_NAME)
    .replaceAll(/^-+|-+$/g, '');
  const form = `Write lower-case words with dashes, at most ${LONGEST_NAME} characters: no-all-nighters.`;
  return bad(`is ${shown(value)}, which is not a valid name`, slug === '' ? form : `Did you mean ${slug}?`);
}

/** A line of text without anything invisible, compared with what the vendor sends: so nothing is trimmed silently. */
export function readText(value: unknown): Reading<string> {
  if (typeof value === 'number') return bad(`is the number ${value}, but must be a text`, `Did you mean "${value}"?`);
  if (typeof value !== 'string') return bad(`is ${kindOf(value)}, but must be a text`);
  if (value.trim() === '') return bad('is empty');
  if (value !== value.trim())
    return bad(`is ${shown(value)}, with a space at an end`, `Did you mean "${value.trim()}"?`);
  if (/\p{Cc}/u.test(value)) return bad(`is ${shown(value)}, which holds a control character`);
  if (value.length > LONGEST_TEXT) return bad(`has ${value.length} characters, but may have ${LONGEST_TEXT} at most`);
  return good(value);
}

export function readSessionId(value: unknown): Reading<string> {
  if (typeof value === 'string' && isSessionId(value)) return good(value);
  return bad(`is ${shown(value)}, which can't be a session id`, 'Copy it from `curfew status`; it has no globs.');
}

/** A moment with its offset. @returns ms since the Unix epoch */
export function readInstant(value: unknown): Reading<number> {
  const form = 'Write date, time and offset: 2026-12-01T00:00:00Z.';
  if (typeof value !== 'string') return bad(`is ${shown(value)}, which is not a valid time`, form);
  const [, date, time, offset] =
    /^(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|z|[+-]\d\d:\d\d)?)?$/.exec(value) ?? [];
  if (date === undefined) return bad(`is ${shown(value)}, which is not a valid time`, form);
  const moment = DateTime.fromISO(`${date}T${time ?? '00:00:00'}${(offset ?? 'Z').toUpperCase()}`, { zone: 'utc' });
  if (!moment.isValid) return bad(`is ${shown(value)}, which does not exist in any calendar or clock`, form);
  if (time === undefined) return bad(`is ${shown(value)}, without a time of day`, `Did you mean ${date}T00:00:00Z?`);
  if (offset === undefined) return bad(`is ${shown(value)}, without an offset`, `Did you mean ${date}T${time}Z?`);
  return good(moment.toMillis());
}

/** Where a secret is found. What is no path is not repeated: it may be the secret itself. */
export function readSecretPath(value: unknown): Reading<string> {
  const next = 'Put the secret into a file that only Curfew can read, and write its absolute path: /run/secrets/hook.';
  if (typeof value !== 'string') return bad(`is ${kindOf(value)}, but must be the path of a file`, next);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(value)) return bad('is an address, but must be the path of a file', next);
  if (!/^(\/|[A-Za-z]:[\\/])/.test(value) || /\p{Cc}/u.test(value) || value.length > 1_000) {
    return bad('is not an absolute path', next);
  }
  return good(value);
}

/** Where notices go. Never repeated: an address can hold a secret too. */
export function readHookUrl(value: unknown): Reading<string> {
  const next = 'Write an address with https, without user name or password: https://example.com/hook.';
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null;
  if (url === null) return bad('is not an address', next);
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && local)) return bad('does not use https', next);
  if (url.username !== '' || url.password !== '') return bad('holds a user name or password', next);
  if (url.hash !== '') return bad('holds a fragment (#), which would not be sent', next);
  return good(url.href);
}

export function readVersion(value: unknown): Reading<1> {
  if (value === 1) return good(1);
  const newer = typeof value === 'number' && value > 1;
  return bad(
    `is ${shown(value)}, but this Curfew reads version 1`,
    newer ? 'Update Curfew, or write the file for version 1.' : 'Write version: 1',
  );
}

/** The short form of `on_restart`; the other one needs a maximum. */
export function readReport(value: unknown): Reading<'report'> {
  if (value === 'report') return good('report');
  return bad(`is ${shown(value)}`, 'Write report, or how many further turns to end at most: { cancel: { max: 3 } }.');
}
