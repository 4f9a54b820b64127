import { shell } from '../core/text/shell.js';
import { DateTime } from 'luxon';
import pc from 'picocolors';
import type { Refusal } from '../engines/cleanup/refusals.js';
import type { CleanupStanding, ScheduleStanding } from '../engines/cleanup/standing.js';
import type { BulkStatus } from '../core/contract.js';
import type { CleanupEntry } from '../core/policy/policy.js';
import { cleanupWords } from './policy-words.js';

const DAYS = ['Sundays', 'Mondays', 'Tuesdays', 'Wednesdays', 'Thursdays', 'Fridays', 'Saturdays', 'Sundays'];
const DAY_NAMES = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];
const NEXT_SHOWN = 3;

/** When a cleanup runs, in words where the cron has simple ones: "every day at 03:00 (Europe/Berlin)". */
export function scheduleWords({ cron, timezone }: CleanupEntry['schedule']): string {
  return `${cronWords(cron) ?? `at "${cron}"`} (${timezone})`;
}

function cronWords(cron: string): string | null {
  const [minute = '', hour = '', day, month, weekday = ''] = cron.split(' ');
  if (month !== '*') return null;
  const at = isNumber(minute) && isNumber(hour) ? `at ${hour.padStart(2, '0')}:${minute.padStart(2, '0')}` : null;
  if (day !== '*') {
    return at !== null && isNumber(day ?? '') && weekday === '*' ? `on day ${day} of every month ${at}` : null;
  }
  if (weekday !== '*') {
    const days = weekdayWords(weekday);
    return at === null || days === null ? null : `${days} ${at}`;
  }
  if (at !== null) return `every day ${at}`;
  if (hour !== '*') return null;
  if (minute === '*' || minute === '*/1') return 'every minute';
  if (isNumber(minute)) return `every hour at minute ${minute}`;
  const [, step] = /^\*\/(\d+)$/.exec(minute) ?? [];
  return step !== undefined && 60 % Number(step) === 0 ? `every ${step} minutes` : null;
}

const isNumber = (field: string): boolean => /^\d+$/.test(field);

function weekdayWords(field: string): string | null {
  const dayOf = (text: string): string | undefined =>
    DAYS[isNumber(text) ? Number(text) : DAY_NAMES.indexOf(text.toUpperCase())];
  const [, from, to] = /^(\w+)-(\w+)$/.exec(field) ?? [];
  const days = (from === undefined || to === undefined ? field.split(',') : [from, to]).map(dayOf);
  if (days.some((day) => day === undefined)) return null;
  return from === undefined ? `on ${days.join(', ')}` : `on ${days.join(' to ')}`;
}

/** @param temporalProblem - why Temporal could not be asked; null: it was */
export const cleanupsDocument = (
  policyVersion: number,
  cleanups: readonly CleanupStanding[],
  temporalProblem: string | null,
): unknown => ({
  policyVersion,
  temporal: { asked: temporalProblem === null, problem: temporalProblem },
  cleanups: cleanups.map(({ entry, schedule, refusal, lastRun }) => ({
    name: entry.name,
    meaning: cleanupWords(entry),
    select: entry.select,
    caps: entry.caps,
    schedule: {
      ...entry.schedule,
      words: scheduleWords(entry.schedule),
      inTemporal: schedule?.kind ?? null,
      refused: refusal === null ? null : { at: refusal.at, cause: refusal.cause },
      paused: schedule?.kind === 'scheduled' ? schedule.paused : null,
      note: schedule?.kind === 'scheduled' ? schedule.note : null,
      running: schedule?.kind === 'scheduled' ? schedule.running : null,
      nextRuns: schedule?.kind === 'scheduled' ? schedule.nextRuns.map((at) => at.toISOString()) : null,
    },
    lastRun: lastRun === null ? null : { at: lastRun.at, planId: lastRun.planId, note: lastRun.note, job: lastRun.job },
  })),
});

export function cleanupsWords(cleanups: readonly CleanupStanding[], temporalProblem: string | null): string {
  const known = temporalProblem === null ? [] : [pc.yellow(`${temporalProblem} Their next runs are unknown.`)];
  return [...known, ...cleanups.map(paragraph)].join('\n\n');
}

function paragraph({ entry, schedule, refusal, lastRun }: CleanupStanding): string {
  // The first line of its meaning is the cron.
  const [, ...meaning] = cleanupWords(entry);
  return [
    `${pc.bold(entry.name)}  ${scheduleWords(entry.schedule)}`,
    ...meaning.map((line) => `  ${line}`),
    ...(refusal === null ? [] : [`  ${pc.red(refusalLine(refusal))}`]),
    ...(schedule === null || (schedule.kind === 'missing' && refusal !== null)
      ? []
      : [`  ${scheduleLine(entry, schedule)}`]),
    `  last run: ${lastRun === null ? 'unknown' : `${local(entry, new Date(lastRun.at))}: ${lastRunWords(lastRun)}`}`,
  ].join('\n');
}

const refusalLine = ({ cause, earlierStands }: Refusal): string =>
  `${earlierStands ? 'still runs at its earlier times' : 'does not run'}: Temporal refuses its Schedule: ${cause}. If the policy file is at fault, correct it, then: curfew policy apply FILE`;

function scheduleLine(entry: CleanupEntry, schedule: ScheduleStanding): string {
  switch (schedule.kind) {
    case 'missing':
      return pc.yellow(
        'Temporal has no Schedule for it: a worker creates one within a minute. Does a worker run? curfew doctor',
      );
    case 'foreign':
      return pc.red('does not run: Temporal has a Schedule of this name that Curfew did not make');
    case 'scheduled': {
      if (schedule.paused) {
        return pc.yellow(`PAUSED in Temporal${schedule.note === null ? '' : `: ${schedule.note}`}`);
      }
      const next = schedule.nextRuns.slice(0, NEXT_SHOWN).map((at) => local(entry, at));
      const running = schedule.running ? 'a run is in progress; ' : '';
      return `${running}next runs: ${next.length === 0 ? 'none' : next.join(', ')}`;
    }
  }
}

/** In the time zone of its schedule, with the offset, which tells a repeated hour apart: "Tue 2026-11-24 03:00 +01:00". */
const local = ({ schedule }: CleanupEntry, at: Date): string =>
  DateTime.fromJSDate(at, { zone: schedule.timezone }).toFormat('ccc yyyy-LL-dd HH:mm ZZ');

const lastRunWords = ({ note, job }: NonNullable<CleanupStanding['lastRun']>): string =>
  job === null ? note : `${note} ${jobWords(job)}`;

/** What became of its targets so far. */
function jobWords({ planId, state, progress }: BulkStatus): string {
  const open = progress.waiting + progress.underWay + progress.openCases;
  const parts = [
    ...Object.entries(progress.outcomes).map(([outcome, count]) => `${count} ${outcome}`),
    ...(open > 0 ? [state === 'aborted' ? `${open} left alone` : `${open} open`] : []),
  ];
  return `${parts.length === 0 ? 'No outcome yet' : parts.join(', ')} (${state}; ${shell`curfew bulk status ${planId}`})`;
}
