import { Option, type Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { bulkReport, REPORT_KINDS, type ReportKind } from '../../engines/bulk/report.js';
import { summarize } from '../../engines/bulk/report-summary.js';
import { readBulkStatus } from '../../engines/bulk/status.js';
import { findJob } from '../bulk-argument.js';
import { notAppliedYet, reportCsv, reportHeader, reportWords } from '../bulk-report-words.js';
import { contextOf, withLedger } from '../context.js';
import { createOutput } from '../output.js';
import { jsonLines, writePages } from '../paged-output.js';

interface ReportOptions {
  readonly format?: 'text' | 'jsonl' | 'csv';
  readonly outcome?: readonly ReportKind[];
}

export function registerBulkReport(bulk: Command): void {
  commandNamed(bulk, 'report')
    .description(
      'Says what became of the targets of a bulk job: a summary, with what each outcome means and what to do about those that did not end, or every target as a line of JSON or CSV. While the job runs, this is the state so far. Reads only the ledger.',
    )
    .argument('<plan>', 'id of the plan, or its beginning')
    .addOption(
      new Option('--format <format>', 'text: a summary; jsonl: a JSON document a line; csv').choices([
        'text',
        'jsonl',
        'csv',
      ]),
    )
    .addOption(new Option('--outcome <names...>', 'only targets with these outcomes or states').choices(REPORT_KINDS))
    .addHelpText(
      'after',
      `
Examples:
  $ curfew bulk report b-7k2m9xq
  $ curfew bulk report b-7k2m9xq --format csv > report.csv
  $ curfew bulk report b-7k2m9xq --outcome retries-exhausted forbidden --json | jq -r .sessionId
  $ curfew bulk report b-7k2m9xq --outcome untouched --json | jq -r .sessionId | curfew bulk plan --ids-file -

Besides outcomes: untouched (left by an abort), waiting, under-way, case (a case of its own works on it). --json is
--format jsonl. What the outcomes mean: docs/outcomes.md.`,
    )
    .action(async (plan: string, options: ReportOptions, command: Command) => {
      const { config, out } = contextOf(command);
      const format = options.format ?? (out.json ? 'jsonl' : 'text');
      await withLedger(config, async (ledger) => {
        const job = await findJob(ledger, plan);
        if (job.appliedAtMs === null) throw notAppliedYet(job.planId);
        const pages = bulkReport(ledger, job, options.outcome);
        if (format === 'jsonl') await writePages(pages, '', jsonLines);
        else if (format === 'csv') await writePages(pages, reportHeader(), reportCsv);
        else {
          const summary = await summarize(pages);
          const status = await readBulkStatus(ledger, job);
          // Words, also with --json: that is what was asked for.
          createOutput(false).result(null, { status, summary, isPart: options.outcome !== undefined }, (view) =>
            reportWords(view.status, view.summary, view.isPart),
          );
        }
      });
    });
}
