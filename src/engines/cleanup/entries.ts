import { ExitCode, UserError } from '../../core/errors.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { closest } from '../../core/policy-file/suggest.js';
import type { CleanupEntry } from '../../core/policy/policy.js';

/** The cleanups of the policies in force. */
export interface CleanupsInForce {
  readonly version: number;
  readonly entries: readonly CleanupEntry[];
}

/** @throws UserError when nothing is in force, or a newer Curfew's file is */
export async function cleanupsInForce(ledger: Pick<Ledger, 'policies'>): Promise<CleanupsInForce> {
  const policies = await ledger.policies.inForce();
  switch (policies.kind) {
    case 'known':
      return { version: policies.inForce.version, entries: policies.inForce.file.cleanup };
    case 'none':
      throw new UserError(
        'No policy file is in force, so there are no cleanups. Nothing was done.',
        'Put one in force: curfew policy apply FILE. How to write cleanups: docs/cleanup.md.',
      );
    case 'too-new':
      throw new UserError(
        `A newer Curfew put version ${policies.version} of the policies in force, in a form that this one does not know. Nothing was done.`,
        'Use that version of Curfew, or a later one.',
        ExitCode.refused,
      );
  }
}

/** @throws UserError with exit code 2 that names what was probably meant, and the cleanups there are */
export function cleanupNamed({ entries }: CleanupsInForce, name: string): CleanupEntry {
  const entry = entries.find((one) => one.name === name);
  if (entry !== undefined) return entry;
  const names = entries.map((one) => one.name);
  const meant = closest(name, names);
  throw new UserError(
    `No cleanup in force has the name ${JSON.stringify(name.slice(0, 80))}. Nothing was done.`,
    names.length === 0
      ? 'The policy file in force has no cleanups; docs/cleanup.md shows how to write them.'
      : `${meant === null ? '' : `Did you mean ${meant}? `}In force: ${names.join(', ')}.`,
    ExitCode.usage,
  );
}
