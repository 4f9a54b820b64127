import type { Command } from 'commander';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { BulkJob } from '../../adapters/ledger/bulk-plans.js';
import type { HistoryEvent } from '../../adapters/ledger/history.js';
import { ENDED_OUTCOMES, type BulkTargetResult } from '../../core/contract.js';
import { bulkReport, kindOf } from '../../engines/bulk/report.js';
import { summarize } from '../../engines/bulk/report-summary.js';
import { readBulkStatus } from '../../engines/bulk/status.js';
import { findJob } from '../bulk-argument.js';
import { notAppliedYet } from '../bulk-report-words.js';
import { contextOf, withLedger } from '../context.js';
import { commandNamed } from '../lazy-commands.js';
import { incidentDocument, incidentMarkdown, type Incident } from '../incident-report.js';

/** More events, or more sessions that did not end, are counted. */
const MOST = 1_000;

export function registerBulkIncidentReport(bulk: Command): void {
  commandNamed(bulk, 'incident-report')
    .description(
      'Writes what a job was, who planned, applied, paused and resumed it, when and why, what ended, what was left alone, and what did not end. While the job runs, this is the state so far. Reads only the ledger.',
    )
    .argument('<plan>', 'id of the plan, or its beginning')
    .addHelpText(
      'after',
      '\nExamples:\n  $ curfew bulk incident-report b-7k2m9xq > incident-42.md\n  $ curfew bulk incident-report b-7k2m9xq --json | jq .timeline',
    )
    .action(async (plan: string, _options: unknown, command: Command) => {
      const { config, out } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const job = await findJob(ledger, plan);
        if (job.appliedAtMs === null) throw notAppliedYet(job.planId);
        const incident = await readIncident(ledger, job);
        out.result(incidentDocument(incident), incident, incidentMarkdown);
      });
    });
}

const ended: ReadonlySet<string> = new Set(ENDED_OUTCOMES);

async function readIncident(ledger: Ledger, job: BulkJob): Promise<Incident> {
  const notEnded: BulkTargetResult[] = [];
  const summary = await summarize(noting(bulkReport(ledger, job), notEnded));
  const events: HistoryEvent[] = [];
  for await (const page of ledger.history.events({ planId: job.planId, last: MOST })) events.push(...page);
  return { status: await readBulkStatus(ledger, job), summary, events, notEnded, most: MOST };
}

/** The same pages; the first targets that did not end are kept on the way. */
async function* noting(
  pages: AsyncIterable<BulkTargetResult[]>,
  notEnded: BulkTargetResult[],
): AsyncGenerator<BulkTargetResult[]> {
  for await (const page of pages) {
    const some = page.filter((result) => !ended.has(kindOf(result)));
    notEnded.push(...some.slice(0, MOST - notEnded.length));
    yield page;
  }
}
