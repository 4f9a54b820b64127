import { type Hold, holdWords } from '../adapters/vendor/hold.js';
import type { HoldMark } from '../adapters/ledger/hold-mark.js';
import { span } from './output.js';
import { iso } from '../core/times.js';
import { capital } from '../core/text/capital.js';
import { shell } from '../core/text/shell.js';
import type { UnjudgedSpell } from '../adapters/ledger/unjudged.js';
import { shorten } from './words.js';
import type { BreakerReason } from '../core/policy/caps.js';
import { formatDuration } from '../core/duration.js';

/** What holds all requests back, and for how long. */
export function heldWords(hold: Hold, nowMs: number): string {
  const leftMs = hold.untilMs - nowMs;
  const then =
    leftMs > 0 ? `One goes first in ${span(leftMs)}, the rest when it is answered.` : 'One request asks now.';
  return `${capital(holdWords(hold))}. ${then}`;
}

/** For `--json`; null: nothing is held. */
export const holdDocument = (hold: HoldMark | null): unknown =>
  hold === null
    ? null
    : {
        since: iso(hold.sinceMs),
        until: iso(hold.untilMs),
        status: 429,
        operation: hold.operation,
        retryAfterMs: hold.askedMs,
        worker: hold.worker,
      };

/** One session that can't be judged, and what a person can do. */
export function unjudgedWords({ sessionId, sinceMs, reason, text }: UnjudgedSpell, nowMs: number): string {
  const since = `${sessionId} could not be judged for ${span(nowMs - sinceMs)}, and is not ended meanwhile (${reason}): ${shorten(text, 160)}`;
  return `${since.replace(/\.$/, '')}. If reads come, but too late: ${shell`curfew cancel ${sessionId} --even-if-read-is-old 10s`}`;
}

/** For `--json`. */
export const unjudgedDocument = ({ sessionId, by, reason, text, sinceMs, lastMs, told }: UnjudgedSpell): unknown => ({
  sessionId,
  by,
  reason,
  text,
  since: iso(sinceMs),
  last: iso(lastMs),
  told,
});

/** The cap alone: "max_cancels: 20 per 1h". */
export const trippedCap = ({ cap, capValue, perMs }: BreakerReason): string =>
  `${cap}: ${capValue} per ${formatDuration(perMs)}`;

/** Completes "because …": which cap a policy went over. */
export function trippedWords({ cap, capValue, taken, perMs, liveSessions }: BreakerReason): string {
  const per = formatDuration(perMs);
  const ended = `it had ended ${taken} ${taken === 1 ? 'turn' : 'turns'} within ${per}`;
  return cap === 'max_cancels'
    ? `${ended}, and its cap is ${capValue}`
    : `${ended}, and its cap is ${capValue}% of the live sessions (${liveSessions ?? 'unknown'})`;
}
