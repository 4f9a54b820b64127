import { describeActs } from './acts.contract.js';
import { describeBulkHistory } from './bulk-history.contract.js';
import { describeBulkPlans } from './bulk-plans.contract.js';
import { describeDeliveries } from './deliveries.contract.js';
import { describeEnforcement } from './enforcement.contract.js';
import { describeHistory } from './history.contract.js';
import { describeRepositories } from './repositories.contract.js';
import { describeWatches } from './watches.contract.js';
import { describeLedgerMetrics } from '../metrics/ledger.contract.js';

/**
 * All that the ledger's repositories promise, on either database.
 *
 * @param freshUrl - makes a new, empty database
 */
export function describeContracts(name: string, freshUrl: () => Promise<string>): void {
  describeActs(name, freshUrl);
  describeBulkHistory(name, freshUrl);
  describeBulkPlans(name, freshUrl);
  describeDeliveries(name, freshUrl);
  describeEnforcement(name, freshUrl);
  describeHistory(name, freshUrl);
  describeRepositories(name, freshUrl);
  describeWatches(name, freshUrl);
  describeLedgerMetrics(name, freshUrl);
}
