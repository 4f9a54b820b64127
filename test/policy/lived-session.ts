import { assess, type Verdict } from '../../src/core/policy/assess.js';
import type { Facts } from '../../src/core/policy/facts.js';
import { absentFromLists, fromListItem, fromRetrieve, type Observation } from '../../src/core/policy/observation.js';
import { observe } from '../../src/core/policy/observe.js';
import type { Policy } from '../../src/core/policy/policy.js';
import { remember } from '../../src/core/policy/remember.js';
import { SCAN, session, T0, user } from './observing.js';
import { transcriptOf } from '../../src/core/policy/turn.js';

/** A piece of a session's true life. Times are ms after {@link T0}. */
export interface Piece {
  readonly state: 'queued' | 'processing' | 'approval_required' | 'completed';
  readonly lastsMs: number;
  /** A user message comes at its beginning: a new turn, or steering. */
  readonly message: boolean;
  readonly creditsPerSecond: number;
}

export interface Moment {
  readonly state: Piece['state'];
  readonly turnKey: string;
  readonly messages: readonly { readonly id: string; readonly at: number }[];
  readonly credits: number;
  /** Of the turn, in its present state, with no other state between. */
  readonly turnInStateMs: number;
  /** Whatever the turn. */
  readonly inStateMs: number;
  readonly turnCredits: number;
}

/** What is true at a moment: the oracle that verdicts are held against. */
export function truthAt(life: readonly Piece[], at: number): Moment {
  let clock = 0;
  let credits = 0;
  let creditsBefore = 0;
  let turnStateSince = 0;
  let stateSince = 0;
  const messages: { id: string; at: number }[] = [];
  for (const [index, piece] of life.entries()) {
    const changes = life[index - 1]?.state !== piece.state;
    if (piece.message) {
      messages.push({ id: `m${messages.length + 1}`, at: clock });
      creditsBefore = credits;
    }
    if (changes) stateSince = clock;
    if (changes || piece.message) turnStateSince = clock;
    const here = Math.min(piece.lastsMs, at - clock);
    if (piece.state === 'processing') credits += (piece.creditsPerSecond * here) / 1_000;
    if (clock + piece.lastsMs > at || index === life.length - 1) {
      return {
        state: piece.state,
        turnKey: messages.at(-1)?.id ?? 'none',
        messages,
        credits,
        turnInStateMs: at - turnStateSince,
        inStateMs: at - stateSince,
        turnCredits: credits - creditsBefore,
      };
    }
    clock += piece.lastsMs;
  }
  throw new Error('a life has at least one piece');
}

export const lengthOf = (life: readonly Piece[]): number => life.reduce((sum, { lastsMs }) => sum + lastsMs, 0);

const usageOf = (credits: number) => ({ creditCost: credits, inputTokens: null, outputTokens: null });

/** When a read was sent and when its answer came: what it shows was so between the two. */
interface Read {
  readonly sentAt: number;
  readonly arrivedAt: number;
}

const atOnce = (at: number): Read => ({ sentAt: at, arrivedAt: at });

export const listItem = (life: readonly Piece[], at: number, read = atOnce(at)): Observation => {
  const { state, credits } = truthAt(life, at);
  return fromListItem(session(state, { usage: usageOf(credits) }), T0 + read.sentAt, T0 + read.arrivedAt);
};

export const retrieve = (life: readonly Piece[], at: number, read = atOnce(at)): Observation => {
  const { state, credits, messages } = truthAt(life, at);
  const heads = messages.map(({ id, at: sentAt }) => user(id, T0 + sentAt));
  const shown = session(state, { usage: usageOf(credits), transcript: transcriptOf(heads) });
  return fromRetrieve(shown, T0 + read.sentAt, T0 + read.arrivedAt);
};

export interface Said {
  readonly at: number;
  /** Of the read that the verdict rests on. */
  readonly confirmedAt: number;
  readonly verdict: Verdict;
}

export interface Watch {
  readonly said: readonly Said[];
  readonly retrieves: number;
  readonly facts: Facts | null;
}

/**
 * Watches a session as the service does: scans (some of which fail), looks at the times that assessments ask for, a
 * retrieve where one asks for it, and one when the session leaves the lists.
 *
 * @param fails - whether the n-th scan fails
 * @param blind - changes what is seen, for example by taking something away
 */
export function watch(
  life: readonly Piece[],
  policies: readonly Policy[],
  fromMs: number,
  fails: (scan: number) => boolean,
  blind: (observation: Observation, index: number) => Observation = (observation) => observation,
): Watch {
  const said: Said[] = [];
  let facts: Facts | null = null;
  let retrieves = 0;
  let seen = 0;
  let listed = false;
  const endMs = lengthOf(life);

  const look = (observation: Observation): void => {
    facts = observe(facts, blind(observation, seen), SCAN);
    seen += 1;
  };
  const judge = (at: number, mayRetrieve: boolean): number | null => {
    if (facts === null) return null;
    const assessment = assess(facts, policies, T0 + at, SCAN);
    if (assessment.needsRetrieve && mayRetrieve) {
      retrieves += 1;
      look(retrieve(life, at));
      return judge(at, false);
    }
    facts = remember(facts, assessment);
    const confirmedAt = (facts.timeline.turn?.confirmedAtMs ?? NaN) - T0;
    for (const verdict of assessment.verdicts) said.push({ at, confirmedAt, verdict });
    return assessment.nextLookAt;
  };

  let nextScan = fromMs;
  let nextLook: number | null = null;
  let scan = 0;
  while (nextScan < endMs) {
    if (nextLook !== null && nextLook - T0 < nextScan) {
      const at = Math.max(nextLook - T0, nextScan - SCAN.scanMs + 1);
      const following = judge(at, true);
      nextLook = following !== null && following > T0 + at ? following : null;
      continue;
    }
    const at = nextScan;
    nextScan += SCAN.scanMs;
    scan += 1;
    if (fails(scan)) continue;
    const { state } = truthAt(life, at);
    if (state === 'processing' || state === 'queued') {
      look(listItem(life, at));
      listed = true;
    } else {
      look(absentFromLists(T0 + at));
      if (listed) {
        retrieves += 1;
        look(retrieve(life, at));
      }
      listed = false;
    }
    nextLook = judge(at, true);
  }
  return { said, retrieves, facts };
}
