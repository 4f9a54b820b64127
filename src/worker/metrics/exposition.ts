import { LedgerUnavailableError } from '../../adapters/ledger/errors.js';
import type { Logger } from '../../platform/telemetry.js';
import { expose } from './ledger-gauges.js';
import type { LedgerReading } from './ledger-reading.js';
import type { ProcessMetrics } from './registry.js';
import { NoAnswerInTime } from './sparingly.js';
import { exposeUp } from './up-gauges.js';

/** Where the parts of the exposition come from. */
export interface ExpositionSources {
  readonly process: Pick<ProcessMetrics, 'registry'>;
  /** @throws when the ledger does not answer; null: it is not open yet */
  ledger(): Promise<LedgerReading | null>;
  temporalAnswers(): Promise<boolean>;
  /** Empty when there are none. */
  sdk(): Promise<string>;
  readonly log: Pick<Logger, 'error'>;
}

/** All metrics in Prometheus's text format. What can't be had is left out, and never stands in the way of the rest. */
export async function exposition(sources: ExpositionSources): Promise<string> {
  const [reading, temporal, own, sdk] = await Promise.all([
    sources.ledger().catch((error: unknown) => {
      const isAway = error instanceof LedgerUnavailableError || error instanceof NoAnswerInTime;
      if (!isAway) sources.log.error({ err: error }, 'the ledger could not be read for the metrics');
      return null;
    }),
    sources.temporalAnswers(),
    sources.process.registry.metrics(),
    sources.sdk(),
  ]);
  const parts = [await exposeUp({ ledger: reading !== null, temporal }), own];
  if (reading !== null) parts.push(await expose(reading));
  parts.push(sdk);
  return parts
    .filter((part) => part !== '')
    .map((part) => (part.endsWith('\n') ? part : `${part}\n`))
    .join('');
}
