import type { Outcome } from './contract.js';
import { ALERTS, type EventKind } from './events.js';

/*
 * What notification routes are told, and who is told what. The ledger asks for it in SQL: another route's thousands of events are
 * not read for that.
 */

/** Events that are told by notification routes. The others are for those who look into the ledger. */
export const TOLD_EVENTS = [
  'warned',
  'would-end',
  'restarted',
  'not-ending',
  'not-judgeable',
  'retries-exhausted',
  'forbidden',
  'gone',
  'may-have-hit-newer-turn',
  'breaker-opened',
  'breaker-closed',
  'account-refused',
  'account-accepted',
  'coverage-lost',
  'coverage-restored',
  'cleanup-failed',
  'cleanup-capped',
  'trigger-switched-off',
  'bulk-applied',
  'bulk-stopped',
  'bulk-paused',
  'bulk-resumed',
  'bulk-aborted',
  'bulk-finished',
] as const satisfies readonly EventKind[];

/** Outcomes by which a turn of a policy was ended. What else can come of an order harmed nobody, or is an event too. */
export const TOLD_OUTCOMES = ['cancelled', 'ended-unattributed'] as const satisfies readonly Outcome[];

export type ToldKind = (typeof TOLD_EVENTS)[number] | (typeof TOLD_OUTCOMES)[number];

/** The end of an alert: who heard the one wants to hear the other. */
const RECOVERIES: readonly EventKind[] = ['account-accepted', 'breaker-closed', 'coverage-restored'];
/** A cleanup names no route. */
const OF_CLEANUPS: readonly EventKind[] = ['cleanup-capped'];
/** That someone ends many sessions at once is news to all, and so is what becomes of it. A change of the rate is not. */
const OF_BULK: readonly EventKind[] = ['bulk-applied', 'bulk-paused', 'bulk-resumed', 'bulk-aborted', 'bulk-finished'];
/** No news where a cleanup does it; what goes wrong there is. */
export const ROUTINE: readonly EventKind[] = ['bulk-applied', 'bulk-finished'];
/** What must not stay untold for want of a policy: each route hears it when it belongs to no policy in force. */
export const FOR_EVERYONE: readonly EventKind[] = TOLD_EVENTS.filter(
  (kind: EventKind) =>
    ALERTS.has(kind) || RECOVERIES.includes(kind) || OF_CLEANUPS.includes(kind) || OF_BULK.includes(kind),
);

/** Who is to hear what: a notification route as the policy file in force has it. */
export interface Audience {
  readonly route: string;
  /** Policies whose news goes to this route. */
  readonly policies: readonly string[];
  /** Every policy in the file in force. */
  readonly known: readonly string[];
  /** What happened before is no news to this route. Ledger's clock, ms since the Unix epoch. */
  readonly sinceMs: number;
}

/** Older items are no news: they are left in the ledger, and so long a message is tried, ms. */
export const NEWS_FOR_MS = 24 * 60 * 60_000;
