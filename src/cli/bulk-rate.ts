import { ExitCode, UserError } from '../core/errors.js';

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
