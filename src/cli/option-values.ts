import { InvalidArgumentError } from 'commander';
import { ExitCode, UserError } from '../core/errors.js';
import { DateTime } from 'luxon';
import { LONGEST_MS, durationOf, parseDuration } from '../core/duration.js';

/** Value of an option that counts something. */
export function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number.');
}

/** The same, but at least 1. */
export function positiveNumber(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number of 1 or more.');
}

/** Sessions a second. Far above what the vendor takes. */
const HIGHEST = 10_000;
const SECONDS: Readonly<Record<string, number>> = { s: 1, min: 60 };

/**
 * A rate as people type it: 20/s, 20, 0.5/s, 600/min.
 *
 * @returns sessions a second, above 0
 * @throws UserError with exit code 2 that has an example
 */
export function readRate(text: string): number {
  const [, amount = '', unit = 's'] = /^(\d{1,9}(?:\.\d{1,6})?)(?:\/(s|min))?$/.exec(text.trim()) ?? [];
  const rate = Number(amount) / (SECONDS[unit] ?? 1);
  if (amount !== '' && rate > 0 && rate <= HIGHEST) return rate;
  throw new UserError(
    `The rate is ${JSON.stringify(text.slice(0, 80))}; it must be above 0 and at most ${HIGHEST.toLocaleString('en-US')}/s. Nothing was done.`,
    'Write sessions a second or a minute, for example 20/s, 0.5/s or 600/min.',
    ExitCode.usage,
  );
}

/**
 * A moment as people type it: ISO 8601 (UTC where no offset is given), or a duration back from now: 90s, 2h, 7d.
 *
 * @param option - for messages: `--since`
 * @returns ms since the Unix epoch
 * @throws UserError with exit code 2
 */
export function readMoment(text: string, option: string, nowMs: number): number {
  const hasUnit = parseDuration(text) !== null;
  if (hasUnit || /^\d+(\.\d+)?$/.test(text)) return nowMs - durationOf(option, text, { least: 0, most: LONGEST_MS });
  const moment = /^\d{4}-\d\d-\d\d/.test(text) ? DateTime.fromISO(text, { zone: 'utc' }) : null;
  if (moment?.isValid === true) return moment.toMillis();
  throw new UserError(
    `${option} is ${JSON.stringify(text.slice(0, 80))}, which is not a valid time.`,
    `Write how far back, as ${option} 2h or ${option} 7d, or a moment: ${option} 2026-01-05T12:00:00Z.`,
    ExitCode.usage,
  );
}
