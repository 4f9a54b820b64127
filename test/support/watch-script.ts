import { ApplicationFailure } from '@temporalio/common';
import type { WatchActivities } from '../../activities/session-watch.js';
import type { WatchStatus } from '../../src/core/contract.js';
import type { WatchLook } from '../../src/engines/watch/look.js';

type Play<K extends keyof WatchActivities> = (
  input: Parameters<WatchActivities[K]>[0],
  /** How often this activity was run for the session, this time included. */
  time: number,
) => Awaited<ReturnType<WatchActivities[K]>> | ReturnType<WatchActivities[K]>;

/** What the activities of one watch do. What is left out goes well at once. */
export type WatchScript = { readonly [K in keyof WatchActivities]?: Play<K> };

/** Typed fakes of the activities of a watch, so that a renamed activity breaks the tests at compile time. */
export class ScriptedWatch {
  readonly #scripts = new Map<string, WatchScript>();
  readonly #calls = new Map<string, { activity: keyof WatchActivities; input: unknown }[]>();

  play(sessionId: string, script: WatchScript): void {
    this.#scripts.set(sessionId, script);
  }

  calls(sessionId: string): readonly { activity: keyof WatchActivities; input: unknown }[] {
    return this.#calls.get(sessionId) ?? [];
  }

  names(sessionId: string): string[] {
    return this.calls(sessionId).map(({ activity }) => activity);
  }

  readonly activities: WatchActivities = {
    registerWatch: (input) =>
      this.#run('registerWatch', (input.request as { sessionId: string }).sessionId, input, () => statusOf('any')),
    changeWatch: (input) =>
      this.#run('changeWatch', input.sessionId, input, () => ({ order: 'none', watch: statusOf(input.sessionId) })),
    lookAtWatch: (input) => this.#run('lookAtWatch', input.sessionId, input, () => over(input.sessionId)),
  };

  async #run<K extends keyof WatchActivities>(
    activity: K,
    sessionId: string,
    input: Parameters<WatchActivities[K]>[0],
    otherwise: Play<K>,
  ): Promise<Awaited<ReturnType<WatchActivities[K]>>> {
    const calls = this.#calls.get(sessionId) ?? [];
    this.#calls.set(sessionId, calls);
    calls.push({ activity, input });
    const play: Play<K> = this.#scripts.get(sessionId)?.[activity] ?? otherwise;
    return await play(input, calls.filter((call) => call.activity === activity).length);
  }
}

export const lookAgain = (sessionId: string, afterMs: number, more: Partial<WatchStatus> = {}): WatchLook => ({
  next: 'look',
  afterMs,
  status: statusOf(sessionId, more),
});

export const over = (sessionId: string, more: Partial<WatchStatus> = {}): WatchLook => ({
  next: 'done',
  status: statusOf(sessionId, {
    state: 'ended',
    ending: 'at-rest',
    phase: 'ended',
    nextLookAt: null,
    lastNote: 'At rest (completed).',
    closedAt: '2026-03-02T09:10:00.000Z',
    ...more,
  }),
});

export const invalid = (field: string): ApplicationFailure =>
  ApplicationFailure.nonRetryable(`${field} is wrong. Write it right.`, 'InvalidWatch', { field });

export const statusOf = (sessionId: string, more: Partial<WatchStatus> = {}): WatchStatus => ({
  sessionId,
  state: 'watching',
  ending: null,
  limits: { maxRuntime: '20m' },
  phase: 'watching',
  deadline: '2026-03-02T09:20:00.000Z',
  nextLookAt: '2026-03-02T09:01:00.000Z',
  turnKey: 'msg_1',
  lastNote: 'Processing, within its limits.',
  order: null,
  reason: null,
  requestedBy: 'someone@example.com',
  registeredAt: '2026-03-02T09:00:00.000Z',
  closedAt: null,
  closedBy: null,
  ...more,
});
