import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { readBulkStatus } from '../../engines/bulk/status.js';
import type { BulkStatus } from '../../core/contract.js';
import { ExitCode } from '../../core/errors.js';
import type { BulkJob } from '../../adapters/ledger/bulk-plans.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { findJob } from '../bulk-argument.js';
import { followAndTell } from '../bulk-follow.js';
import { planWords } from '../bulk-plan-words.js';
import { jobsTable, jobWords, nextWords } from '../bulk-words.js';
import { contextOf, withLedger } from '../context.js';
import { showLive } from '../follow.js';
import type { Output } from '../output.js';
import { positiveNumber } from '../option-values.js';

interface StatusOptions {
  readonly watch?: boolean;
  readonly limit: number;
}

export function registerBulkStatus(bulk: Command): void {
  commandNamed(bulk, 'status')
    .description(
      'Shows the state of a bulk plan or job, with --watch until it finishes. Without a plan, a table of the newest. Reads only the ledger, so it works while Temporal and the API are down.',
    )
    .argument('[plan]', 'id of the plan, or its beginning')
    .option('--watch', 'follow the job until it finishes, or Ctrl-C; the job continues without you')
    .option('--limit <n>', 'plans in the table', positiveNumber, 20)
    .addHelpText(
      'after',
      `
Examples:
  $ curfew bulk status                          the newest plans and jobs
  $ curfew bulk status b-7k2m9xq --watch        progress, rate, time left
  $ curfew bulk status b-7k2m9xq --json | jq .progress

Exit codes: with PLAN --watch 0 when every target ended, 5 when some did not, 3 when the job stopped itself, 130 after
Ctrl-C; otherwise 0.`,
    )
    .action(async (plan: string | undefined, options: StatusOptions, command: Command) => {
      const { config, out } = contextOf(command);
      await withLedger(config, async (ledger) => {
        process.exitCode =
          plan === undefined
            ? await overview(ledger, options, out)
            : await one(ledger, await findJob(ledger, plan), options.watch === true, out);
      });
    });
}

async function one(ledger: Ledger, job: BulkJob, watch: boolean, out: Output): Promise<number> {
  const isApplied = job.state !== 'building' && job.state !== 'planned';
  if (watch && isApplied) return followAndTell(ledger, job.planId, out, { lines: true });
  const [status, nowMs] = [await readBulkStatus(ledger, job), await ledger.now()];
  out.result(status, { status, nowMs, isApplied }, (view) =>
    view.isApplied
      ? jobWords(view.status, view.nowMs)
      : `${planWords(view.status)}\n\n${nextWords(view.status, view.nowMs)}`,
  );
  if (watch) out.say('It was not applied, so there is nothing to follow.');
  return ExitCode.done;
}

async function overview(ledger: Ledger, { limit, watch }: StatusOptions, out: Output): Promise<number> {
  const look = () => readJobs(ledger, limit);
  const documentOf = ({ jobs }: Overview): unknown => ({ jobs });
  if (watch === true) await showLive(look, documentOf, tableWords, out);
  else {
    const seen = await look();
    out.result(documentOf(seen), seen, tableWords);
  }
  return ExitCode.done;
}

interface Overview {
  readonly jobs: readonly BulkStatus[];
  readonly nowMs: number;
}

const tableWords = ({ jobs, nowMs }: Overview): string => jobsTable(jobs, nowMs);

async function readJobs(ledger: Ledger, limit: number): Promise<Overview> {
  const jobs: BulkStatus[] = [];
  for (const job of await ledger.bulk.list({ limit })) jobs.push(await readBulkStatus(ledger, job));
  return { jobs, nowMs: await ledger.now() };
}
