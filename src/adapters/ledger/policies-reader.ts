import type { Ledger } from './ledger.js';
import type { PoliciesInForce } from './policy-versions.js';

/**
 * Reads the policies in force, and the file itself, which may be big, only when its version has changed.
 *
 * @returns a function that throws LedgerUnavailableError
 */
export function createPoliciesReader({ policies }: Pick<Ledger, 'policies'>): () => Promise<PoliciesInForce> {
  let known: PoliciesInForce = { kind: 'none' };
  return async () => {
    if ((await policies.version()) !== versionOf(known)) known = await policies.inForce();
    return known;
  };
}

function versionOf(policies: PoliciesInForce): number | null {
  if (policies.kind === 'none') return null;
  return policies.kind === 'known' ? policies.inForce.version : policies.version;
}
