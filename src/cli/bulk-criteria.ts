import { shellWord } from '../core/text/shell.js';
import { ID_RULE, isSessionId } from '../core/ids.js';
import { ALL_LIVE, LIVE_STATES, type LiveSelection, type LiveState } from '../engines/bulk/selection.js';
import { ExitCode, UserError } from '../core/errors.js';
import { formatDuration, readDuration } from '../core/duration.js';
import { didYouMean } from '../core/policy-file/suggest.js';
import { readMoment } from './option-values.js';
import { iso } from '../core/times.js';

/** Options of `curfew bulk plan`, as they were typed. */
export interface CriteriaOptions {
  readonly agent?: readonly string[];
  readonly state?: readonly string[];
  readonly queuedFor?: string;
  readonly runningFor?: string;
  readonly createdBefore?: string;
  readonly createdAfter?: string;
  readonly creator?: readonly string[];
  readonly team?: readonly string[];
  /** True: of any policy. */
  readonly violators?: string | true;
  readonly exceptCreator?: readonly string[];
  readonly exceptSession?: readonly string[];
  readonly idsFile?: string;
  readonly all?: true;
}

/** What was asked for. `written` is for people, and for making the plan anew. */
export type Asked = { readonly written: Readonly<Record<string, unknown>> } & (
  | { readonly idsFile: string; readonly exceptSessions: readonly string[] | null }
  | { readonly selection: LiveSelection }
);

const NOTHING_DONE = 'No plan was made.';

/** Each criterion with the name of its option, in the order in which they are told. */
const CRITERIA = {
  agent: '--agent',
  state: '--state',
  queuedFor: '--queued-for',
  runningFor: '--running-for',
  createdBefore: '--created-before',
  createdAfter: '--created-after',
  creator: '--creator',
  team: '--team',
  violators: '--violators',
} as const satisfies Partial<Record<keyof CriteriaOptions, string>>;

/** What is left out of what the criteria select. They select nothing by themselves. */
const EXCEPTIONS = { exceptCreator: '--except-creator', exceptSession: '--except-session' } as const;

/**
 * Reads the criteria, and refuses those that contradict each other: a selection that means something else than the one who
 * typed it is worse than none.
 *
 * @param nowMs - for times that are given as a duration back from now
 * @throws UserError with exit code 2
 */
export function readCriteria(options: CriteriaOptions, nowMs: number): Asked {
  const given = Object.entries(CRITERIA).filter(([name]) => options[name as keyof CriteriaOptions] !== undefined);
  const names = given.map(([, option]) => option);
  if (options.idsFile !== undefined) return readIdsOption(options, options.idsFile, names);
  if (options.all === true) {
    if (names.length > 0) {
      throw refusal(
        `--all means every live session, but ${listed(names)} would leave some out.`,
        `Remove --all, or ${listed(names)}.`,
      );
    }
  } else if (names.length === 0) {
    throw refusal(
      'No sessions are selected.',
      'Give criteria, for example --agent "support-*"; or --all for every live session.',
    );
  }
  const queuedForMs = duration(options.queuedFor, '--queued-for');
  const runningForMs = duration(options.runningFor, '--running-for');
  const createdBeforeMs = moment(options.createdBefore, '--created-before', nowMs);
  const createdAfterMs = moment(options.createdAfter, '--created-after', nowMs);
  if (createdBeforeMs !== null && createdAfterMs !== null && createdAfterMs >= createdBeforeMs) {
    throw refusal(
      `No session was created after ${iso(createdAfterMs)} and before ${iso(createdBeforeMs)}.`,
      'Swap --created-after and --created-before.',
    );
  }
  const selection: LiveSelection = {
    ...ALL_LIVE,
    agents: texts(options.agent, '--agent'),
    states: statesOf(options.state ?? null, queuedForMs, runningForMs),
    queuedForMs,
    runningForMs,
    createdBeforeMs,
    createdAfterMs,
    creators: texts(options.creator, '--creator'),
    teams: texts(options.team, '--team'),
    violators: violatorsOf(options.violators),
    exceptCreators: texts(options.exceptCreator, '--except-creator'),
    exceptSessions: sessionsOf(options.exceptSession),
  };
  return { selection, written: written(options, selection) };
}

function readIdsOption(options: CriteriaOptions, idsFile: string, names: readonly string[]): Asked {
  const others = options.all === true ? ['--all', ...names] : names;
  if (others.length > 0) {
    throw refusal(
      `--ids-file lists the sessions, so ${listed(others)} can't select among them.`,
      `Remove --ids-file, or ${listed(others)}.`,
    );
  }
  if (idsFile === '') throw refusal('--ids-file is empty.', 'Give a file, or - for standard input.');
  if (options.exceptCreator !== undefined) {
    throw refusal(
      'Of sessions that are given by their ids the creator is not known, so --except-creator would spare nobody.',
      'Leave their sessions out by --except-session, or select by criteria instead of --ids-file.',
    );
  }
  const exceptSessions = sessionsOf(options.exceptSession);
  const excepted = exceptSessions === null ? {} : { exceptSessions };
  return { idsFile, exceptSessions, written: { command: commandOf(options), idsFile, ...excepted } };
}

/** An id that can't be one would spare nobody. */
function sessionsOf(given: readonly string[] | undefined): readonly string[] | null {
  const ids = texts(given, '--except-session');
  const wrong = ids?.find((id) => !isSessionId(id));
  if (wrong === undefined) return ids;
  throw refusal(`--except-session is ${shown(wrong)}, which is not a valid session id.`, `An id has ${ID_RULE}.`);
}

/** A time is about one state, and says so without --state. */
function statesOf(
  given: readonly string[] | null,
  queuedForMs: number | null,
  runningForMs: number | null,
): readonly LiveState[] {
  const timed = LIVE_STATES.filter((state) => (state === 'queued' ? queuedForMs : runningForMs) !== null);
  if (given === null) return timed.length > 0 ? timed : LIVE_STATES;
  const states = [...new Set(given.flatMap((text) => text.split(',')).map(stateOf))];
  for (const state of timed) {
    if (states.includes(state)) continue;
    const option = optionOf(state);
    throw refusal(
      `${option} selects ${state} sessions, but --state leaves them out.`,
      `Remove --state: ${option} already says the state.`,
    );
  }
  for (const state of states) {
    if (timed.length === 0 || timed.includes(state)) continue;
    const [other = 'queued'] = timed;
    throw refusal(
      `${optionOf(other)} selects only ${other} sessions, but --state asks for all ${state} ones as well.`,
      `Remove --state ${state}, or say for how long: ${optionOf(state)} 1h.`,
    );
  }
  return LIVE_STATES.filter((state) => states.includes(state));
}

const optionOf = (state: LiveState): string => (state === 'queued' ? '--queued-for' : '--running-for');

function stateOf(text: string): LiveState {
  const state = LIVE_STATES.find((name) => name === text.trim().toLowerCase());
  if (state !== undefined) return state;
  throw refusal(
    `--state is ${shown(text)}; a turn can be ended in the states ${LIVE_STATES.join(' and ')} only.`,
    didYouMean(text, LIVE_STATES) ?? 'Write --state queued or --state processing.',
  );
}

function duration(text: string | undefined, option: string): number | null {
  if (text === undefined) return null;
  const read = readDuration(text);
  if ('value' in read) return read.value;
  throw refusal(`${option} ${read.problem}.`, read.suggestion ?? `Write how long, for example ${option} 2h.`);
}

const moment = (text: string | undefined, option: string, nowMs: number): number | null =>
  text === undefined ? null : readMoment(text, option, nowMs);

/** An empty text is a variable of the shell that was not set, and never a wish. */
function texts(given: readonly string[] | undefined, option: string): readonly string[] | null {
  if (given?.some((text) => text.trim() === '') === true) {
    throw refusal(`${option} is empty.`, `Give it a value, or remove ${option}.`);
  }
  return given ?? null;
}

function violatorsOf(given: string | true | undefined): LiveSelection['violators'] {
  if (given === undefined) return null;
  if (given === true) return 'all';
  if (given.trim() === '') throw refusal('--violators is empty.', 'Name a policy, or write --violators alone for all.');
  return { policy: given };
}

function written(options: CriteriaOptions, selection: LiveSelection): Record<string, unknown> {
  const { states, queuedForMs, runningForMs, createdBeforeMs, createdAfterMs } = selection;
  const criteria = {
    command: commandOf(options),
    all: options.all,
    agents: options.agent,
    states,
    queuedFor: queuedForMs === null ? undefined : formatDuration(queuedForMs),
    runningFor: runningForMs === null ? undefined : formatDuration(runningForMs),
    createdBefore: createdBeforeMs === null ? undefined : iso(createdBeforeMs),
    createdAfter: createdAfterMs === null ? undefined : iso(createdAfterMs),
    creators: options.creator,
    teams: options.team,
    violators: options.violators,
    exceptCreators: options.exceptCreator,
    exceptSessions: options.exceptSession,
  };
  return Object.fromEntries(Object.entries(criteria).filter(([, value]) => value !== undefined));
}

/** As it can be typed into a shell again. */
function commandOf(options: CriteriaOptions): string {
  const words = Object.entries({ ...CRITERIA, ...EXCEPTIONS, idsFile: '--ids-file', all: '--all' }).flatMap(
    ([name, option]) => {
      const value = options[name as keyof CriteriaOptions];
      if (value === undefined) return [];
      if (value === true) return [option];
      const values: readonly string[] = typeof value === 'string' ? [value] : value;
      return values.flatMap((text) => [option, shellWord(text)]);
    },
  );
  return ['curfew bulk plan', ...words].join(' ');
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 40));
const listed = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
const refusal = (message: string, next: string): UserError =>
  new UserError(`${message} ${NOTHING_DONE}`, next, ExitCode.usage);
