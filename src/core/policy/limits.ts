import type { Facts } from './facts.js';
import { SCANS_WITHOUT_GAP } from './observe.js';
import { LIMIT_NAMES, type LimitName, type Policy } from './policy.js';
import { flightOf } from './state.js';
import type { Reading } from './reading.js';
import { readContinuousTime, readTurnTime, type LimitOf } from './time-limits.js';
import { readSessionCredits, readTurnUsage } from './usage-limits.js';

/**
 * Where each limit of a policy stands for a session. Limits that its state can't break have no reading: nothing runs
 * while it waits, and nothing can be ended at rest or in a pause.
 *
 * @param nowMs - vendor time, ms
 * @param scanMs - time between two scans, ms
 */
export function readLimits(facts: Facts, policy: Policy, nowMs: number, scanMs: number): Reading[] {
  const readings: Reading[] = [];
  if (flightOf(facts.timeline.state) !== 'in-flight') return readings;
  for (const limit of LIMIT_NAMES) {
    const limitValue = policy.limits[limit];
    if (limitValue === null) continue;
    const reading = readLimit({ limit, limitValue, warnAt: policy.warnAt }, facts, nowMs, scanMs);
    if (reading !== null) readings.push(reading);
  }
  return readings;
}

function readLimit(of: LimitOf, facts: Facts, nowMs: number, scanMs: number): Reading | null {
  const { state } = facts.timeline;
  switch (of.limit) {
    case 'max_runtime':
      return state === 'processing' ? readTurnTime(of, facts, nowMs, SCANS_WITHOUT_GAP * scanMs) : null;
    case 'max_queue_time':
      return state === 'queued' ? readTurnTime(of, facts, nowMs, SCANS_WITHOUT_GAP * scanMs) : null;
    case 'max_continuous_runtime':
      return state === 'processing' ? readContinuousTime(of, facts, nowMs) : null;
    case 'max_credits':
      return readTurnUsage(of, 'credits', facts);
    case 'max_tokens':
      return readTurnUsage(of, 'tokens', facts);
    case 'max_session_credits':
      return readSessionCredits(of, facts);
  }
}

/**
 * What a statement about a limit is true for; with the scope it goes. Limits that a steering message can't reset must not
 * have their grace reset by one either.
 */
export function scopeOf(limit: LimitName, { timeline }: Facts): string {
  const { turn, unbrokenSinceMs, restAtMs } = timeline;
  switch (limit) {
    case 'max_continuous_runtime':
      return `run@${unbrokenSinceMs}`;
    case 'max_session_credits':
      return `rest@${restAtMs ?? 'never'}`;
    default:
      return turn === null ? 'no turn' : `${turn.key ?? '?'}@${turn.startedAtMs ?? turn.firstSeenMs}`;
  }
}
