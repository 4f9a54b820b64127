import type { Outcome } from '../contract.js';
import { doubled } from './backoff.js';
import { settlesOrder, type Refusal } from './refusals.js';

/** An order that a policy gave earlier for the same turn. */
export interface EarlierOrder {
  readonly policy: string | null;
  /** Null while it is open. */
  readonly outcome: Outcome | null;
  /** Ledger's clock, ms; null while it is open. */
  readonly decidedAtMs: number | null;
  /** What the vendor had refused when it was decided. */
  readonly refusals: readonly Refusal[];
}

/** When the order is to be given. */
export interface Moment {
  /** Ledger's clock, ms. */
  readonly nowMs: number;
  /** How long ago a read of the session was accepted, ms; null: not known. */
  readonly readAgoMs: number | null;
}

/** After these a person decides; the same policy does not order the end of the same turn again. */
const LAST_WORDS: ReadonlySet<Outcome> = new Set<Outcome>(['retries-exhausted', 'abandoned', 'gone']);
/** Refused by a brake. Once the brake is off, nothing else has to be waited for. */
const HELD_BACK: ReadonlySet<Outcome> = new Set<Outcome>(['exempted', 'capped']);
/** Other outcomes mean that the turn was over or within its limits. If it still breaks one after this, it is ordered again, ms. */
const SPACING_MS = 60_000;
/** An order that was settled on less had one 403 alone against it, ms. */
const REFUSED_FOR_MS = 60_000;
/** Where every session may have been refused alike, the first try after that comes so much later, and each further one twice as late, ms. */
const REFUSED_SPACING_MS = 2 * 60_000;
const LONGEST_SPACING_MS = 24 * 60 * 60_000;

/** Whether a policy gives an order for a turn that breaks its limit, given the orders on that turn so far. */
export function mayOrder(policy: string, earlier: readonly EarlierOrder[], moment: Moment): boolean {
  const mine = earlier.filter((order) => order.policy === policy);
  const timesForbidden = mine.filter(({ outcome }) => outcome === 'forbidden').length;
  return mine.every((order) => {
    const { outcome, decidedAtMs } = order;
    if (outcome === null || decidedAtMs === null || LAST_WORDS.has(outcome)) return false;
    const spacingMs = outcome === 'forbidden' ? afterForbidden(order, timesForbidden, moment) : SPACING_MS;
    return HELD_BACK.has(outcome) || (spacingMs !== null && moment.nowMs - decidedAtMs >= spacingMs);
  });
}

/**
 * A refusal of this session is a last word, too. One that may have passed is not: one answer 403 alone (so older versions
 * settled), a read that is accepted by now, or a time in which the vendor accepted no cancel request at all.
 *
 * @returns null: never
 */
function afterForbidden(
  { refusals, decidedAtMs }: EarlierOrder,
  timesForbidden: number,
  { nowMs, readAgoMs }: Moment,
): number | null {
  const refusal = refusals.find((one) => settlesOrder(one, REFUSED_FOR_MS));
  if (refusal === undefined) return SPACING_MS;
  if (refusal.on === 'read') {
    return readAgoMs !== null && readAgoMs < nowMs - (decidedAtMs ?? nowMs) ? SPACING_MS : null;
  }
  if (refusal.alone !== true) return null;
  return doubled(REFUSED_SPACING_MS, timesForbidden - 1, LONGEST_SPACING_MS);
}
