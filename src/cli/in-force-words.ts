import type { PoliciesInForce } from '../adapters/ledger/policy-versions.js';
import type { PolicyMode } from '../core/policy/policy.js';

/** What a start found or put in force; `changedFrom` is the version before (null: none), absent when nothing changed. */
export interface InForce {
  readonly inForce: PoliciesInForce;
  readonly changedFrom?: number | null;
}

/** Policies per mode. */
export type ModeCounts = Readonly<Record<PolicyMode, number>>;

export function modeCounts(policies: readonly { readonly mode: PolicyMode }[]): ModeCounts {
  const counts = { off: 0, observe: 0, enforce: 0 };
  for (const { mode } of policies) counts[mode] += 1;
  return counts;
}

/** "2 enforce, 1 observes"; modes that no policy has are left out. */
export function modeWords({ enforce, observe, off }: ModeCounts): string {
  const parts = [
    enforce > 0 ? `${enforce} ${enforce === 1 ? 'enforces' : 'enforce'}` : null,
    observe > 0 ? `${observe} ${observe === 1 ? 'observes' : 'observe'}` : null,
    off > 0 ? `${off} off` : null,
  ].filter((part) => part !== null);
  return parts.length === 0 ? 'no policies' : parts.join(', ');
}

/** ", 2 cleanups"; nothing where there are none. */
const cleanupsWords = (count: number): string =>
  count === 0 ? '' : `, ${count} ${count === 1 ? 'cleanup' : 'cleanups'}`;

export const policiesDocument = ({ inForce, changedFrom }: InForce): unknown =>
  inForce.kind === 'known'
    ? {
        version: inForce.inForce.version,
        ...modeCounts(inForce.inForce.file.policies),
        changed: changedFrom !== undefined,
        changedFrom: changedFrom ?? null,
      }
    : inForce.kind === 'too-new'
      ? { version: inForce.version, tooNew: true }
      : null;

export function policiesWords({ inForce, changedFrom }: InForce): string {
  if (inForce.kind === 'none') return 'none: nothing is ended by policy';
  if (inForce.kind === 'too-new') {
    return `version ${inForce.version} is of a newer Curfew, so this one ends nothing by policy; update it`;
  }
  const { version, file, fileName } = inForce.inForce;
  const from = changedFrom === undefined ? '' : changedFrom === null ? ' (the first one)' : ` (was ${changedFrom})`;
  return `version ${version}${from} of ${fileName}: ${modeWords(modeCounts(file.policies))}${cleanupsWords(file.cleanup.length)}`;
}
