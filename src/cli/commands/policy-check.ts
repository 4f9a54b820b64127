import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import pc from 'picocolors';
import {
  PolicyFileError,
  policyJsonSchema,
  problemLines,
  type Problem,
  type ReadPolicyFile,
} from '../../core/policy-file/index.js';
import { createOutput, type Output } from '../output.js';
import { teamsWords } from '../../engines/fleet/teams-words.js';
import { readPolicySource } from '../policy-source.js';
import { cleanupWords, policyWords } from '../policy-words.js';
import { counted } from '../words.js';
import { checkTeams } from '../teams-check.js';
import type { TeamsCheck } from '../teams-lookup.js';
import { iso } from '../../core/times.js';

export function registerPolicyCheck(policy: Command): void {
  commandNamed(policy, 'check')
    .description(
      'Reads a policy file and says in words what it means. Changes nothing and needs no key; if one is set and the file names teams, says whether the vendor shows them.',
    )
    .argument('<file>', 'policy file (YAML or JSON)')
    .addHelpText(
      'after',
      '\nExample:\n  $ curfew policy check curfew.yaml\n\nExit codes: 0 valid (there may be warnings), 2 not valid, or not readable.',
    )
    .action(async (file: string, _options: unknown, command: Command) => {
      const out = outputOf(command);
      try {
        const read = await readPolicySource(file);
        const teams = await checkTeams(read.file);
        out.result(validDocument(file, read, teams), { file, read, teams }, validInWords);
      } catch (error) {
        if (!(error instanceof PolicyFileError)) throw error;
        const { problems, warnings, total } = error;
        const document = { file, valid: false, problems, warnings, policies: [], cleanup: [] };
        out.result(document, { file, problems, warnings, total }, brokenInWords);
        process.exitCode = error.exitCode;
      }
    });

  commandNamed(policy, 'schema')
    .addHelpText(
      'after',
      `
Examples:
  $ curfew policy schema > policy.schema.json
  and as the first line of a policy file, for editors with the YAML language server:
  # yaml-language-server: $schema=policy.schema.json`,
    )
    .action((_options: unknown, command: Command) => {
      outputOf(command).result(policyJsonSchema(), null, () => JSON.stringify(policyJsonSchema(), null, 2));
    });
}

/** Needs no settings: a policy file can be checked where Curfew is not set up, as in the CI of a repository. */
const outputOf = (command: Command): Output =>
  createOutput(command.optsWithGlobals<{ json?: boolean }>().json === true);

function validDocument(
  file: string,
  { file: { policies, cleanup }, warnings }: ReadPolicyFile,
  teams: TeamsCheck | null,
): unknown {
  return {
    file,
    valid: true,
    problems: [],
    warnings,
    policies: policies.map((policy) => ({ name: policy.name, mode: policy.mode, meaning: policyWords(policy) })),
    cleanup: cleanup.map((entry) => ({ name: entry.name, meaning: cleanupWords(entry) })),
    teams: teams === null ? null : teams.kind === 'seen' ? teams.teams : { source: 'failed', problem: teams.why },
  };
}

interface Valid {
  readonly file: string;
  readonly read: ReadPolicyFile;
  readonly teams: TeamsCheck | null;
}

function validInWords({ file, read: { file: content, warnings }, teams }: Valid): string {
  const { policies, cleanup, exempt } = content;
  const counts = [
    counted(policies.length, 'policy', 'policies'),
    ...(cleanup.length > 0 ? [counted(cleanup.length, 'cleanup')] : []),
    ...(exempt.length > 0 ? [counted(exempt.length, 'exemption')] : []),
  ];
  return [
    `${file} is valid: ${counts.join(', ')}.`,
    ...policies.map((policy) => paragraph(policy.name, policyWords(policy))),
    ...cleanup.map((entry) => paragraph(`cleanup ${entry.name}`, cleanupWords(entry))),
    ...(exempt.length > 0
      ? [
          paragraph(
            'exempt',
            exempt.map(({ sessionId, untilMs, reason }) => `${sessionId} until ${iso(untilMs)}: ${reason}`),
          ),
        ]
      : []),
    ...(teams === null ? [] : [paragraph('teams', teamLines(teams))]),
    ...warningLines(warnings),
  ].join('\n\n');
}

function teamLines(check: TeamsCheck): string[] {
  if (check.kind === 'not-seen') return [pc.dim(`not looked up: ${check.why}`)];
  const { seen, missing } = teamsWords(check.teams);
  return [
    ...(check.teams.watched.count === 0 ? [] : [`with the key that is set here: ${seen}`]),
    ...missing.map((text) => `${pc.yellow('warning:')} ${text}`),
  ];
}

const brokenInWords = ({
  file,
  problems,
  warnings,
  total,
}: Pick<PolicyFileError, 'file' | 'problems' | 'warnings' | 'total'>): string =>
  [problems.flatMap(problemLines).join('\n'), ...warningLines(warnings), `${file}: ${counted(total, 'problem')}.`].join(
    '\n\n',
  );

const paragraph = (title: string, lines: readonly string[]): string =>
  [pc.bold(title), ...lines.map((line) => `  ${line}`)].join('\n');

const warningLines = (warnings: readonly Problem[]): string[] =>
  warnings.length === 0
    ? []
    : [
        warnings
          .flatMap((problem) => problemLines({ ...problem, message: `${pc.yellow('warning:')} ${problem.message}` }))
          .join('\n'),
      ];
