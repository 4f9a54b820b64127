import type { AgentTally, ReportSummary } from '../engines/bulk/report-summary.js';
import { kindOf, type ReportKind } from '../engines/bulk/report.js';
import type { BulkStatus, BulkTargetResult, Outcome } from '../core/contract.js';
import { ExitCode, UserError } from '../core/errors.js';
import { shell } from '../core/text/shell.js';
import { count, jobHead } from './bulk-words.js';
import { csv } from '../core/text/csv.js';
import type { Printable } from '../core/text/printable.js';
import { table } from './output.js';
import { OUTCOME_WORDS, outcomeName, shorten } from './words.js';

const WORST_AGENTS = 10;

const COLUMNS = [
  'sessionId',
  'agentId',
  'status',
  'outcome',
  'attribution',
  'turnKey',
  'attempts',
  'orderedAt',
  'endedAt',
  'lastErrorAt',
  'lastErrorType',
  'lastErrorMessage',
  'reason',
  'requestedBy',
  'events',
] as const;

export const notAppliedYet = (planId: string): UserError =>
  new UserError(
    `${planId} was not applied, so there is nothing to report: nothing was sent for it.`,
    `What it holds: ${shell`curfew bulk status ${planId}`}`,
    ExitCode.refused,
  );

export const reportHeader = (): Printable => csv([[...COLUMNS]]);

export const reportCsv = (results: readonly BulkTargetResult[]): Printable =>
  csv(results.map((result) => COLUMNS.map((column) => record(result)[column])));

function record({ lastError, reason, events, ...result }: BulkTargetResult): Record<(typeof COLUMNS)[number], unknown> {
  return {
    ...result,
    reason: reason.text,
    lastErrorAt: lastError?.at,
    lastErrorType: lastError?.type,
    lastErrorMessage: lastError?.message,
    events: events.map(({ kind }) => kind).join(' '),
  };
}

/** What stands without an outcome, in words. */
const OPEN_WORDS: Readonly<Record<Exclude<ReportKind, Outcome>, string>> = {
  untouched: 'nothing was sent, because the job was aborted; the turn keeps running',
  waiting: 'nothing was sent yet',
  'under-way': 'a request is under way, or Curfew is checking its effect',
  case: 'not ended by the first request; a case of its own works on it',
};

/** What a person does next about one that did not end. */
const REMEDIES: Partial<Record<ReportKind, (sessionId: string, planId: string) => string>> = {
  'retries-exhausted': (id) => `end it in the vendor's UI, or: ${shell`curfew cancel ${id} --wait`}`,
  forbidden: (id) => `give the key update access to the agent, then: ${shell`curfew cancel ${id} --wait`}`,
  abandoned: (id) => `if it is to end after all: ${shell`curfew cancel ${id} --wait`}`,
  gone: () => 'check that the key may still see the agent',
  case: (id) => shell`curfew cases ${id}`,
  'under-way': (_id, planId) => shell`curfew bulk status ${planId} --watch`,
  'not-in-flight': (id) => `look at it; when it runs: ${shell`curfew cancel ${id} --wait`}`,
  exempted: (id) => `${shell`curfew unexempt ${id}`}, or wait until its exemption is over`,
  capped: (id) => `if it is to end anyway: ${shell`curfew cancel ${id} --wait`}`,
  waiting: (_id, planId) => shell`curfew bulk status ${planId}`,
  untouched: (id) => `if it is to end: ${shell`curfew cancel ${id} --wait`}, or a new bulk plan`,
};

const isOutcome = (kind: ReportKind): kind is Outcome => kind in OUTCOME_WORDS;

/** What a cap means here is not what it means for a policy. */
const meaningOf = (kind: ReportKind): string =>
  kind === 'capped'
    ? 'over a cap of the cleanup; left alone'
    : isOutcome(kind)
      ? OUTCOME_WORDS[kind]
      : OPEN_WORDS[kind];

/** @param isPart - only some kinds were asked for */
export function reportWords(status: BulkStatus, summary: ReportSummary, isPart: boolean): string {
  const { targets, byKind, notEnded, worstAgents, examples } = summary;
  if (targets === 0) return `${jobHead(status)}\n\n${isPart ? 'No such targets.' : 'It has no targets.'}`;
  const share = (part: number): string => `${((100 * part) / targets).toFixed(1)}%`;
  const blocks = [
    jobHead(status),
    table(
      ['OUTCOME', 'TARGETS', 'SHARE', 'WHAT IT MEANS'],
      byKind.map((one) => [
        isOutcome(one.kind) ? outcomeName(one.kind) : one.kind,
        count(one.targets),
        share(one.targets),
        meaningOf(one.kind),
      ]),
    ),
    notEnded === 0
      ? `All ${count(targets)} have ended.`
      : `${count(targets - notEnded)} of ${count(targets)} have ended, ${count(notEnded)} have not.`,
  ];
  if (worstAgents.length > 0) blocks.push(agentsWords(worstAgents, status));
  if (examples.length > 0) blocks.push(examplesWords(examples, notEnded, status.planId));
  return blocks.join('\n\n');
}

function agentsWords(agents: readonly AgentTally[], { totals }: BulkStatus): string {
  const names = new Map(totals.byAgent.map(({ agentId, name }) => [agentId, name]));
  const rows = agents
    .slice(0, WORST_AGENTS)
    .map(({ agentId, targets, notEnded }) => [
      agentId ?? 'not known',
      names.get(agentId) ?? '',
      count(notEnded),
      count(targets),
    ]);
  return `Agents with the most that did not end:\n${table(['AGENT', 'NAME', 'NOT ENDED', 'OF'], rows)}`;
}

function examplesWords(examples: readonly BulkTargetResult[], notEnded: number, planId: string): string {
  const rows = examples.map((result) => {
    const kind = kindOf(result);
    const error = result.lastError === null ? '' : `; last error: ${shorten(result.lastError.message, 80)}`;
    const next = REMEDIES[kind]?.(result.sessionId, planId) ?? '';
    return [result.sessionId, kind, String(result.attempts), `${meaningOf(kind)}${error}`, next];
  });
  const head =
    notEnded > examples.length ? `The first ${examples.length} that did not end:` : 'Those that did not end:';
  const all = shell`curfew bulk report ${planId} --format csv > report.csv`;
  const rest = notEnded > examples.length ? `\nAll of them, and all others: ${all}` : '';
  return `${head}\n${table(['SESSION', 'OUTCOME', 'REQUESTS', 'WHY', 'DO'], rows)}${rest}`;
}
