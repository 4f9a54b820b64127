import type { Timeline, TurnFacts } from './facts.js';

/** Since when a turn is in its present state (`processing` or `queued`), for certain. */
export interface StateClock {
  /** Vendor time, ms. Time that was not watched is taken off by setting it later. */
  readonly fromMs: number;
  /** By how much it may be longer, ms; null: can't be told. */
  readonly errorMs: number | null;
  /** Counted from the vendor's message time, because we did not watch the start: see `Doubt`. */
  readonly fromMessage: boolean;
}

/** A retrieve has named the turn since the state was last seen to begin or to be interrupted. */
export function isConfirmed(timeline: Timeline): timeline is Timeline & { turn: ConfirmedTurn } {
  const { turn, unbrokenSinceMs, unbrokenSinceSentMs = unbrokenSinceMs } = timeline;
  return turn !== null && turn.confirmedAtMs !== null && turn.confirmedAtMs >= unbrokenSinceSentMs;
}

export type ConfirmedTurn = TurnFacts & { readonly key: string; readonly confirmedAtMs: number };

/**
 * The latest moment at which a named turn can have come into its present state.
 *
 * Its message time is the start, corrected by what we saw: a turn that was seen in another state after its message, or that
 * was not in flight at our last look, counts from our first sight of it in this state. Only where nobody watched does the
 * message time stand alone.
 *
 * @param gapMs - longest time between two observations over which a state counts as unbroken
 */
export function certainStart(
  timeline: Timeline,
  turn: TurnFacts,
  createdAtMs: number | null,
  gapMs: number,
): StateClock {
  const { stateSinceMs, stateSinceSentMs = stateSinceMs, otherAtMs, changeWatched, gapsMs } = timeline;
  const { unbrokenSinceMs, unbrokenSinceSentMs = unbrokenSinceMs } = timeline;
  const messageAtMs = turn.startedAtMs;
  const watched = (fromMs: number, earliestMs: number | null): StateClock => ({
    fromMs: fromMs + gapsMs,
    errorMs: earliestMs === null ? null : Math.max(0, fromMs + gapsMs - earliestMs),
    fromMessage: false,
  });

  if (messageAtMs === null) {
    return watched(Math.max(turn.firstSeenMs, stateSinceMs), latest(otherAtMs, createdAtMs));
  }
  if (messageAtMs > stateSinceSentMs) {
    // The turn followed another one unseen, or a steering message. Some look within a gap's length found it in this state.
    const fromMs = Math.max(stateSinceMs, Math.min(turn.firstSeenMs, messageAtMs + gapMs));
    return unbrokenSinceSentMs <= messageAtMs
      ? { fromMs, errorMs: fromMs - messageAtMs, fromMessage: false }
      : { fromMs: messageAtMs, errorMs: Math.max(0, unbrokenSinceMs - messageAtMs), fromMessage: true };
  }
  if (otherAtMs !== null && otherAtMs >= messageAtMs) return watched(stateSinceMs, otherAtMs);
  if (changeWatched) return watched(stateSinceMs, messageAtMs);
  return { fromMs: messageAtMs, errorMs: stateSinceMs - messageAtMs, fromMessage: true };
}

/**
 * The earliest moment from which a turn that is not confirmed may count, so that nobody needs to look before. A turn is
 * not older than the last sight of its session in another state, than its session, nor than the turn before it.
 *
 * @returns vendor time, ms; null when nothing is known
 */
export function earliestStart(timeline: Timeline, createdAtMs: number | null): number | null {
  const { turn, stateSinceMs, otherAtMs, changeWatched, gapsMs } = timeline;
  const knownTurnMs = turn === null || turn.key === null ? null : (turn.startedAtMs ?? turn.firstSeenMs);
  if (changeWatched) return Math.max(stateSinceMs, knownTurnMs ?? stateSinceMs) + gapsMs;
  return latest(otherAtMs, knownTurnMs, createdAtMs);
}

function latest(...times: readonly (number | null)[]): number | null {
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.max(...known);
}
