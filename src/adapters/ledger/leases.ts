/**
 * How long a request may stay unanswered and unrenewed before its sender counts as dead, ms. The sender renews it every
 * {@link LEASE_RENEWAL_MS} while it waits for the answer.
 */
export const LEASE_MS = 10_000;

export const LEASE_RENEWAL_MS = 2_000;

/** A request whose effect was not seen by then had none, ms: longer than the confirm window. */
export const IN_DOUBT_MS = 60_000;

export const DOUBT_RETRY_MS = 10_000;

/**
 * How long the worker of a job counts as alive without a word, ms. It renews it as it writes and looks. While it lives, its
 * unanswered requests are under way, and nobody else sends for those sessions (invariant I3).
 */
export const RUN_LEASE_MS = 10_000;

/**
 * How long the worker that carries out an order itself counts as alive without a word, ms. It renews it every
 * {@link HOLD_RENEWAL_MS} for all that it holds; what it leaves behind gets a case.
 */
export const HOLD_MS = 10_000;

export const HOLD_RENEWAL_MS = 3_000;
