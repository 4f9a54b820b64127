import ms, { type StringValue } from 'ms';
import { bad, good, shown, type Reading } from './reading.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

/** Whole numbers with d, h, m, s, the larger unit first, each at most once: "45m", "1h30m", "2d". */
export const DURATION_PATTERN = '^(?=\\d)(\\d{1,7}d)?(\\d{1,7}h)?(\\d{1,7}m)?(\\d{1,7}s)?$';
const DURATION = /^(?=\d)(?:(\d{1,7})d)?(?:(\d{1,7})h)?(?:(\d{1,7})m)?(?:(\d{1,7})s)?$/;

/** A number of credits or tokens: 500, "1.5k", "2M". */
export const AMOUNT_PATTERN = '^\\d{1,13}(\\.\\d{1,6})?[kM]?$';
const AMOUNT = /^(\d{1,13}(?:\.\d{1,6})?)([kM]?)$/;
export const LARGEST_AMOUNT = 1e12;

export const PERCENT_PATTERN = '^\\d{1,3}(\\.\\d{1,3})?%$';
const PERCENT = /^(\d{1,3}(?:\.\d{1,3})?)%$/;

/** @returns ms, from `least` to a year of 365 days */
export function readDuration(value: unknown, least: number): Reading<number> {
  const negative = (typeof value === 'number' && value < 0) || (typeof value === 'string' && /^\s*-\s*\d/.test(value));
  if (negative) return bad(`is negative: ${shown(value)}`, 'Write how long, for example 45m.');
  const read = typeof value === 'string' ? durationOf(value) : null;
  if (read === null) return withoutUnit(value) ?? misspeltDuration(value);
  if (read < least) {
    const most = read === 0 ? 'is zero' : `is ${shown(value)}, which is too short`;
    return bad(most, `Write ${formatDuration(least)} or more.`);
  }
  if (read > YEAR) return bad(`is ${shown(value)}, which is more than a year`, 'Write 365d or less.');
  return good(read);
}

function withoutUnit(value: unknown): Reading<never> | null {
  const digits = typeof value === 'number' ? String(value) : typeof value === 'string' ? value.trim() : '';
  if (!/^\d{1,9}(\.\d+)?$/.test(digits) || Number(digits) * MINUTE > YEAR) return null;
  if (Number(digits) === 0) return bad(`is ${shown(value)}, which has no unit`, 'Did you mean 0s?');
  const exact = Number.isInteger(Number(digits)) ? `${Number(digits)}m` : formatDuration(Number(digits) * MINUTE);
  return bad(`is ${shown(value)}, which has no unit`, `Did you mean ${exact}? Units are s, m, h and d.`);
}

function misspeltDuration(value: unknown): Reading<never> {
  const guess = typeof value === 'string' && value.length <= 40 ? durationInOtherWords(value) : null;
  // Nothing is suggested that would be refused in its turn.
  const meant = guess !== null && guess <= YEAR ? guess : null;
  return bad(
    `is ${shown(value)}, which is not a valid duration`,
    meant === null
      ? 'Write whole numbers with s, m, h or d, the larger unit first: 45m, 1h30m, 2d.'
      : `Did you mean ${formatDuration(meant)}?`,
  );
}

/** "45 min", "1.5h", "1h 30m", "45M": what people write elsewhere. Read for suggestions alone. */
function durationInOtherWords(text: string): number | null {
  const lower = text.trim().toLowerCase();
  const whole = durationOf(lower.replaceAll(/\s/g, ''));
  if (whole !== null) return whole;
  if (!/^\d+(\.\d+)?\s*[a-z]+$/.test(lower)) return null;
  const read = ms(lower as StringValue) as number | undefined;
  return read === undefined || !Number.isFinite(read) || read < SECOND ? null : read;
}

function durationOf(text: string): number | null {
  const parts = DURATION.exec(text);
  if (parts === null) return null;
  const [days, hours, minutes, seconds] = parts.slice(1).map((digits = '0') => Number(digits));
  return (days ?? 0) * DAY + (hours ?? 0) * HOUR + (minutes ?? 0) * MINUTE + (seconds ?? 0) * SECOND;
}

/** The way back, exact to the second: 5 400 000 → "1h30m". Days are not folded into years. */
export function formatDuration(durationMs: number): string {
  let rest = Math.round(durationMs / SECOND) * SECOND;
  const parts: string[] = [];
  for (const [unit, size] of [
    ['d', DAY],
    ['h', HOUR],
    ['m', MINUTE],
    ['s', SECOND],
  ] as const) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.length === 0 ? '0s' : parts.join('');
}

/** @param whole - parts of one don't exist: tokens, not credits */
export function readAmount(value: unknown, whole: boolean): Reading<number> {
  const amount = typeof value === 'number' ? value : typeof value === 'string' ? amountOf(value) : null;
  if (amount === null || !Number.isFinite(amount)) return noAmount(value);
  if (amount <= 0) return bad(`is ${shown(value)}, but must be more than 0`, 'Remove the line for no limit.');
  if (amount > LARGEST_AMOUNT) return bad(`is ${shown(value)}, which is too large`, 'Write 1000000M or less.');
  if (whole && !Number.isInteger(amount)) return bad(`is ${shown(value)}, but must be a whole number`);
  return good(amount);
}

function noAmount(value: unknown): Reading<never> {
  const form = 'Write a number, or one with k (thousand) or M (million): 500, 2k, 2M.';
  if (typeof value !== 'string') return bad(`is ${shown(value)}, which is not an amount`, form);
  if (/^\s*-\s*\d/.test(value)) {
    return bad(`is ${shown(value)}, but must be more than 0`, 'Remove the line for no limit.');
  }
  const [, digits, unit] = /^(\d[\d_,' ]*(?:\.\d+)?)\s*([a-z]*)$/i.exec(value.trim()) ?? [];
  const suffix = { k: 'k', m: 'M', '': '', credits: '', tokens: '' }[(unit ?? '?').toLowerCase()];
  const meant = digits === undefined || suffix === undefined ? null : `${digits.replaceAll(/[_,' ]/g, '')}${suffix}`;
  return bad(`is ${shown(value)}, which is not an amount`, meant === null ? form : `Did you mean ${meant}?`);
}

function amountOf(text: string): number | null {
  const [, digits, unit] = AMOUNT.exec(text) ?? [];
  // By way of the exponent, so that 1.1M is exactly 1,100,000.
  return digits === undefined ? null : Number(`${digits}e${unit === 'M' ? 6 : unit === 'k' ? 3 : 0}`);
}

/** A share as "80%". @returns in (0, 1) */
export function readShare(value: unknown): Reading<number> {
  const [, digits] = typeof value === 'string' ? (PERCENT.exec(value) ?? []) : [];
  if (digits !== undefined) {
    // By way of the exponent, so that 99.9% is exactly 0.999.
    const share = Number(`${digits}e-2`);
    if (share > 0 && share < 1) return good(share);
    return bad(`is ${shown(value)}, but must lie between 0% and 100%`, 'Write for example 80%, or remove the line.');
  }
  const number = Number(typeof value === 'string' ? value.replace(/\s*%\s*$/, '') : value);
  const percent =
    typeof value === 'boolean' || Array.isArray(value) ? NaN : number > 0 && number < 1 ? number * 100 : number;
  const meant = percent > 0 && percent < 100 ? `${Number(percent.toPrecision(6))}%` : null;
  return bad(
    `is ${shown(value)}, which is not a percentage`,
    meant === null ? 'Write it as 80%.' : `Did you mean ${meant}?`,
  );
}

/** @returns over 0, at most 100 */
export function readPercentNumber(value: unknown): Reading<number> {
  if (typeof value === 'number' && value > 0 && value <= 100) return good(value);
  if (typeof value === 'number') return bad(`is ${value}, but must be over 0 and at most 100`, 'Write for example 25.');
  const [, digits] = typeof value === 'string' ? (/^(\d+(?:\.\d+)?)\s*%?$/.exec(value.trim()) ?? []) : [];
  const meant = digits !== undefined && Number(digits) > 0 && Number(digits) <= 100 ? `Did you mean ${digits}?` : null;
  return bad(`is ${shown(value)}, which is not a number`, meant ?? 'Write a number without a sign: 25.');
}

export function readWholeNumber(value: unknown, least: number, most: number): Reading<number> {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return good(value);
  return bad(`is ${shown(value)}, but must be a whole number from ${least} to ${most}`);
}
