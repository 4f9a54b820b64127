import type { Match } from '../policy/policy.js';
import { contradictions } from './contradiction.js';
import { error, warning, type Finding, type Path } from './finding.js';
import { shown } from './reading.js';
import { cleanupSchema, exemptSchema, limitsSchema, matchSchema } from './schema.js';
import { didYouMean } from './suggest.js';
import { readName } from './values.js';
import { DEFAULT_TIME_ZONE, matchOf } from './to-policy.js';
import { doubtfulRun, type DoubtfulRun } from './clock-changes.js';
import { narrowsBothDays } from './cron.js';
import { oddSigns } from './odd-signs.js';
import { withoutEffect } from './without-effect.js';

type Mapping = Readonly<Record<string, unknown>>;

/**
 * What the schema can't see because it lies between fields. Each check takes the file as written and looks only at what
 * it can read, so that one mistake does not hide the next.
 */
export function crossChecks(data: Mapping, nowMs: number): Finding[] {
  return [
    ...nothingToDo(data),
    ...duplicates(data, 'policies', 'name'),
    ...duplicates(data, 'cleanup', 'name'),
    ...duplicates(data, 'exempt', 'session'),
    ...routeNames(data),
    ...undefinedRoutes(data),
    ...matches(data),
    ...pointlessLimits(data),
    ...cleanups(data, nowMs),
    ...expired(data, nowMs),
    ...withoutEffect(data),
  ];
}

function nothingToDo(data: Mapping): Finding[] {
  const filled = [data['policies'], data['cleanup']].some(
    (part) => part !== undefined && !(Array.isArray(part) && part.length === 0),
  );
  return filled
    ? []
    : [
        error(
          [],
          'the file has neither policies nor cleanup, so there is nothing to do',
          'Add a policy under policies.',
        ),
      ];
}

function duplicates(data: Mapping, section: string, field: string): Finding[] {
  const first = new Map<string, number>();
  return entriesOf(data, section).flatMap(({ entry, path, index }) => {
    const value = entry[field];
    if (typeof value !== 'string') return [];
    const before = first.get(value);
    if (before === undefined) {
      first.set(value, index);
      return [];
    }
    return [
      error(
        [...path, field],
        `${field} ${shown(value)} is taken by ${section}[${before}]`,
        `Each ${field} may be there once.`,
      ),
    ];
  });
}

/** The names themselves are not repeated: an address may stand where its name belongs. */
function routeNames(data: Mapping): Finding[] {
  return Object.keys(asMapping(data['notify']) ?? {})
    .filter((name) => 'problem' in readName(name))
    .map((name) => ({
      ...error(['notify', name], 'the name of a route must be lower-case words with dashes', 'For example: ops'),
      at: 'key',
    }));
}

function undefinedRoutes(data: Mapping): Finding[] {
  const defined = Object.keys(asMapping(data['notify']) ?? {});
  return entriesOf(data, 'policies').flatMap(({ entry, path }) => {
    return listOf(entry['notify']).flatMap((name, index) => {
      if (typeof name !== 'string' || defined.includes(name)) return [];
      const known =
        defined.length === 0
          ? 'No route is defined: add one under notify, at the end of the file.'
          : `Defined under notify: ${defined.join(', ')}.`;
      return [
        error(
          [...path, 'notify', index],
          `the route ${shown(name)} is not defined`,
          () => didYouMean(name, defined) ?? known,
        ),
      ];
    });
  });
}

function matches(data: Mapping): Finding[] {
  const rules: { rule: unknown; path: Path }[] = [
    ...entriesOf(data, 'policies').map(({ entry, path }) => ({ rule: entry['match'], path: [...path, 'match'] })),
    ...entriesOf(data, 'cleanup').map(({ entry, path }) => ({
      rule: asMapping(entry['select'])?.['match'],
      path: [...path, 'select', 'match'],
    })),
  ];
  return rules.flatMap(({ rule, path }) => matchFindings(rule, path));
}

/** Where a rule can't be read as a whole, its parts may still be. */
function matchFindings(rule: unknown, path: Path): Finding[] {
  const parsed = matchSchema.safeParse(rule);
  if (parsed.success) {
    const match = matchOf(parsed.data);
    return [...contradictions(match, path), ...unusualGlobs(match, path), ...oddSigns(match, path)];
  }
  const { all, any, not } = asMapping(rule) ?? {};
  return [
    ...listOf(all).flatMap((part, index) => matchFindings(part, [...path, 'all', index])),
    ...listOf(any).flatMap((part, index) => matchFindings(part, [...path, 'any', index])),
    ...(not === undefined ? [] : matchFindings(not, [...path, 'not'])),
  ];
}

/** Signs that mean something in other globs, and stand for themselves here. */
const OTHER_GLOBS = /\{[^{}]*,[^{}]*\}|^!|\[\^?.-.\]/u;

function unusualGlobs(match: Match, path: Path): Finding[] {
  if ('all' in match) return match.all.flatMap((part, index) => unusualGlobs(part, [...path, 'all', index]));
  if ('any' in match) return match.any.flatMap((part, index) => unusualGlobs(part, [...path, 'any', index]));
  if ('not' in match) return unusualGlobs(match.not, [...path, 'not']);
  const [[kind, values] = ['', []]] = Object.entries<readonly string[]>(match);
  return values.flatMap((value, index) => {
    const place = [...path, kind, index];
    if (kind === 'teams' && /[*?]/.test(value)) {
      return [
        warning(
          place,
          `teams are compared exactly, so ${shown(value)} stands for itself`,
          'Write the ids of the teams.',
        ),
      ];
    }
    if (!OTHER_GLOBS.test(value)) return [];
    return [
      warning(
        place,
        `only * and ? are special; in ${shown(value)} the other characters stand for themselves`,
        'List the alternatives one by one; for exceptions use not.',
      ),
    ];
  });
}

function pointlessLimits(data: Mapping): Finding[] {
  return entriesOf(data, 'policies').flatMap(({ entry, path }) => {
    const { success, data: limits } = limitsSchema.safeParse(entry['limits']);
    if (!success) return [];
    const found: Finding[] = [];
    const place = [...path, 'limits'];
    const { max_runtime, max_continuous_runtime, max_credits, max_session_credits } = limits;
    // A session's total contains the turn's, so it is there first.
    if (max_credits !== undefined && max_session_credits !== undefined && max_credits >= max_session_credits) {
      found.push(
        warning(
          [...place, 'max_credits'],
          'max_credits is never reached: max_session_credits counts this turn too, and is not larger',
          'Remove it, or set it lower.',
        ),
      );
    }
    // Not for certain pointless: after a gap in our sight, unbroken processing counts anew, a turn does not.
    if (max_runtime !== undefined && max_continuous_runtime !== undefined && max_runtime >= max_continuous_runtime) {
      found.push(
        warning(
          [...place, 'max_runtime'],
          'max_runtime is not below max_continuous_runtime, which contains it: it counts only where Curfew did not see the whole turn',
          'Perhaps the two are swapped.',
        ),
      );
    }
    return found;
  });
}

function cleanups(data: Mapping, nowMs: number): Finding[] {
  return entriesOf(data, 'cleanup').flatMap(({ entry, path }) => {
    const found: Finding[] = [];
    const select = cleanupSchema.shape.select.safeParse(entry['select']).data;
    for (const [state, field] of [
      ['queued', 'queued_for'],
      ['processing', 'running_for'],
    ] as const) {
      if (select === undefined) break;
      const bounded = select[field] !== undefined;
      if (bounded && !select.states.includes(state)) {
        found.push(
          error(
            [...path, 'select', field],
            `${field} can never match: states does not list ${state}`,
            `Add ${state} to states, or remove ${field}.`,
          ),
        );
      }
      if (!bounded && select.states.includes(state)) {
        found.push(
          warning(
            [...path, 'select', 'states'],
            `every ${state} session is ended, however young`,
            `Add ${field}, for example ${field}: 6h.`,
          ),
        );
      }
    }
    const schedule = cleanupSchema.shape.schedule.safeParse(entry['schedule']).data;
    if (schedule !== undefined && narrowsBothDays(schedule.cron)) {
      found.push(
        warning(
          [...path, 'schedule', 'cron'],
          'both the day of the month and the day of the week are given: it runs only on days that match both',
          'Write * for one of them if you meant either.',
        ),
      );
    }
    const timezone = schedule?.timezone ?? DEFAULT_TIME_ZONE;
    const doubtful =
      schedule && doubtfulRun({ cron: schedule.cron, timezone }, nowMs, nowMs + CLOCK_CHANGES_LOOKED_AT_MS);
    if (doubtful) found.push(clockSetBack([...path, 'schedule', 'cron'], timezone, doubtful));
    return found;
  });
}

/** So far ahead it is looked whether a clock that is set back is in a cleanup's way, ms: two years. */
const CLOCK_CHANGES_LOOKED_AT_MS = 2 * 366 * 24 * 60 * 60_000;

function clockSetBack(path: Path, timezone: string, { local, back, between, runsTwice }: DoubtfulRun): Finding {
  const [date = '', time = ''] = local.split('T');
  const clock = (text: string): string => text.slice(-5);
  const then = runsTwice ? 'runs twice' : 'may run twice, late or not at all';
  return warning(
    path,
    `on ${date} the clock in ${timezone} goes back from ${clock(back.from)} to ${clock(back.to)}: what is due at ${time} ${then}`,
    `Choose times outside ${clock(between.from)} to ${clock(between.to)}, or timezone: UTC.`,
  );
}

function expired(data: Mapping, nowMs: number): Finding[] {
  return entriesOf(data, 'exempt').flatMap(({ entry, path }) => {
    const until = exemptSchema.shape.until.safeParse(entry['until']).data;
    if (until === undefined || until > nowMs) return [];
    return [
      warning([...path, 'until'], 'this exemption is over, and has no effect', 'Remove it, or give it a later time.'),
    ];
  });
}

/** The entries of a list that are mappings; others are the schema's business. */
function entriesOf(data: Mapping, section: string): { entry: Mapping; path: Path; index: number }[] {
  return listOf(data[section]).flatMap((item, index) => {
    const entry = asMapping(item);
    return entry === null ? [] : [{ entry, path: [section, index], index }];
  });
}

const asMapping = (value: unknown): Mapping | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : null;

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
