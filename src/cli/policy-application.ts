import pc from 'picocolors';
import type { Ledger } from '../adapters/ledger/ledger.js';
import { refuseToReplaceNewer, type PoliciesInForce } from '../adapters/ledger/policy-versions.js';
import { ExitCode, UserError } from '../core/errors.js';
import type { PolicyFile } from '../core/policy/policy.js';
import { iso } from '../core/times.js';
import { ask, isYes, someoneIsThere } from './confirm.js';
import { modeCounts, modeWords } from './in-force-words.js';
import type { Output } from './output.js';
import { differenceOf, differenceWords, newlyEnforcing, type PolicyDifference } from './policy-difference.js';
import type { PolicySource } from './policy-source.js';
import { sayWarnings } from './policy-words.js';

/** A policy file that is to be put in force, wherever it comes from. */
export interface Application {
  readonly source: PolicySource;
  /** What the ledger calls it. */
  readonly fileName: string;
  /** Who puts it in force. */
  readonly by: string;
  /** What people call it: "curfew.yaml", "Version 1 (curfew.yaml)". */
  readonly what: string;
  /** The same command with `--yes`. */
  readonly confirm: string;
  /** How to see what it would end. */
  readonly plan: string;
}

/**
 * Shows what changes against the policies in force, asks unless `yes`, puts the file in force, and says whether its routes can be used from here.
 *
 * @throws UserError with exit code 3 when nobody confirms, or when others have put something else in force meanwhile
 */
export async function putInForce(
  ledger: Pick<Ledger, 'policies' | 'deliveries'>,
  out: Output,
  { source, fileName, by, ...about }: Application,
  yes: boolean,
): Promise<void> {
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

  if (!yes) {
    out.show(
      { what: about.what, before, difference },
      (view) => `${headline(view.what, view.before)}\n\n${differenceWords(view.difference)}\n`,
    );
    if (untried.length > 0) out.show({ untried, plan: about.plan }, (view) => `${untriedWords(view)}\n`);
    await confirm(about);
    refuseIfChangedMeanwhile(before, await ledger.policies.inForce());
  } else if (untried.length > 0) {
    out.show({ untried, plan: about.plan }, untriedWords);
  }
  const applied = await ledger.policies.apply({
    file: source.file,
    fileName,
    sourceText: source.text,
    by,
  });
  const view = { version: applied.version, difference, file: source.file, showDifference: yes };
  out.result({ ...applied, difference }, view, appliedWords);
  if (Object.keys(source.file.notify).length > 0) {
    const { tellRoutes } = await import('./route-lines.js');
    await tellRoutes(ledger, out);
  }
}

const headline = (what: string, before: PoliciesInForce): string =>
  before.kind === 'known'
    ? `${what} takes the place of version ${before.inForce.version} (${before.inForce.fileName}, applied ${iso(before.inForce.appliedAtMs)} by ${before.inForce.appliedBy}):`
    : `Nothing is in force yet. ${what} would be the first:`;

const untriedWords = ({
  untried: names,
  plan,
}: {
  readonly untried: readonly string[];
  readonly plan: string;
}): string =>
  pc.yellow(
    `${names.join(', ')} ${names.length === 1 ? 'begins' : 'begin'} to end turns and ${names.length === 1 ? 'was' : 'were'} never in mode observe. ` +
      `Safer: mode: observe for a day, then enforce; or see what it would end now: ${plan}`,
  );

/** @throws UserError with exit code 3 unless a person says yes */
async function confirm({ confirm: command, plan }: Pick<Application, 'confirm' | 'plan'>): Promise<void> {
  if (!someoneIsThere()) {
    throw new UserError(
      'Not an interactive terminal; nothing was changed.',
      `Check the difference above, then confirm with --yes: ${command}`,
      ExitCode.refused,
    );
  }
  if (isYes(await ask('Put this in force? [y/N] '))) return;
  throw new UserError('Not confirmed: nothing was changed.', `To see what it would do: ${plan}`, ExitCode.refused);
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
