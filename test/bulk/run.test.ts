import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/platform/clock.js';
import { HeldError } from '../../src/adapters/vendor/hold.js';
import type { Limiter } from '../../src/adapters/vendor/limiter.js';
import { createGate } from '../../src/engines/cases/gate.js';
import { openBulkHarness, type BulkHarness } from '../support/bulk-harness.js';

let harness: BulkHarness;
beforeEach(async () => {
  harness = await openBulkHarness();
});
afterEach(() => harness.close());

/** How many cancel requests the vendor got for each session. */
const asked = (ids: readonly string[]): number[] => ids.map((id) => harness.simulator.world.truth(id).cancels.length);
const stateOf = (id: string): string | undefined => harness.simulator.world.truth(id).sessions[id]?.state;
const requests = () => harness.simulator.world.requestCounts().requests;

async function carriedOut(ids: readonly string[], how: Parameters<BulkHarness['apply']>[1] = {}) {
  const planId = await harness.plan(ids);
  await harness.apply(planId, how);
  const status = await harness.carryOut(planId);
  return { planId, status, outcomes: status.progress.outcomes };
}

describe('a bulk job', () => {
  it('ends each of its targets once, and says who ended it', async () => {
    const ids = harness.sessions(60, {}, 3);
    const { planId, status } = await carriedOut(ids);

    expect(status).toMatchObject({ state: 'finished', phase: 'done', note: null });
    expect(status.progress).toEqual({
      waiting: 0,
      underWay: 0,
      openCases: 0,
      outcomes: { cancelled: 60 },
      requests: 60,
    });
    expect(ids.map(stateOf)).toEqual(ids.map(() => 'failed'));
    expect(asked(ids)).toEqual(ids.map(() => 1));
    const [target] = await harness.targets(planId);
    expect(target).toMatchObject({ status: 'cancelled', attribution: 'strong', attempts: 1, orderId: null });
    expect(target?.turnKey).toEqual(expect.any(String));
    expect(target?.endedAtMs).toEqual(expect.any(Number));
  });

  it('lets the next target go while the answer to the one before is written; none leaves before its own row', async () => {
    const ids = harness.sessions(20);
    const planId = await harness.plan(ids);
    await harness.apply(planId);
    const { bulkRun } = harness.ledger;
    const writes: Parameters<typeof bulkRun.write>[1][] = [];
    const askedBefore: number[] = [];
    const write: typeof bulkRun.write = (key, what) => {
      writes.push(what);
      askedBefore.push(...what.departures.map(({ sessionId }) => asked([sessionId])[0] ?? 0));
      return bulkRun.write(key, what);
    };
    const ledger = { ...harness.ledger, bulkRun: { ...bulkRun, write } };
    const status = await harness.carryOut(planId, { ledger, concurrency: 1 });

    expect(status.progress.outcomes).toEqual({ cancelled: 20 });
    expect(asked(ids)).toEqual(ids.map(() => 1));
    expect(askedBefore).toEqual(ids.map(() => 0));
    expect(Math.max(...writes.map(({ departures }) => departures.length))).toBe(1);
    expect(writes.some(({ answers, departures }) => answers.length > 0 && departures.length > 0)).toBe(true);
  });

  it('confirms by lists, and not by a read for each', async () => {
    const planId = await harness.plan(harness.sessions(100, {}, 2));
    await harness.apply(planId);
    const { gate } = harness.deps();
    let beforeRequests = 0;
    const readToSend: typeof gate.readToSend = (sessionId) => {
      beforeRequests += 1;
      return gate.readToSend(sessionId);
    };
    await harness.carryOut(planId, { gate: { ...gate, readToSend } });
    expect(requests().cancel).toBe(100);
    // Besides those before the requests: on a busy machine a list may come too late for some.
    expect(requests().retrieve - beforeRequests).toBeLessThan(50);
    expect(requests().list).toBeLessThan(100);
  });

  it.each([
    ['two for each target: its read and its cancel request', false, 40],
    ['one for each target with --fast', true, 0],
  ])('takes turns at the limiter, %s', async (_title, fast, looks) => {
    const planId = await harness.plan(harness.sessions(40));
    await harness.apply(planId, { fast });
    const deps = harness.deps();
    const turns = { cancel: 0, look: 0, confirm: 0, list: 0 };
    const limiter: Limiter = {
      ...deps.limiter,
      acquire: (urgency, patience) => {
        turns[urgency] += 1;
        return deps.limiter.acquire(urgency, patience);
      },
    };
    const gate = createGate({ ...deps, limiter, clock: systemClock, worker: 'w' });
    await harness.carryOut(planId, { limiter, gate });
    expect(turns).toMatchObject({ cancel: 40, look: looks });
    const { cancel, retrieve } = requests();
    expect(cancel + retrieve).toBe(turns.cancel + turns.look + turns.confirm);
  });

  it.each([true, false])(
    'writes no row for a request that a hold keeps here, and sends it after that (--fast: %s)',
    async (fast) => {
      const ids = harness.sessions(3);
      const planId = await harness.plan(ids);
      await harness.apply(planId, { fast });
      const deps = harness.deps();
      const hold = { sinceMs: 0, untilMs: 0, operation: 'cancelSession', askedMs: 300 } as const;
      const held = new Set<string>();
      let sent = 0;
      const limiter: Limiter = {
        ...deps.limiter,
        acquire: async (urgency, patience) => {
          if (urgency !== 'cancel') return deps.limiter.acquire(urgency, patience);
          if (held.size === 3) return void (sent += 1);
          held.add(`${held.size}`);
          for (const { status } of await harness.targets(planId)) expect(status).toBe('waiting');
          throw new HeldError(hold, 300);
        },
      };
      const gate = createGate({ ...deps, limiter, clock: systemClock, worker: 'w' });
      const status = await harness.carryOut(planId, { limiter, gate });
      expect(status.progress.outcomes).toEqual({ cancelled: 3 });
      expect(sent).toBe(3);
      expect(asked(ids)).toEqual([1, 1, 1]);
    },
  );

  it('tells which runs of triggers it ended', async () => {
    const [triggered = '', other = ''] = [...harness.sessions(1, { triggerId: 'trg_1' }), ...harness.sessions(1)];
    const planId = await harness.plan([triggered, other]);
    await harness.apply(planId);
    const told: unknown[] = [];
    const deps = harness.deps();
    const onRunEnded = (run: object): Promise<void> => Promise.resolve(void told.push(run));
    const gate = createGate({ ...deps, clock: systemClock, worker: 'w', onRunEnded });
    await harness.carryOut(planId, { gate });
    expect(told).toEqual([{ sessionId: triggered, agentId: expect.any(String), triggerId: 'trg_1' }]);
  });

  it('asks nothing of a session that is over already', async () => {
    const ids = harness.sessions(20, { state: 'completed', endedAgo: '10m' });
    expect(await carriedOut(ids)).toMatchObject({ outcomes: { 'already-ended': 20 } });
    expect(requests().cancel).toBe(0);
  });

  it('leaves a turn alone whose message came after the plan', async () => {
    const ids = harness.sessions(3, { state: 'completed', endedAgo: '10m' });
    const planId = await harness.plan(ids);
    // The vendor's clock shows whole seconds.
    await sleep(1_100);
    for (const id of ids) harness.simulator.world.startTurn(id, { runsFor: null });
    await harness.apply(planId);
    const status = await harness.carryOut(planId);
    expect(status.progress.outcomes).toEqual({ superseded: 3 });
    expect(requests().cancel).toBe(0);
    expect(ids.map(stateOf)).toEqual(['processing', 'processing', 'processing']);
  });

  it('takes a session that is not there for gone only after two reads', async () => {
    const ids = harness.sessions(2);
    const { outcomes } = await carriedOut([...ids, 'sess_never']);
    expect(outcomes).toEqual({ cancelled: 2, gone: 1 });
  });

  it('hands over what its request did not end, and no request is lost to the case', async () => {
    const [first = '', ...rest] = harness.sessions(5);
    harness.simulator.world.addFaults({ sessionId: first }, [{ fault: 'failed-to-abort' }]);
    const { planId, status } = await carriedOut([first, ...rest]);

    expect(status.progress).toMatchObject({ openCases: 1, outcomes: { cancelled: 4 } });
    expect(status.state).toBe('finished');
    expect(harness.joined.map(({ sessionId }) => sessionId)).toEqual([first]);
    const target = (await harness.targets(planId)).find(({ sessionId }) => sessionId === first);
    const [order] = await harness.ledger.orders.beginPass(first);
    expect(order).toMatchObject({ id: target?.orderId, source: 'bulk', turnFixed: true, turnKey: target?.turnKey });
    const sent = await harness.ledger.requests.forTurn(first, order?.turnKey ?? '', 0, null);
    expect(sent).toMatchObject([{ answer: 'unknown' }]);
  });

  it('counts what the vendor refused among the attempts that a case begins with', async () => {
    const [id = ''] = harness.sessions(1);
    harness.faults([
      { fault: 'rate-limited', on: 'cancel', times: 2, retryAfterSeconds: 0 },
      { fault: 'failed-to-abort' },
    ]);
    const { status } = await carriedOut([id]);
    expect(status.progress).toMatchObject({ openCases: 1, requests: 3 });
    const [order] = await harness.ledger.orders.views({ sessionId: id });
    expect(order?.result.attempts).toBe(3);
    const sent = await harness.ledger.requests.forTurn(id, order?.result.turnKey ?? '', 0, null);
    expect(sent.map(({ answer }) => answer)).toEqual(['refused', 'refused', 'unknown']);
  });

  it('says "probable" when the answer was lost and the turn is seen to have failed', async () => {
    const ids = harness.sessions(4);
    harness.faults([{ fault: 'reset-after-effect', on: 'cancel', times: 4 }]);
    const { planId, outcomes } = await carriedOut(ids);
    expect(outcomes).toEqual({ cancelled: 4 });
    expect((await harness.targets(planId)).map(({ attribution }) => attribution)).toEqual(ids.map(() => 'probable'));
    expect(asked(ids)).toEqual([1, 1, 1, 1]);
  });

  it('I4: believes no answer that says "failed" while the lists still show the session', async () => {
    const [id = ''] = harness.sessions(1);
    harness.faults([{ fault: 'accepted-without-effect' }]);
    const { status } = await carriedOut([id]);
    expect(status.progress).toMatchObject({ openCases: 1, outcomes: {} });
    expect(stateOf(id)).toBe('processing');
  });

  it('tries again what the vendor refuses for its rate, and asks each session once with effect', async () => {
    const ids = harness.sessions(40);
    harness.faults([{ fault: 'rate-limited', on: 'cancel', times: 6, retryAfterSeconds: 0 }]);
    const { outcomes } = await carriedOut(ids);
    expect(outcomes).toEqual({ cancelled: 40 });
    expect(harness.simulator.world.truth().cancels.filter(({ effect }) => effect)).toHaveLength(40);
    expect(requests().cancel).toBe(46);
  });

  it('hands over what the key may not end: one refusal settles nothing', async () => {
    const [first = '', ...rest] = harness.sessions(10);
    harness.simulator.world.addFaults({ sessionId: first }, [{ fault: 'forbidden-session', times: 'forever' }]);
    const { status } = await carriedOut([first, ...rest]);
    expect(status.progress).toMatchObject({ openCases: 1, outcomes: { cancelled: 9 } });
    const [order] = await harness.ledger.orders.views({ sessionId: first });
    expect(order?.result).toMatchObject({ outcome: null, lastError: { message: expect.stringContaining('403') } });
  });

  it('I6: leaves an exempt session alone, unless it was given with "even if exempt"', async () => {
    const ids = harness.sessions(4);
    for (const sessionId of ids.slice(0, 2)) {
      await harness.ledger.exemptions.add({ sessionId, forMs: 60_000, reason: null, by: 'ops@host' });
    }
    expect((await carriedOut(ids)).outcomes).toEqual({ cancelled: 2, exempted: 2 });
    expect(asked(ids)).toEqual([0, 0, 1, 1]);
    const again = await carriedOut(ids.slice(0, 2), { evenIfExempt: true });
    expect(again.outcomes).toEqual({ cancelled: 2 });
  });

  it('with --fast reads nothing, and claims no more than it can know', async () => {
    const ids = harness.sessions(30);
    const agentId = harness.simulator.world.truth(ids[0]).sessions[ids[0] ?? '']?.agentId ?? null;
    const planId = await harness.plan(ids, { agentId });
    await harness.apply(planId, { fast: true });
    const status = await harness.carryOut(planId);
    expect(status.progress.outcomes).toEqual({ cancelled: 30 });
    expect(requests()).toMatchObject({ retrieve: 0, cancel: 30 });
    expect((await harness.targets(planId)).map(({ attribution }) => attribution)).toEqual(ids.map(() => 'probable'));
  });
});

describe('a canary', () => {
  it('goes first, and stops the job when more than a third of it did not end', async () => {
    const ids = harness.sessions(50);
    harness.faults([{ fault: 'failed-to-abort', times: 'forever' }]);
    const { planId, status } = await carriedOut(ids, { canary: 10 });
    expect(status).toMatchObject({ state: 'paused', phase: 'main', note: expect.stringContaining('10') });
    expect(status.progress).toMatchObject({ waiting: 40, openCases: 10, requests: 10 });
    const events = await collect(harness.ledger.history.events({}));
    expect(events.map(({ event }) => event.kind)).toContain('bulk-stopped');

    // Somebody has looked.
    harness.simulator.world.clearFaults();
    await harness.ledger.bulk.steer(planId, { action: 'resume', by: 'ops@host' });
    const resumed = await harness.carryOut(planId);
    expect(resumed).toMatchObject({ state: 'finished' });
    expect(resumed.progress).toMatchObject({ waiting: 0, openCases: 10, outcomes: { cancelled: 40 } });
  });

  it('is spread over the plan, and the rest follows when it went well', async () => {
    const ids = harness.sessions(40);
    const planId = await harness.plan(ids);
    await harness.apply(planId, { canary: 4 });
    const firstAsked: string[] = [];
    const deps = harness.deps();
    const status = await harness.carryOut(planId, {
      gate: {
        ...deps.gate,
        readToSend: (sessionId) => {
          if (firstAsked.length < 4) firstAsked.push(sessionId);
          return deps.gate.readToSend(sessionId);
        },
      },
    });
    expect(status.progress.outcomes).toEqual({ cancelled: 40 });
    expect(firstAsked.map((id) => ids.indexOf(id)).sort((a, b) => a - b)).toEqual([0, 10, 20, 30]);
    expect(asked(ids)).toEqual(ids.map(() => 1));
  });
});

describe('a person’s word', () => {
  it('I6: once a pause is written, no request of the job leaves', async () => {
    const ids = harness.sessions(300);
    const planId = await harness.plan(ids);
    await harness.apply(planId, { rate: 100 });
    const working = harness.slice(planId);
    while (requests().cancel < 40) await sleep(20);
    await harness.ledger.bulk.steer(planId, { action: 'pause', by: 'ops@host' });
    const letOut = (await harness.status(planId)).progress.requests;
    expect(await working).toEqual({ next: 'rest' });
    await sleep(300);
    expect(requests().cancel).toBe(letOut);
    expect(letOut).toBeLessThan(300);

    await harness.ledger.bulk.steer(planId, { action: 'resume', by: 'ops@host' });
    await harness.ledger.bulk.steer(planId, { action: 'rate', by: 'ops@host', rate: 5_000 });
    const status = await harness.carryOut(planId);
    expect(status.progress.outcomes).toEqual({ cancelled: 300 });
    expect(asked(ids)).toEqual(ids.map(() => 1));
  });

  it('an abort leaves the rest untouched, and what was asked for is still confirmed', async () => {
    const ids = harness.sessions(200);
    const planId = await harness.plan(ids);
    await harness.apply(planId, { rate: 50 });
    const working = harness.slice(planId);
    while (requests().cancel < 20) await sleep(20);
    await harness.ledger.bulk.steer(planId, { action: 'abort', by: 'ops@host', reason: 'wrong agent' });
    expect(await working).toEqual({ next: 'over' });
    const { progress, state, note } = await harness.status(planId);
    expect({ state, note }).toEqual({ state: 'aborted', note: 'Aborted by ops@host, because: wrong agent.' });
    expect(progress).toMatchObject({ underWay: 0, openCases: 0, outcomes: { cancelled: progress.requests } });
    expect(progress.waiting).toBe(200 - progress.requests);
    expect(requests().cancel).toBe(progress.requests);
  });

  it('I6: the pause switch of all of Curfew holds a job, which goes on by itself afterwards', async () => {
    const ids = harness.sessions(10);
    const planId = await harness.plan(ids);
    await harness.apply(planId);
    await harness.ledger.pauseSwitch.set(true, 'ops@host', 'incident 42');
    const working = harness.carryOut(planId);
    while (!(await harness.status(planId)).note?.includes('incident 42')) await sleep(20);
    expect(requests().cancel).toBe(0);
    await harness.ledger.pauseSwitch.set(false, 'ops@host', null);
    expect(await working).toMatchObject({ state: 'finished', progress: { outcomes: { cancelled: 10 } }, note: null });
  });

  it('while a job is paused, its cases send nothing either', async () => {
    const [id = ''] = harness.sessions(1);
    harness.faults([{ fault: 'failed-to-abort' }]);
    const planId = await harness.plan([id, ...harness.sessions(80)]);
    await harness.apply(planId, { rate: 50 });
    const working = harness.slice(planId);
    while (harness.joined.length === 0) await sleep(20);
    await harness.ledger.bulk.steer(planId, { action: 'pause', by: 'ops@host' });
    await working;
    const { orderId = '', sessionId = '' } = harness.joined[0] ?? {};
    const [order] = await harness.ledger.orders.beginPass(sessionId);
    const departure = {
      ...{
        sessionId,
        agentId: null,
        orderIds: [orderId],
        owner: 'case',
        worker: 'w',
        readAtMs: Date.now(),
        leavesByMs: Date.now(),
      },
      turn: { key: order?.turnKey ?? '', startedAtMs: null },
    };
    expect(await harness.ledger.requests.register(departure)).toEqual({
      kind: 'paused',
      reason: null,
      bulkJob: planId,
    });
    await harness.ledger.bulk.steer(planId, { action: 'resume', by: 'ops@host' });
    expect(await harness.ledger.requests.register(departure)).toMatchObject({ kind: 'registered' });
  });
});

describe('I3: one sender for a session', () => {
  it('a job waits while a case has a request under way, and a case while a job has', async () => {
    const [id = ''] = harness.sessions(1);
    const orderId = await harness.ledger.orders.create({
      ...{ sessionId: id, source: 'person', requestedBy: 'ops@host', evenIfExempt: false, turnKey: null },
      reason: { text: null, policy: null, policyVersion: null, limit: null, observed: null },
    });
    const departure = {
      ...{
        sessionId: id,
        agentId: null,
        orderIds: [orderId],
        owner: 'case',
        worker: 'w',
        readAtMs: Date.now(),
        leavesByMs: Date.now(),
      },
      turn: { key: 'other', startedAtMs: null },
    };
    const registered = await harness.ledger.requests.register(departure);
    if (registered.kind !== 'registered') throw new Error(registered.kind);
    const planId = await harness.plan([id]);
    await harness.apply(planId);
    const working = harness.carryOut(planId);
    await sleep(800);
    expect(requests().cancel).toBe(0);
    await harness.ledger.requests.withdraw(registered.requestId, [orderId]);
    expect((await working).progress.outcomes).toEqual({ cancelled: 1 });

    const second = await harness.plan(harness.sessions(1));
    await harness.apply(second);
    const [target] = await harness.targets(second);
    const taken = await harness.ledger.bulkRun.takeUp(second, 'w');
    if (taken.kind !== 'taken-up' || target === undefined) throw new Error(taken.kind);
    const { seq, sessionId } = target;
    const leaving = { seq, sessionId, agentId: null, turn: { key: 'k', startedAtMs: null }, readAtMs: Date.now() };
    const nothingElse = { answers: [], withdrawals: [], settlements: [] };
    await harness.ledger.bulkRun.write(taken.key, { ...nothingElse, departures: [leaving] });
    expect(await harness.ledger.requests.register({ ...departure, sessionId })).toMatchObject({ kind: 'busy' });
  });
});

describe('I2: a crash', () => {
  it('between request and answer loses nothing: the target is looked at, and not asked blindly again', async () => {
    const ids = harness.sessions(20);
    const planId = await harness.plan(ids);
    await harness.apply(planId);
    // The ledger goes away at the first answers: to the row it is as if the worker had died.
    let writes = 0;
    const broken = harness.slice(planId, {
      hooks: {
        before: (call) => {
          if (call !== 'bulkRun.write') return;
          writes += 1;
          if (writes === 2) throw new Error('killed here');
        },
      },
    });
    await expect(broken).rejects.toThrow('killed here');
    expect((await harness.targets(planId)).filter(({ status }) => status === 'sent').length).toBeGreaterThan(0);
    const status = await harness.carryOut(planId);
    expect(status.progress).toMatchObject({ waiting: 0, underWay: 0, openCases: 0, outcomes: { cancelled: 20 } });
    expect(asked(ids)).toEqual(ids.map(() => 1));
  });

  it('a worker that was overtaken writes nothing more', async () => {
    const planId = await harness.plan(harness.sessions(5));
    await harness.apply(planId);
    const first = await harness.ledger.bulkRun.takeUp(planId, 'first');
    if (first.kind !== 'taken-up') throw new Error(first.kind);
    // While its lease runs nobody else may.
    expect(await harness.ledger.bulkRun.takeUp(planId, 'second')).toMatchObject({ kind: 'held' });
    await harness.ledger.bulkRun.release(first.key);
    expect(await harness.ledger.bulkRun.takeUp(planId, 'second')).toMatchObject({ kind: 'taken-up' });
    const nothing = { answers: [], withdrawals: [], settlements: [], departures: [] };
    expect(await harness.ledger.bulkRun.write(first.key, nothing)).toEqual({ kind: 'taken-over' });
    expect(await harness.ledger.bulkRun.renew(first.key)).toBeNull();
    expect(await harness.ledger.bulkRun.handOver(first.key, [])).toEqual({ kind: 'taken-over' });
    expect(await harness.ledger.bulkRun.step(first.key, { step: 'finish' })).toBe(false);
  });
});

describe('I10: while Curfew can’t know', () => {
  it('a refused key ends nothing and gives up nothing, and the job goes on when it works', async () => {
    const ids = harness.sessions(10);
    const planId = await harness.plan(ids);
    await harness.apply(planId);
    harness.simulator.world.revokeKey();
    const working = harness.carryOut(planId);
    // The test's own time limit ends a wait in vain.
    while ((await harness.status(planId)).note === null) await sleep(20);
    expect(await harness.status(planId)).toMatchObject({
      progress: { waiting: 10, openCases: 0 },
      note: expect.stringContaining('key'),
    });
    harness.simulator.world.restoreKey();
    expect((await working).progress.outcomes).toEqual({ cancelled: 10 });
  });

  it('an API that is away makes no cases of the targets', async () => {
    const ids = harness.sessions(60);
    const planId = await harness.plan(ids);
    await harness.apply(planId);
    harness.faults([{ fault: 'server-error', on: 'retrieve', times: 34 }]);
    const status = await harness.carryOut(planId);
    expect(status.progress).toMatchObject({ openCases: 0, outcomes: { cancelled: 60 } });
  });
});

async function collect<T>(pages: AsyncIterable<readonly T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const page of pages) all.push(...page);
  return all;
}

describe('what keeps a job from harm', () => {
  it('an abort lets no case of the job begin any more, and leaves none open', async () => {
    const ids = harness.sessions(12);
    harness.faults([{ fault: 'failed-to-abort', times: 'forever' }]);
    const planId = await harness.plan(ids);
    await harness.apply(planId);
    let aborted = false;
    const status = await harness.carryOut(planId, {
      ...harness.deps({
        hooks: {
          before: async (call) => {
            // In the moment between the decision to hand over and the order.
            if (call !== 'bulkRun.handOver' || aborted) return;
            aborted = true;
            await harness.ledger.bulk.steer(planId, { action: 'abort', by: 'ops@host' });
          },
        },
      }),
    });
    expect(status).toMatchObject({ state: 'aborted', progress: { underWay: 0, openCases: 0 } });
    expect(status.progress.outcomes).toEqual({ abandoned: 12 });
    expect(await harness.ledger.orders.views({ openOnly: true })).toEqual([]);
  });

  it('an abort while the worker is away is carried out by the next one: what was asked for gets its outcome', async () => {
    const ids = harness.sessions(10);
    const planId = await harness.plan(ids);
    await harness.apply(planId);
    let writes = 0;
    const before = (call: string): void => {
      if (call === 'bulkRun.write' && (writes += 1) === 2) throw new Error('killed here');
    };
    await expect(harness.slice(planId, { hooks: { before } })).rejects.toThrow('killed here');
    await harness.ledger.bulk.steer(planId, { action: 'abort', by: 'ops@host' });
    const status = await harness.carryOut(planId);
    const asked = requests().cancel;
    expect(asked).toBeGreaterThan(0);
    expect(status.progress).toMatchObject({ waiting: 10 - asked, underWay: 0, outcomes: { cancelled: asked } });
  });

  it('three sessions that can never be read do not hold up the job: cases go on with them', async () => {
    const stubborn = harness.sessions(3);
    for (const sessionId of stubborn) {
      harness.simulator.world.addFaults({ sessionId }, [{ fault: 'server-error', on: 'retrieve', times: 'forever' }]);
    }
    const { status } = await carriedOut([...harness.sessions(20), ...stubborn]);
    expect(status).toMatchObject({ state: 'finished', progress: { openCases: 3, outcomes: { cancelled: 20 } } });
  });

  it('a fast job that was paused for long reads again before it asks', async () => {
    const ids = harness.sessions(5);
    const planId = await harness.plan(ids, { seenAtMs: Date.now() - 2 * 3_600_000 });
    await harness.apply(planId, { fast: true });
    // The turns began an hour ago, which is after these sessions were seen.
    const status = await harness.carryOut(planId);
    expect(status.progress.outcomes).toEqual({ superseded: 5 });
    expect(requests().cancel).toBe(0);
  });

  it('cases of a job that is through can be held and given up', async () => {
    harness.faults([{ fault: 'failed-to-abort', times: 'forever' }]);
    const { planId, status } = await carriedOut(harness.sessions(2));
    expect(status).toMatchObject({ state: 'finished', progress: { openCases: 2 } });
    const by = 'ops@host';
    expect(await harness.ledger.bulk.steer(planId, { action: 'pause', by })).toMatchObject({ kind: 'done' });
    expect(await harness.ledger.bulk.steer(planId, { action: 'resume', by })).toMatchObject({ kind: 'done' });
    expect(await harness.carryOut(planId)).toMatchObject({ state: 'finished', progress: { openCases: 2 } });
    expect(await harness.ledger.bulk.steer(planId, { action: 'abort', by })).toMatchObject({ kind: 'done' });
    expect((await harness.status(planId)).progress).toMatchObject({ openCases: 0, outcomes: { abandoned: 2 } });
    expect(await harness.ledger.bulk.steer(planId, { action: 'pause', by })).toMatchObject({ kind: 'refused' });
  });

  it('a request of a fast job is not credited with turns that began after it', async () => {
    const [id = ''] = harness.sessions(1);
    const agentId = harness.simulator.world.truth(id).sessions[id]?.agentId ?? null;
    const planId = await harness.plan([id], { agentId });
    await harness.apply(planId, { fast: true });
    await harness.carryOut(planId);
    const now = Date.now();
    expect(await harness.ledger.requests.forTurn(id, 'turn-of-then', 0, now - 60_000)).toMatchObject([
      { answer: 'unknown' },
    ]);
    expect(await harness.ledger.requests.forTurn(id, 'turn-of-later', 0, now + 60_000)).toEqual([]);
  });
});
