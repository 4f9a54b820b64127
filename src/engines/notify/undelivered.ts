import { NEWS_FOR_MS } from '../../core/told.js';
import type { RouteTrouble } from '../../adapters/ledger/deliveries.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { PoliciesInForce } from '../../adapters/ledger/policy-versions.js';
import { audienceOf } from './routes.js';

/** What waits for one route of the policies in force. Times are the ledger's clock, ms since the Unix epoch. */
export interface Undelivered {
  readonly route: string;
  /** Notices; at most {@link MOST_WAITING} are counted. */
  readonly waiting: number;
  /** Since when the oldest waits; null: none does. */
  readonly oldestAtMs: number | null;
  /** Why it did not take its last message; null: it did. */
  readonly trouble: RouteTrouble | null;
}

export const MOST_WAITING = 1_000;

/** Looks at every route in force, and writes nothing. */
export async function readUndelivered(
  ledger: Pick<Ledger, 'deliveries'>,
  policies: PoliciesInForce,
): Promise<Undelivered[]> {
  if (policies.kind !== 'known') return [];
  const { file, appliedAtMs } = policies.inForce;
  return Promise.all(
    Object.keys(file.notify).map(async (route) => {
      const sinceMs = (await ledger.deliveries.toldSince(route)) ?? appliedAtMs;
      const { count, oldestAtMs } = await ledger.deliveries.waiting(
        ...([audienceOf(file, route, sinceMs), NEWS_FOR_MS, MOST_WAITING] as const),
      );
      return { route, waiting: count, oldestAtMs, trouble: await ledger.deliveries.trouble(route) };
    }),
  );
}
