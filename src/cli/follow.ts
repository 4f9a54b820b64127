import { setTimeout as sleep } from 'node:timers/promises';
import { LedgerUnavailableError } from '../adapters/ledger/errors.js';
import type { Ledger } from '../adapters/ledger/ledger.js';
import type { OrderView } from '../adapters/ledger/results.js';
import type { Output } from './output.js';
import { standing } from './words.js';

const POLL_MS = 400;

/**
 * Follows orders in the ledger until `enough` says so or the signal fires, and shows where each stands: rewritten in
 * place where a person watches, else a line per change.
 */
export async function followOrders(
  ledger: Ledger,
  orderIds: readonly string[],
  out: Output,
  enough: (views: readonly OrderView[]) => boolean,
  signal: AbortSignal,
): Promise<OrderView[]> {
  const said = new Map<string, string>();
  let views: OrderView[] = [];
  let ledgerAway = false;
  while (!signal.aborted) {
    try {
      const found = await ledger.orders.views({ orderIds, limit: orderIds.length });
      views = orderIds.flatMap((id) => found.find((view) => view.orderId === id) ?? []);
      ledgerAway = false;
    } catch (error) {
      if (!(error instanceof LedgerUnavailableError)) throw error;
      if (!ledgerAway) out.say(`${error.message} Waiting for it.`);
      ledgerAway = true;
    }
    if (out.live) {
      out.redraw(views, (shown) => shown.map(line).join('\n'));
    } else {
      for (const view of views) {
        // Without the countdown: that would be a line per poll.
        const key = `${view.phase} ${view.result.attempts} ${view.result.outcome} ${view.result.lastError?.at}`;
        if (said.get(view.orderId) !== key) out.show(view, line);
        said.set(view.orderId, key);
      }
    }
    if (!ledgerAway && views.length > 0 && enough(views)) break;
    await sleep(POLL_MS, undefined, { signal }).catch(() => {});
  }
  // The result says all that these lines said.
  out.clear();
  return views;
}

const line = (view: OrderView): string => `${view.result.sessionId}  ${standing(view, Date.now())}`;
