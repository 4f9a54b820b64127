import type { Item } from '../../adapters/ledger/deliveries.js';
import type { NotifyRoute } from '../../core/policy/policy.js';
import { SUMMARY_MOST, SUMMARY_OVER } from './slack.js';

/** Most items of one message, unless it is a summary: so many a person may still read. */
export const MOST_ITEMS = 20;

/** How many pending items have to be looked at to cut the next message, plus one to know whether there are more. */
export const lookAhead = (route: NotifyRoute): number => ('slack' in route ? SUMMARY_MOST : MOST_ITEMS) + 1;

/** The items of the next message, oldest first. */
export function nextBatch(route: NotifyRoute, pending: readonly Item[]): readonly Item[] {
  const summary = 'slack' in route && pending.length > SUMMARY_OVER;
  return pending.slice(0, summary ? SUMMARY_MOST : MOST_ITEMS);
}

/** Whether a message that was begun can still be sent: the route of this name may be of another kind by now. */
export const fits = (route: NotifyRoute, count: number): boolean =>
  count <= MOST_ITEMS || ('slack' in route && count > SUMMARY_OVER && count <= SUMMARY_MOST);
