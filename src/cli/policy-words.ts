import type {
  Caps,
  CleanupEntry,
  LimitName,
  Limits,
  Match,
  OnRestart,
  Policy,
  PolicyMode,
} from '../core/policy/policy.js';
import { formatDuration } from '../core/duration.js';
import { type Problem, problemLines } from '../core/policy-file/problem.js';
import type { Output } from './output.js';

/** What a policy means, a sentence a line, for the person who checks whether it says what was meant. */
export function policyWords(policy: Policy): string[] {
  const { match, limits, warnAt, graceMs, mode, caps, notify, onRestart } = policy;
  const ends = mode === 'enforce' ? 'ends' : 'would end';
  return [
    MODE_WORDS[mode],
    `sessions: ${matchWords(match)}`,
    ...limitWords(limits).map((words) => `${ends} a turn when ${words}`),
    ...(graceMs > 0 ? [`waits ${formatDuration(graceMs)} between the first violation and the end`] : []),
    ...(warnAt === null ? [] : [`warns at ${percent(warnAt * 100)} of a limit`]),
    `${ends} ${capsWords(caps)}`,
    restartWords(onRestart, ends),
    ...(notify.length > 0 ? [`tells ${notify.join(', ')}`] : []),
  ];
}

export function cleanupWords({ select, schedule, caps }: CleanupEntry): string[] {
  const turns = select.states.map((state) => {
    const forMs = state === 'queued' ? select.queuedForMs : select.runningForMs;
    return forMs === null
      ? `every ${state} turn`
      : `turns that have been ${state} for more than ${formatDuration(forMs)}`;
  });
  return [
    `runs at "${schedule.cron}" (${schedule.timezone})`,
    `sessions: ${select.match === null ? 'every agent' : matchWords(select.match)}`,
    ...turns.map((words) => `ends ${words}`),
    `ends ${capsWords(caps)}`,
  ];
}

const MODE_WORDS: Readonly<Record<PolicyMode, string>> = {
  off: 'off: ignored',
  observe: 'observe: says what it would end, and ends nothing',
  enforce: 'enforce: ends turns',
};

function matchWords(match: Match): string {
  if ('all' in match) return joined(match.all, 'and');
  if ('any' in match) return joined(match.any, 'or');
  if ('not' in match) return `not ${inner(match.not)}`;
  if ('agents' in match) return match.agents.includes('*') ? 'every agent' : `agent ${match.agents.join(' or ')}`;
  if ('creators' in match)
    return match.creators.includes('*') ? 'every creator' : `creator ${match.creators.join(' or ')}`;
  return `team ${match.teams.join(' or ')}`;
}

const joined = (parts: readonly Match[], word: string): string =>
  parts.map((part) => (parts.length > 1 ? inner(part) : matchWords(part))).join(` ${word} `);

/** In brackets where the words would run into those around them. */
function inner(match: Match): string {
  const [values] = Object.values(match) as unknown[];
  const several = Array.isArray(values) && values.length > 1;
  return several ? `(${matchWords(match)})` : matchWords(match);
}

const LIMIT_WORDS: Readonly<Record<LimitName, (limit: number) => string>> = {
  max_runtime: (ms) => `it has been processing for more than ${formatDuration(ms)}`,
  max_continuous_runtime: (ms) => `its session has been processing without a break for more than ${formatDuration(ms)}`,
  max_queue_time: (ms) => `it has been waiting in the queue for more than ${formatDuration(ms)}`,
  max_credits: (credits) => `it has cost more than ${number(credits)} credits`,
  max_session_credits: (credits) => `its session has cost more than ${number(credits)} credits over its life`,
  max_tokens: (tokens) => `it has used more than ${number(tokens)} tokens`,
};

function limitWords(limits: Limits): string[] {
  return (Object.entries(limits) as [LimitName, number | null][]).flatMap(([name, limit]) =>
    limit === null ? [] : [LIMIT_WORDS[name](limit)],
  );
}

const capsWords = ({ maxCancels, maxPercent, perMs }: Caps): string =>
  `at most ${number(maxCancels)} turns and ${percent(maxPercent)} of the live sessions per ${formatDuration(perMs)}`;

const restartWords = (onRestart: OnRestart, ends: string): string =>
  onRestart.action === 'report'
    ? 'reports a session that starts again by itself'
    : `${ends} a session that starts again by itself, at most ${onRestart.max} more ${onRestart.max === 1 ? 'time' : 'times'}`;

const number = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 6 });
const percent = (value: number): string => `${number(Number(value.toPrecision(6)))}%`;

/** What is allowed in a policy file, but probably not meant: told by every command that reads one, before its result. */
export function sayWarnings(out: Output, warnings: readonly Problem[]): void {
  for (const problem of warnings) {
    for (const line of problemLines({ ...problem, message: `warning: ${problem.message}` })) out.say(line);
  }
}
