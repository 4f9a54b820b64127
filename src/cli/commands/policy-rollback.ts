import type { Command } from 'commander';
import type { StoredVersion } from '../../adapters/ledger/policy-versions.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { PolicyFileError, problemLines, readPolicyFile, type ReadPolicyFile } from '../../core/policy-file/index.js';
import { contextOf, withLedger } from '../context.js';
import { commandNamed } from '../lazy-commands.js';
import { putInForce } from '../policy-application.js';
import { findVersion, versionBefore, versionInForce, versionNumber } from '../policy-version.js';
import { asOption } from '../requester.js';

export function registerPolicyRollback(policy: Command): void {
  commandNamed(policy, 'rollback')
    .description(
      'Takes the file of an earlier version from the ledger, shows what changes, asks, and puts it in force as a new version. Without a number: the one before the one in force, so that a second rollback undoes the first. Works while Temporal is down.',
    )
    .argument('[version]', 'number of the version; default: the one before the one in force', versionNumber)
    .option('--yes', 'do not ask')
    .addOption(asOption())
    .addHelpText(
      'after',
      `
Examples:
  $ curfew policy rollback             undo the last change
  $ curfew policy rollback 3
  $ curfew policy rollback 3 --yes     in scripts

Exit codes: 0 in force (also when it was so already), 2 the version does not exist, or its file is no longer valid, 3 not confirmed,
4 the ledger can't be reached.`,
    )
    .action(async (version: number | undefined, options: { yes?: boolean }, command: Command) => {
      const { config, out, by } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const stored = await findVersion(ledger, version ?? versionBefore(await versionInForce(ledger)));
        const { version: number, fileName, sourceText: text } = stored;
        const application = {
          source: { text, ...readAgain(stored) },
          fileName,
          by,
          what: `Version ${number} (${fileName})`,
          confirm: `curfew policy rollback ${number} --yes`,
          plan: `curfew policy show ${number} > v${number}.yaml && curfew policy plan v${number}.yaml`,
        };
        await putInForce(ledger, out, application, options.yes === true);
      });
    });
}

/** As it was read then it may mean something else now: it passes the same checks as a file. @throws UserError with exit code 2 */
function readAgain({ version, file, fileName, sourceText }: StoredVersion): ReadPolicyFile {
  const shown = `curfew policy show ${version} > v${version}.yaml`;
  if (file === null) {
    throw new UserError(
      `A newer Curfew put version ${version} in force, in a form that this one does not know. Nothing was changed.`,
      `Use that version of Curfew, or a later one. The file itself: ${shown}`,
      ExitCode.refused,
    );
  }
  try {
    return readPolicyFile(sourceText, fileName);
  } catch (error) {
    if (!(error instanceof PolicyFileError)) throw error;
    throw new UserError(
      [
        `The file of version ${version} is not valid for this Curfew. Nothing was changed.`,
        ...error.problems.flatMap(problemLines),
      ],
      `Correct it and apply it as a file: ${shown}`,
      ExitCode.usage,
    );
  }
}
