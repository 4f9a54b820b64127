import type { VendorClock } from '../fleet/vendor-clock.js';
import type { CaseDependencies } from '../gate/case-step.js';
import type { Cases } from '../temporal/cases.js';

/** What a watch needs: all that a case needs, a clock for the vendor's time, and a way to open cases. */
export interface WatchDependencies extends CaseDependencies {
  /** The one that the gate's reads set. */
  readonly vendorClock: Pick<VendorClock, 'at' | 'now'>;
  readonly cases: Pick<Cases, 'join'>;
}
