import { InvalidArgumentError } from 'commander';
import type { Ledger } from '../adapters/ledger/ledger.js';
import type { StoredVersion } from '../adapters/ledger/policy-versions.js';
import { ExitCode, UserError } from '../core/errors.js';

/** Number of a version, as people type it: 3 or v3. */
export function versionNumber(text: string): number {
  const [, digits = ''] = /^v?([1-9]\d{0,8})$/.exec(text) ?? [];
  if (digits !== '') return Number(digits);
  throw new InvalidArgumentError('It must be the number of a version, such as 3; `curfew policy list` shows them.');
}

/** @throws UserError with exit code 2 when no policies were ever in force */
export async function versionInForce({ policies }: Pick<Ledger, 'policies'>): Promise<number> {
  const inForce = await policies.version();
  if (inForce !== null) return inForce;
  throw new UserError(
    'No policy file has been put in force yet.',
    'Put a policy file in force: curfew policy apply FILE',
    ExitCode.usage,
  );
}

/** @throws UserError with exit code 2 that says which versions there are */
export async function findVersion(ledger: Pick<Ledger, 'policies'>, version: number): Promise<StoredVersion> {
  const last = await versionInForce(ledger);
  const found = await ledger.policies.get(version);
  if (found !== null) return found;
  throw new UserError(
    `Policy version ${version} does not exist. Nothing was changed.`,
    last === 1 ? 'There is only version 1.' : `There are versions 1 to ${last}: curfew policy list`,
    ExitCode.usage,
  );
}

/** @throws UserError with exit code 2 when there is only one */
export function versionBefore(version: number): number {
  if (version > 1) return version - 1;
  throw new UserError(
    'Version 1 is the first one: there is none before it. Nothing was changed.',
    'See what it says: curfew policy show 1',
    ExitCode.usage,
  );
}
