import type { Facts, Meter } from './facts.js';

/** A row is written at least so often while its session is seen, so that its usage never gets very old, ms. */
const REFRESH_MS = 10 * 60_000;

/**
 * Whether facts have changed in a way that the last scan of the agent can't stand for. Being listed again in the same state
 * has not: at 10,000 sessions that would be a row each for every scan.
 *
 * Usage that only rises is not stored either: the next list tells the total again.
 */
export function isWorthStoring(stored: Facts | null, facts: Facts): boolean {
  if (stored === null) return true;
  if (stored === facts) return false;
  if (facts.timeline.seenAtMs - stored.timeline.seenAtMs >= REFRESH_MS) return true;
  return JSON.stringify(essence(stored)) !== JSON.stringify(essence(facts));
}

function essence({ subject, createdAtMs, marks, timeline }: Facts): unknown {
  const { turn } = timeline;
  return [
    subject,
    createdAtMs,
    marks,
    timeline.state,
    timeline.stateSinceMs,
    timeline.unbrokenSinceMs,
    timeline.gapsMs,
    timeline.otherAtMs,
    timeline.restAtMs,
    timeline.retrievedAtMs,
    turn === null
      ? null
      : [turn.key, turn.firstSeenMs, turn.confirmedAtMs, ...base(turn.credits), ...base(turn.tokens)],
  ];
}

const base = ({ baseline, fromStart, confirmed }: Meter): unknown[] => [baseline, fromStart, confirmed];
