import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../../activities/index.js';
import type { CaseResult, OrderResult, Outcome } from '../../src/core/contract.js';
import type { Step } from '../../src/engines/cases/case.js';
import type { WatchStep } from '../../src/engines/cases/restart-watch.js';
import type { Sighting } from '../../src/core/policy/sighting.js';

type Play<K extends keyof Activities> = (
  input: Parameters<Activities[K]>[0],
  /** How often this activity was run for the session, this time included. */
  time: number,
) => Awaited<ReturnType<Activities[K]>> | ReturnType<Activities[K]>;

/** What the activities of one case do. What is left out goes well at once. */
export type CaseScript = { readonly [K in keyof Activities]?: Play<K> };

/** One run of an activity. */
export interface Call {
  readonly activity: keyof Activities;
  readonly input: unknown;
  /** Attempt of this activity as Temporal counts them, from 1. */
  readonly attempt: number;
}

/** Typed fakes of the activities, so that a renamed activity breaks the tests at compile time. */
export class ScriptedActivities {
  readonly #scripts = new Map<string, CaseScript>();
  readonly #calls = new Map<string, Call[]>();

  /** Sets what happens in the case of a session. */
  play(sessionId: string, script: CaseScript): void {
    this.#scripts.set(sessionId, script);
  }

  /** What was run for a session so far, in order. */
  calls(sessionId: string): readonly Call[] {
    return this.#calls.get(sessionId) ?? [];
  }

  names(sessionId: string): string[] {
    return this.calls(sessionId).map(({ activity }) => activity);
  }

  times(sessionId: string, activity: keyof Activities): number {
    return this.calls(sessionId).filter((call) => call.activity === activity).length;
  }

  readonly activities: Activities = {
    cancelSession: (input) => this.#run('cancelSession', input, () => DONE),
    confirmCancellation: (input) => this.#run('confirmCancellation', input, () => DONE),
    watchForRestart: (input) => this.#run('watchForRestart', input, () => ({ next: 'done' })),
    reportCase: (input) => this.#run('reportCase', input, ({ sessionId }) => report(settledOrder(sessionId))),
  };

  async #run<K extends keyof Activities>(
    activity: K,
    input: Parameters<Activities[K]>[0],
    otherwise: Play<K>,
  ): Promise<Awaited<ReturnType<Activities[K]>>> {
    const { sessionId } = input;
    const calls = this.#calls.get(sessionId) ?? [];
    this.#calls.set(sessionId, calls);
    calls.push({ activity, input, attempt: Context.current().info.attempt });
    const play: Play<K> = this.#scripts.get(sessionId)?.[activity] ?? otherwise;
    return await play(input, this.times(sessionId, activity));
  }
}

export const DONE: Step = { next: 'done' };
export const attemptAfter = (afterMs: number): Step => ({ next: 'attempt', afterMs });
export const lookAfter = (afterMs: number, look: number, sightings: readonly Sighting[] = []): Step => ({
  next: 'look',
  afterMs,
  look,
  sightings,
});
export const watchAfter = (afterMs: number, queued = false): WatchStep => ({ next: 'look', afterMs, queued });

/** What a pass through the gate throws when it has to be done again after a wait. */
export const tryAgain = (type: string, afterMs: number): ApplicationFailure =>
  ApplicationFailure.create({ type, message: `${type}: nothing was ended.`, nextRetryDelay: afterMs });

/** A sighting of a turn, for steps that carry some along. */
export const sighting = (state: string, turnKey: string): Sighting => ({
  missing: false,
  state,
  turnKey,
  turnStartedAtMs: Date.parse('2026-03-02T08:00:00Z'),
  earlierTurns: [],
  atMs: Date.parse('2026-03-02T09:00:00Z'),
});

export function settledOrder(sessionId: string, outcome: Outcome = 'cancelled'): OrderResult {
  return {
    sessionId,
    agentId: 'agent_test',
    turnKey: 'msg_1',
    outcome,
    attribution: outcome === 'cancelled' ? 'strong' : null,
    reason: { text: 'a test', policy: null, policyVersion: null, limit: null, observed: null },
    requestedBy: 'someone@example.com',
    attempts: 1,
    orderedAt: '2026-03-02T09:00:00.000Z',
    endedAt: '2026-03-02T09:00:04.000Z',
    lastError: null,
    events: [],
  };
}

export const report = (...orders: OrderResult[]): CaseResult => ({ orders });
