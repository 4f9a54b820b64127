import { sayWarnings } from '../policy-words.js';
import { shell } from '../../core/text/shell.js';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import pc from 'picocolors';
import { ExitCode, UserError } from '../../core/errors.js';
import { refuseToReplaceNewer, type PoliciesInForce } from '../../adapters/ledger/policy-versions.js';
import type { PolicyFile } from '../../core/policy/policy.js';
import { ask, isYes, someoneIsThere } from '../confirm.js';
import { contextOf, withLedger, requester } from '../context.js';
import { modeCounts, modeWords } from '../in-force-words.js';
import { differenceOf, differenceWords, newlyEnforcing, type PolicyDifference } from '../policy-difference.js';
import { readPolicySource } from '../policy-source.js';
import { iso } from '../../core/times.js';

export function registerPolicyApply(policy: Command): void {
  commandNamed(policy, 'apply')
    .description(
      'Shows what changes against the policies in force, asks, and puts the whole file in force, with its exemptions. Running workers follow it from their next scan on. Works while Temporal is down.',
    )
    .argument('<file>', 'policy file (YAML or JSON)')
    .option('--yes', 'do not ask')
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
      const { config, out } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const before = await ledger.policies.inForce();
        refuseToReplaceNewer(before);
        const current = before.kind === 'known' ? before.inForce : null;
        const difference = differenceOf(current?.file ?? null, source.file);
        if (current !== null && JSON.stringify(current.file) === JSON.stringify(source.file)) {
          const document = { version: current.version, changed: false, difference };
          out.result(
            document,
            document,
            ({ version }) => `This is in force already, as version ${version}. Nothing was changed.`,
          );
          return;
        }
        sayWarnings(out, source.warnings);
        const modes = await ledger.policies.modesSoFar();
        const untried = newlyEnforcing(difference).filter((name) => modes.get(name)?.has('observe') !== true);

        if (options.yes !== true) {
          out.show(
            { file, before, difference },
            (view) => `${headline(view.file, view.before)}\n\n${differenceWords(view.difference)}\n`,
          );
          if (untried.length > 0) out.show({ untried, file }, (view) => `${untriedWords(view)}\n`);
          await confirm(file);
          refuseIfChangedMeanwhile(before, await ledger.policies.inForce());
        } else if (untried.length > 0) {
          out.show({ untried, file }, untriedWords);
        }
        const applied = await ledger.policies.apply({
          file: source.file,
          fileName: file,
          sourceText: source.text,
          by: requester(),
        });
        const view = { version: applied.version, difference, file: source.file, showDifference: options.yes === true };
        out.result({ ...applied, difference }, view, appliedWords);
        if (Object.keys(source.file.notify).length > 0) {
          const { tellRoutes } = await import('../route-lines.js');
          await tellRoutes(ledger, out);
        }
      });
    });
}

const headline = (file: string, before: PoliciesInForce): string =>
  before.kind === 'known'
    ? `${file} takes the place of version ${before.inForce.version} (${before.inForce.fileName}, applied ${iso(before.inForce.appliedAtMs)} by ${before.inForce.appliedBy}):`
    : `Nothing is in force yet. ${file} would be the first:`;

const untriedWords = ({
  untried: names,
  file,
}: {
  readonly untried: readonly string[];
  readonly file: string;
}): string =>
  pc.yellow(
    `${names.join(', ')} ${names.length === 1 ? 'begins' : 'begin'} to end turns and ${names.length === 1 ? 'was' : 'were'} never in mode observe. ` +
      `Safer: mode: observe for a day, then enforce; or see what it would end now: ${shell`curfew policy plan ${file}`}`,
  );

/** @throws UserError with exit code 3 unless a person says yes */
async function confirm(file: string): Promise<void> {
  if (!someoneIsThere()) {
    throw new UserError(
      'Not an interactive terminal; nothing was changed.',
      `Check the difference above, then confirm with --yes: ${shell`curfew policy apply ${file} --yes`}`,
      ExitCode.refused,
    );
  }
  if (isYes(await ask('Put this in force? [y/N] '))) return;
  throw new UserError(
    'Not confirmed: nothing was changed.',
    `To see what it would do: ${shell`curfew policy plan ${file}`}`,
    ExitCode.refused,
  );
}

/** While a person was reading, someone else may have applied another file. */
function refuseIfChangedMeanwhile(before: PoliciesInForce, now: PoliciesInForce): void {
  if (now.kind !== 'known' || (before.kind === 'known' && before.inForce.version === now.inForce.version)) return;
  throw new UserError(
    `Meanwhile ${now.inForce.appliedBy} put version ${now.inForce.version} in force. You changed nothing.`,
    'Run the command again, and check the new difference.',
    ExitCode.refused,
  );
}

interface AppliedView {
  readonly version: number;
  readonly difference: PolicyDifference;
  readonly file: PolicyFile;
  readonly showDifference: boolean;
}

function appliedWords({ version, difference, file: { policies, cleanup }, showDifference }: AppliedView): string {
  return [
    ...(showDifference ? [differenceWords(difference), ''] : []),
    `Version ${version} is in force: ${modeWords(modeCounts(policies))}. Workers follow it from their next scan on; what they do: curfew status`,
    ...(cleanup.length === 0 ? [] : ['When the cleanups run next: curfew cleanup list']),
  ].join('\n');
}
