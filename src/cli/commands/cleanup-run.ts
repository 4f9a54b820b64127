import type { Command } from 'commander';
import { newPlanId } from '../../engines/bulk/plan-id.js';
import { bulkStatus, NO_CASES } from '../../engines/bulk/status.js';
import { cleanupNamed, cleanupsInForce } from '../../engines/cleanup/entries.js';
import { targetsOf, toEnd } from '../../core/bulk/totals.js';
import { planCleanup, type CleanupPlan } from '../../engines/cleanup/plan-cleanup.js';
import { capsText, plannedNote } from '../../engines/cleanup/words.js';
import type { BulkStatus } from '../../core/contract.js';
import { ExitCode } from '../../core/errors.js';
import { DEFAULT_CANARY } from '../../adapters/ledger/bulk-plans.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { planWords } from '../bulk-plan-words.js';
import { contextOf, openExistingLedger, type CommandContext } from '../context.js';
import { withFleet } from '../fleet-access.js';
import { INTERRUPTED, onInterrupt } from '../interrupt.js';
import { applyBulkPlan } from './bulk-apply.js';
import { lookingAtFleet, progressOn } from './bulk-plan.js';
import { asOption } from '../requester.js';

interface RunOptions {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly wait?: boolean;
}

export function registerCleanupRun(cleanup: Command): void {
  cleanup
    .command('run')
    .summary('run one now, within its caps')
    .description(
      'Plans what a cleanup in force would end now, within its caps, shows it, asks, and carries it out as a bulk job. Its Schedule stays as it is.',
    )
    .argument('<name>', 'name of the cleanup')
    .option('--dry-run', 'only show what it would end; sends and keeps nothing')
    .option('--yes', 'do not ask')
    .option('--wait', 'wait until the job finishes')
    .addOption(asOption())
    .addHelpText(
      'after',
      `
Examples:
  $ curfew cleanup run stale-queue --dry-run
  $ curfew cleanup run stale-queue --wait

Exit codes: without --wait 0 when started, or when there is nothing to end; with --wait 0 when every target ended, 5 when
some did not, 3 when the job stopped itself; 1 no policy file is in force, 2 no such cleanup, 3 not confirmed,
4 when Curfew or the API can't be reached, 130 interrupted.`,
    )
    .action(async (name: string, options: RunOptions, command: Command) => {
      process.exitCode = await runCleanup(name, options, contextOf(command));
    });
}

async function runCleanup(name: string, options: RunOptions, context: CommandContext): Promise<number> {
  const { config, out } = context;
  const ledger = await openExistingLedger(config);
  const interrupt = onInterrupt();
  try {
    const planId = newPlanId();
    const plan = await planNow(ledger, name, planId, context, interrupt.signal);
    const { job, capped } = plan;
    const status = bulkStatus(job, NO_CASES);
    const caps = { capped, ...plan.allowance, takenBefore: plan.taken.turns, live: plan.live };
    const isNothing = toEnd(job) === 0;
    if (options.dryRun === true || isNothing) {
      await ledger.bulk.discard(planId);
      const dryRun = options.dryRun === true;
      const document = { cleanup: name, dryRun, started: false, caps, plan: status };
      out.result(document, { plan, status, dryRun }, notStartedWords);
      return ExitCode.done;
    }
    if (capped > 0) out.say(`${plannedNote(job)} ${capsText(plan)}`);
    interrupt.dispose();
    return await applyBulkPlan(planId, { canary: DEFAULT_CANARY, ...options }, context);
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    out.say('Interrupted: the plan was discarded, and nothing was sent.');
    return INTERRUPTED;
  } finally {
    interrupt.dispose();
    await ledger.close();
  }
}

interface NotStarted {
  readonly plan: CleanupPlan;
  readonly status: BulkStatus;
  readonly dryRun: boolean;
}

function notStartedWords({ plan, status, dryRun }: NotStarted): string {
  const { job, capped } = plan;
  return [
    ...(targetsOf(job) === 0 ? [] : [planWords(status)]),
    [plannedNote(job), ...(capped > 0 ? [capsText(plan)] : [])].join('\n'),
    dryRun ? 'Dry run: nothing was sent, and the plan was discarded.' : 'Nothing was started.',
  ].join('\n\n');
}

async function planNow(
  ledger: Ledger,
  name: string,
  planId: string,
  { config, out, by }: CommandContext,
  signal: AbortSignal,
): Promise<CleanupPlan> {
  const entry = cleanupNamed(await cleanupsInForce(ledger), name);
  const words = { undone: 'Nothing was ended.', ways: 'curfew doctor checks key and API.' };
  return withFleet(config, out, (fleet) =>
    lookingAtFleet(out, signal, words, () =>
      planCleanup({ ledger, fleet }, entry, { planId, by, onProgress: progressOn(out), signal }),
    ),
  );
}
