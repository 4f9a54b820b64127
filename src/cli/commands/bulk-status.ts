import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { readBulkStatus } from '../../engines/bulk/status.js';
import type { BulkStatus } from '../../core/contract.js';
import { ExitCode } from '../../core/errors.js';
import { LedgerUnavailableError } from '../../adapters/ledger/errors.js';
import type { BulkJob } from '../../adapters/ledger/bulk-plans.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { findJob } from '../bulk-argument.js';
import { followAndTell } from '../bulk-wait.js';
import { planWords } from '../bulk-plan-words.js';
import { jobsTable, jobWords, nextWords } from '../bulk-words.js';
import { contextOf, openExistingLedger } from '../context.js';
import { onInterrupt } from '../interrupt.js';
import type { Output } from '../output.js';
import { positiveNumber } from '../whole-number.js';

const REFRESH_MS = 2_000;

interface StatusOptions {
  readonly watch?: boolean;
  readonly limit: number;
}

export function registerBulkStatus(bulk: Command): void {
  bulk
    .command('status')
    .summary('the state of a plan or job; without one, the newest')
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
      const { config, out } = contextOf(command, true);
      const ledger = await openExistingLedger(config);
      try {
        process.exitCode =
          plan === undefined
            ? await overview(ledger, options, out)
            : await one(ledger, await findJob(ledger, plan), options.watch === true, out);
      } finally {
        await ledger.close();
      }
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
  if (watch !== true) {
    const [jobs, nowMs] = await readJobs(ledger, limit);
    out.result({ jobs }, { jobs, nowMs }, tableWords);
    return ExitCode.done;
  }
  const interrupt = onInterrupt();
  let told = '';
  while (!interrupt.signal.aborted) {
    try {
      const [jobs, nowMs] = await readJobs(ledger, limit);
      const news = JSON.stringify(jobs);
      if (out.page.live) out.page.redraw({ jobs, nowMs }, (view) => `${tableWords(view)}\n\n${REFRESHED}`);
      else if (news !== told) out.result({ jobs }, { jobs, nowMs }, (view) => `${tableWords(view)}\n`);
      told = news;
    } catch (error) {
      if (!(error instanceof LedgerUnavailableError)) throw error;
      out.say(`${error.message} Waiting for it.`);
    }
    await sleep(REFRESH_MS, undefined, { signal: interrupt.signal }).catch(() => {});
  }
  out.page.finish();
  interrupt.dispose();
  return ExitCode.done;
}

const REFRESHED = 'Refreshed every 2 s. Ctrl-C ends it.';

const tableWords = ({ jobs, nowMs }: { readonly jobs: readonly BulkStatus[]; readonly nowMs: number }): string =>
  jobsTable(jobs, nowMs);

async function readJobs(ledger: Ledger, limit: number): Promise<[BulkStatus[], number]> {
  const jobs = await ledger.bulk.list({ limit });
  const statuses: BulkStatus[] = [];
  for (const job of jobs) statuses.push(await readBulkStatus(ledger, job));
  return [statuses, await ledger.now()];
}
