import type { LimitName } from './policy.js';

/** Where one limit stands for one session. */
export interface Reading {
  readonly limit: LimitName;
  readonly unit: LimitUnit;
  /** What was certainly seen: the true value is not smaller. Null: nothing is known. */
  readonly observed: number | null;
  readonly limitValue: number;
  /** The true value may be larger by so much, in `unit`. Null: it can't be told by how much. */
  readonly errorBound: number | null;
  readonly level: Level;
  readonly doubt: Doubt | null;
  /** When to look again, vendor time in ms; null: no time of its own, the next scan will do. */
  readonly lookAtMs: number | null;
  /** Nothing more can be said before a retrieve has shown which turn it is, and that it is still in flight. */
  readonly needsRetrieve: boolean;
}

export type LimitUnit = 'ms' | 'credits' | 'tokens';

/**
 * - `within`: the limit is not broken
 * - `near`: its warning share is reached
 * - `broken`: a retrieve showed the turn in flight with the limit reached
 * - `undecided`: it may be broken, and what is known does not say
 */
export type Level = 'within' | 'near' | 'broken' | 'undecided';

/**
 * Why a reading is not what it could be.
 *
 * - `counted-from-message`: the turn was in flight when it was first seen, so its start is the time of its message;
 *   `errorBound` is then the part that was not watched, and the true value may be smaller by it
 * - `turn-not-named`: only a retrieve can say which turn it is
 * - `usage-unknown`: the vendor has not told any usage
 * - `usage-shrank`: totals went down, which they never should
 * - `no-baseline`: what earlier turns had used is not known, so this turn's part isn't either
 */
export type Doubt = 'counted-from-message' | 'turn-not-named' | 'usage-unknown' | 'usage-shrank' | 'no-baseline';

/** Two retrieves for the same question are never closer than this, ms. */
export const RETRIEVE_SPACING_MS = 1_000;
