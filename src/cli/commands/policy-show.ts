import type { Command } from 'commander';
import type { StoredVersion } from '../../adapters/ledger/policy-versions.js';
import { iso } from '../../core/times.js';
import { contextOf, withLedger } from '../context.js';
import { commandNamed } from '../lazy-commands.js';
import { findVersion, versionInForce, versionNumber } from '../policy-version.js';
import { cleanupWords, policyWords } from '../policy-words.js';

export function registerPolicyShow(policy: Command): void {
  commandNamed(policy, 'show')
    .description(
      'Prints the policy file of a version as it was written; without a number, the one in force. In a file or a pipe it is the same, byte for byte, without a byte order mark. Reads only the ledger.',
    )
    .argument('[version]', 'number of the version; default: the one in force', versionNumber)
    .addHelpText(
      'after',
      '\nExamples:\n  $ curfew policy show                      the file in force\n  $ curfew policy show 3 > version-3.yaml\n  $ curfew policy show 3 --json | jq .policies',
    )
    .action(async (version: number | undefined, _options: unknown, command: Command) => {
      const { config, out } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const inForce = await versionInForce(ledger);
        const found = await findVersion(ledger, version ?? inForce);
        const isInForce = found.version === inForce;
        if (out.json) return out.result(documentOf(found, isInForce), null, () => '');
        const { version: number, fileName, appliedAtMs, appliedBy } = found;
        const standing = isInForce ? 'in force' : `replaced by version ${number + 1}`;
        out.say(`Version ${number}, ${standing}: ${fileName}, applied ${iso(appliedAtMs)} by ${appliedBy}.`);
        out.source(found.sourceText);
      });
    });
}

function documentOf({ version, appliedAtMs, appliedBy, fileName, sourceText, file }: StoredVersion, inForce: boolean) {
  return {
    ...{ version, inForce, appliedAt: iso(appliedAtMs), appliedBy, file: fileName, source: sourceText },
    policies: file?.policies.map((one) => ({ name: one.name, mode: one.mode, meaning: policyWords(one) })) ?? null,
    cleanup: file?.cleanup.map((entry) => ({ name: entry.name, meaning: cleanupWords(entry) })) ?? null,
    /** As this program reads it; null: a newer Curfew wrote it. */
    parsed: file,
  };
}
