import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultInput } from '../../simulator/index.js';
import { noPoliciesInForce } from '../../src/engines/cases/rules.js';
import { HeldError } from '../../src/adapters/vendor/hold.js';
import { attemptCase, confirmCase } from '../../src/engines/cases/case-step.js';
import type { CaseDependencies, Step } from '../../src/engines/cases/case.js';
import { TryAgain } from '../../src/core/try-again.js';
import { NO_METERS } from '../../src/adapters/meters.js';
import { accountRetryMs } from '../../src/engines/cases/waits.js';
import { openBulkHarness, type BulkHarness } from '../support/bulk-harness.js';
import { until } from '../support/embedded-server.js';

let harness: BulkHarness;
beforeEach(async () => {
  harness = await openBulkHarness();
});
afterEach(() => harness.close());

const poisoned = (count: number, fault: FaultInput): string[] => {
  const ids = harness.sessions(count);
  for (const sessionId of ids) harness.simulator.world.addFaults({ sessionId }, [fault]);
  return ids;
};
const cancelsOf = (id: string): number => harness.simulator.world.truth(id).cancels.length;
const eventKinds = async (): Promise<string[]> => {
  const kinds: string[] = [];
  for await (const page of harness.ledger.history.events({})) kinds.push(...page.map(({ event }) => event.kind));
  return kinds;
};

/** Plays the cases that the job has handed over, each until its orders are settled or the time is up. */
async function playCases(forMs: number): Promise<void> {
  const deps = harness.deps();
  const endsAt = Date.now() + forMs;
  const caseDeps: CaseDependencies = { ...deps, rules: noPoliciesInForce, meters: NO_METERS };
  const play = async (sessionId: string): Promise<void> => {
    let step: Step = { next: 'attempt', afterMs: 0 };
    for (let failures = 0; step.next !== 'done' && Date.now() < endsAt;) {
      await sleep(step.afterMs);
      try {
        step =
          step.next === 'attempt'
            ? await attemptCase(caseDeps, sessionId, `cancel/${sessionId}`, failures)
            : await confirmCase(caseDeps, sessionId, step.sightings, step.look, failures);
        failures = 0;
      } catch (error) {
        if (!(error instanceof TryAgain)) throw error;
        failures += 1;
        await sleep(error.afterMs);
      }
    }
  };
  await Promise.all(harness.joined.map(({ sessionId }) => play(sessionId)));
}

describe('a job with sessions that are refused', () => {
  it('hands over each after one request, and with it what was refused', async () => {
    const [id = ''] = poisoned(1, { fault: 'forbidden-session', on: 'cancel', times: 'forever' });
    const planId = await harness.plan([id, ...harness.sessions(5)]);
    await harness.apply(planId);
    expect((await harness.carryOut(planId)).progress).toMatchObject({ openCases: 1, outcomes: { cancelled: 5 } });
    expect(cancelsOf(id)).toBe(1);
    const [order] = await harness.ledger.orders.beginPass(id);
    expect(order?.refusals).toMatchObject([{ on: 'cancel', status: 403, code: 'permission_denied', times: 1 }]);
    await playCases(10_000);
    expect((await harness.status(planId)).progress).toMatchObject({
      openCases: 0,
      outcomes: { cancelled: 5, forbidden: 1 },
    });
  });

  it.each<[string, Extract<FaultInput, { fault: 'client-error' }>]>([
    ['in HTML', { fault: 'client-error', status: 403, body: 'html', times: 2 }],
    ['with an empty body', { fault: 'client-error', status: 403, body: 'empty', times: 2 }],
    ['with Retry-After', { fault: 'client-error', status: 403, body: 'json', retryAfterSeconds: 1, times: 2 }],
  ])('ends those that met a passing 403 %s, on the read and on the request', async (_title, fault) => {
    const ids = harness.sessions(10);
    harness.simulator.world.addFaults({ sessionId: ids[0] ?? '' }, [{ ...fault, on: 'retrieve' }]);
    harness.simulator.world.addFaults({ sessionId: ids[1] ?? '' }, [{ ...fault, on: 'cancel' }]);
    const planId = await harness.plan(ids);
    await harness.apply(planId);
    expect((await harness.carryOut(planId)).progress).toMatchObject({ openCases: 0, outcomes: { cancelled: 10 } });
  });

  it('I10: never calls the account refused for the code of it that one session answers', async () => {
    const [id = ''] = poisoned(1, {
      fault: 'forbidden-account',
      code: 'policy_denied',
      on: 'cancel',
      times: 'forever',
    });
    const planId = await harness.plan([id, ...harness.sessions(6)]);
    await harness.apply(planId);
    expect((await harness.carryOut(planId)).progress).toMatchObject({ openCases: 1, outcomes: { cancelled: 6 } });
    await playCases(10_000);
    expect((await harness.status(planId)).progress.outcomes).toEqual({ cancelled: 6, forbidden: 1 });
    expect(await eventKinds()).not.toContain('account-refused');
  });

  it('keeps a session whose requests were held back for another one: it was not turned away itself', async () => {
    const ids = harness.sessions(5);
    const planId = await harness.plan(ids);
    await harness.apply(planId);
    const deps = harness.deps();
    const hold = { sinceMs: 0, untilMs: 0, operation: 'listSessions', askedMs: null } as const;
    let heldBack = 0;
    const readToSend: typeof deps.gate.readToSend = async (sessionId) => {
      // Past the time after which one that is turned away alone becomes a case, with others accepted meanwhile.
      await sleep(ids.indexOf(sessionId) * deps.timing.refusedForMs);
      if (sessionId === ids[0] && (heldBack += 1) <= 4) {
        await sleep(deps.timing.refusedForMs);
        throw new HeldError(hold, 50);
      }
      return deps.gate.readToSend(sessionId);
    };
    const { progress } = await harness.carryOut(planId, { gate: { ...deps.gate, readToSend } });
    expect(heldBack).toBe(5);
    expect(progress).toMatchObject({ openCases: 0, outcomes: { cancelled: 5 } });
  });

  it('I10: while the key is refused, tries one at a time, and not in a fixed beat', async () => {
    const planId = await harness.plan(harness.sessions(100));
    await harness.apply(planId);
    const deps = harness.deps();
    /** Waits drawn at random so far, and when the last one was, ms: one for each request that was refused. */
    const waits: { readonly ms: number; readonly drawnAt: number }[] = [];
    const random = (): number => {
      const drawn = (waits.length % 7) / 7;
      waits.push({ ms: accountRetryMs({ timing: deps.timing, random: () => drawn }), drawnAt: performance.now() });
      return drawn;
    };
    let underWay = 0;
    let tries = 0;
    /** How each try began that came after a refusal. */
    const alone: {
      readonly underWay: number;
      readonly waits: number;
      readonly tries: number;
      readonly early: number;
    }[] = [];
    const readToSend: typeof deps.gate.readToSend = async (sessionId) => {
      const last = waits.at(-1);
      // Timers may fire a millisecond before their time.
      const early = last === undefined ? 0 : Math.max(0, last.drawnAt + last.ms - performance.now() - 2);
      if (last !== undefined) alone.push({ underWay, waits: waits.length, tries, early });
      tries += 1;
      underWay += 1;
      try {
        return await deps.gate.readToSend(sessionId);
      } finally {
        underWay -= 1;
      }
    };
    harness.simulator.world.revokeKey();
    const working = harness.carryOut(planId, { random, gate: { ...deps.gate, readToSend } });
    await until(() => alone.length >= 8 || tries >= 50);
    harness.simulator.world.restoreKey();
    expect((await working).progress.outcomes).toEqual({ cancelled: 100 });

    // Those that were under way when the first was refused, and then one after each wait.
    const whileRefused = alone.slice(0, 8);
    expect(whileRefused[0]?.tries).toBeLessThanOrEqual(32);
    const begun = whileRefused[0]?.tries ?? NaN;
    expect(whileRefused).toEqual(
      whileRefused.map((_, index) => ({ underWay: 0, waits: begun + index, tries: begun + index, early: 0 })),
    );
    expect(new Set(waits.slice(begun, begun + 7).map(({ ms }) => ms)).size).toBe(7);
  });

  it('every status from 400 to 599 on cancel: few requests for each, and everything else is ended', async () => {
    const faultOf = (status: number): FaultInput =>
      status < 500
        ? { fault: 'client-error', status, body: 'json', on: 'cancel', times: 'forever' }
        : { fault: 'server-error', status, body: 'json', on: 'cancel', times: 'forever' };
    // Not so many in one job that its brake takes them for an outage.
    const carryOut = async (from: number): Promise<void> => {
      const statuses = Array.from({ length: 20 }, (_, index) => from + index);
      const ids = statuses.map((status) => poisoned(1, faultOf(status))[0] ?? '');
      const planId = await harness.plan([...harness.sessions(40), ...ids]);
      await harness.apply(planId);
      const { state, progress } = await harness.carryOut(planId);
      expect({ from, state, progress }).toMatchObject({
        from,
        state: 'finished',
        progress: { openCases: 20, outcomes: { cancelled: 40 } },
      });
      for (const [index, id] of ids.entries()) {
        const status = statuses[index] ?? 0;
        // What has a meaning of its own is tried five times; what is refused, or may have had effect, becomes a case at once.
        const most = status === 429 ? 12 : status === 401 || status === 409 ? 5 : 1;
        expect({ status, enough: cancelsOf(id) <= most }).toEqual({ status, enough: true });
      }
    };
    await Promise.all(Array.from({ length: 10 }, (_, index) => carryOut(400 + 20 * index)));
  });

  it('5,000 with 1% poison of four kinds: all others end, the poison is reported, one alert for each kind', async () => {
    const kinds: FaultInput[] = [
      { fault: 'forbidden-session', on: 'cancel', times: 'forever' },
      { fault: 'not-found', on: 'cancel', times: 'forever' },
      { fault: 'client-error', status: 410, body: 'json', on: 'cancel', times: 'forever' },
      { fault: 'rate-limited', on: 'cancel', times: 'forever', retryAfterSeconds: 0 },
    ];
    const poison = kinds.map((fault) => poisoned(13, fault));
    const good = harness.sessions(4_948, {}, 5);
    const all = good.flatMap((id, index) => (index % 95 === 0 ? [id, poison.flat()[index / 95] ?? ''] : [id]));
    const planId = await harness.plan(all.filter((id) => id !== ''));
    await harness.apply(planId);
    const status = await harness.carryOut(planId);
    expect(status).toMatchObject({ state: 'finished', progress: { waiting: 0, underWay: 0 } });
    expect(status.progress).toMatchObject({ openCases: 52, outcomes: { cancelled: 4_948 } });

    let after = status;
    for (let played = 0; played < 12 && after.progress.openCases > 13; played += 1) {
      await playCases(5_000);
      after = await harness.status(planId);
    }
    expect(after.progress).toMatchObject({ openCases: 13, outcomes: { cancelled: 4_948, forbidden: 39 } });
    const alerts = (await eventKinds()).filter((kind) => !kind.startsWith('bulk-'));
    expect(alerts).toEqual(['forbidden']);
    const events: unknown[] = [];
    for await (const page of harness.ledger.history.events({})) events.push(...page.map(({ event }) => event));
    expect(events).toContainEqual(expect.objectContaining({ kind: 'forbidden', plan: planId }));
  }, 300_000);
});
