import type { Attribution, Outcome } from '../core/contract.js';
import type { EventKind } from '../core/events.js';
import type { OrderedBy } from '../core/orders.js';
import type { LimitName } from '../core/policy/policy.js';
import type { SessionsErrorKind, SessionsOperation } from './vendor/index.js';

/** An order that got its outcome. */
interface CountedOutcome {
  readonly outcome: Outcome;
  readonly attribution: Attribution | null;
  readonly by: OrderedBy;
  readonly policy: string | null;
}

/**
 * What this process counts. Every method is cheap, and none ever throws: a number that can't be counted stops no order.
 * Labels come from sets that are bounded: names of policies and routes, outcomes, operations; never the id of a session.
 */
export interface Meters {
  orderOpened(by: OrderedBy, policy: string | null): void;
  orderSettled(counted: CountedOutcome): void;
  /** A policy ordered the end of a turn so long after the deadline that was computed for it. */
  detected(policy: string, lagMs: number): void;
  /** The first cancel request for an order was accepted, so long after the order. */
  accepted(by: OrderedBy, afterMs: number): void;
  /** An order got its outcome, so long after its first accepted request. */
  confirmed(by: OrderedBy, afterMs: number): void;
  /** A turn that a policy ended was seen over when it had run so long past its limit. */
  overranTime(policy: string, limit: LimitName, byMs: number): void;
  overspent(policy: string, limit: LimitName, byCredits: number): void;
  event(kind: EventKind): void;
  apiRequest(operation: SessionsOperation, result: 'ok' | SessionsErrorKind, tookMs: number): void;
  scan(result: 'complete' | 'incomplete', tookMs: number): void;
  notification(route: string, result: 'delivered' | 'failed'): void;
}

/** For tests, and for processes that nobody scrapes. */
export const NO_METERS: Meters = {
  orderOpened: () => {},
  orderSettled: () => {},
  detected: () => {},
  accepted: () => {},
  confirmed: () => {},
  overranTime: () => {},
  overspent: () => {},
  event: () => {},
  apiRequest: () => {},
  scan: () => {},
  notification: () => {},
};
