import { assess } from '../../core/policy/assess.js';
import { observe } from '../../core/policy/observe.js';
import type { Observation } from '../../core/policy/observation.js';
import { remember } from '../../core/policy/remember.js';
import { flightOf } from '../../core/policy/state.js';
import { consequencesOf, type Consequences } from './consequences.js';
import type { Tracked } from './fleet.js';
import type { RulesInForce } from './rules-in-force.js';

/** Less than makes a gap. */
const LOOK_EVERY_SCANS = 1.5;

export interface JudgeContext {
  readonly rules: RulesInForce;
  /** Until when each exempt session is so; only who is in it matters here. */
  readonly exempt: ReadonlyMap<string, unknown>;
  /** Vendor time, ms. */
  readonly nowMs: number;
  /** Time between two scans of the session's agent, ms. */
  readonly scanMs: number;
}

/**
 * Takes note of what was seen, judges, and remembers what was said. All at once, with no wait in between, so that two
 * looks at the same session never overtake each other.
 *
 * @param seen - oldest first; empty: judge by what is known
 */
export function judgeSession(session: Tracked, seen: readonly Observation[], context: JudgeContext): Consequences {
  const { rules, scanMs, exempt } = context;
  for (const observation of seen) session.facts = observe(session.facts, observation, { scanMs });
  const nowMs = Math.max(context.nowMs, session.facts.timeline.seenAtMs);
  const isExempt = exempt.has(session.sessionId);
  if (isExempt) session.exemptAtMs = nowMs;
  const assessment = assess(session.facts, rules.policies, nowMs, {
    scanMs,
    exempt: isExempt,
    scanned: session.listed,
  });
  session.facts = remember(session.facts, assessment);
  const lookAtMs = assessment.needsRetrieve ? nowMs : nextLookOf(session, assessment.nextLookAt, scanMs);
  session.lookAtMs = lookAtMs === null ? null : Math.max(lookAtMs, session.putOffUntilMs ?? lookAtMs);
  return consequencesOf(session.sessionId, session.facts, assessment, rules);
}

/**
 * A session that runs though no list shows it is watched by looks alone. They must be close: a time that nobody watched
 * is a gap, and is not counted.
 */
function nextLookOf({ listed, facts: { timeline } }: Tracked, wantedMs: number | null, scanMs: number): number | null {
  if (listed || wantedMs === null || flightOf(timeline.state) !== 'in-flight') return wantedMs;
  return Math.min(wantedMs, timeline.seenAtMs + LOOK_EVERY_SCANS * scanMs);
}
