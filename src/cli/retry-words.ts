import type { OrderView } from '../adapters/ledger/results.js';
import { shell } from '../core/text/shell.js';

/** Reads that confirm are spaced, because two that follow at once would prove nothing: those can't be hurried. */
export function retriedWords(view: Pick<OrderView, 'phase' | 'nextTryAtMs'> & { readonly sessionId: string }): string {
  const follow = `Follow it: ${shell`curfew cases ${view.sessionId}`}`;
  if (view.phase !== 'confirming') return `Trying now: ${view.sessionId}. ${follow}`;
  const next = view.nextTryAtMs === null ? 'soon' : `at ${new Date(view.nextTryAtMs).toISOString().slice(11, 19)}Z`;
  return `A request was sent for ${view.sessionId}, and its end is being confirmed: the next read comes ${next} by itself, and the next request after it, if the turn still runs. ${follow}`;
}
