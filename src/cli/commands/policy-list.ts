import type { Command } from 'commander';
import type { ListedVersion } from '../../adapters/ledger/policy-versions.js';
import { iso, wholeSeconds } from '../../core/times.js';
import { contextOf, withLedger } from '../context.js';
import { commandNamed } from '../lazy-commands.js';
import { positiveNumber } from '../option-values.js';
import { table } from '../output.js';
import { counted, shorten } from '../words.js';

export function registerPolicyList(policy: Command): void {
  commandNamed(policy, 'list')
    .description(
      'Lists the versions of the policies that were put in force, newest first. The first one is in force. All are kept, with their files as they were. Reads only the ledger.',
    )
    .option('--limit <n>', 'versions to show', positiveNumber, 20)
    .addHelpText(
      'after',
      '\nExamples:\n  $ curfew policy list\n  $ curfew policy show 3          the file of version 3, as it was\n  $ curfew policy diff 3 4        what version 4 changed\n  $ curfew policy rollback 3      put that file in force again',
    )
    .action(async ({ limit }: { limit: number }, command: Command) => {
      const { config, out } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const versions = await ledger.policies.list(limit);
        const document = { inForce: versions[0]?.version ?? null, versions: versions.map(documentOf) };
        out.result(document, versions, listWords);
      });
    });
}

const documentOf = ({ version, appliedAtMs, appliedBy, fileName, policies, cleanups }: ListedVersion): unknown => ({
  ...{ version, appliedAt: iso(appliedAtMs), appliedBy, file: fileName, policies, cleanups },
});

function listWords(versions: readonly ListedVersion[]): string {
  const [newest] = versions;
  if (newest === undefined) return 'No policy file has been put in force yet. To do so: curfew policy apply FILE';
  const rows = versions.map((one) => [
    String(one.version),
    wholeSeconds(iso(one.appliedAtMs)),
    one.appliedBy,
    one.fileName,
    shorten(contentWords(one), 80),
  ]);
  const older = (versions.at(-1)?.version ?? 1) - 1;
  return [
    table(['VERSION', 'APPLIED', 'BY', 'FILE', 'POLICIES'], rows),
    '',
    `Version ${newest.version} is in force.${older > 0 ? ` Older ones: ${older}; --limit shows more.` : ''}`,
  ].join('\n');
}

function contentWords({ policies, cleanups }: ListedVersion): string {
  if (policies === null) return 'written by a newer Curfew';
  const parts = policies.map(({ name, mode }) => `${name} (${mode})`);
  if (cleanups !== null && cleanups > 0) parts.push(counted(cleanups, 'cleanup'));
  return parts.length === 0 ? 'none' : parts.join(', ');
}
