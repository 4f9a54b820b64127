import { assess } from '../policy/assess.js';
import { observe } from '../policy/observe.js';
import type { Observation } from '../policy/observation.js';
import { remember } from '../policy/remember.js';
import { consequencesOf, type Consequences } from './consequences.js';
import type { Tracked } from './fleet.js';
import type { RulesInForce } from './rules-in-force.js';

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
  const assessment = assess(session.facts, rules.policies, nowMs, {
    scanMs,
    exempt: exempt.has(session.sessionId),
    scanned: session.listed,
  });
  session.facts = remember(session.facts, assessment);
  session.lookAtMs = assessment.needsRetrieve ? nowMs : assessment.nextLookAt;
  return consequencesOf(session.sessionId, session.facts, assessment, rules);
}
