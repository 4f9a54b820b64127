import type { Doubt, LimitUnit, Reading } from './reading.js';
import type { LimitName } from './policy.js';

/**
 * A reading in words, for people: what was seen, the limit, and by how much the truth may be above what was seen.
 *
 * @example `has run 47m 12s, limit 45m (+15s)`
 */
export function reasonText({ limit, unit, observed, limitValue, errorBound, doubt }: Reading): string {
  const limitText = `limit ${amountText(limitValue, unit)}`;
  if (observed === null) return `${SUBJECTS[limit]} can't be told, ${limitText}: ${doubtText(doubt, null, unit)}`;
  const said = `${VERBS[limit]} ${amountText(observed, unit)}${TAILS[limit]}, ${limitText}`;
  if (doubt !== null && doubt !== 'turn-not-named') return `${said}; ${doubtText(doubt, errorBound, unit)}`;
  if (errorBound === null) return `${said} (or more)`;
  return errorBound === 0 ? said : `${said} (+${amountText(errorBound, unit)})`;
}

const VERBS: Record<LimitName, string> = {
  max_runtime: 'has run',
  max_continuous_runtime: 'has been processing for',
  max_queue_time: 'has waited',
  max_credits: 'has spent',
  max_session_credits: 'the session has spent',
  max_tokens: 'has used',
};

const TAILS: Record<LimitName, string> = {
  max_runtime: '',
  max_continuous_runtime: ' without a break',
  max_queue_time: '',
  max_credits: ' in this turn',
  max_session_credits: ' in all',
  max_tokens: ' in this turn',
};

const SUBJECTS: Record<LimitName, string> = {
  max_runtime: 'the run time of this turn',
  max_continuous_runtime: 'the unbroken run time',
  max_queue_time: 'the waiting time of this turn',
  max_credits: 'what this turn has spent',
  max_session_credits: 'what the session has spent',
  max_tokens: 'what this turn has used',
};

function doubtText(doubt: Doubt | null, errorBound: number | null, unit: LimitUnit): string {
  switch (doubt) {
    case 'counted-from-message':
      return `counted from its message, of which the first ${amountText(errorBound ?? 0, unit)} were not watched`;
    case 'usage-unknown':
      return 'the vendor has told no usage';
    case 'usage-shrank':
      return 'the totals of the session went down';
    case 'no-baseline':
      return 'what it used before it was first seen is not known';
    case 'turn-not-named':
    case null:
      return 'not known yet';
  }
}

export function amountText(amount: number, unit: LimitUnit): string {
  if (unit === 'ms') return durationText(amount);
  return `${Number(amount.toFixed(2)).toString()} ${unit}`;
}

/** The units that are not zero, down to seconds; below ten seconds with a fraction. Cut, never rounded up. */
export function durationText(ms: number): string {
  if (ms < 10_000 && ms % 1_000 !== 0) return `${Math.floor(ms / 100) / 10}s`;
  let rest = Math.floor(ms / 1_000);
  const parts: string[] = [];
  for (const [unit, seconds] of UNITS) {
    const count = Math.floor(rest / seconds);
    if (count > 0) parts.push(`${count}${unit}`);
    rest -= count * seconds;
  }
  return parts.length === 0 ? '0s' : parts.join(' ');
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
] as const;
