import { flightOf } from './state.js';
import { currentTurn, type Transcript, type Turn } from './turn.js';

/**
 * What one read showed of a session. Small and plain, because it travels through Temporal between the steps of a case.
 */
export interface Sighting {
  /** The session answered 404. The other fields are null then. */
  readonly missing: boolean;
  /** Vendor's state in lower case; unknown values and null are kept. */
  readonly state: string | null;
  readonly turnKey: string | null;
  /** Vendor's time of the turn's user message, ms since the Unix epoch. */
  readonly turnStartedAtMs: number | null;
  /** The turns before the last one, oldest first; as many as a {@link Transcript} keeps. */
  readonly earlierTurns: readonly Turn[];
  /** Vendor's time of the read, ms since the Unix epoch. */
  readonly atMs: number;
}

export function sightingOf(
  session: { readonly state: string | null; readonly transcript: Transcript },
  atMs: number,
): Sighting {
  const turn = currentTurn(session.transcript);
  return {
    missing: false,
    state: session.state,
    turnKey: turn.key,
    turnStartedAtMs: turn.startedAtMs,
    earlierTurns: session.transcript.turns.slice(0, -1),
    atMs,
  };
}

export const missingSighting = (atMs: number): Sighting => ({
  missing: true,
  state: null,
  turnKey: null,
  turnStartedAtMs: null,
  earlierTurns: [],
  atMs,
});

/** A turn that an order is to end, as the order knows it. */
export interface OrderedTurn {
  /** Null when the order is known to be older than any turn that a read has shown. */
  readonly key: string | null;
  readonly startedAtMs: number | null;
  /** Nobody can tell whether the last turn is the ordered one. Then it is not ended, and not called over either. */
  readonly unidentified?: true;
}

/**
 * What a sighting says about one ordered turn.
 *
 * - `missing`: the session was not there
 * - `in-flight`, `completed`, `failed`, `unclear`: the ordered turn is the last one, and so it stands
 * - `newer-in-flight`, `newer-at-rest`, `newer-unclear`: another turn is the last one, so the ordered one is over
 * - `stale`: the read showed an older turn than the ordered one, so it is no news
 */
export type View =
  | 'missing'
  | 'in-flight'
  | 'completed'
  | 'failed'
  | 'unclear'
  | 'newer-in-flight'
  | 'newer-at-rest'
  | 'newer-unclear'
  | 'stale';

export function viewOf(sighting: Sighting, turn: OrderedTurn): View {
  if (sighting.missing) return 'missing';
  const flight = flightOf(sighting.state);
  if (turn.unidentified === true && flight !== 'at-rest') return 'unclear';
  if (sighting.turnKey !== turn.key) {
    const older =
      turn.startedAtMs !== null && sighting.turnStartedAtMs !== null && sighting.turnStartedAtMs < turn.startedAtMs;
    return older ? 'stale' : `newer-${flight}`;
  }
  if (flight === 'at-rest') return sighting.state === 'completed' ? 'completed' : 'failed';
  return flight;
}
