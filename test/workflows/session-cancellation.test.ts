import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CASE_QUERY, caseWorkflowId, type CaseStatus } from '../../src/core/contract.js';
import { createCases, type Cases } from '../../src/adapters/temporal/cases.js';
import type { sessionCancellation } from '../../workflows/session-cancellation.js';
import {
  attemptAfter,
  DONE,
  lookAfter,
  report,
  ScriptedActivities,
  settledOrder,
  sighting,
  tryAgain,
  watchAfter,
} from '../support/case-script.js';
import { until } from '../support/embedded-server.js';
import { scheduledActivities, searchAttributeUpserts, timers, updateCounts } from '../support/history.js';
import { OBTAIN_LIMIT_MS, startTemporal, type TestTemporal } from '../support/temporal.js';

const HOUR = 3_600_000;
const scripted = new ScriptedActivities();
let temporal: TestTemporal;
let cases: Cases;

beforeAll(async () => {
  temporal = await startTemporal({ activities: scripted.activities });
  cases = createCases(temporal.env.client, true);
}, OBTAIN_LIMIT_MS);

afterAll(async () => {
  await temporal.stop();
  // The SDK warns (TMPRL1102) when a workflow closes before its handlers have answered.
  expect(temporal.warnings.filter(({ message }) => message.includes('TMPRL'))).toEqual([]);
});

/** Something to wait for until somebody opens it. */
function latch(): { opened: Promise<void>; open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

const newSession = (): string => `sess_${randomUUID()}`;
const caseOf = (sessionId: string): WorkflowHandle<typeof sessionCancellation> =>
  temporal.env.client.workflow.getHandle(caseWorkflowId(sessionId));

/** Gives an order, as a command does it once the order is in the ledger. */
const order = (sessionId: string, orderId: string = randomUUID()) => cases.join(sessionId, orderId, 30_000);

/** Waits until the given attempt of the running activity waits for its next try. */
const untilBackingOff = (sessionId: string, nextAttempt = 2) =>
  until(async () => {
    const { raw } = await caseOf(sessionId).describe();
    return raw.pendingActivities?.[0]?.attempt === nextAttempt;
  });

describe('a case', () => {
  it('passes the gate, confirms, looks for a restart and reports, with the waits that each step asks for', async () => {
    const sessionId = newSession();
    const seen = sighting('failed', 'msg_1');
    scripted.play(sessionId, {
      cancelSession: () => lookAfter(110, 0),
      confirmCancellation: (_input, time) => (time === 1 ? lookAfter(120, 1, [seen]) : DONE),
      watchForRestart: (_input, time) => (time === 1 ? watchAfter(130, true) : { next: 'done' }),
    });

    await order(sessionId);

    expect(await caseOf(sessionId).result()).toEqual({ orders: [settledOrder(sessionId)] });
    expect(scripted.calls(sessionId).map(({ activity, input }) => ({ activity, input }))).toEqual([
      { activity: 'cancelSession', input: { sessionId } },
      { activity: 'confirmCancellation', input: { sessionId, look: 0, sightings: [] } },
      { activity: 'confirmCancellation', input: { sessionId, look: 1, sightings: [seen] } },
      { activity: 'watchForRestart', input: { sessionId, look: 0, queued: false } },
      { activity: 'watchForRestart', input: { sessionId, look: 1, queued: true } },
      { activity: 'reportCase', input: { sessionId, since: expect.stringMatching(/^\d{4}-.*Z$/) } },
    ]);
    expect(timers(await caseOf(sessionId).fetchHistory())).toEqual([110, 120, 130]);
  });

  it('goes back to the gate when confirming says so, after the wait that it asks for', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      cancelSession: (_input, time) => (time === 1 ? lookAfter(10, 0) : DONE),
      confirmCancellation: () => attemptAfter(140),
    });

    await order(sessionId);
    await caseOf(sessionId).result();

    expect(scripted.names(sessionId).slice(0, 3)).toEqual(['cancelSession', 'confirmCancellation', 'cancelSession']);
    expect(timers(await caseOf(sessionId).fetchHistory())).toEqual([10, 140]);
  });

  it('I2: tries a pass again for as long as it fails, however it fails', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      cancelSession: (_input, time) => {
        if (time <= 2) throw tryAgain('CancelFailed', 20);
        if (time === 3) throw new TypeError('a bug of ours');
        if (time === 4) throw tryAgain('RateLimited', 20);
        return DONE;
      },
    });

    await order(sessionId);
    await caseOf(sessionId).result();

    expect(scripted.calls(sessionId).map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 1, 1]);
    expect(scheduledActivities(await caseOf(sessionId).fetchHistory())).toEqual([
      'cancelSession',
      'watchForRestart',
      'reportCase',
    ]);
  });

  it('still reports when looking for a restart is not possible', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      watchForRestart: () => {
        throw ApplicationFailure.nonRetryable('The looks are used up.');
      },
    });

    await order(sessionId);

    expect((await caseOf(sessionId).result()).orders).toHaveLength(1);
  });
});

describe('an order that joins', () => {
  it('cuts the wait before the next try short', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      cancelSession: (_input, time) => {
        if (time === 1) throw tryAgain('CancelFailed', HOUR);
        return DONE;
      },
    });
    await order(sessionId);
    await untilBackingOff(sessionId);

    await order(sessionId);
    await caseOf(sessionId).result();

    // A pass of its own, from attempt 1: not the one that waits for an hour.
    expect(scripted.calls(sessionId).map(({ activity, attempt }) => `${activity} ${attempt}`)).toEqual([
      'cancelSession 1',
      'cancelSession 1',
      'watchForRestart 1',
      'reportCase 1',
    ]);
  });

  it('I3: waits for the pass that is under way instead of starting one beside it', async () => {
    const sessionId = newSession();
    let underWay = 0;
    let most = 0;
    const { opened, open } = latch();
    scripted.play(sessionId, {
      cancelSession: async () => {
        underWay += 1;
        most = Math.max(most, underWay);
        await opened;
        underWay -= 1;
        return lookAfter(10, 0);
      },
    });
    await order(sessionId);
    await until(() => underWay === 1);

    await order(sessionId);
    await order(sessionId);
    // Time for a second pass to start, if it would.
    await sleep(500);
    open();
    await caseOf(sessionId).result();

    expect(most).toBe(1);
    // The pass that was under way was not lost: its answer led to the confirming read.
    expect(scripted.names(sessionId).slice(0, 2)).toEqual(['cancelSession', 'confirmCancellation']);
  });

  it('sends nothing again while its case confirms', async () => {
    const sessionId = newSession();
    const { opened, open } = latch();
    scripted.play(sessionId, {
      cancelSession: (_input, time) => (time === 1 ? lookAfter(10, 0) : DONE),
      confirmCancellation: (_input, time) => (time === 1 ? opened.then(() => lookAfter(10, 1)) : DONE),
    });
    await order(sessionId);
    await until(() => scripted.times(sessionId, 'confirmCancellation') === 1);

    await order(sessionId);
    open();
    await caseOf(sessionId).result();

    // Only after the confirming reads does the case ask whether an order is left.
    expect(scripted.names(sessionId)).toEqual([
      'cancelSession',
      'confirmCancellation',
      'confirmCancellation',
      'watchForRestart',
      'reportCase',
      'cancelSession',
      'watchForRestart',
      'reportCase',
    ]);
  });

  it('is carried out when it comes while the case only looks for a restart', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      watchForRestart: (_input, time) => (time === 1 ? watchAfter(HOUR) : { next: 'done' }),
    });
    await order(sessionId);
    await until(async () => (await caseOf(sessionId).query<CaseStatus>(CASE_QUERY)).phase === 'watching-for-restart');

    await order(sessionId);
    await caseOf(sessionId).result();

    expect(scripted.names(sessionId)).toEqual([
      'cancelSession',
      'watchForRestart',
      'reportCase',
      'cancelSession',
      'watchForRestart',
      'reportCase',
    ]);
  });

  it('is carried out when it comes while the case reports', async () => {
    const sessionId = newSession();
    const { opened, open } = latch();
    scripted.play(sessionId, {
      reportCase: async (_input, time) => {
        if (time === 1) await opened;
        return report(settledOrder(sessionId));
      },
    });
    await order(sessionId);
    await until(() => scripted.times(sessionId, 'reportCase') === 1);

    await order(sessionId);
    open();
    await caseOf(sessionId).result();

    expect(scripted.times(sessionId, 'cancelSession')).toBe(2);
  });

  it('I2: is never lost at the end of a case, at whatever moment it comes', async () => {
    const sessionId = newSession();
    // The ledger in small: an order is written first, then joins; a pass settles what is open when it begins.
    const open = new Set<string>();
    scripted.play(sessionId, {
      cancelSession: () => {
        open.clear();
        return DONE;
      },
    });
    for (let round = 0; round < 25; round += 1) {
      const orderId = `order_${round}`;
      open.add(orderId);
      expect(await order(sessionId, orderId)).toBe('joined');
      await until(() => !open.has(orderId));
      // Spread over the short life of the case behind its last pass, and beyond its end.
      await sleep(round * 20);
    }
    await caseOf(sessionId).result();
    expect(open.size).toBe(0);
  });

  it('is answered, each one, before the case closes', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      cancelSession: async () => {
        await sleep(300);
        return DONE;
      },
    });

    await Promise.all(Array.from({ length: 12 }, () => order(sessionId)));
    await caseOf(sessionId).result();

    const { accepted, completed } = updateCounts(await caseOf(sessionId).fetchHistory());
    expect(accepted).toBeGreaterThan(0);
    expect(completed).toBe(accepted);
  });

  it('counts once when it joins twice', async () => {
    const sessionId = newSession();
    const { opened, open } = latch();
    scripted.play(sessionId, { cancelSession: () => opened.then(() => DONE) });

    await order(sessionId, 'order_1');
    await order(sessionId, 'order_1');

    expect((await caseOf(sessionId).query<CaseStatus>(CASE_QUERY)).orderIds).toEqual(['order_1']);
    open();
    await caseOf(sessionId).result();
  });
});

describe('an operator', () => {
  it('has the next try made now by retryNow', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      cancelSession: (_input, time) => {
        if (time === 1) throw tryAgain('AccountRefused', HOUR);
        return DONE;
      },
    });
    await order(sessionId);
    await untilBackingOff(sessionId);

    expect(await cases.retryNow(sessionId)).toBe(true);
    await caseOf(sessionId).result();

    expect(scripted.times(sessionId, 'cancelSession')).toBe(2);
  });

  it('sends nothing again by retryNow while the case confirms', async () => {
    const sessionId = newSession();
    const { opened, open } = latch();
    scripted.play(sessionId, {
      cancelSession: () => lookAfter(10, 0),
      confirmCancellation: () => opened.then(() => DONE),
    });
    await order(sessionId);
    await until(() => scripted.times(sessionId, 'confirmCancellation') === 1);

    expect(await cases.retryNow(sessionId)).toBe(true);
    open();
    await caseOf(sessionId).result();

    expect(scripted.times(sessionId, 'cancelSession')).toBe(1);
  });

  it('is told by retryNow that no case is open', async () => {
    expect(await cases.retryNow(newSession())).toBe(false);
  });

  it.each([
    ['waits for the next try', { cancelSession: () => Promise.reject(tryAgain('CancelFailed', HOUR)) }],
    ['waits for a confirming read', { cancelSession: () => lookAfter(HOUR, 0) }],
    ['looks for a restart', { watchForRestart: () => watchAfter(HOUR) }],
  ])('can cancel a case in Temporal while it %s', async (_when, script) => {
    const sessionId = newSession();
    scripted.play(sessionId, script);
    await order(sessionId);
    await until(() => scripted.calls(sessionId).length === ('watchForRestart' in script ? 2 : 1));

    await caseOf(sessionId).cancel();

    const failure: unknown = await caseOf(sessionId)
      .result()
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(WorkflowFailedError);
    expect((failure as WorkflowFailedError).cause).toBeInstanceOf(CancelledFailure);
    // The order is still in the ledger: the next join takes it up.
    scripted.play(sessionId, {});
    await order(sessionId);
    await caseOf(sessionId).result();
  });
});

describe('what Temporal shows of a case', () => {
  it('is its phase, its orders and a sentence, by the query `case`', async () => {
    const sessionId = newSession();
    const { opened, open } = latch();
    scripted.play(sessionId, {
      cancelSession: (_input, time) => {
        if (time === 1) throw tryAgain('CancelFailed', HOUR);
        return lookAfter(10, 0);
      },
      confirmCancellation: () => opened.then(() => DONE),
    });
    const status = () => caseOf(sessionId).query<CaseStatus>(CASE_QUERY);
    await order(sessionId, 'order_1');
    await untilBackingOff(sessionId);
    expect(await status()).toEqual({
      sessionId,
      phase: 'attempting',
      orderIds: ['order_1'],
      note: expect.stringContaining('gate'),
    });

    await cases.retryNow(sessionId);
    await until(async () => (await status()).phase === 'confirming');
    expect((await status()).note).toContain('look 1');

    open();
    await caseOf(sessionId).result();
    expect(await status()).toMatchObject({ phase: 'settled', note: 'Closed: cancelled.' });
  });

  it('holds at most the last 50 orders, however many join', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, { watchForRestart: (_input, time) => (time < 60 ? watchAfter(HOUR) : { next: 'done' }) });
    for (let number = 1; number <= 60; number += 1) await order(sessionId, `order_${number}`);

    const { orderIds } = await caseOf(sessionId).query<CaseStatus>(CASE_QUERY);

    expect(orderIds).toHaveLength(50);
    expect(orderIds.at(-1)).toBe('order_60');
    await caseOf(sessionId).cancel();
  });

  it('are search attributes and a memo, so that cases can be listed and filtered', async () => {
    const sessionId = newSession();
    scripted.play(sessionId, {
      reportCase: () => report(settledOrder(sessionId, 'already-ended'), settledOrder(sessionId, 'cancelled')),
    });
    await order(sessionId);
    await caseOf(sessionId).result();

    const { searchAttributes, memo } = await caseOf(sessionId).describe();
    expect(searchAttributes).toMatchObject({
      CurfewSessionId: [sessionId],
      CurfewPhase: ['settled'],
      CurfewOutcome: ['cancelled'],
      CurfewAgentId: ['agent_test'],
    });
    expect(memo).toEqual({ sessionId, outcomes: ['already-ended', 'cancelled'], attempts: 1 });
    // Listing is eventually consistent.
    const found = async () => {
      const query = `CurfewSessionId = "${sessionId}" AND CurfewOutcome = "cancelled"`;
      const ids: string[] = [];
      for await (const { workflowId } of temporal.env.client.workflow.list({ query })) ids.push(workflowId);
      return ids;
    };
    await until(async () => (await found()).length > 0);
    expect(await found()).toEqual([caseWorkflowId(sessionId)]);
  });

  it('are no search attributes where the server does not know them', async () => {
    const sessionId = newSession();
    await createCases(temporal.env.client, false).join(sessionId, 'order_1', 30_000);
    await caseOf(sessionId).result();

    expect(searchAttributeUpserts(await caseOf(sessionId).fetchHistory())).toBe(0);
    const { searchAttributes, memo } = await caseOf(sessionId).describe();
    expect(Object.keys(searchAttributes).filter((name) => name.startsWith('Curfew'))).toEqual([]);
    expect(memo).toMatchObject({ sessionId, outcomes: ['cancelled'] });
  });
});
