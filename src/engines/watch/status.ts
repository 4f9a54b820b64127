import type { WatchStatus } from '../../core/contract.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { OrderView } from '../../adapters/ledger/results.js';
import type { Watch } from '../../adapters/ledger/watches.js';
import { writtenLimits } from './limits.js';
import { deadlineOf } from './spacing.js';
import { iso } from '../../core/times.js';

/** A watch as others see it. */
export function statusOf(watch: Watch, order: OrderView | null): WatchStatus {
  const { facts, limits } = watch;
  const isOpen = watch.state === 'watching';
  return {
    sessionId: watch.sessionId,
    state: watch.state,
    ending: watch.ending,
    limits: writtenLimits(limits),
    phase: watch.phase,
    deadline: facts === null || !isOpen ? null : iso(deadlineOf(facts, limits)),
    nextLookAt: iso(watch.nextLookAtMs),
    turnKey: facts?.timeline.turn?.key ?? null,
    lastNote: watch.note,
    order: order?.result ?? null,
    reason: watch.reason,
    requestedBy: watch.requestedBy,
    registeredAt: new Date(watch.registeredAtMs).toISOString(),
    closedAt: iso(watch.closedAtMs),
    closedBy: watch.closedBy,
  };
}

/** The last order that a watch gave. */
export async function lastOrder(ledger: Pick<Ledger, 'orders'>, { orderId }: Watch): Promise<OrderView | null> {
  if (orderId === null) return null;
  const [view] = await ledger.orders.views({ orderIds: [orderId], limit: 1 });
  return view ?? null;
}

export const readStatus = async (ledger: Pick<Ledger, 'orders'>, watch: Watch): Promise<WatchStatus> =>
  statusOf(watch, await lastOrder(ledger, watch));
