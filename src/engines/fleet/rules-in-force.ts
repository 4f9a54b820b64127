import type { Ledger } from '../../adapters/ledger/ledger.js';
import { createPoliciesReader } from '../../adapters/ledger/policies-reader.js';
import type { Policy, PolicyFile } from '../../core/policy/policy.js';

/** The policies as they count now. */
export interface RulesInForce {
  readonly version: number;
  /** Ledger's clock, ms. */
  readonly appliedAtMs: number;
  readonly file: PolicyFile;
  /** Those that are on. One whose breaker is open observes, whatever its file says. */
  readonly policies: readonly Policy[];
  /** Names of policies whose breaker is open. */
  readonly open: ReadonlySet<string>;
}

/** - `none`: nothing was ever put in force. - `too-new`: by a newer Curfew; this one must not guess what they mean */
type Rules =
  | { readonly kind: 'none' }
  | { readonly kind: 'too-new'; readonly version: number }
  | { readonly kind: 'known'; readonly rules: RulesInForce };

/** Reads the rules, and the file itself only when its version has changed. One per process. */
export interface RulesReader {
  /** @throws LedgerUnavailableError */
  read(): Promise<Rules>;
}

/** @param open - names of policies whose breaker is open */
export const asTheyCount = (policies: readonly Policy[], open: ReadonlySet<string>): readonly Policy[] =>
  policies
    .filter(({ mode }) => mode !== 'off')
    .map((policy) => (open.has(policy.name) ? { ...policy, mode: 'observe' } : policy));

export function createRulesReader(ledger: Pick<Ledger, 'policies' | 'breakers'>): RulesReader {
  const readPolicies = createPoliciesReader(ledger);
  return {
    async read() {
      const read = await readPolicies();
      if (read.kind !== 'known') return read;
      const { version, appliedAtMs, file } = read.inForce;
      const open = new Set((await ledger.breakers.open()).map(({ policy }) => policy));
      const rules = { version, appliedAtMs, file, policies: asTheyCount(file.policies, open), open };
      return { kind: 'known', rules };
    },
  };
}
