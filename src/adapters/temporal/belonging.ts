import { ExitCode, UserError } from '../../core/errors.js';
import type { Ledger } from '../ledger/ledger.js';
import { clusterIdentity, type TemporalClient, type TemporalTarget } from './connection.js';

const TEMPORAL_META = 'temporal';
/** Whether cases may carry search attributes; written by workers, read by commands. */
export const SEARCH_ATTRIBUTES_META = 'search-attributes';

/** How the ledger knows its Temporal. The embedded server is the home's own, even after its file was deleted. */
async function identityOf(target: TemporalTarget, { client }: TemporalClient): Promise<string> {
  if (target.kind === 'embedded') return 'embedded';
  const { clusterId, namespaceId } = await clusterIdentity(client);
  return `${clusterId}/${namespaceId}`;
}

/**
 * Checks that the ledger and Temporal belong together. Two Temporals on one ledger would each run a case for the same
 * session; so the ledger remembers the first one, and another is refused.
 *
 * @param adopt - replaces the remembered one; for a cluster that was rebuilt
 * @throws UserError with exit code 3
 */
export async function belongsTogether(
  ledger: Ledger,
  target: TemporalTarget,
  client: TemporalClient,
  adopt: boolean,
): Promise<void> {
  const identity = await identityOf(target, client);
  if (adopt) return ledger.meta.replace(TEMPORAL_META, identity);
  if (await ledger.meta.claim(TEMPORAL_META, identity)) return;
  refuseOther(ledger, await ledger.meta.read(TEMPORAL_META), identity);
}

/**
 * Only looks: a ledger that belongs to no Temporal yet stays so.
 *
 * @throws UserError with exit code 3 when it belongs to another one
 */
export async function checkBelonging(ledger: Ledger, target: TemporalTarget, client: TemporalClient): Promise<void> {
  const known = await ledger.meta.read(TEMPORAL_META);
  if (known !== null) refuseOther(ledger, known, await identityOf(target, client));
}

function refuseOther(ledger: Ledger, known: string | null, identity: string): void {
  if (known === identity) return;
  throw new UserError(
    `The ledger at ${ledger.describe} belongs to another Temporal (${known}) than this one (${identity}); nothing was started.`,
    'Set TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, or CURFEW_DATABASE_URL, to those that belong together. If the old one is gone for good and no worker runs on it, start once with --adopt-temporal: open orders are taken up here.',
    ExitCode.refused,
  );
}
