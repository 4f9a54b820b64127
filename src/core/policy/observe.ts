import type { Facts, Timeline } from './facts.js';
import type { MatchSubject } from './match.js';
import { compareGlimpses, glimpseOf, type Glimpse, type Observation } from './observation.js';
import { extend } from './timeline.js';

export interface ObserveOptions {
  /** Time between two scans of the session's agent, ms. */
  readonly scanMs: number;
}

/** A gap is longer than this many scans: one missed scan is not one. */
export const SCANS_WITHOUT_GAP = 2;

/** So many of the newest observations can still change places, at least. */
export const REORDERED_AT_MOST = 4;
/** A read takes at most so long, ms; the lists of all scans meanwhile are newer than it. */
const LONGEST_READ_MS = 30_000;

/** The same where scans are that close: a slow read must still find its place, or its session would never be judged. */
const reorderedAtMost = (scanMs: number): number =>
  Math.max(REORDERED_AT_MOST, Math.ceil(LONGEST_READ_MS / scanMs) + 1);

/**
 * Adds an observation to what is known of a session.
 *
 * Observations may arrive late and twice: they count by their time, not by the order in which they come, and the same
 * observations give the same facts in any order, as long as none comes later than {@link reorderedAtMost} others that
 * are newer. One that comes later still is left out. So give each read of a session here soon, those at the gate too.
 *
 * @param facts - null at the first sight of the session
 * @returns the same object when nothing was new
 */
export function observe(facts: Facts | null, observation: Observation, { scanMs }: ObserveOptions): Facts {
  const gapMs = SCANS_WITHOUT_GAP * scanMs;
  const glimpse = glimpseOf(observation);
  if (facts === null) {
    return {
      subject: observation.subject,
      createdAtMs: observation.createdAtMs,
      timeline: extend(null, glimpse, gapMs),
      recent: [glimpse],
      base: null,
      marks: [],
    };
  }
  const place = placeOf(glimpse, facts);
  if (place === null) return facts;

  const isNewest = place === facts.recent.length;
  const recent = facts.recent.toSpliced(place, 0, glimpse);
  // The interval may have been shorter before.
  const settled = recent.splice(0, recent.length - reorderedAtMost(scanMs));
  const base = settled.reduce<Timeline | null>((before, one) => extend(before, one, gapMs), facts.base);
  return {
    ...facts,
    subject: isNewest
      ? knownSubject(observation.subject, facts.subject)
      : knownSubject(facts.subject, observation.subject),
    createdAtMs: facts.createdAtMs ?? observation.createdAtMs,
    timeline: isNewest ? extend(facts.timeline, glimpse, gapMs) : replay(base, recent, gapMs),
    recent,
    base,
  };
}

/** Where in `recent` it belongs; null when it is there already, or older than what can still change. */
function placeOf(glimpse: Glimpse, { base, recent }: Facts): number | null {
  if (base !== null && glimpse.atMs <= base.seenAtMs) return null;
  let place = recent.length;
  for (; place > 0; place -= 1) {
    const other = recent[place - 1];
    const order = other === undefined ? 1 : compareGlimpses(glimpse, other);
    if (order === 0) return null;
    if (order > 0) break;
  }
  return place;
}

function replay(base: Timeline | null, glimpses: readonly Glimpse[], gapMs: number): Timeline {
  const timeline = glimpses.reduce<Timeline | null>((before, glimpse) => extend(before, glimpse, gapMs), base);
  if (timeline === null) throw new Error('A timeline needs an observation.');
  return timeline;
}

/** What `first` does not know, `second` may. Lists leave out the team, for example. */
export function knownSubject(first: MatchSubject, other: MatchSubject | null): MatchSubject {
  const second = other ?? first;
  return {
    agentId: first.agentId ?? second.agentId,
    agentName: first.agentName ?? second.agentName,
    creatorId: first.creatorId ?? second.creatorId,
    creatorEmail: first.creatorEmail ?? second.creatorEmail,
    teamId: first.teamId ?? second.teamId,
  };
}
