import type { ActivityOptions } from '@temporalio/common';

/**
 * The one table of timeouts and retries.
 *
 * Activities say themselves when to try again (`nextRetryDelay`), so the retry policy only rules after a crash: a dead
 * worker is noticed by the heartbeat, and its step must go on elsewhere within 20 s.
 */
const retry = { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '5 seconds' } as const;

/**
 * Passes the gate: two reads of up to 30 s each, a cancel request of up to 100 s, and its turn in the limiter's queue.
 *
 * A pass that is cut short is waited for, so that no second one starts beside it. Said here because the SDK (1.24), other
 * than its documentation has it, does not wait by default.
 */
export const GATE_PASS: ActivityOptions = {
  startToCloseTimeout: '5 minutes',
  heartbeatTimeout: '8 seconds',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry,
};

/** Reads a session: up to 30 s, and its turn in the limiter's queue. */
export const SESSION_READ: ActivityOptions = { startToCloseTimeout: '3 minutes', heartbeatTimeout: '8 seconds', retry };

/** Looks after the end are a service, not a duty: they give up where the orders themselves would not. */
export const RESTART_LOOK: ActivityOptions = {
  ...SESSION_READ,
  scheduleToCloseTimeout: '15 minutes',
};

/** A round over the fleet: up to a minute, and a list under way when it ends. One that is cut short is waited for. */
export const ENFORCEMENT_ROUND: ActivityOptions = {
  startToCloseTimeout: '15 minutes',
  heartbeatTimeout: '8 seconds',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry,
};

/**
 * A round on the worker that did the one before. It gets one try: whatever is wrong with that worker (gone, cut off from the
 * ledger, too old for new rules) must not hold the fleet up, so the next try is for any worker.
 */
export const ENFORCEMENT_ROUND_AT_HOME: ActivityOptions = {
  ...ENFORCEMENT_ROUND,
  // A living worker takes it at once.
  scheduleToStartTimeout: '5 seconds',
  retry: { maximumAttempts: 1 },
};

export const LEDGER_READ: ActivityOptions = { startToCloseTimeout: '1 minute', heartbeatTimeout: '8 seconds', retry };

/**
 * A look of a watch: a read of the session, what it means, and the order that may follow. It may be cut short by an extension or
 * a release; what it then still wants to write is refused by the ledger, because the watch has changed.
 */
export const WATCH_LOOK: ActivityOptions = SESSION_READ;

/** Registers, changes or releases a watch: one short transaction. */
export const WATCH_CHANGE: ActivityOptions = LEDGER_READ;

/** Sends one message: 10 s for the receiver, and the ledger before and after. */
export const NOTIFICATION_DELIVERY: ActivityOptions = {
  startToCloseTimeout: '1 minute',
  heartbeatTimeout: '8 seconds',
  retry,
};

/**
 * Works on a bulk job: slices of 5 minutes, and the requests under way at the end of one (100 s each). One that is cut short
 * is waited for; the next one waits until the lease of the last has run out.
 */
export const BULK_RUN: ActivityOptions = {
  startToCloseTimeout: '30 minutes',
  heartbeatTimeout: '8 seconds',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry,
};

/** Reads or steers a bulk job: one short transaction. */
export const BULK_CHANGE: ActivityOptions = LEDGER_READ;

/**
 * Makes the plan of a cleanup run: lists the fleet, and reads what no list tells. It gives up by itself, an hour after its
 * time, because that has to be told.
 */
export const CLEANUP_START: ActivityOptions = {
  startToCloseTimeout: '1 hour',
  heartbeatTimeout: '8 seconds',
  retry,
};
