import { DateTime } from 'luxon';
import { parseDuration } from '../platform/config.js';
import { ExitCode, UserError } from '../core/errors.js';

/**
 * A moment as people type it: ISO 8601 (UTC where no offset is given), or a duration back from now: 90s, 2h, 7d.
 *
 * @param option - for messages: `--since`
 * @returns ms since the Unix epoch
 * @throws UserError with exit code 2
 */
export function readMoment(text: string, option: string, nowMs: number): number {
  const backMs = parseDuration(text);
  if (backMs !== null && backMs >= 0) return nowMs - backMs;
  const moment = /^\d{4}-\d\d-\d\d/.test(text) ? DateTime.fromISO(text, { zone: 'utc' }) : null;
  if (moment?.isValid === true) return moment.toMillis();
  throw new UserError(
    `${option} is ${JSON.stringify(text.slice(0, 80))}, which is not a valid time.`,
    `Write how far back, as ${option} 2h or ${option} 7d, or a moment: ${option} 2026-01-05T12:00:00Z.`,
    ExitCode.usage,
  );
}
