import type { Assessment } from '../../core/policy/assess.js';
import type { Facts } from '../../core/policy/facts.js';
import { readLimits } from '../../core/policy/limits.js';
import { REORDERED_AT_MOST } from '../../core/policy/observe.js';
import type { Limits } from '../../core/policy/policy.js';
import { RETRIEVE_SPACING_MS } from '../../core/policy/reading.js';
import { flightOf } from '../../core/policy/state.js';
import { policyOf, timesOnly } from './limits.js';

/** Looks are never rarer, nor, but for deadlines, more frequent than this, ms. */
export const RAREST_LOOK_MS = 120_000;
const MOST_FREQUENT_LOOK_MS = 15_000;
/** How often to look for the first news of usage, ms. */
const NO_USAGE_YET_MS = 60_000;
/** A share of the shortest time limit: what happens unseen between two looks is a small part of it. */
const LOOKS_PER_LIMIT = 20;
/** So many times the pace seen is expected: agents speed up. */
const EXPECTED_PACE = 2;

/**
 * The longest time between two looks, ms: it is what a scan is to the fleet. A watch could sleep until its deadline; but what
 * it did not see it may not count: a wait for an approval is no run time, and unbroken processing has to be watched.
 */
export function scanMsOf(limits: Limits): number {
  const times = timesOnly(limits);
  const shortest = Math.min(
    times.max_runtime ?? Infinity,
    times.max_continuous_runtime ?? Infinity,
    times.max_queue_time ?? Infinity,
  );
  return clamp(shortest / LOOKS_PER_LIMIT, MOST_FREQUENT_LOOK_MS, RAREST_LOOK_MS);
}

/**
 * When to look again at a session in flight or paused: at the deadline to the moment, at half of the time in which usage would
 * come to its limit at the pace seen, and once a scan in any case.
 *
 * @param nowMs - vendor time, ms
 * @returns wait, ms
 */
export function nextLookIn(facts: Facts, limits: Limits, { nextLookAt }: Assessment, nowMs: number): number {
  const scanMs = scanMsOf(limits);
  const { state, seenAtMs, stateSinceMs } = facts.timeline;
  const deadlineInMs = nextLookAt === null ? Infinity : Math.max(RETRIEVE_SPACING_MS, nextLookAt - nowMs);
  // Its first sight of processing is where run time counts from; a long queue can wait.
  const leavesQueueIn =
    state === 'queued' ? clamp((seenAtMs - stateSinceMs) / 8, MOST_FREQUENT_LOOK_MS, scanMs) : Infinity;
  return Math.min(deadlineInMs, leavesQueueIn, usageLookIn(facts, limits), scanMs);
}

/** @returns wait, ms; Infinity without a limit on usage */
function usageLookIn(facts: Facts, limits: Limits): number {
  if (flightOf(facts.timeline.state) !== 'in-flight') return Infinity;
  const { max_credits, max_session_credits, max_tokens } = limits;
  const { turn, credits, tokens } = facts.timeline;
  const left = [
    { unit: 'credits' as const, left: minus(max_credits, minus(credits, turn?.credits.baseline ?? null)) },
    { unit: 'credits' as const, left: minus(max_session_credits, credits) },
    { unit: 'tokens' as const, left: minus(max_tokens, minus(tokens, turn?.tokens.baseline ?? null)) },
  ].filter((_, index) => [max_credits, max_session_credits, max_tokens][index] !== null);

  const waits = left.map(({ unit, left: amount }) => {
    if (amount === null) return NO_USAGE_YET_MS;
    const seen = paceOf(facts, unit);
    if (seen === null) return MOST_FREQUENT_LOOK_MS;
    if (amount <= 0) return MOST_FREQUENT_LOOK_MS;
    // One quiet minute says little: waits grow step by step.
    const atMost = clamp(2 * seen.lastGapMs, MOST_FREQUENT_LOOK_MS, RAREST_LOOK_MS);
    return clamp(amount / (EXPECTED_PACE * seen.perMs), MOST_FREQUENT_LOOK_MS, atMost);
  });
  return Math.min(Infinity, ...waits);
}

/** Pace of the newest sights; null when fewer than two tell the usage. */
function paceOf(
  { base, recent }: Facts,
  unit: 'credits' | 'tokens',
): { readonly perMs: number; readonly lastGapMs: number } | null {
  const sights = [...(base === null ? [] : [{ atMs: base.seenAtMs, total: base[unit] }])];
  for (const glimpse of recent) sights.push({ atMs: glimpse.atMs, total: glimpse[unit] });
  const known = sights.filter((sight): sight is { atMs: number; total: number } => sight.total !== null);
  const first = known.at(-1 - REORDERED_AT_MOST) ?? known[0];
  const [beforeLast, last] = [known.at(-2), known.at(-1)];
  if (first === undefined || beforeLast === undefined || last === undefined || last.atMs <= first.atMs) return null;
  return {
    perMs: Math.max(0, last.total - first.total) / (last.atMs - first.atMs),
    lastGapMs: last.atMs - beforeLast.atMs,
  };
}

/** When the first time limit of the turn is reached, vendor time in ms; null: not known, or no time limit counts now. */
export function deadlineOf(facts: Facts, limits: Limits): number | null {
  const readings = readLimits(facts, policyOf(timesOnly(limits)), facts.timeline.seenAtMs, scanMsOf(limits));
  const times = readings.flatMap(({ level, lookAtMs }) => (level === 'within' && lookAtMs !== null ? [lookAtMs] : []));
  return times.length === 0 ? null : Math.min(...times);
}

const minus = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : a - b);

const clamp = (value: number, least: number, most: number): number =>
  Math.round(Math.min(Math.max(value, least), most));
