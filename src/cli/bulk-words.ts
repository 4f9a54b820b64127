import { shell } from '../core/text/shell.js';
import pc from 'picocolors';
import { rateWords } from '../core/bulk/rate.js';
import { ENDED_OUTCOMES, OUTCOMES, type BulkStatus, type Outcome } from '../core/contract.js';
import { factLines, span, table, type Fact } from './output.js';
import { counted, outcomeName, shorten } from './words.js';
import { wholeSeconds } from '../core/times.js';

const BAR_WIDTH = 30;

export const count = (value: number): string => value.toLocaleString('en-US');

const sumOf = ({ progress }: BulkStatus, wanted: (outcome: Outcome) => boolean): number =>
  OUTCOMES.reduce((sum, outcome) => sum + (wanted(outcome) ? (progress.outcomes[outcome] ?? 0) : 0), 0);

const isEnded = (outcome: Outcome): boolean => ENDED_OUTCOMES.includes(outcome);
/** Targets in which no ordered turn runs any more. */
const endedOf = (status: BulkStatus): number => sumOf(status, isEnded);
/** Targets with an outcome after which the turn may still run. */
const notEndedOf = (status: BulkStatus): number => sumOf(status, (outcome) => !isEnded(outcome));

/** What the job does just now, beside what the ledger knows. */
export interface Pace {
  /** Sessions a second, over the last seconds; null: not known yet. */
  readonly perSecond: number | null;
}

/** A progress bar, the numbers, and what holds the job up; for a terminal, or a log. */
export function progressLines(status: BulkStatus, { perSecond }: Pace): string[] {
  const { progress, state } = status;
  const total = status.totals.targets;
  const settled = endedOf(status) + notEndedOf(status);
  const share = total === 0 ? 1 : settled / total;
  const filled = Math.floor(share * BAR_WIDTH);
  const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`;
  const parts = [
    `${bar} ${Math.floor(share * 100)}%`,
    `${count(settled)} of ${count(total)}`,
    ...(perSecond === null || state !== 'running'
      ? []
      : [`${rateWords(perSecond)} (at most ${rateWords(status.rate)})`]),
    ...leftWords(status, perSecond),
  ];
  const waits = state === 'aborted' ? 'untouched' : 'waiting';
  const numbers = [
    `ended ${count(endedOf(status))}`,
    `not ended ${count(notEndedOf(status))}`,
    `under way ${count(progress.underWay)}`,
    `in cases ${count(progress.openCases)}`,
    `${waits} ${count(progress.waiting)}`,
    `requests ${count(progress.requests)}`,
  ];
  return [parts.join('  '), numbers.join(' · '), ...noteLines(status)];
}

function leftWords({ progress, state }: BulkStatus, perSecond: number | null): string[] {
  if (state !== 'running') return [];
  if (progress.waiting === 0) return progress.underWay + progress.openCases > 0 ? ['all sent, confirming'] : [];
  return perSecond === null || perSecond === 0 ? [] : [`about ${span((progress.waiting / perSecond) * 1_000)} left`];
}

/** What holds it up: why it is paused, or what it waits for. */
const noteLines = ({ note, state }: BulkStatus): string[] =>
  note === null ? [] : [state === 'running' ? pc.yellow(`Held: ${note}`) : pc.yellow(note)];

/** "running, canary first": where it stands, in a few words. */
export function stateWords({ state, phase }: Pick<BulkStatus, 'state' | 'phase'>): string {
  return state === 'running' && phase === 'canary' ? 'running, canary first' : state;
}

const outcomeLine = ({ progress }: BulkStatus): string =>
  OUTCOMES.flatMap((outcome) => {
    const targets = progress.outcomes[outcome];
    return targets === undefined ? [] : [`${outcomeName(outcome)} ${count(targets)}`];
  }).join(', ');

/** Whose job it is and what became of it so far, by name. */
export function jobHead(status: BulkStatus, nowMs = Date.now()): string {
  const ago = (at: string): string => `${wholeSeconds(at)}, ${span(nowMs - Date.parse(at))} ago`;
  const rows: Fact[] = [
    ['plan', `${status.planId}: ${pc.bold(stateWords(status))}`],
    ['reason', status.reason],
    ['cleanup', status.cleanup],
    ['planned', `${ago(status.createdAt)}, by ${status.requestedBy}`],
    ['applied', status.appliedAt === null ? null : `${ago(status.appliedAt)}, by ${status.appliedBy ?? 'unknown'}`],
    ['over since', status.finishedAt === null ? null : ago(status.finishedAt)],
    ['targets', targetsWords(status)],
    ['pace', status.appliedAt === null ? null : paceWords(status)],
  ];
  return factLines(rows, 10);
}

/** Sessions that were given by their ids have no agent. */
function targetsWords({ totals: { targets, agents } }: BulkStatus): string {
  return agents === 0 ? count(targets) : `${count(targets)} of ${counted(agents, 'agent')}`;
}

/** All that is to be said of one plan or job. */
export function jobWords(status: BulkStatus, nowMs: number): string {
  const outcomes = outcomeLine(status);
  const progress = status.appliedAt === null ? noteLines(status) : progressLines(status, { perSecond: null });
  return [
    `${jobHead(status, nowMs)}${outcomes === '' ? '' : `\noutcomes   ${outcomes}`}`,
    ...(progress.length === 0 ? [] : [progress.join('\n')]),
    nextWords(status, nowMs),
  ].join('\n\n');
}

/** How it goes about it: rate, canary, and what was asked for besides. */
export function paceWords({ rate, canary, fast, evenIfExempt }: BulkStatus): string {
  return [
    `at most ${rateWords(rate)}`,
    canary > 0 ? `canary of ${count(canary)}` : 'no canary',
    ...(fast ? ['--fast: no read before each cancel'] : []),
    ...(evenIfExempt ? ['exempt sessions too'] : []),
  ].join(', ');
}

/** The commands that fit where the job stands. */
export function nextWords({ planId, state, expiresAt }: BulkStatus, nowMs: number): string {
  const lines = (commands: readonly (readonly [string, string])[]): string =>
    commands.map(([command, purpose]) => `  ${command.padEnd(60)} ${purpose}`.trimEnd()).join('\n');
  switch (state) {
    case 'building':
      return 'Its targets are still being collected.';
    case 'planned':
      return expiresAt !== null && Date.parse(expiresAt) < nowMs
        ? 'It has expired, so it can’t be applied any more. Plan again: curfew bulk plan --help'
        : lines([[shell`curfew bulk apply ${planId}`, 'ends them']]);
    case 'running':
      return lines([
        [shell`curfew bulk status ${planId} --watch`, 'follow it'],
        [shell`curfew bulk pause ${planId}`, 'send nothing more until resume'],
        [shell`curfew bulk abort ${planId}`, 'stop for good; the rest stays untouched'],
      ]);
    case 'paused':
      return lines([
        [shell`curfew bulk report ${planId}`, 'what ended, what did not, and why'],
        [shell`curfew bulk resume ${planId}`, 'continue'],
        [shell`curfew bulk abort ${planId}`, 'stop for good; the rest stays untouched'],
      ]);
    case 'finished':
    case 'aborted':
      return lines([[shell`curfew bulk report ${planId}`, 'what became of each target']]);
  }
}

/** How a followed job came to its end. */
export function endWords(status: BulkStatus): string {
  const { planId, progress, state } = status;
  const [ended, notEnded] = [endedOf(status), notEndedOf(status)];
  const untouched = state === 'aborted' && progress.waiting > 0 ? `, ${count(progress.waiting)} untouched` : '';
  const head = `${state === 'aborted' ? 'Aborted' : 'Finished'}: of ${count(status.totals.targets)} targets ${count(ended)} ended, ${count(notEnded)} did not${untouched}.`;
  const outcomes = outcomeLine(status);
  return [
    head,
    ...(outcomes === '' ? [] : [`Outcomes: ${outcomes}.`]),
    `What became of each: ${shell`curfew bulk report ${planId}`}`,
  ].join('\n');
}

/** The newest plans and jobs. */
export function jobsTable(jobs: readonly BulkStatus[], nowMs: number): string {
  if (jobs.length === 0) return 'No bulk plans. To make one: curfew bulk plan --help';
  const rows = jobs.map((status) => [
    status.planId,
    stateOf(status, nowMs),
    count(status.totals.targets),
    status.appliedAt === null ? '' : count(endedOf(status)),
    status.appliedAt === null ? '' : count(notEndedOf(status)),
    status.appliedAt === null ? '' : count(status.progress.waiting),
    `${span(nowMs - Date.parse(status.createdAt))} ago`,
    status.cleanup === null ? status.requestedBy : `cleanup ${status.cleanup}`,
    shorten(status.note ?? status.reason ?? '', 60),
  ]);
  return table(['PLAN', 'STATE', 'TARGETS', 'ENDED', 'NOT ENDED', 'WAITING', 'PLANNED', 'BY', 'NOTE'], rows);
}

function stateOf(status: BulkStatus, nowMs: number): string {
  const { state, expiresAt } = status;
  if (state === 'planned' && expiresAt !== null && Date.parse(expiresAt) < nowMs) return 'expired';
  return state;
}
