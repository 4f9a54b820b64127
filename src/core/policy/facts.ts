import type { MatchSubject } from './match.js';
import type { Glimpse } from './observation.js';
import type { LimitName } from './policy.js';

/**
 * All that is remembered of one session between two looks. Plain JSON of about one to two kilobytes, whatever the session
 * does; of some more where scans come every few seconds. `observe` makes it from what was seen, `remember` adds what was said about it.
 */
export interface Facts {
  readonly subject: MatchSubject;
  /** Creation of the conversation, ms since the Unix epoch. */
  readonly createdAtMs: number | null;
  /** What all observations so far add up to. */
  readonly timeline: Timeline;
  /** The newest observations, oldest first, and the timeline before them: a late one can still take its place. */
  readonly recent: readonly Glimpse[];
  readonly base: Timeline | null;
  readonly marks: readonly Mark[];
}

/**
 * What a sequence of observations adds up to. Times are vendor time, ms since the Unix epoch.
 *
 * A *gap* is a time of over two scans between two observations: what happened in it is not known.
 */
export interface Timeline {
  /** Null: not known, or the session was absent from the lists. */
  readonly state: string | null;
  /** Last seen at all: when that read was sent. */
  readonly seenAtMs: number;
  /** First seen in this state since it was seen in another one: by then the read that showed it had come. */
  readonly stateSinceMs: number;
  /** When that read was sent; left out: at the same time. */
  readonly stateSinceSentMs?: number;
  /** The same, but a gap breaks it. */
  readonly unbrokenSinceMs: number;
  readonly unbrokenSinceSentMs?: number;
  /** Sum of the gaps since `stateSinceMs`, ms. */
  readonly gapsMs: number;
  /** Last seen in any other state than this one, by when that read was sent; null: never. */
  readonly otherAtMs: number | null;
  /** There was no gap between `otherAtMs` and `stateSinceMs`: we saw it change into this state. */
  readonly changeWatched: boolean;
  /** Last seen at rest (`completed`, `failed`), by when that read had come. */
  readonly restAtMs: number | null;
  /** Last retrieve. */
  readonly retrievedAtMs: number | null;
  /** Totals of the session as last known. */
  readonly credits: number | null;
  readonly tokens: number | null;
  /** The turn that is in flight, or paused; null at rest. */
  readonly turn: TurnFacts | null;
}

/** The current turn. Until a retrieve has named it, it may be one turn or several that followed each other unseen. */
export interface TurnFacts {
  /** Null: not named yet. */
  readonly key: string | null;
  /** Vendor's time of its user message; null when there is no usable one. */
  readonly startedAtMs: number | null;
  /** By then the read that showed it first had come. */
  readonly firstSeenMs: number;
  /** When that read was sent; left out: at the same time. */
  readonly firstSeenSentMs?: number;
  /** Last look at the session before `firstSeenMs`. */
  readonly lookedBeforeMs: number | null;
  /** There was no gap between the two. */
  readonly startWatched: boolean;
  /** Last retrieve that showed this key, by when it was sent. */
  readonly confirmedAtMs: number | null;
  readonly userMessages: number | null;
  readonly credits: Meter;
  readonly tokens: Meter;
}

/** Totals of the session while one turn was seen. The vendor has no usage per turn: the turn's is a difference. */
export interface Meter {
  readonly last: number | null;
  /** Highest so far. Totals do not fall; while they do, nothing can be said. */
  readonly peak: number | null;
  /** Certainly not less than what earlier turns had used. */
  readonly baseline: number | null;
  readonly baselineAtMs: number | null;
  /** The baseline was taken at the start of the turn (within two scans), so the difference is the turn's usage. */
  readonly fromStart: boolean;
  /** Last total seen before the turn was. */
  readonly before: number | null;
  /** What was last seen by the time a retrieve showed the turn's key: that much is certainly this turn's total. */
  readonly confirmed: number | null;
}

/** What was said about one limit of one policy. It holds for one scope, see `scopeOf`, and goes with it. */
export interface Mark {
  readonly policy: string;
  readonly limit: LimitName;
  /** As it was then: a changed limit is another one. */
  readonly limitValue: number;
  readonly scope: string;
  readonly warnedAtMs: number | null;
  /** When the limit was first seen broken: grace counts from here. */
  readonly brokenAtMs: number | null;
  /** When `cancel` was first said, in either mode. */
  readonly cancelSaidAtMs: number | null;
}
