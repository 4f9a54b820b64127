import type { Command } from 'commander';
import pc from 'picocolors';
import type { StoredVersion } from '../../adapters/ledger/policy-versions.js';
import { contextOf, withLedger } from '../context.js';
import { commandNamed } from '../lazy-commands.js';
import { differenceOf, differenceWords, isEmpty, type PolicyDifference } from '../policy-difference.js';
import { SourceLines, unifiedDifference } from '../source-difference.js';
import { findVersion, versionBefore, versionInForce, versionNumber } from '../policy-version.js';

export function registerPolicyDiff(policy: Command): void {
  commandNamed(policy, 'diff')
    .description(
      'Shows how the file of one version differs from that of another, and what that means. Without numbers: the one in force against the one before it; with one number, that one against the one in force. Reads only the ledger.',
    )
    .argument('[from]', 'number of the older version', versionNumber)
    .argument('[to]', 'number of the newer version; default: the one in force', versionNumber)
    .addHelpText(
      'after',
      '\nExamples:\n  $ curfew policy diff            what the last change was\n  $ curfew policy diff 3          what has changed since version 3\n  $ curfew policy diff 3 4',
    )
    .action(async (from: number | undefined, to: number | undefined, _options: unknown, command: Command) => {
      const { config, out } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const inForce = await versionInForce(ledger);
        const older = await findVersion(ledger, from ?? versionBefore(inForce));
        const newer = await findVersion(ledger, to ?? inForce);
        const difference = differenceOfVersions(older, newer);
        const { lines, ...rest } = difference;
        out.result(difference, { ...rest, source: new SourceLines(lines) }, diffWords);
      });
    });
}

interface VersionsDifference {
  readonly from: number;
  readonly to: number;
  /** Of the files as they were written, as `diff -u` prints it, a line each; empty: they are the same. */
  readonly lines: readonly string[];
  /** Null: one of them was written by a newer Curfew. */
  readonly meaning: PolicyDifference | null;
}

function differenceOfVersions(older: StoredVersion, newer: StoredVersion): VersionsDifference {
  const names = [older, newer].map(({ version, fileName }) => `version ${version} (${fileName})`);
  return {
    from: older.version,
    to: newer.version,
    lines: unifiedDifference(
      { name: names[0] ?? '', text: older.sourceText },
      { name: names[1] ?? '', text: newer.sourceText },
    ),
    meaning: older.file === null || newer.file === null ? null : differenceOf(older.file, newer.file),
  };
}

type DifferenceView = Omit<VersionsDifference, 'lines'> & { readonly source: SourceLines };

function diffWords({ from, to, source: { lines }, meaning }: DifferenceView): string {
  const text = lines.length === 0 ? [`The files of version ${from} and ${to} are the same.`] : lines.map(coloured);
  return [...text, '', ...meaningWords(meaning)].join('\n');
}

function meaningWords(meaning: PolicyDifference | null): string[] {
  if (meaning === null)
    return ['A newer Curfew put one of them in force: what the difference means is not known to this one.'];
  return isEmpty(meaning)
    ? ['No policy, cleanup, route or exemption changes.']
    : [pc.bold('What it means'), '', differenceWords(meaning)];
}

function coloured(line: string): string {
  if (/^(---|\+\+\+) /.test(line)) return pc.bold(line);
  if (line.startsWith('-')) return pc.red(line);
  return line.startsWith('+') ? pc.green(line) : line;
}
