import type { Timeline, TurnFacts } from './facts.js';
import { confirmMeter, readMeter, startMeter } from './meter.js';
import { shownByMs, type Glimpse, type TurnSight } from './observation.js';
import { flightOf } from './state.js';

/**
 * Which turn it is after the next observation.
 *
 * - At rest there is none: whatever is in flight after that is a new turn, and nothing of the old one is charged to it.
 * - A list can't name a turn. In flight after rest it is a new one without a name; otherwise the one that was there is
 *   presumed to go on, until a retrieve says which it is.
 * - A pause (approval, unknown state, absence) ends no turn that has a name: it may resume without a new message.
 */
export function turnAfter(before: Timeline | null, glimpse: Glimpse, gapMs: number): TurnFacts | null {
  const flight = flightOf(glimpse.state);
  if (flight === 'at-rest') return null;

  const current = before?.turn ?? null;
  if (glimpse.turn === null) {
    if (flight === 'unclear') return current?.key == null ? null : current;
    return current === null ? firstSight(before, glimpse, gapMs) : read(current, glimpse);
  }
  const isSame = before !== null && current !== null && shows(current, glimpse.turn, before, glimpse.atMs, gapMs);
  const turn = isSame ? read(current, glimpse) : firstSight(before, glimpse, gapMs);
  return confirm(turn, glimpse.turn, before, glimpse.atMs, gapMs, current);
}

/**
 * A read that shows an older turn than the one that another read showed a moment ago lags behind: it is no news.
 * Longer after that the transcript must have changed, and the turn it shows is taken as one of unknown start.
 */
export function isLagging(turn: TurnFacts | null, { turn: sight, atMs }: Glimpse, gapMs: number): boolean {
  if (turn === null || turn.confirmedAtMs === null || sight === null) return false;
  return atMs - turn.confirmedAtMs <= gapMs && isOlder(sight, turn);
}

function isOlder(sight: TurnSight, turn: TurnFacts): boolean {
  if (sight.key === turn.key) return false;
  if (sight.startedAtMs !== null && turn.startedAtMs !== null) return sight.startedAtMs < turn.startedAtMs;
  return turn.userMessages !== null && sight.userMessages < turn.userMessages;
}

/** Whether the turn that a retrieve shows is the one we have. */
function shows(turn: TurnFacts, sight: TurnSight, before: Timeline, atMs: number, gapMs: number): boolean {
  // Its message came before we saw it: no other turn can have begun since, or that one's message would be the last.
  if (turn.key === null)
    return sight.startedAtMs !== null && sight.startedAtMs <= (turn.firstSeenSentMs ?? turn.firstSeenMs);
  if (turn.key !== sight.key) return false;
  if (sight.userMessages > 0) return true;
  // Without a user message every turn has the same key. Only unbroken sight says that it is still the same turn.
  return flightOf(before.state) === 'in-flight' && atMs - before.seenAtMs <= gapMs;
}

function firstSight(before: Timeline | null, glimpse: Glimpse, gapMs: number): TurnFacts {
  const { atMs, credits, tokens } = glimpse;
  const byMs = shownByMs(glimpse);
  return {
    key: null,
    startedAtMs: null,
    firstSeenMs: byMs,
    ...(byMs === atMs ? {} : { firstSeenSentMs: atMs }),
    lookedBeforeMs: before?.seenAtMs ?? null,
    startWatched: before !== null && atMs - before.seenAtMs <= gapMs,
    confirmedAtMs: null,
    userMessages: null,
    credits: startMeter(credits, before?.credits ?? null, byMs),
    tokens: startMeter(tokens, before?.tokens ?? null, byMs),
  };
}

const read = (turn: TurnFacts, glimpse: Glimpse): TurnFacts => ({
  ...turn,
  credits: readMeter(turn.credits, glimpse.credits, shownByMs(glimpse)),
  tokens: readMeter(turn.tokens, glimpse.tokens, shownByMs(glimpse)),
});

function confirm(
  turn: TurnFacts,
  sight: TurnSight,
  before: Timeline | null,
  atMs: number,
  gapMs: number,
  previous: TurnFacts | null,
): TurnFacts {
  const startedAtMs = turn.key === null ? usableStart(sight, atMs, previous) : turn.startedAtMs;
  const restAtMs = before?.restAtMs ?? null;
  // The only message may belong to a turn that is over: turns can start without a user message.
  const isFirstTurn = sight.isFirst && (restAtMs === null || (startedAtMs !== null && startedAtMs > restAtMs));
  return {
    ...turn,
    key: sight.key,
    startedAtMs,
    confirmedAtMs: atMs,
    userMessages: sight.userMessages,
    credits: confirmMeter(turn.credits, startedAtMs, isFirstTurn, gapMs),
    tokens: confirmMeter(turn.tokens, startedAtMs, isFirstTurn, gapMs),
  };
}

/** A start that may be later than what was seen is none, nor is one before a turn that was there already: such a turn counts from its first sight. */
function usableStart(sight: TurnSight, atMs: number, previous: TurnFacts | null): number | null {
  if (sight.startedAtMs === null || sight.startedAtMs > atMs) return null;
  return previous !== null && previous.key !== null && isOlder(sight, previous) ? null : sight.startedAtMs;
}
