import type { Config } from '../platform/config.js';
import type { Ledger } from '../adapters/ledger/ledger.js';
import { belongsTogether, SEARCH_ATTRIBUTES_META } from '../adapters/temporal/belonging.js';
import { createBulkJobs, type BulkJobs } from '../adapters/temporal/bulk-jobs.js';
import { createCases, type Cases } from '../adapters/temporal/cases.js';
import { createWatches, type Watches } from '../adapters/temporal/watches.js';
import { connectClient, resolveTemporal, type TemporalTarget } from '../adapters/temporal/connection.js';
import { closing, openExistingLedger } from './context.js';

/** A person waits: a Temporal that does not answer by then is told, ms. */
const COMMAND_PATIENCE_MS = 5_000;

export interface ControlPlane {
  readonly target: TemporalTarget;
  readonly ledger: Ledger;
  readonly cases: Cases;
  readonly watches: Watches;
  readonly bulkJobs: BulkJobs;
  close(): Promise<void>;
}

/** Ledger and Temporal, for commands that give orders. Fails before anything is written when either is away. */
async function openControlPlane(config: Config): Promise<ControlPlane> {
  const target = resolveTemporal(config);
  const temporal = await connectClient(target, { retryForMs: COMMAND_PATIENCE_MS });
  try {
    const ledger = await openExistingLedger(config);
    try {
      await belongsTogether(ledger, target, temporal, false);
      const searchAttributes = (await ledger.meta.read(SEARCH_ATTRIBUTES_META)) === 'present';
      return {
        target,
        ledger,
        cases: createCases(temporal.client, searchAttributes),
        watches: createWatches(temporal.client, searchAttributes),
        bulkJobs: createBulkJobs(temporal.client),
        close: async () => {
          await ledger.close();
          await temporal.close();
        },
      };
    } catch (error) {
      await ledger.close();
      throw error;
    }
  } catch (error) {
    await temporal.close();
    throw error;
  }
}

/** Opens both for some work, and closes them whatever comes of that. */
export const withControlPlane = async <T>(config: Config, work: (plane: ControlPlane) => Promise<T>): Promise<T> =>
  closing(await openControlPlane(config), work);
