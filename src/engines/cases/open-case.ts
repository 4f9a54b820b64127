import type { Cases } from '../../adapters/temporal/cases.js';
import type { Logger } from '../../platform/telemetry.js';

/** An order that is in the ledger, and whose case is to be started. */
export interface WrittenOrder {
  readonly orderId: string;
  readonly sessionId: string;
}

/**
 * Starts the case of an order, or joins the open one. One that can't be started is in the ledger: the reconciler starts it.
 *
 * @param withinMs - how long to wait for a worker's word that the case is at work, ms; it is started all the same
 */
export async function openCase(
  { cases, log }: { readonly cases: Pick<Cases, 'join'>; readonly log: Pick<Logger, 'warn'> },
  { sessionId, orderId }: WrittenOrder,
  withinMs = 5_000,
): Promise<void> {
  try {
    await cases.join(sessionId, orderId, withinMs);
  } catch (error) {
    log.warn({ sessionId, orderId, err: error }, 'could not start a case; it is started within a minute');
  }
}
