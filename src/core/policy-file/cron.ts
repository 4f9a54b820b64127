import { bad, good, shown, type Reading } from './reading.js';

interface Field {
  readonly name: string;
  readonly least: number;
  readonly most: number;
  /** Names for the values from `least` on. */
  readonly names: readonly string[];
}

const FIELDS: readonly Field[] = [
  { name: 'minute', least: 0, most: 59, names: [] },
  { name: 'hour', least: 0, most: 23, names: [] },
  { name: 'day of the month', least: 1, most: 31, names: [] },
  {
    name: 'month',
    least: 1,
    most: 12,
    names: ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'],
  },
  // 7 is Sunday too.
  { name: 'day of the week', least: 0, most: 7, names: ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'] },
];

const SHORTHANDS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/** Days of each month, in a leap year. */
const LONGEST = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * Five fields: minute, hour, day of the month, month, day of the week. A field is `*`, a value, a range `1-5`, a step
 * behind `*` or a range, or several with commas. A subset of what Temporal's Schedules take, where both day fields must
 * fit. Source: `ScheduleSpec.cronExpressions` of the Temporal SDK.
 */
export function readCron(value: unknown): Reading<string> {
  if (typeof value !== 'string') return bad(`is ${shown(value)}, which is not a cron expression`, 'Write "0 3 * * *".');
  const text = value.trim();
  const longForm = SHORTHANDS[text.toLowerCase()];
  if (longForm !== undefined) return bad(`is ${shown(text)}, but five fields are needed`, `Write "${longForm}".`);
  const parts = text.split(/\s+/);
  if (parts.length !== FIELDS.length) {
    return bad(
      `is ${shown(text)}, which has ${parts.length === 1 ? 'one field' : `${parts.length} fields`}`,
      'Five are needed: minute, hour, day of the month, month, day of the week. Every night at three: "0 3 * * *".',
    );
  }
  const sets: number[][] = [];
  for (const [index, field] of FIELDS.entries()) {
    const read = readField(parts[index] ?? '', field);
    if ('problem' in read) return read;
    sets.push(read.value);
  }
  const [, , days = [], months = []] = sets;
  if (!months.some((month) => days.some((day) => day <= (LONGEST[month - 1] ?? 31)))) {
    return bad(`is ${shown(text)}, a day that does not exist`, 'Choose a day that the month has.');
  }
  return good(parts.join(' '));
}

/** The values that each field of a cron expression names. Sunday is 0. */
export interface CronValues {
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly days: ReadonlySet<number>;
  /** From 1. */
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
}

/** @param cron - as {@link readCron} gives it */
export function cronValues(cron: string): CronValues {
  const [minutes, hours, days, months, weekdays] = FIELDS.map((field, index) => {
    const read = readField(cron.split(' ')[index] ?? '', field);
    if ('problem' in read) throw new Error(`${JSON.stringify(cron)} ${read.problem}`);
    return read.value;
  }) as [number[], number[], number[], number[], number[]];
  return {
    minutes: new Set(minutes),
    hours: new Set(hours),
    days: new Set(days),
    months: new Set(months),
    weekdays: new Set(weekdays.map((day) => day % 7)),
  };
}

/** Whether both day fields narrow the days: then both must fit, which other crons read as "either". */
export function narrowsBothDays(cron: string): boolean {
  const [, , dayOfMonth, , dayOfWeek] = cron.split(' ');
  return dayOfMonth !== '*' && dayOfWeek !== '*';
}

function readField(text: string, field: Field): Reading<number[]> {
  const values: number[] = [];
  for (const part of text.split(',')) {
    const [, from, to, step] = /^(\*|\w+)(?:-(\w+))?(?:\/(\d{1,3}))?$/.exec(part) ?? [];
    if (from === undefined || (from === '*' && to !== undefined)) return wrong(part, field, '');
    const single = from !== '*' && to === undefined;
    if (single && step !== undefined) {
      return wrong(part, field, `a step needs a range before it: ${from}-${field.most}/${step}`);
    }
    const first = from === '*' ? field.least : valueOf(from, field);
    const last = from === '*' ? field.most : to === undefined ? first : valueOf(to, field);
    if (first === null || last === null) return wrong(part, field, '');
    if (first > last) return wrong(part, field, 'the range runs backwards');
    const stride = step === undefined ? 1 : Number(step);
    if (stride < 1 || stride > field.most) return wrong(part, field, 'the step is out of range');
    for (let value = first; value <= last; value += stride) values.push(value);
  }
  return good(values);
}

function valueOf(text: string, field: Field): number | null {
  const named = field.names.indexOf(text.toUpperCase());
  if (named >= 0) return field.least + named;
  const value = /^\d{1,2}$/.test(text) ? Number(text) : NaN;
  return value >= field.least && value <= field.most ? value : null;
}

function wrong(part: string, { name, least, most, names }: Field, why: string): Reading<never> {
  const or = names.length === 0 ? '' : `, or ${names[0]} to ${names.at(-1)}`;
  const reason = why === '' ? '' : `: ${why}`;
  return bad(
    `has ${shown(part)} for the ${name}${reason}`,
    `The ${name} is ${least} to ${most}${or}; also *, 1-3, 1,3 and */2.`,
  );
}
