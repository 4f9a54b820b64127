import type { Facts, Timeline } from './facts.js';
import type { LimitName } from './policy.js';
import { RETRIEVE_SPACING_MS, type Reading } from './reading.js';
import { certainStart, earliestStart, isConfirmed, type StateClock } from './state-clock.js';

export interface LimitOf {
  readonly limit: LimitName;
  readonly limitValue: number;
  /** In (0, 1), or null. */
  readonly warnAt: number | null;
}

/** `max_runtime` while processing, `max_queue_time` while queued: time of one turn in its present state. */
export function readTurnTime(of: LimitOf, { timeline, createdAtMs }: Facts, nowMs: number, gapMs: number): Reading {
  if (isConfirmed(timeline)) {
    return readTime(of, timeline, certainStart(timeline, timeline.turn, createdAtMs, gapMs), nowMs);
  }
  const fromMs = earliestStart(timeline, createdAtMs);
  const seenMs = timeline.seenAtMs - timeline.stateSinceMs - timeline.gapsMs;
  const errorMs = fromMs === null ? null : Math.max(0, timeline.seenAtMs - fromMs - seenMs);
  return unconfirmed(of, timeline, fromMs, Math.max(0, seenMs), errorMs, nowMs);
}

/** `max_continuous_runtime`: our own clock of `processing` without a break, whatever turn it is. */
export function readContinuousTime(of: LimitOf, { timeline }: Facts, nowMs: number): Reading {
  const { unbrokenSinceMs: fromMs, stateSinceMs, changeWatched, otherAtMs, seenAtMs } = timeline;
  const startWatched = changeWatched && fromMs === stateSinceMs && otherAtMs !== null;
  const errorMs = startWatched ? fromMs - otherAtMs : null;
  if (isConfirmed(timeline)) return readTime(of, timeline, { fromMs, errorMs, fromMessage: false }, nowMs);
  return unconfirmed(of, timeline, fromMs, Math.max(0, seenAtMs - fromMs), errorMs, nowMs);
}

function readTime(
  { limit, limitValue, warnAt }: LimitOf,
  timeline: Timeline & { turn: { confirmedAtMs: number } },
  { fromMs, errorMs, fromMessage }: StateClock,
  nowMs: number,
): Reading {
  const { confirmedAtMs } = timeline.turn;
  const confirmedMs = confirmedAtMs - fromMs;
  const isBroken = confirmedMs >= limitValue;
  const isNear = warnAt !== null && confirmedMs >= warnAt * limitValue;
  // Once broken, the next question is about a younger turn: one that began unseen after the last retrieve.
  const nextMs = isBroken
    ? confirmedAtMs + limitValue
    : Math.ceil(fromMs + (warnAt !== null && !isNear ? warnAt * limitValue : limitValue));
  const mayBeBroken = nowMs >= fromMs + limitValue;
  return {
    limit,
    unit: 'ms',
    observed: Math.max(0, timeline.seenAtMs - fromMs),
    limitValue,
    errorBound: errorMs,
    level: isBroken ? 'broken' : isNear ? 'near' : mayBeBroken ? 'undecided' : 'within',
    doubt: fromMessage ? 'counted-from-message' : null,
    ...lookAt(nextMs, timeline, nowMs),
  };
}

function unconfirmed(
  { limit, limitValue, warnAt }: LimitOf,
  timeline: Timeline,
  fromMs: number | null,
  observed: number,
  errorMs: number | null,
  nowMs: number,
): Reading {
  const mayBeBroken = fromMs === null || nowMs >= fromMs + limitValue;
  return {
    limit,
    unit: 'ms',
    observed,
    limitValue,
    errorBound: errorMs,
    level: mayBeBroken ? 'undecided' : 'within',
    doubt: 'turn-not-named',
    ...lookAt(fromMs === null ? nowMs : Math.ceil(fromMs + (warnAt ?? 1) * limitValue), timeline, nowMs),
  };
}

function lookAt(
  wantedMs: number,
  { retrievedAtMs }: Timeline,
  nowMs: number,
): Pick<Reading, 'lookAtMs' | 'needsRetrieve'> {
  const lookAtMs = retrievedAtMs === null ? wantedMs : Math.max(wantedMs, retrievedAtMs + RETRIEVE_SPACING_MS);
  return { lookAtMs, needsRetrieve: nowMs >= lookAtMs };
}
