import type { Command } from 'commander';
import { shell } from '../../core/text/shell.js';
import { contextOf, withLedger } from '../context.js';
import { commandNamed } from '../lazy-commands.js';
import { putInForce } from '../policy-application.js';
import { readPolicySource } from '../policy-source.js';
import { asOption } from '../requester.js';

export function registerPolicyApply(policy: Command): void {
  commandNamed(policy, 'apply')
    .description(
      'Shows what changes against the policies in force, asks, and puts the whole file in force, with its exemptions. Running workers follow it from their next scan on. Works while Temporal is down.',
    )
    .argument('<file>', 'policy file (YAML or JSON)')
    .option('--yes', 'do not ask')
    .addOption(asOption())
    .addHelpText(
      'after',
      `
Examples:
  $ curfew policy plan curfew.yaml           first see what it would do
  $ curfew policy apply curfew.yaml
  $ curfew policy apply curfew.yaml --yes    in scripts

Exit codes: 0 in force (also when it was so already), 2 the file is not valid, 3 not confirmed, 4 the ledger can't be reached.`,
    )
    .action(async (file: string, options: { yes?: boolean }, command: Command) => {
      const source = await readPolicySource(file);
      const { config, out, by } = contextOf(command);
      const application = {
        ...{ source, fileName: file, by, what: file },
        confirm: shell`curfew policy apply ${file} --yes`,
        plan: shell`curfew policy plan ${file}`,
      };
      await withLedger(config, (ledger) => putInForce(ledger, out, application, options.yes === true));
    });
}
