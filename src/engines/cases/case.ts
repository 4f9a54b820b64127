import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { Meters } from '../../adapters/meters.js';
import type { Account } from '../../adapters/vendor/account.js';
import type { Limiter } from '../../adapters/vendor/limiter.js';
import type { Sighting } from '../../core/policy/sighting.js';
import type { CaseTiming } from '../../core/policy/timing.js';
import type { Logger } from '../../platform/telemetry.js';
import type { Gate, Read } from './gate.js';
import type { PolicyRules } from './rules.js';

/** What the case does next. Plain data: it travels through Temporal. */
export type Step =
  /** No order is open. */
  | { readonly next: 'done' }
  /** Read again after a wait, to confirm. */
  | {
      readonly next: 'look';
      readonly afterMs: number;
      readonly look: number;
      readonly sightings: readonly Sighting[];
      /** The vendor has just answered `failed`: a later list without the session is another witness. For a {@link Holder} alone: cases read instead. */
      readonly byList?: true;
    }
  /** Go through the gate again after a wait. */
  | { readonly next: 'attempt'; readonly afterMs: number };

/** A worker that carries out orders itself, beside the cases: see `src/engines/fleet/in-hand.ts`. */
export interface Holder {
  /** Names it in the ledger. */
  readonly worker: string;
  /** Why the orders were given; the gate goes by it while it is young enough. Left out: it reads. */
  readonly read?: Read;
  /** Vendor's time, ms, of a complete list without the session that was asked for after the last answer; left out: there is none. */
  readonly unlistedAtMs?: number;
  /** Told of each read that is made for its orders. Must not fail. */
  readonly onRead?: (read: Read) => void;
}

export interface CaseDependencies {
  readonly gate: Gate;
  readonly ledger: Ledger;
  readonly account: Account;
  readonly limiter: Limiter;
  readonly rules: PolicyRules;
  readonly timing: CaseTiming;
  readonly log: Logger;
  readonly meters: Pick<Meters, 'accepted'>;
  /** A number in [0, 1). */
  readonly random: () => number;
}
