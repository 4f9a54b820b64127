import { IANAZone } from 'luxon';
import { cronValues } from './cron.js';

/** When something runs: a cron expression as `readCron` gives it, and the IANA name of the zone whose clock it means. */
export interface CronSchedule {
  readonly cron: string;
  readonly timezone: string;
}

/** The first of each month from 2026 to 2037. Fixed, so that all workers make the same of a schedule, whenever they look. */
const SAMPLES: readonly number[] = Array.from({ length: 12 * 12 }, (_, month) => Date.UTC(2026, month, 1));

/**
 * The same runs with the clock of UTC, which never changes: for a cron that fires in every hour of every day. Temporal's
 * scheduler leaves out runs of such a cron, and makes others, in the night in which a clock is set back (`calendar.go`,
 * seen in servers 1.29.1 to 1.32.2).
 *
 * @returns null: it does not fire in every hour, or the zone's clock changes by half an hour and the minutes do not bear that
 */
export function asUtc({ cron, timezone }: CronSchedule): CronSchedule | null {
  const { minutes, hours, days, months, weekdays } = cronValues(cron);
  if (hours.size < 24 || days.size < 31 || months.size < 12 || weekdays.size < 7) return null;
  const zone = IANAZone.create(timezone);
  const shifts = new Set(SAMPLES.map((ms) => zone.offset(ms)));
  const [inUtc, ...others] = new Set([...shifts].map((shift) => minutesText(minutes, shift)));
  if (inUtc === undefined || others.length > 0) return null;
  return { cron: inUtc === minutesText(minutes, 0) ? cron : `${inUtc} * * * *`, timezone: 'UTC' };
}

/** @param offset - of the clock that `minutes` are of, minutes east of UTC */
const minutesText = (minutes: ReadonlySet<number>, offset: number): string =>
  [...minutes]
    .map((minute) => (((minute - offset) % 60) + 60) % 60)
    .sort((a, b) => a - b)
    .join(',');

/** A night in which a clock is set back, so that some local times come twice. Offsets are minutes east of UTC. */
interface SetBack {
  readonly atMs: number;
  readonly offsetBefore: number;
  readonly offsetAfter: number;
}

/** A run near a clock that is set back. Local times are ISO 8601 without an offset, to the minute. */
export interface DoubtfulRun {
  /** The local time that the cron names. */
  readonly local: string;
  /** What the clock shows when it is set back, and to what it is set. */
  readonly back: { readonly from: string; readonly to: string };
  /** Between these local times Temporal does not do what the cron says. */
  readonly between: { readonly from: string; readonly to: string };
  /** The scheduler takes both. False: which it takes, and when, is not plain. */
  readonly runsTwice: boolean;
}

/** The first run between two moments that a clock set back makes doubtful; null: none. */
export function doubtfulRun(schedule: CronSchedule, fromMs: number, toMs: number): DoubtfulRun | null {
  if (asUtc(schedule) !== null) return null;
  const { minutes, hours, days, months, weekdays } = cronValues(schedule.cron);
  for (const { atMs, offsetBefore, offsetAfter } of setBacks(schedule.timezone, fromMs, toMs)) {
    // Local times as if they were UTC.
    const end = atMs + offsetBefore * MINUTE_MS;
    const repeatedFrom = atMs + offsetAfter * MINUTE_MS;
    // East of Greenwich Go's time.Date gives the second of the two, and the scheduler stumbles in the hour before as well.
    const east = offsetAfter >= 0;
    const start = east ? Math.floor((repeatedFrom - 1) / HOUR_MS) * HOUR_MS : repeatedFrom;
    for (let local = start; local < end; local += MINUTE_MS) {
      const at = new Date(local);
      const named =
        minutes.has(at.getUTCMinutes()) &&
        hours.has(at.getUTCHours()) &&
        days.has(at.getUTCDate()) &&
        months.has(at.getUTCMonth() + 1) &&
        weekdays.has(at.getUTCDay());
      if (!named) continue;
      return {
        local: text(local),
        back: { from: text(end), to: text(repeatedFrom) },
        between: { from: text(start), to: text(end) },
        runsTwice: !east,
      };
    }
  }
  return null;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Shorter than any time for which a clock is set back. */
const WEEK_MS = 7 * 24 * HOUR_MS;

function* setBacks(timezone: string, fromMs: number, toMs: number): Generator<SetBack> {
  const zone = IANAZone.create(timezone);
  for (let weekMs = fromMs; weekMs < toMs; weekMs += WEEK_MS) {
    const [offsetBefore, offsetAfter] = [zone.offset(weekMs), zone.offset(weekMs + WEEK_MS)];
    if (offsetAfter >= offsetBefore) continue;
    let [before, after] = [Math.floor(weekMs / MINUTE_MS), Math.ceil((weekMs + WEEK_MS) / MINUTE_MS)];
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (zone.offset(middle * MINUTE_MS) === offsetBefore) before = middle;
      else after = middle;
    }
    yield { atMs: after * MINUTE_MS, offsetBefore, offsetAfter };
  }
}

const text = (localMs: number): string => new Date(localMs).toISOString().slice(0, 16);
