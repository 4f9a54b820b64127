import type { Timeline } from './facts.js';
import { shownByMs, type Glimpse } from './observation.js';
import { flightOf } from './state.js';
import { isLagging, turnAfter } from './turn-facts.js';

/**
 * Adds the next observation to a timeline. It is not older than the ones before: `observe` sees to that.
 *
 * @param gapMs - longest time between two observations over which a state counts as unbroken
 */
export function extend(before: Timeline | null, glimpse: Glimpse, gapMs: number): Timeline {
  const { atMs, state } = glimpse;
  const byMs = shownByMs(glimpse);
  if (before === null) return begin(glimpse, gapMs);

  const isGap = atMs - before.seenAtMs > gapMs;
  // Pages shift and sessions change state while lists are read: missing from one scan means nothing yet.
  if (glimpse.kind === 'absent' && !isGap && flightOf(before.state) === 'in-flight') return before;
  if (isLagging(before.turn, glimpse, gapMs)) return { ...before, retrievedAtMs: atMs };

  const stretch =
    state === before.state
      ? {
          stateSinceMs: before.stateSinceMs,
          ...(before.stateSinceSentMs === undefined ? {} : { stateSinceSentMs: before.stateSinceSentMs }),
          ...(isGap ? unbrokenSince(glimpse) : stillUnbroken(before)),
          gapsMs: isGap ? before.gapsMs + byMs - before.seenAtMs : before.gapsMs,
          otherAtMs: before.otherAtMs,
          changeWatched: before.changeWatched,
        }
      : {
          ...stateSince(glimpse),
          ...unbrokenSince(glimpse),
          gapsMs: 0,
          otherAtMs: before.seenAtMs,
          changeWatched: !isGap,
        };
  return {
    state,
    seenAtMs: atMs,
    ...stretch,
    restAtMs: flightOf(state) === 'at-rest' ? byMs : before.restAtMs,
    retrievedAtMs: glimpse.kind === 'retrieve' ? atMs : before.retrievedAtMs,
    credits: glimpse.credits ?? before.credits,
    tokens: glimpse.tokens ?? before.tokens,
    turn: turnAfter(before, glimpse, gapMs),
  };
}

function begin(glimpse: Glimpse, gapMs: number): Timeline {
  const { atMs, state, credits, tokens } = glimpse;
  return {
    state,
    seenAtMs: atMs,
    ...stateSince(glimpse),
    ...unbrokenSince(glimpse),
    gapsMs: 0,
    otherAtMs: null,
    changeWatched: false,
    restAtMs: flightOf(state) === 'at-rest' ? shownByMs(glimpse) : null,
    retrievedAtMs: glimpse.kind === 'retrieve' ? atMs : null,
    credits,
    tokens,
    turn: turnAfter(null, glimpse, gapMs),
  };
}

const isInstant = (glimpse: Glimpse): boolean => shownByMs(glimpse) === glimpse.atMs;

const stateSince = (glimpse: Glimpse): Pick<Timeline, 'stateSinceMs' | 'stateSinceSentMs'> => ({
  stateSinceMs: shownByMs(glimpse),
  ...(isInstant(glimpse) ? {} : { stateSinceSentMs: glimpse.atMs }),
});

const unbrokenSince = (glimpse: Glimpse): Pick<Timeline, 'unbrokenSinceMs' | 'unbrokenSinceSentMs'> => ({
  unbrokenSinceMs: shownByMs(glimpse),
  ...(isInstant(glimpse) ? {} : { unbrokenSinceSentMs: glimpse.atMs }),
});

const stillUnbroken = ({
  unbrokenSinceMs,
  unbrokenSinceSentMs,
}: Timeline): Pick<Timeline, 'unbrokenSinceMs' | 'unbrokenSinceSentMs'> => ({
  unbrokenSinceMs,
  ...(unbrokenSinceSentMs === undefined ? {} : { unbrokenSinceSentMs }),
});
