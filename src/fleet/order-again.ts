import type { Outcome } from '../contract.js';

/** An order that a policy gave earlier for the same turn. */
export interface EarlierOrder {
  readonly policy: string | null;
  /** Null while it is open. */
  readonly outcome: Outcome | null;
  /** Ledger's clock, ms; null while it is open. */
  readonly decidedAtMs: number | null;
}

/** After these a person decides; the same policy does not order the end of the same turn again. */
const LAST_WORDS: ReadonlySet<Outcome> = new Set<Outcome>(['retries-exhausted', 'forbidden', 'abandoned', 'gone']);
/** Refused by a brake. Once the brake is off, nothing else has to be waited for. */
const HELD_BACK: ReadonlySet<Outcome> = new Set<Outcome>(['exempted', 'capped']);
/** Other outcomes mean that the turn was over or within its limits. If it still breaks one after this, it is ordered again, ms. */
const SPACING_MS = 60_000;

/** Whether a policy gives an order for a turn that breaks its limit, given the orders on that turn so far. */
export function mayOrder(policy: string, earlier: readonly EarlierOrder[], nowMs: number): boolean {
  return earlier
    .filter((order) => order.policy === policy)
    .every(({ outcome, decidedAtMs }) => {
      if (outcome === null || decidedAtMs === null || LAST_WORDS.has(outcome)) return false;
      return HELD_BACK.has(outcome) || nowMs - decidedAtMs >= SPACING_MS;
    });
}
