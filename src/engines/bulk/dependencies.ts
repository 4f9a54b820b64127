import type { ListingDependencies } from '../../adapters/vendor/listing.js';
import type { VendorClock } from '../../adapters/vendor/vendor-clock.js';
import type { Account } from '../../adapters/vendor/account.js';
import type { Clock } from '../../platform/clock.js';
import type { Gate } from '../cases/gate.js';
import type { Limiter } from '../../adapters/vendor/limiter.js';
import type { RunKey } from '../../adapters/ledger/bulk-run.js';
import type { BulkJob, BulkTarget } from '../../adapters/ledger/bulk-plans.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { OrderedTurn, Sighting } from '../../core/policy/sighting.js';
import type { CaseTiming } from '../../core/policy/timing.js';
import type { SessionsClient } from '../../adapters/vendor/index.js';
import type { Cases } from '../../adapters/temporal/cases.js';
import type { Logger } from '../../platform/telemetry.js';
import type { Book } from './book.js';

/** What a worker needs to carry out bulk jobs. */
export interface BulkDependencies extends ListingDependencies {
  readonly sessions: SessionsClient;
  readonly gate: Gate;
  readonly ledger: Ledger;
  readonly limiter: Limiter;
  readonly vendorClock: VendorClock;
  readonly account: Account;
  readonly cases: Pick<Cases, 'join'>;
  readonly clock: Clock;
  readonly timing: CaseTiming;
  readonly log: Logger;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** Names this process in the ledger. */
  readonly worker: string;
  /** Targets that may be on their way through the gate at once. */
  readonly concurrency: number;
}

/** One taking-up of a job, until it is let go of. */
export interface RunContext extends BulkDependencies {
  readonly key: RunKey;
  readonly book: Book;
  /** As it was last read. */
  job(): BulkJob;
}

/** A target whose turn was asked to end, or was over already, and of which that has to be seen. */
export interface Unconfirmed {
  readonly target: BulkTarget;
  readonly agentId: string | null;
  readonly turn: OrderedTurn;
  /** Where its row stands: `answered` after a request, `waiting` where none was needed. */
  readonly from: 'answered' | 'waiting';
  /** By what a list that does not show the session any more would confirm it; null: only reads can tell. */
  readonly byList: 'request' | 'at-rest' | null;
  /** Monotonic, ms: of the answer, or of the read that showed it at rest. Only what is seen later confirms it. */
  readonly sinceAt: number;
  /** The cancel request was accepted, so `sinceAt` is the time of that. */
  readonly accepted?: boolean;
  /** What reads have shown since. */
  readonly sightings: readonly Sighting[];
}
