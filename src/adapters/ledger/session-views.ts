import type { OrderView } from './results.js';
import { isOutcome, viewOfTarget } from './bulk-results.js';
import type { Ledger } from './ledger.js';

/** The bulk job that ended a turn without an order; null: the view is of an order. */
export const jobOfView = ({ orderId }: Pick<OrderView, 'orderId'>): string | null =>
  orderId.includes('/') ? orderId.slice(0, orderId.indexOf('/')) : null;

/**
 * The orders on a session and what bulk jobs ended in it without one, newest first.
 *
 * @param limit - of each, and of both together
 */
export async function viewsOfSession(
  { orders, bulk }: Pick<Ledger, 'orders' | 'bulk'>,
  sessionId: string,
  limit: number,
): Promise<OrderView[]> {
  const ordered = await orders.views({ sessionId, limit });
  const found = await bulk.ofSession(sessionId, limit);
  const settled = found.flatMap(({ job, target }) => (isOutcome(target.status) ? [viewOfTarget(job, target)] : []));
  return [...ordered, ...settled]
    .sort((a, b) => Date.parse(b.result.orderedAt) - Date.parse(a.result.orderedAt))
    .slice(0, limit);
}
