import type { ReportSummary } from '../engines/bulk/report-summary.js';
import { kindOf, type ReportKind } from '../engines/bulk/report.js';
import type { HistoryEvent } from '../adapters/ledger/history.js';
import type { BulkStatus, BulkTargetResult } from '../core/contract.js';
import { wholeSeconds } from '../core/times.js';
import { count } from './bulk-words.js';
import { counted } from './words.js';

/** What a report on one job is made of. */
export interface Incident {
  readonly status: BulkStatus;
  readonly summary: ReportSummary;
  /** What happened to the job, oldest first. */
  readonly events: readonly HistoryEvent[];
  /** Targets that did not end, in the order of the plan; of many only the first. */
  readonly notEnded: readonly BulkTargetResult[];
  /** Of events so many are read, and of targets so many listed, at most. */
  readonly most: number;
}

/** Left alone on purpose, by a rule or by a person. */
const LEFT_ALONE: readonly ReportKind[] = [
  'superseded',
  'no-longer-violating',
  'exempted',
  'capped',
  'not-in-flight',
  'untouched',
];

export const incidentDocument = ({ status, summary, events, notEnded }: Incident) => ({
  job: status,
  targets: summary.targets,
  byOutcome: Object.fromEntries(summary.byKind.map(({ kind, targets }) => [kind, targets])),
  timeline: timelineOf(status, events),
  notEnded: { count: summary.notEnded, first: notEnded },
});

/** In Markdown, for a post-mortem. */
export function incidentMarkdown({ status, summary, events, notEnded, most }: Incident): string {
  const { planId, reason, cleanup, requestedBy, selection, totals, hash } = status;
  const command = selection['command'];
  const alone = summary.byKind.filter(({ kind }) => LEFT_ALONE.includes(kind));
  return [
    `# Bulk job ${code(planId)}: ${counted(totals.targets, 'session')}`,
    'All times are UTC.',
    bullets([
      ['State', status.state],
      ['Why', reason === null ? 'no reason was given' : text(reason)],
      ['Planned by', text(cleanup === null ? requestedBy : `cleanup ${cleanup}, ${requestedBy}`)],
      ['Applied by', status.appliedBy === null ? null : text(status.appliedBy)],
      ['Asked for', typeof command === 'string' ? code(command) : null],
      ['How', howWords(status)],
      ['Plan', hash === null ? null : `SHA-256 ${code(hash)}`],
    ]),
    '## Timeline',
    grid(
      ['Time', 'What', 'By', 'Details'],
      timelineOf(status, events).map(({ at, what, by, details }) => [
        wholeSeconds(at),
        text(what),
        text(by ?? '–'),
        text(details ?? '–'),
      ]),
    ),
    ...(events.length === most ? [`Only the last ${most} events are shown.`] : []),
    '## Result',
    summary.notEnded === 0
      ? `All ${count(summary.targets)} have ended.`
      : `${count(summary.targets - summary.notEnded)} of ${count(summary.targets)} have ended, ${count(summary.notEnded)} have not. The job sent ${counted(status.progress.requests, 'cancel request')}.`,
    grid(
      ['Outcome', 'Sessions'],
      summary.byKind.map(({ kind, targets }) => [kind, count(targets)]),
    ),
    '## Agents',
    agentsGrid(status, summary),
    '## Exceptions',
    bulletsOr(
      [
        ...excluded(selection),
        ...Object.entries(totals.leftOut).map(([name, left]) => `Left out of the plan, ${text(name)}: ${count(left)}`),
        ...totals.gaps.map((gap) => `Perhaps missed by the plan: ${text(gap)}`),
        ...(status.evenIfExempt ? ['Exempt sessions were ended, too.'] : []),
      ],
      'None: nothing was excluded, and the plan misses nothing that is known.',
    ),
    '## Left alone',
    bulletsOr(
      alone.map(({ kind, targets }) => `${kind}: ${counted(targets, 'session')}. ${ALONE_WORDS[kind] ?? ''}`.trim()),
      'None.',
    ),
    '## Not ended',
    ...(notEnded.length === 0 ? ['None.'] : [notEndedGrid(notEnded)]),
    ...(summary.notEnded > notEnded.length
      ? [`${count(summary.notEnded - notEnded.length)} more: ${code(`curfew bulk report ${planId} --format csv`)}`]
      : []),
    `Made from Curfew's ledger. One session in full: ${code('curfew cases ID --evidence')}`,
  ].join('\n\n');
}

const ALONE_WORDS: Partial<Record<ReportKind, string>> = {
  superseded: 'A newer turn had begun; it was not touched.',
  'no-longer-violating': 'It no longer broke the rule.',
  exempted: 'It was exempt.',
  capped: 'Over a cap.',
  'not-in-flight': 'Not seen in flight.',
  untouched: 'The job was aborted before it was their turn.',
};

interface Moment {
  readonly at: string;
  readonly what: string;
  readonly by: string | null;
  readonly details: string | null;
}

/** Told by the columns already. */
const TOLD: ReadonlySet<string> = new Set(['at', 'kind', 'plan', 'by', 'reason', 'why']);

function timelineOf({ createdAt, requestedBy }: BulkStatus, events: readonly HistoryEvent[]): Moment[] {
  return [
    { at: createdAt, what: 'planned', by: requestedBy, details: null },
    ...events.map(({ event: { at, kind, ...data }, sessionId }) => {
      const { by, reason, why } = data;
      const said = [reason, why].filter((part): part is string => typeof part === 'string');
      const more = Object.entries(data)
        .filter(([name, value]) => !TOLD.has(name) && value !== null)
        .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`);
      const details = [...said, ...(sessionId === null ? [] : [sessionId]), ...more].join('; ');
      return {
        at,
        what: kind.replace(/^bulk-/, ''),
        by: typeof by === 'string' ? by : null,
        details: details === '' ? null : details,
      };
    }),
  ];
}

const howWords = ({ appliedAt, rate, canary, fast }: BulkStatus): string | null =>
  appliedAt === null
    ? null
    : `at most ${rate} sessions a second; ${canary > 0 ? `${count(canary)} first` : 'none first'}${fast ? '; without a read before each request' : ''}`;

function excluded(selection: BulkStatus['selection']): string[] {
  const lists = [
    ['Creators excluded', selection['exceptCreators']],
    ['Sessions excluded', selection['exceptSessions']],
  ] as const;
  return lists.flatMap(([title, list]) =>
    Array.isArray(list) ? [`${title}: ${list.map((one) => code(String(one))).join(', ')}`] : [],
  );
}

function agentsGrid({ totals }: BulkStatus, { worstAgents }: ReportSummary): string {
  const notEnded = new Map(worstAgents.map((agent) => [agent.agentId, agent.notEnded]));
  return grid(
    ['Agent', 'Name', 'Sessions', 'Not ended'],
    totals.byAgent.map(({ agentId, name, targets }) => [
      agentId === null ? 'not known' : code(agentId),
      text(name ?? ''),
      count(targets),
      count(notEnded.get(agentId) ?? 0),
    ]),
  );
}

const notEndedGrid = (results: readonly BulkTargetResult[]): string =>
  grid(
    ['Session', 'Agent', 'Outcome', 'Requests', 'Last error'],
    results.map((result) => [
      code(result.sessionId),
      result.agentId === null ? '–' : code(result.agentId),
      kindOf(result),
      String(result.attempts),
      result.lastError === null ? '–' : text(`${wholeSeconds(result.lastError.at)} ${result.lastError.message}`),
    ]),
  );

/** Signs that would be markup, in a text of others. */
const text = (line: string): string => line.replace(/[\\`*_{}[\]<>#|~&!]/g, '\\$&');

/** As it is, in a span of code: no sign has a meaning there but the one that ends it, and the one that ends a cell. */
const code = (line: string): string => `\`${line.replaceAll('`', "'").replaceAll('|', '\\|')}\``;

const grid = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const bullets = (facts: readonly (readonly [name: string, text: string | null])[]): string =>
  facts.flatMap(([name, said]) => (said === null ? [] : [`- **${name}:** ${said}`])).join('\n');

const bulletsOr = (lines: readonly string[], none: string): string =>
  lines.length === 0 ? none : lines.map((line) => `- ${line}`).join('\n');
