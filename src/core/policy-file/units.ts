import { bad, good, shown, type Reading } from './reading.js';

/** A number of credits or tokens: 500, "1.5k", "2M". */
export const AMOUNT_PATTERN = '^\\d{1,13}(\\.\\d{1,6})?[kM]?$';
const AMOUNT = /^(\d{1,13}(?:\.\d{1,6})?)([kM]?)$/;
export const LARGEST_AMOUNT = 1e12;

export const PERCENT_PATTERN = '^\\d{1,3}(\\.\\d{1,3})?%$';
const PERCENT = /^(\d{1,3}(?:\.\d{1,3})?)%$/;

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
