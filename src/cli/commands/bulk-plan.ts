import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { idsFromFile } from '../ids.js';
import type { GivenIds } from '../../engines/bulk/given-ids.js';
import type { FleetAccess } from '../../engines/bulk/judge-page.js';
import { makePlan, type BulkPlanInput, type BulkPlanMade, type BulkPlanProgress } from '../../engines/bulk/plan.js';
import { bulkStatus, NO_CASES } from '../../engines/bulk/status.js';
import { ExitCode, UserError } from '../../core/errors.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { SessionsError } from '../../adapters/vendor/index.js';
import { readCriteria, type CriteriaOptions } from '../bulk-criteria.js';
import { plannedWords } from '../bulk-plan-words.js';
import { count } from '../bulk-words.js';
import { counted } from '../words.js';
import { contextOf, openExistingLedger, type CommandContext } from '../context.js';
import { withFleet } from '../fleet-access.js';
import { INTERRUPTED, onInterrupt } from '../interrupt.js';
import type { Output } from '../output.js';
import { asOption } from '../requester.js';

interface PlanOptions extends CriteriaOptions {
  readonly reason?: string;
}

export function registerBulkPlan(bulk: Command): void {
  commandNamed(bulk, 'plan')
    .description(
      'Looks for live sessions that match, or takes ids, and freezes them as a plan, with totals and a sample. Sends no cancel request. You can apply a plan for an hour. Different criteria narrow the selection; several values of one criterion widen it. Works while Temporal is down.',
    )
    .option('--agent <glob...>', 'id or name of the agent; * and ? stand for any characters')
    .option('--state <state...>', 'queued or processing; default both')
    .option('--queued-for <duration>', 'the current turn has waited for so long: 20m, 2h')
    .option('--running-for <duration>', 'the current turn has run for so long: 45m, 3h')
    .option('--created-before <time>', 'the conversation began before: 2d (back from now), 2026-01-05T12:00:00Z')
    .option('--created-after <time>', 'the conversation began then or later')
    .option('--creator <glob...>', 'id or e-mail address of who began it')
    .option('--team <id...>', 'team of the agent, by its exact id')
    .option('--violators [policy]', 'a policy in force would end it now: any one, or the one of this name')
    .option(
      '--ids-file <file>',
      'these sessions: one id a line, JSON lines, or CSV with a header; - for standard input',
    )
    .option('--all', 'every live session')
    .option('--except-creator <glob...>', 'but not the sessions of these: id or e-mail address')
    .option('--except-session <id...>', 'but not these sessions')
    .option('--reason <text>', 'why; shown with what ended a session')
    .addOption(asOption())
    .addHelpText(
      'after',
      `
Examples:
  $ curfew bulk plan --agent "support-*" --state queued --reason "incident 42"
  $ curfew bulk plan --agent "support-*" --except-creator oncall@example.com --except-session sess_1 sess_2
  $ curfew bulk plan --running-for 3h --team team_7
  $ curfew bulk plan --violators no-all-nighters
  $ curfew bulk plan --ids-file ids.csv
  $ jq -r .sessionId export.jsonl | curfew bulk plan --ids-file - --json | jq -r .planId

What each option means exactly: docs/bulk.md

Exit codes: 0 planned (also when nothing matches), 2 wrong or contradictory criteria, or an unusable file,
4 the API or the ledger can't be reached, 130 interrupted; then nothing is left of the plan.`,
    )
    .action(async (options: PlanOptions, command: Command) => {
      const asked = readCriteria(options, Date.now());
      const context = contextOf(command);
      const { written } = asked;
      const reason = options.reason ?? null;
      if ('idsFile' in asked) {
        if (asked.idsFile === '-' && process.stdin.isTTY) {
          context.out.say('Reading session ids from the terminal; Ctrl-D ends them.');
        }
        process.exitCode = await planIds(context, idsFromFile(asked.idsFile), {
          ...{ written, reason, exceptSessions: asked.exceptSessions },
        });
        return;
      }
      const { selection } = asked;
      process.exitCode = await withFleet(context.config, context.out, (fleet) =>
        planAndTell(context, fleet, { selection, written, reason }),
      );
    });
}

type Wanted = Pick<BulkPlanInput, 'selection' | 'written' | 'reason'>;

/**
 * Plans sessions that were given one by one, without asking the vendor.
 *
 * @param applyOptions - options that the command to apply it is shown with
 * @returns exit code
 */
export const planIds = (
  context: CommandContext,
  given: GivenIds,
  {
    exceptSessions = null,
    ...wanted
  }: Omit<Wanted, 'selection'> & { readonly exceptSessions?: readonly string[] | null },
  applyOptions: readonly string[] = [],
): Promise<number> =>
  planAndTell(context, null, { ...wanted, selection: { kind: 'ids', given, exceptSessions } }, applyOptions);

async function planAndTell(
  { config, out, by }: CommandContext,
  fleet: FleetAccess | null,
  wanted: Wanted,
  applyOptions: readonly string[] = [],
): Promise<number> {
  const ledger = await openExistingLedger(config);
  const interrupt = onInterrupt();
  try {
    const { job, notices } = await makeOne(ledger, fleet, { ...wanted, by }, out, interrupt.signal);
    const status = bulkStatus(job, NO_CASES);
    for (const notice of notices) out.say(notice);
    out.result(status, { status, nowMs: Date.now(), applyOptions }, (view) =>
      plannedWords(view.status, view.nowMs, view.applyOptions),
    );
    return ExitCode.done;
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    out.say('Interrupted: the plan was discarded, and nothing was sent.');
    return INTERRUPTED;
  } finally {
    interrupt.dispose();
    await ledger.close();
  }
}

function makeOne(
  ledger: Ledger,
  fleet: FleetAccess | null,
  wanted: Wanted & { readonly by: string },
  out: Output,
  signal: AbortSignal,
): Promise<BulkPlanMade> {
  const ways = 'curfew doctor checks key and API. Sessions that you know by id can be planned without: --ids-file.';
  return lookingAtFleet(out, signal, { undone: 'No plan was made.', ways }, () =>
    makePlan({ ledger, fleet }, { ...wanted, source: 'person', cleanup: null, onProgress: progressOn(out), signal }),
  );
}

/**
 * Takes the progress off the terminal when the look is over.
 *
 * @throws UserError with exit code 4 when the fleet can't be looked at
 */
export async function lookingAtFleet<T>(
  out: Output,
  signal: AbortSignal,
  { undone, ways }: { readonly undone: string; readonly ways: string },
  look: () => Promise<T>,
): Promise<T> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof SessionsError) || signal.aborted) throw error;
    throw new UserError(`The fleet can't be read: ${error.message}. ${undone}`, ways, ExitCode.unreachable);
  } finally {
    out.clear();
  }
}

export const progressOn =
  (out: Output) =>
  (progress: BulkPlanProgress): void =>
    out.redraw(progress, progressWords);

function progressWords({ agents, agentsListed, targets, retrieves }: BulkPlanProgress): string {
  const looked = retrieves === 0 ? '' : `, ${count(retrieves)} looked at one by one`;
  return `${count(agentsListed)} of ${counted(agents, 'agent')} listed, ${counted(targets, 'session')} planned${looked} …`;
}
