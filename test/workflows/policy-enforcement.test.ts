import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Worker } from '@temporalio/worker';
import type { EnforcementActivities, RoundOfWorker } from '../../activities/policy-enforcement.js';
import { fleetTaskQueue, POLICY_ENFORCEMENT, TASK_QUEUE } from '../../src/core/contract.js';
import type { policyEnforcement } from '../../workflows/policy-enforcement.js';
import { tryAgain } from '../support/case-script.js';
import { continuedAsNew, scheduledActivities, timers } from '../support/history.js';
import { OBTAIN_LIMIT_MS, startTemporal, type TestTemporal } from '../support/temporal.js';

/** What each round gives, by its number from 1, and which memory each was given. */
let play: (time: number) => RoundOfWorker;
let memories: (string | null)[];

const activities: EnforcementActivities = {
  enforcePolicies: ({ memory }) => {
    memories.push(memory);
    return Promise.resolve().then(() => play(memories.length));
  },
};
const REST: RoundOfWorker = { next: 'rest' };
const again = (memory: string | null, afterMs: number): Extract<RoundOfWorker, { next: 'round' }> => ({
  next: 'round',
  memory,
  afterMs,
});

let temporal: TestTemporal;
beforeAll(async () => {
  temporal = await startTemporal({ activities, suggestContinueAsNewAt: 40 });
}, OBTAIN_LIMIT_MS);
afterAll(() => temporal.stop());
beforeEach(() => {
  memories = [];
});

const start = () =>
  temporal.env.client.workflow.start<typeof policyEnforcement>(POLICY_ENFORCEMENT, {
    workflowId: `enforcement-${randomUUID()}`,
    taskQueue: TASK_QUEUE,
    args: [{ memory: null }],
  });

describe('the workflow that puts policies in force', () => {
  it('sleeps as long as each round says, and hands the memory on', async () => {
    const rounds = [again('a', 1_234.5), again('b', 0), again('c', 50), REST];
    play = (time) => rounds[time - 1] ?? REST;
    const handle = await start();
    await handle.result();
    expect(memories).toEqual([null, 'a', 'b', 'c']);
    const history = await handle.fetchHistory();
    expect(timers(history)).toHaveLength(2);
    const [first] = (history.events ?? []).flatMap((event) => event.timerStartedEventAttributes ?? []);
    const { seconds, nanos } = first?.startToFireTimeout ?? {};
    expect(Number(seconds) * 1_000 + Number(nanos) / 1e6).toBeCloseTo(1_234.5, 0);
  });

  it('closes when no policies are in force', async () => {
    play = () => REST;
    const handle = await start();
    await handle.result();
    expect((await handle.describe()).status.name).toBe('COMPLETED');
    expect(memories).toEqual([null]);
  });

  it('I10: does a round again that failed, at the time it asks for, and with the same memory', async () => {
    play = (time) => {
      if (time === 1) return again('a', 0);
      if (time <= 3) throw tryAgain('LedgerUnavailable', 20);
      if (time === 4) throw new Error('unforeseen');
      return REST;
    };
    const handle = await start();
    await handle.result();
    expect(memories).toEqual([null, 'a', 'a', 'a', 'a']);
    expect(scheduledActivities(await handle.fetchHistory())).toHaveLength(2);
  });

  it('I8: continues as new when the server suggests it, and keeps the memory', async () => {
    const rounds = 30;
    play = (time) => (time < rounds ? again(`memory-${time}`, 0) : REST);
    const handle = await start();
    const first = (await handle.describe()).runId;
    await handle.result();
    expect(memories).toEqual([null, ...Array.from({ length: rounds - 1 }, (_, n) => `memory-${n + 1}`)]);
    const history = await temporal.env.client.workflow.getHandle(handle.workflowId, first).fetchHistory();
    expect(continuedAsNew(history)).toBe(true);
    expect(history.events?.length).toBeLessThan(80);
    expect((await temporal.env.client.workflow.getHandle(handle.workflowId).describe()).runId).not.toBe(first);
  });

  it('gives the next round to the worker that remembers the fleet, across runs too', async () => {
    const taskQueue = fleetTaskQueue('remembers');
    let atHome = 0;
    const home = await Worker.create({
      connection: temporal.env.nativeConnection,
      taskQueue,
      activities: {
        enforcePolicies: ({ memory }: { memory: string | null }): RoundOfWorker => {
          atHome += 1;
          expect(memory).toBe(`memory-${atHome}`);
          return atHome < 30 ? { ...again(`memory-${atHome + 1}`, 0), taskQueue } : REST;
        },
      },
    });
    // On a machine that stands still for 5 s a round goes to any worker; the next one is at home again.
    play = () => ({ ...again(`memory-${atHome + 1}`, 0), taskQueue });
    await home.runUntil(async () => (await start()).result());
    expect(atHome).toBe(30);
    expect(memories[0]).toBeNull();
    expect(memories.length).toBeLessThan(5);
  });

  it('gives it to any worker when that one is gone', async () => {
    const rounds = [{ ...again('a', 0), taskQueue: fleetTaskQueue('gone') }];
    play = (time) => rounds[time - 1] ?? REST;
    await (await start()).result();
    expect(memories).toEqual([null, 'a']);
  });

  it.each([
    ['too old for the rules', () => tryAgain('RuleUnknown', 600_000)],
    ['cut off from the ledger', () => tryAgain('LedgerUnavailable', 600_000)],
    ['broken', () => new Error('unforeseen')],
  ])('I10: gives it to any worker at once when that one is %s', async (_what, failure) => {
    const taskQueue = fleetTaskQueue('broken');
    const home = await Worker.create({
      connection: temporal.env.nativeConnection,
      taskQueue,
      activities: {
        enforcePolicies: () => {
          throw failure();
        },
      },
    });
    const rounds = [{ ...again('a', 0), taskQueue }];
    play = (time) => rounds[time - 1] ?? REST;
    await home.runUntil(async () => (await start()).result());
    expect(memories).toEqual([null, 'a']);
  });
});
