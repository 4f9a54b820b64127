import ms, { type StringValue } from 'ms';
import { ExitCode, UserError } from './errors.js';
import { bad, good, shown, type Reading } from './policy-file/reading.js';

/** A duration as people write it, in settings, options and policy files alike. Whole ms throughout. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;
/** What is added to a moment has to be a moment that a date can hold: a hundred years, ms. */
export const LONGEST_MS = 36_525 * DAY;

const UNITS = [
  ['d', DAY],
  ['h', HOUR],
  ['m', MINUTE],
  ['s', SECOND],
] as const;

/** Numbers with d, h, m, s, the larger unit first, each at most once; the last may have a fraction: "45m", "1h30m", "1.5h". */
export const DURATION_PATTERN = `^(?=\\d)${UNITS.map(([unit]) => `((\\d{1,7})(\\.\\d{1,9}(?=${unit}$))?${unit})?`).join('')}$`;
const DURATION = new RegExp(DURATION_PATTERN);

/** @returns ms; null where the text is of another form, or comes to no whole number of ms */
export function parseDuration(text: string): number | null {
  const parts = DURATION.exec(text);
  if (parts === null) return null;
  let total = 0;
  for (const [index, [, size]] of UNITS.entries()) {
    const [whole = '0', fraction = '.'] = parts.slice(3 * index + 2);
    // In whole numbers, so that 1.1h is exactly 66 minutes.
    const scaled = BigInt(fraction.slice(1)) * BigInt(size);
    const scale = 10n ** BigInt(fraction.length - 1);
    if (scaled % scale !== 0n) return null;
    total += Number(whole) * size + Number(scaled / scale);
  }
  return total;
}

/** The way back, exact to the ms: 5 400 000 → "1h30m". Days are not folded into years. */
export function formatDuration(durationMs: number): string {
  let rest = Math.round(durationMs);
  const parts = UNITS.flatMap(([unit, size]) => {
    const count = size === SECOND ? rest / SECOND : Math.floor(rest / size);
    rest -= count * size;
    return count > 0 ? [`${count}${unit}`] : [];
  });
  return parts.length === 0 ? '0s' : parts.join('');
}

export interface DurationBounds {
  /** ms; a second where it is not given. */
  readonly least?: number;
  /** ms; a year of 365 days where it is not given. */
  readonly most?: number;
}

/** @returns ms */
export function readDuration(value: unknown, { least = SECOND, most = YEAR }: DurationBounds = {}): Reading<number> {
  const negative = (typeof value === 'number' && value < 0) || (typeof value === 'string' && /^\s*-\s*\d/.test(value));
  if (negative) return bad(`is negative: ${shown(value)}`, 'Write how long, for example 45m.');
  const read = typeof value === 'string' ? parseDuration(value) : null;
  const fits = (durationMs: number) => durationMs >= least && durationMs <= most;
  if (read === null) return withoutUnit(value, fits) ?? misspelt(value, fits);
  if (read < least) {
    const problem = read === 0 ? 'is zero' : `is ${shown(value)}, which is too short`;
    return bad(problem, `Write ${formatDuration(least)} or more.`);
  }
  if (read > most) return bad(`is ${shown(value)}, which is too long`, `Write ${formatDuration(most)} or less.`);
  return good(read);
}

/**
 * The same of a setting or an option.
 *
 * @param name - for the message: `--for`
 * @returns ms
 * @throws UserError with exit code 2
 */
export function durationOf(name: string, text: string, bounds: DurationBounds): number {
  const read = readDuration(text, bounds);
  if ('value' in read) return read.value;
  throw new UserError(`${name} ${read.problem}.`, read.suggestion ?? `For example ${name} 45m.`, ExitCode.usage);
}

type Fits = (durationMs: number) => boolean;

/** Minutes are what people mean most often, if the place takes them. Nothing is suggested that would be refused in its turn. */
function withoutUnit(value: unknown, fits: Fits): Reading<never> | null {
  const digits = typeof value === 'number' ? String(value) : typeof value === 'string' ? value.trim() : '';
  if (!/^\d{1,9}(\.\d+)?$/.test(digits)) return null;
  const count = Number(digits);
  if (count === 0) return bad(`is ${shown(value)}, which has no unit`, 'Did you mean 0s?');
  const meant = ['m', 'd', 'h', 's'].map((unit) => `${count}${unit}`).find((text) => fits(parseDuration(text) ?? NaN));
  const units = 'Units are s, m, h and d.';
  return bad(`is ${shown(value)}, which has no unit`, meant === undefined ? units : `Did you mean ${meant}? ${units}`);
}

function misspelt(value: unknown, fits: Fits): Reading<never> {
  const meant = typeof value === 'string' && value.length <= 40 ? inOtherWords(value) : null;
  return bad(
    `is ${shown(value)}, which is not a valid duration`,
    meant === null || !fits(meant)
      ? 'Write numbers with s, m, h or d, the larger unit first: 45m, 1h30m, 1.5h, 2d.'
      : `Did you mean ${formatDuration(meant)}?`,
  );
}

/** "45 min", "1h 30m", "45M", "1500ms": what people write elsewhere. Read for suggestions alone. */
function inOtherWords(text: string): number | null {
  const lower = text.trim().toLowerCase();
  const whole = parseDuration(lower.replaceAll(/\s/g, ''));
  if (whole !== null) return whole;
  if (!/^\d+(\.\d+)?\s*[a-z]+$/.test(lower)) return null;
  const read = ms(lower as StringValue) as number | undefined;
  return read === undefined || !Number.isFinite(read) ? null : Math.round(read);
}
