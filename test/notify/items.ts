import type { OrderReason } from '../../src/core/contract.js';
import type { Item, ItemOrder } from '../../src/adapters/ledger/deliveries.js';
import type { ToldKind } from '../../src/core/told.js';

export const AT = Date.UTC(2026, 0, 5, 12, 47, 15);

const REASON: OrderReason = {
  text: 'has run 47m 12s, limit 45m (+15s)',
  policy: 'no-all-nighters',
  policyVersion: 3,
  limit: { name: 'max_runtime', value: 2_700_000, unit: 'ms' },
  observed: { value: 2_832_000, errorBound: 15_000, unit: 'ms' },
};

export const anOrder = (order: Partial<ItemOrder> = {}): ItemOrder => ({
  id: 'order_1',
  agentId: 'agent_support',
  turnKey: 'msg_2',
  requestedBy: 'policy no-all-nighters',
  reason: REASON,
  outcome: null,
  attribution: null,
  attempts: 1,
  endedAtMs: null,
  ...order,
});

/** What the events of a verdict carry. */
export const VERDICT = {
  policy: 'no-all-nighters',
  policyVersion: 3,
  mode: 'enforce',
  turnKey: 'msg_2',
  agentId: 'agent_support',
  agentName: 'support-bot',
  limit: 'max_runtime',
  text: 'has run 36m, limit 45m (+10s)',
  observed: 2_160_000,
  limitValue: 2_700_000,
  unit: 'ms',
  errorBound: 10_000,
};

/** @param order - null: about none */
export const anItem = (
  kind: ToldKind,
  data: Readonly<Record<string, unknown>> = {},
  order: ItemOrder | null = null,
  key = 'event/7',
): Item => ({ key, kind, atMs: AT, sessionId: 'sess_1', data, order });

/** About the whole fleet or a policy, and no session. */
export const aFleetItem = (kind: ToldKind, data: Readonly<Record<string, unknown>> = {}): Item => ({
  ...anItem(kind, data),
  sessionId: null,
});
