import { shell } from '../core/text/shell.js';
import type { UnjudgedSpell } from '../adapters/ledger/unjudged.js';
import { span } from './output.js';
import { shorten } from './words.js';

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
  since: new Date(sinceMs).toISOString(),
  last: new Date(lastMs).toISOString(),
  told,
});
