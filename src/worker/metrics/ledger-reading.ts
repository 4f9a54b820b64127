import { readCoverage, type Coverage } from '../../adapters/ledger/coverage.js';
import type { LedgerGauges } from '../../adapters/ledger/gauges.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { createPoliciesReader } from '../../adapters/ledger/policies-reader.js';
import type { PoliciesInForce } from '../../adapters/ledger/policy-versions.js';
import { ACCOUNT_REFUSED_META } from '../../adapters/vendor/account.js';
import { readHold } from '../../adapters/ledger/hold-mark.js';
import { NEWS_FOR_MS } from '../../core/told.js';
import { createRoutesReader } from '../../engines/notify/routes.js';

/** What the ledger says at a scrape. */
export interface LedgerReading {
  readonly gauges: LedgerGauges;
  /** Of the last scan; null: there was none. */
  readonly coverage: Coverage | null;
  readonly policies: PoliciesInForce;
  readonly openBreakers: ReadonlySet<string>;
  readonly accountRefused: boolean;
  /** The vendor's 429 hold requests back. */
  readonly requestsHeld: boolean;
  /** By notification route in force; at most {@link MOST_PENDING} each. */
  readonly pending: ReadonlyMap<string, number>;
}

/** More than that is told as that: whoever is behind by a thousand messages has the same trouble as by ten thousand. */
export const MOST_PENDING = 1_000;

/**
 * What is pending is looked for among all news of a day, which costs more than all else here; and nobody is late by a minute
 * when messages are, ms.
 */
const PENDING_FRESH_MS = 60_000;

/** Some short questions, one after another. */
export function createLedgerReader(ledger: Ledger): () => Promise<LedgerReading> {
  const routes = createRoutesReader(ledger);
  const policies = createPoliciesReader(ledger);

  let counted: { readonly atMs: number; readonly pending: ReadonlyMap<string, number> } | null = null;
  async function pendingByRoute(): Promise<ReadonlyMap<string, number>> {
    if (counted !== null && performance.now() - counted.atMs < PENDING_FRESH_MS) return counted.pending;
    const pending = new Map<string, number>();
    for (const { name, audience } of await routes.read()) {
      pending.set(name, await ledger.deliveries.count(audience, NEWS_FOR_MS, MOST_PENDING));
    }
    counted = { atMs: performance.now(), pending };
    return pending;
  }

  return async () => {
    return {
      gauges: await ledger.gauges(),
      coverage: await readCoverage(ledger),
      policies: await policies(),
      openBreakers: new Set((await ledger.breakers.open()).map(({ policy }) => policy)),
      requestsHeld: (await readHold(ledger)) !== null,
      accountRefused: (await ledger.meta.read(ACCOUNT_REFUSED_META)) !== null,
      pending: await pendingByRoute(),
    };
  };
}
