import { holdWords, type Hold } from '../adapters/vendor/hold.js';
import type { HoldMark } from '../adapters/ledger/hold-mark.js';
import { span } from './output.js';

/** What holds all requests back, and for how long. */
export function heldWords(hold: Hold, nowMs: number): string {
  const leftMs = hold.untilMs - nowMs;
  const then =
    leftMs > 0 ? `One goes first in ${span(leftMs)}, the rest when it is answered.` : 'One request asks now.';
  return `${capitalized(holdWords(hold))}. ${then}`;
}

/** For `--json`; null: nothing is held. */
export const holdDocument = (hold: HoldMark | null): unknown =>
  hold === null
    ? null
    : {
        since: new Date(hold.sinceMs).toISOString(),
        until: new Date(hold.untilMs).toISOString(),
        status: 429,
        operation: hold.operation,
        retryAfterMs: hold.askedMs,
        worker: hold.worker,
      };

const capitalized = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
