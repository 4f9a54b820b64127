import type { Truth } from '../simulator/truth.js';
import { spreadOf, type Spread } from './figures.js';
import { deadlineOf, isViolator, type PlannedSession, type ViolatorKind } from './fleet.js';
import { requestsPerViolator, type RequestsBySession, type RequestsPerViolator } from './session-requests.js';

/** One violator: when its limit was reached, and when the first cancel request arrived; ms since the Unix epoch. */
export interface Violation {
  readonly sessionId: string;
  readonly kind: ViolatorKind;
  readonly deadlineAt: number;
  readonly askedAt: number | null;
}

/** Turns that reached their deadlines within one second. */
export interface BurstFigures {
  readonly turns: number;
  readonly asked: number;
  /** From the first deadline to the last, ms. */
  readonly dueWithinMs: number;
  /** Deadline of each to the arrival of the first cancel request for it. */
  readonly lagMs: Spread | null;
  /** From the first deadline to the moment at which each had been asked for; null: not all were. */
  readonly untilAllAskedMs: number | null;
}

export interface Judgement {
  readonly lagMs: {
    /** Deadline to the arrival of the first cancel request, of turns that crossed `max_runtime` while watched. */
    readonly runtime: Spread | null;
    /** The same for `max_credits`, which nobody can know but by looking. */
    readonly credits: Spread | null;
  };
  /** Null: there was none. */
  readonly burst: BurstFigures | null;
  readonly violators: {
    readonly total: number;
    readonly asked: number;
    readonly ended: number;
    readonly early: number;
  };
  readonly requestsPerViolator: RequestsPerViolator;
  readonly innocentsTouched: number;
  /** The most cancel requests that one turn got. */
  readonly mostCancelsOfOneSession: number;
  readonly violations: readonly Violation[];
}

/** Compares what was asked for with what the fleet was to do, by the simulator's record. */
export function judge(planned: readonly PlannedSession[], truth: Truth, requests: RequestsBySession): Judgement {
  const violations: Violation[] = [];
  const firstCancel = new Map<string, { readonly at: number; readonly requestId: string }>();
  const cancels = new Map<string, number>();
  for (const { sessionId, at, requestId } of truth.cancels) {
    if (!firstCancel.has(sessionId)) firstCancel.set(sessionId, { at, requestId });
    cancels.set(sessionId, (cancels.get(sessionId) ?? 0) + 1);
  }
  const endedByFirst: Violation[] = [];
  let [total, ended, innocentsTouched] = [0, 0, 0];
  for (const { kind, input } of planned) {
    const asked = firstCancel.get(input.id);
    if (!isViolator(kind)) {
      if (asked !== undefined) innocentsTouched += 1;
      continue;
    }
    total += 1;
    const turn = truth.sessions[input.id]?.turns.at(-1);
    if (turn?.startedAt == null) continue;
    const deadlineAt = deadlineOf(kind, turn.startedAt);
    const violation: Violation = { sessionId: input.id, kind, deadlineAt, askedAt: asked?.at ?? null };
    violations.push(violation);
    if (asked === undefined || turn.endedBy === null || typeof turn.endedBy !== 'object') continue;
    ended += 1;
    if (turn.endedBy.requestId === asked.requestId) endedByFirst.push(violation);
  }
  const lagsOf = (kind: ViolatorKind): number[] => lags(violations.filter((violation) => violation.kind === kind));
  const all = lags(violations);
  return {
    lagMs: { runtime: spreadOf(lagsOf('over-runtime')), credits: spreadOf(lagsOf('over-credits')) },
    burst: burstIn(violations.filter(({ kind }) => kind === 'burst')),
    violators: { total, asked: all.length, ended, early: all.filter((lag) => lag < 0).length },
    requestsPerViolator: requestsPerViolator(endedByFirst, requests),
    innocentsTouched,
    mostCancelsOfOneSession: Math.max(0, ...cancels.values()),
    violations,
  };
}

const lags = (violations: readonly Violation[]): number[] =>
  violations.flatMap(({ deadlineAt, askedAt }) => (askedAt === null ? [] : [askedAt - deadlineAt]));

function burstIn(burst: readonly Violation[]): BurstFigures | null {
  if (burst.length === 0) return null;
  const deadlines = burst.map(({ deadlineAt }) => deadlineAt);
  const first = Math.min(...deadlines);
  const askedAt = burst.flatMap((violation) => violation.askedAt ?? []);
  return {
    turns: burst.length,
    asked: askedAt.length,
    dueWithinMs: Math.round(Math.max(...deadlines) - first),
    lagMs: spreadOf(lags(burst)),
    untilAllAskedMs: askedAt.length < burst.length ? null : Math.round(Math.max(...askedAt) - first),
  };
}
