import type { VendorClock } from '../../adapters/vendor/vendor-clock.js';
import type { CaseDependencies } from '../cases/case.js';
import type { Cases } from '../../adapters/temporal/cases.js';

/** What a watch needs: all that a case needs, a clock for the vendor's time, and a way to open cases. */
export interface WatchDependencies extends CaseDependencies {
  /** The one that the gate's reads set. */
  readonly vendorClock: Pick<VendorClock, 'at' | 'now'>;
  readonly cases: Pick<Cases, 'join'>;
}
