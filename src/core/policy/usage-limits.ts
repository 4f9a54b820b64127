import type { Facts, Meter, Timeline } from './facts.js';
import { hasShrunk } from './meter.js';
import type { Doubt, LimitUnit, Reading } from './reading.js';
import { isConfirmed } from './state-clock.js';
import type { LimitOf } from './time-limits.js';

/** `max_credits`, `max_tokens`: what one turn has used. Nothing is charged to it that an earlier turn may have used. */
export function readTurnUsage(of: LimitOf, unit: 'credits' | 'tokens', { timeline }: Facts): Reading {
  const meter = timeline.turn?.[unit];
  if (meter?.last == null || meter.baseline === null) return undecided(of, unit, 'usage-unknown', null);
  if (hasShrunk(meter)) return undecided(of, unit, 'usage-shrank', null);

  const presumed = meter.last - meter.baseline;
  const confirmed = isConfirmed(timeline) ? confirmedTotal(meter) - meter.baseline : 0;
  const errorBound = errorOf(meter, timeline);
  // Unnamed, its first sight stands for its start if we watched it; a wrong guess is found out by the retrieve.
  const fromStart = timeline.turn?.key === null ? timeline.turn.startWatched : meter.fromStart;
  const couldBe = fromStart ? presumed : meter.last;
  // A turn that has a name was retrieved: asking again tells its baseline no better.
  const retrieveTells =
    presumed >= threshold(of, confirmed) || (timeline.turn?.key === null && couldBe >= of.limitValue);
  return reading(of, unit, presumed, confirmed, errorBound, {
    mayBeBroken: couldBe >= of.limitValue,
    doubt: fromStart ? null : 'no-baseline',
    needsRetrieve: retrieveTells && hasNewsSinceRetrieve(timeline),
  });
}

/** `max_session_credits`: life of the session. */
export function readSessionCredits(of: LimitOf, { timeline }: Facts): Reading {
  const total = timeline.credits;
  if (total === null) return undecided(of, 'credits', 'usage-unknown', null);
  const meter = timeline.turn?.credits;
  const confirmed = meter !== undefined && isConfirmed(timeline) ? Math.min(confirmedTotal(meter), total) : 0;
  return reading(of, 'credits', total, confirmed, 0, {
    mayBeBroken: total >= of.limitValue,
    doubt: null,
    // Once broken it stays so in whatever turn: there is nothing more to ask.
    needsRetrieve: confirmed < of.limitValue && total >= threshold(of, confirmed) && hasNewsSinceRetrieve(timeline),
  });
}

const confirmedTotal = (meter: Meter): number => meter.confirmed ?? meter.baseline ?? 0;

/**
 * The next amount that matters: a warning, then the limit. Once it is broken, twice as much as was confirmed: a younger turn
 * may have begun unseen, and doubling keeps retrieves few however fast it spends.
 */
function threshold({ limitValue, warnAt }: LimitOf, confirmed: number): number {
  if (confirmed >= limitValue) return 2 * confirmed;
  return warnAt !== null && confirmed < warnAt * limitValue ? warnAt * limitValue : limitValue;
}

const hasNewsSinceRetrieve = ({ retrievedAtMs, seenAtMs }: Timeline): boolean =>
  retrievedAtMs === null || seenAtMs > retrievedAtMs;

/** What the turn can have used between its message and its first sight; null when it can't be told. */
function errorOf({ baseline, before, fromStart }: Meter, { turn }: Timeline): number | null {
  if (!fromStart || baseline === null || before === null || turn === null) return null;
  const seenBefore =
    turn.lookedBeforeMs === null || (turn.startedAtMs !== null && turn.lookedBeforeMs <= turn.startedAtMs);
  return seenBefore ? baseline - before : null;
}

function reading(
  { limit, limitValue, warnAt }: LimitOf,
  unit: LimitUnit,
  observed: number,
  confirmed: number,
  errorBound: number | null,
  rest: { readonly mayBeBroken: boolean; readonly doubt: Doubt | null; readonly needsRetrieve: boolean },
): Reading {
  const isNear = warnAt !== null && confirmed >= warnAt * limitValue;
  const level = confirmed >= limitValue ? 'broken' : rest.mayBeBroken ? 'undecided' : isNear ? 'near' : 'within';
  const { doubt, needsRetrieve } = rest;
  return { limit, unit, observed, limitValue, errorBound, level, doubt, lookAtMs: null, needsRetrieve };
}

function undecided({ limit, limitValue }: LimitOf, unit: LimitUnit, doubt: Doubt, observed: number | null): Reading {
  return {
    limit,
    unit,
    observed,
    limitValue,
    errorBound: null,
    level: 'undecided',
    doubt,
    lookAtMs: null,
    needsRetrieve: false,
  };
}
