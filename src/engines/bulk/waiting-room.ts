import type { Unconfirmed } from './dependencies.js';

/** Targets of one agent that a look at its live sessions would confirm. */
export interface AgentGroup {
  readonly agentId: string;
  /** In the order of `sinceAt`. */
  items: Unconfirmed[];
  /** Requests that a look costs, by the last one. */
  pages: number;
  looking: boolean;
  failures: number;
  /** Monotonic, ms: not before, after a look that failed. */
  notBefore: number;
}

export type ListPlan =
  | { readonly kind: 'wait' }
  /** One look at the lists confirms these. */
  | { readonly kind: 'list'; readonly items: readonly Unconfirmed[] }
  /** They are too few for lists of that length. */
  | { readonly kind: 'read'; readonly items: readonly Unconfirmed[] };

/** A list costs hardly anything when it confirms so many per request. */
const CHEAP = 20;
/** An operator waits for news, ms. */
const LONGEST_WAIT_MS = 15_000;

/**
 * When to look at an agent's lists. A list shows all live sessions, those that still wait for their turn in the job too: so
 * it is short, and confirms many, when the job is through with the agent.
 *
 * @param settleMs - a list confirms what was answered at least so long before it was asked for
 * @param moreToCome - the job is not through with this agent
 */
export function planList(group: AgentGroup, nowMs: number, settleMs: number, moreToCome: boolean): ListPlan {
  if (group.looking || group.items.length === 0 || nowMs < group.notBefore) return { kind: 'wait' };
  const firstUnripe = group.items.findIndex(({ sinceAt }) => nowMs - sinceAt < settleMs);
  const ripe = firstUnripe === -1 ? group.items : group.items.slice(0, firstUnripe);
  const [oldest] = ripe;
  if (oldest === undefined) return { kind: 'wait' };
  const through = !moreToCome && firstUnripe === -1;
  const isLate = nowMs - oldest.sinceAt >= LONGEST_WAIT_MS;
  if (!through && ripe.length < CHEAP * group.pages && !isLate) return { kind: 'wait' };
  // Two reads, some seconds apart, tell the same as one look at the lists.
  return ripe.length * 2 >= group.pages ? { kind: 'list', items: ripe } : { kind: 'read', items: ripe };
}
