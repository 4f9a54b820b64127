import type { Read } from '../cases/gate.js';
import { judgeAgain } from '../cases/judge-again.js';
import type { RuleVerdict } from '../cases/rules.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { OpenOrder } from '../../adapters/ledger/orders.js';
import type { VendorClock } from '../../adapters/vendor/vendor-clock.js';
import { policyOf } from './limits.js';
import { scanMsOf } from './spacing.js';

/**
 * An order of a watch is judged again before each request, as those of policies are: by what the watch is now. It may have been
 * released or extended since, and its turn may have left the queue.
 *
 * @returns null when the order came from no watch
 */
export async function judgeWatchOrder(
  { ledger, vendorClock }: { readonly ledger: Pick<Ledger, 'watches'>; readonly vendorClock: VendorClock },
  order: OpenOrder,
  read: Read,
): Promise<RuleVerdict | null> {
  const watch = await ledger.watches.get(order.sessionId);
  if (watch === null) return null;
  // A later registration took the place of the one that ordered, or the watch was closed: nobody wants this end any more.
  if (watch.orderId !== order.id || watch.state === 'released') return { kind: 'no-longer-violating' };
  const remembered = { facts: watch.facts, agentId: null, agent: null, scanMs: scanMsOf(watch.limits) };
  const judged = judgeAgain(vendorClock, order, read, remembered, policyOf(watch.limits));
  if (typeof judged === 'string') return { kind: 'unknown', why: judged };
  switch (judged.violates) {
    case 'yes':
      return { kind: 'send', permit: null, reason: order.reason };
    case 'no':
      return { kind: 'no-longer-violating' };
    case 'unknown':
      return {
        kind: 'unknown',
        why: 'What is known of the session does not say whether it breaks a limit of its watch',
      };
  }
}
