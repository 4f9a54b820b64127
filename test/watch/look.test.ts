import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NO_LIMITS } from '../../src/core/policy/policy.js';
import type { WatchStatus } from '../../src/core/contract.js';
import type { Turn } from '../../src/core/policy/turn.js';
import type { SessionsError } from '../../src/adapters/vendor/index.js';
import { WatchUnknownError } from '../../src/engines/watch/look.js';
import { RAREST_LOOK_MS, scanMsOf } from '../../src/engines/watch/spacing.js';
import {
  BEGINNING,
  ledgerAway,
  openGateHarness,
  readFails,
  SESSION,
  shows,
  type GateHarness,
} from '../support/gate-harness.js';
import type { Shown } from '../support/scripted-vendor.js';
import { watchPlayer } from './watch-player.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Began just before the watch did. */
const TURN: Turn = { key: 'turn', startedAtMs: BEGINNING - SECOND };
const processing = (...turns: Turn[]): Shown => shows('processing', ...(turns.length === 0 ? [TURN] : turns));
const failed = shows('failed', TURN);
const completed = shows('completed', TURN);

let harness: GateHarness;

beforeEach(async () => {
  harness = await openGateHarness();
});

afterEach(() => harness.close());

/** A session that goes on until it is ended by a request, or until the given time after the beginning. */
function running({ endsAfterMs = Infinity, credits = (_atMs: number): number | null => null } = {}): void {
  const { vendor, clock } = harness;
  vendor.cancels = ['failed'];
  vendor.reads = () => {
    const atMs = clock.wall() - BEGINNING;
    if (vendor.cancelCalls > 0) return failed;
    return { ...(atMs >= endsAfterMs ? completed : processing()), credits: credits(atMs) };
  };
}

const last = (statuses: readonly WatchStatus[]): WatchStatus => {
  const status = statuses.at(-1);
  if (status === undefined) throw new Error('There was no look.');
  return status;
};
const sinceBeginning = (iso: string | undefined): number => Date.parse(iso ?? '') - BEGINNING;

describe('a time limit', () => {
  it('is acted on at its deadline, not before and hardly after', async () => {
    const player = watchPlayer(harness);
    running();
    await player.register({ max_runtime: 20 * MINUTE });
    const statuses = await player.play();

    const { order, ending, lastNote } = last(statuses);
    expect(ending).toBe('at-rest');
    expect(lastNote).toBe('At rest (failed).');
    expect(order).toMatchObject({ outcome: 'cancelled', turnKey: 'turn', requestedBy: 'a service', attempts: 1 });
    // The turn began a second before the watch. The clock read from headers is up to a second behind.
    expect(sinceBeginning(order?.orderedAt)).toBeGreaterThanOrEqual(20 * MINUTE - SECOND);
    expect(sinceBeginning(order?.orderedAt)).toBeLessThan(20 * MINUTE + 2 * SECOND);
    expect(order?.reason).toMatchObject({
      text: expect.stringMatching(/^has run 20m, limit 20m/),
      policy: null,
      policyVersion: null,
      limit: { name: 'max_runtime', value: 20 * MINUTE, unit: 'ms' },
      observed: { unit: 'ms' },
    });
    expect(statuses[0]).toMatchObject({ phase: 'watching', turnKey: 'turn', limits: { maxRuntime: '20m' } });
    expect(sinceBeginning(statuses[0]?.deadline ?? undefined)).toBe(20 * MINUTE - SECOND);
    expect(await harness.events()).toEqual(['watch-registered', 'watch-ended']);
  });

  it('is told with the reason that was given', async () => {
    const player = watchPlayer(harness);
    running();
    await player.register({ max_runtime: MINUTE }, 'nightly import');
    expect(last(await player.play()).order?.reason.text).toMatch(/limit 1m.*\(nightly import\)$/);
  });

  it('costs one read at most per twentieth of the limit, and one per two minutes when it is long', async () => {
    const player = watchPlayer(harness);
    running({ endsAfterMs: 3 * HOUR });
    await player.register({ max_runtime: 4 * HOUR });
    await player.play();
    expect(harness.vendor.readAt.length).toBeLessThanOrEqual(3 * 30 + 4);
    expect(harness.vendor.cancelCalls).toBe(0);
  });

  it('is not shortened by a jump of our own clock', async () => {
    const player = watchPlayer(harness);
    running();
    await player.register({ max_runtime: 20 * MINUTE });
    await player.play({
      before: (count) => {
        if (count === 3) {
          // The vendor's clock stays as it was.
          harness.clock.jump(HOUR);
          harness.vendor.skewMs -= HOUR;
        }
        return count === 10 ? 'stop' : undefined;
      },
    });
    expect(player.joined).toEqual([]);
  });

  it('does not count a wait for an approval', async () => {
    const player = watchPlayer(harness);
    running();
    const { vendor, clock } = harness;
    const paused = { from: 5 * MINUTE, to: 15 * MINUTE };
    vendor.reads = () => {
      const atMs = clock.wall() - BEGINNING;
      if (vendor.cancelCalls > 0) return failed;
      return atMs >= paused.from && atMs < paused.to ? shows('approval_required', TURN) : processing();
    };
    await player.register({ max_runtime: 20 * MINUTE });
    const statuses = await player.play();
    expect(sinceBeginning(last(statuses).order?.orderedAt)).toBeGreaterThan(paused.to + 19 * MINUTE);
    expect(statuses.map(({ lastNote }) => lastNote)).toContain('Not running (approval_required): nothing counts now.');
  });

  it('of unbroken processing is not reset by further messages', async () => {
    const player = watchPlayer(harness);
    running();
    const { vendor, clock } = harness;
    vendor.reads = () => {
      const minutes = Math.floor((clock.wall() - BEGINNING) / (4 * MINUTE));
      const turn: Turn = { key: `steered-${minutes}`, startedAtMs: BEGINNING + minutes * 4 * MINUTE };
      return shows(vendor.cancelCalls > 0 ? 'failed' : 'processing', turn);
    };
    await player.register({ max_runtime: 10 * MINUTE, max_continuous_runtime: 30 * MINUTE });
    const { order } = last(await player.play());
    expect(order?.reason.limit).toMatchObject({ name: 'max_continuous_runtime' });
    expect(sinceBeginning(order?.orderedAt)).toBeLessThan(30 * MINUTE + 3 * SECOND);
  });

  it('counts run time from where the queue was seen to be left', async () => {
    const player = watchPlayer(harness);
    running();
    const { vendor, clock } = harness;
    const leavesAtMs = 7 * MINUTE;
    vendor.reads = () => {
      if (vendor.cancelCalls > 0) return failed;
      return clock.wall() - BEGINNING < leavesAtMs ? shows('queued', TURN) : processing();
    };
    await player.register({ max_runtime: 20 * MINUTE });
    const orderedAfterMs = sinceBeginning(last(await player.play()).order?.orderedAt);
    expect(orderedAfterMs).toBeGreaterThanOrEqual(leavesAtMs + 20 * MINUTE - SECOND);
    expect(orderedAfterMs).toBeLessThan(leavesAtMs + 21 * MINUTE);
  });

  it('on the queue ends a turn that waits too long', async () => {
    const player = watchPlayer(harness);
    running();
    const { vendor } = harness;
    vendor.reads = () => (vendor.cancelCalls > 0 ? failed : shows('queued', TURN));
    await player.register({ max_runtime: HOUR, max_queue_time: 5 * MINUTE });
    const { order } = last(await player.play());
    expect(order?.reason.limit).toMatchObject({ name: 'max_queue_time' });
    expect(sinceBeginning(order?.orderedAt)).toBeLessThan(5 * MINUTE + 2 * SECOND);
  });
});

describe('a limit on usage', () => {
  it('is looked for more often as it comes nearer, and rarely while nothing is spent', async () => {
    const player = watchPlayer(harness);
    // Quiet for half an hour, then a credit a second.
    running({ credits: (atMs) => Math.max(0, (atMs - 30 * MINUTE) / SECOND) });
    await player.register({ max_credits: 530 });
    const { order } = last(await player.play());
    expect(order?.reason.text).toMatch(/^has spent 5\d\d(\.\d+)? credits in this turn, limit 530 credits/);
    const reads = harness.vendor.readAt.map((at) => at - BEGINNING);
    const quiet = reads.filter((at) => at < 30 * MINUTE);
    expect(quiet.length).toBeLessThan(20);
    // At twice the pace it was due before the next look, so the overshoot is small.
    expect(Number(/spent (\d+)/.exec(order?.reason.text ?? '')?.[1])).toBeLessThan(530 + 35);
  });

  it('of the session ends a turn of an old session at once when it is used up', async () => {
    const player = watchPlayer(harness);
    running({ credits: () => 5_000 });
    await player.register({ max_session_credits: 5_000 });
    expect(last(await player.play()).order?.outcome).toBe('cancelled');
  });

  it('I5: is never broken while the vendor tells no usage', async () => {
    const player = watchPlayer(harness);
    running({ endsAfterMs: 2 * HOUR });
    await player.register({ max_credits: 1, max_session_credits: 1, max_tokens: 1 });
    const statuses = await player.play();
    expect(last(statuses)).toMatchObject({ ending: 'at-rest', order: null });
    expect(statuses[0]?.lastNote).toMatch(/^Processing; not decided: .*the vendor has told no usage/);
  });

  it('I5: does not charge a turn with what earlier ones had used', async () => {
    const player = watchPlayer(harness);
    running({ endsAfterMs: HOUR, credits: () => 10_000 });
    const { vendor, clock } = harness;
    const earlier: Turn = { key: 'earlier', startedAtMs: BEGINNING - HOUR };
    vendor.reads = () =>
      clock.wall() - BEGINNING > HOUR ? completed : { ...processing(earlier, TURN), credits: 10_000 };
    await player.register({ max_credits: 500 });
    expect(last(await player.play())).toMatchObject({ ending: 'at-rest', order: null });
  });
});

describe('I5, I10: what is not known ends nothing', () => {
  it.each([
    ['an unknown state', shows('hibernating', TURN)],
    ['no state', shows(null, TURN)],
    ['idle', shows('idle', TURN)],
  ])('%s, for hours', async (_what, shown) => {
    const player = watchPlayer(harness);
    harness.vendor.reads = () => shown;
    await player.register({ max_runtime: MINUTE, max_credits: 1 });
    const statuses = await player.play({ enough: () => harness.clock.wall() > BEGINNING + 5 * HOUR });
    expect(new Set(statuses.map(({ state }) => state))).toEqual(new Set(['watching']));
    expect(player.joined).toEqual([]);
  });

  it.each([
    ['the API is away', readFails('server-error')],
    ['the key is refused', readFails('unauthorized')],
    ['the session is forbidden', readFails('forbidden')],
    ['there are too many requests', readFails('rate-limited', { retryAfterMs: 7_000 })],
    ['answers can’t be read', readFails('unreadable')],
  ])('%s: it says so, and goes on by itself', async (_what, failure) => {
    const player = watchPlayer(harness);
    const { vendor, clock } = harness;
    vendor.cancels = ['failed'];
    const backAt = BEGINNING + 2 * HOUR;
    vendor.reads = () => (clock.wall() < backAt ? failure : vendor.cancelCalls > 0 ? failed : processing());
    await player.register({ max_runtime: 20 * MINUTE });
    const said: string[] = [];
    const statuses = await player.play({
      before: async () => {
        const watch = await harness.ledger.watches.get(SESSION);
        if (watch?.phase === 'held') said.push(watch.note);
      },
    });
    expect(said[0]).toMatch(/This ends nothing; the watch continues\.$/);
    expect(sinceBeginning(last(statuses).order?.orderedAt)).toBeGreaterThanOrEqual(2 * HOUR);
    expect(last(statuses)).toMatchObject({ ending: 'at-rest', order: { outcome: 'cancelled' } });
  });

  it('the ledger is away, at each call in turn', async () => {
    let failAt = -1;
    let calls = 0;
    const player = watchPlayer(harness, {
      hooks: {
        before: () => {
          calls += 1;
          if (calls === failAt) throw ledgerAway();
        },
      },
    });
    running();
    await player.register({ max_runtime: 5 * MINUTE });
    // Each look fails once somewhere else.
    const statuses = await player.play({
      before: (count) => {
        calls = 0;
        failAt = count % 7;
      },
    });
    expect(last(statuses)).toMatchObject({ ending: 'at-rest', order: { outcome: 'cancelled' } });
    expect(harness.vendor.cancelCalls).toBe(1);
  });

  it('can’t be read for long, though the API answers: someone is told, once', async () => {
    const player = watchPlayer(harness);
    running();
    const { vendor } = harness;
    vendor.retrieveSession = () => Promise.reject(readFails('timeout'));
    await player.register({ max_runtime: MINUTE });
    await player.play({ before: () => (harness.clock.wall() > BEGINNING + HOUR ? 'stop' : undefined) });
    expect(await harness.count('not-judgeable')).toBe(1);
    expect(await harness.ledger.unjudged.now({ limit: 10 })).toMatchObject([{ by: 'watch', reason: 'timeout' }]);
  });

  it('answers carry no Date header: nothing can be timed', async () => {
    const player = watchPlayer(harness);
    running();
    const { vendor } = harness;
    const retrieve = vendor.retrieveSession.bind(vendor);
    vendor.retrieveSession = async (id) => ({ ...(await retrieve(id)), serverDateMs: null });
    await player.register({ max_runtime: MINUTE });
    const statuses = await player.play({ enough: () => harness.clock.wall() > BEGINNING + HOUR });
    expect(last(statuses)).toMatchObject({ state: 'watching', phase: 'held', order: null });
  });

  it('the watch is not in the ledger any more', async () => {
    await expect(watchPlayer(harness).look()).rejects.toThrow(WatchUnknownError);
  });
});

describe('the end', () => {
  it('of a session that comes to rest by itself is seen twice, seconds apart, before the watch ends', async () => {
    const player = watchPlayer(harness);
    running({ endsAfterMs: 7 * MINUTE });
    await player.register({ max_runtime: 20 * MINUTE });
    const statuses = await player.play();
    expect(statuses.slice(-2).map(({ phase }) => phase)).toEqual(['resting', 'ended']);
    const [before = 0, after = 0] = harness.vendor.readAt.slice(-2);
    expect(after - before).toBeGreaterThanOrEqual(5 * SECOND);
    expect(last(statuses)).toMatchObject({ state: 'ended', ending: 'at-rest', order: null, nextLookAt: null });
    expect(harness.vendor.cancelCalls).toBe(0);
  });

  it('is none when the second read shows another turn: that one has its own time', async () => {
    const player = watchPlayer(harness);
    const { vendor, clock } = harness;
    const second: Turn = { key: 'second', startedAtMs: BEGINNING + 8 * MINUTE };
    vendor.cancels = ['failed'];
    vendor.reads = () => {
      const atMs = clock.wall() - BEGINNING;
      if (vendor.cancelCalls > 0) return shows('failed', TURN, second);
      if (atMs < 7 * MINUTE) return processing();
      return atMs < 8 * MINUTE ? completed : processing(TURN, second);
    };
    // Rest is seen for the first time just before the next turn begins.
    await player.register({ max_runtime: 20 * MINUTE });
    const statuses = await player.play({
      before: () => {
        const atMs = clock.wall() - BEGINNING;
        if (atMs > 7 * MINUTE && atMs < 8 * MINUTE - 2 * SECOND) clock.advance(8 * MINUTE - 2 * SECOND - atMs);
      },
    });
    expect(statuses.map(({ phase }) => phase)).toContain('resting');
    const { order } = last(statuses);
    expect(order).toMatchObject({ turnKey: 'second', outcome: 'cancelled' });
    expect(sinceBeginning(order?.orderedAt)).toBeGreaterThanOrEqual(28 * MINUTE - SECOND);
  });

  it('by our request is no end when a waiting message starts another turn: that one is watched too', async () => {
    const player = watchPlayer(harness);
    const { vendor, clock } = harness;
    let endedAt = 0;
    vendor.cancels = ['failed', 'failed'];
    vendor.reads = () => {
      if (vendor.cancelCalls === 0) return processing();
      if (vendor.cancelCalls === 1 && endedAt === 0) endedAt = clock.wall();
      const second: Turn = { key: 'second', startedAtMs: endedAt + 15 * SECOND };
      if (vendor.cancelCalls > 1) return shows('failed', TURN, second);
      return clock.wall() < endedAt + 15 * SECOND ? failed : processing(TURN, second);
    };
    await player.register({ max_runtime: 10 * MINUTE });
    const statuses = await player.play();
    expect(player.joined).toHaveLength(2);
    expect(last(statuses)).toMatchObject({ ending: 'at-rest', order: { turnKey: 'second', outcome: 'cancelled' } });
  });

  it('waits a while for a turn that has not begun yet', async () => {
    const player = watchPlayer(harness);
    const { vendor, clock } = harness;
    const late: Turn = { key: 'late', startedAtMs: BEGINNING + 20 * SECOND };
    vendor.cancels = ['failed'];
    vendor.reads = () => {
      if (vendor.cancelCalls > 0) return shows('failed', TURN, late);
      return clock.wall() < BEGINNING + 20 * SECOND ? completed : processing(TURN, late);
    };
    await player.register({ max_runtime: MINUTE });
    expect(last(await player.play()).order).toMatchObject({ turnKey: 'late', outcome: 'cancelled' });
  });

  it('is that of a session that is gone: 404 twice, a minute apart', async () => {
    const player = watchPlayer(harness);
    harness.vendor.reads = [processing(), readFails('not-found')];
    await player.register({ max_runtime: 20 * MINUTE });
    const statuses = await player.play();
    expect(statuses.slice(-2).map(({ phase }) => phase)).toEqual(['missing', 'ended']);
    expect(last(statuses)).toMatchObject({ ending: 'gone', order: null });
    const [before = 0, after = 0] = harness.vendor.readAt.slice(-2);
    expect(after - before).toBeGreaterThanOrEqual(MINUTE);
  });

  it('is none when the two answers 404 are closer: somebody woke the watch', async () => {
    const player = watchPlayer(harness);
    harness.vendor.reads = [processing(), readFails('not-found')];
    await player.register({ max_runtime: 20 * MINUTE });
    await player.look();
    expect(await player.look()).toMatchObject({ next: 'look', status: { phase: 'missing' } });
    harness.clock.advance(10 * SECOND);
    expect(await player.look()).toMatchObject({ next: 'look', status: { phase: 'missing' } });
    harness.clock.advance(50 * SECOND);
    expect(await player.look()).toMatchObject({ next: 'done', status: { ending: 'gone' } });
  });

  it('is none after a single 404', async () => {
    const player = watchPlayer(harness);
    harness.vendor.reads = (call): Shown | SessionsError =>
      call > 8 ? completed : call % 2 === 1 ? readFails('not-found') : processing();
    await player.register({ max_runtime: 3 * HOUR });
    expect(last(await player.play()).ending).toBe('at-rest');
  });
});

describe('an order', () => {
  it('is given once, however often a look dies right after it', async () => {
    let died = 0;
    const player = watchPlayer(harness, {
      hooks: {
        after: (call) => {
          if (call === 'watches.noteLook' && died < 3 && harness.clock.wall() > BEGINNING + 5 * MINUTE - SECOND) {
            died += 1;
            throw ledgerAway();
          }
        },
      },
    });
    running();
    await player.register({ max_runtime: 5 * MINUTE });
    await player.play();
    expect(died).toBe(3);
    const orders = await harness.ledger.orders.views({ sessionId: SESSION });
    expect(orders).toHaveLength(1);
    expect(harness.vendor.cancelCalls).toBe(1);
    expect(await harness.count('watch-ended')).toBe(1);
  });

  it('gets its case at a later look when none could be started', async () => {
    const player = watchPlayer(harness);
    running();
    const { cases } = player.deps;
    const join = cases.join.bind(cases);
    let refused = 0;
    Object.assign(cases, {
      join: (...args: Parameters<typeof join>) => {
        if (refused++ < 2) return Promise.reject(new Error('Temporal is away.'));
        return join(...args);
      },
    });
    await player.register({ max_runtime: MINUTE });
    expect(last(await player.play()).order?.outcome).toBe('cancelled');
    expect(refused).toBe(3);
  });

  it('is not given while the session is exempt, and is given when that is over', async () => {
    const player = watchPlayer(harness);
    running();
    await harness.ledger.exemptions.add({ sessionId: SESSION, forMs: 30 * MINUTE, reason: 'month end', by: 'ops' });
    await player.register({ max_runtime: 10 * MINUTE });
    const statuses = await player.play();
    expect(statuses[0]).toMatchObject({ phase: 'exempt', order: null });
    const orderedAfterMs = sinceBeginning(last(statuses).order?.orderedAt);
    expect(orderedAfterMs).toBeGreaterThanOrEqual(30 * MINUTE);
    expect(orderedAfterMs).toBeLessThan(30 * MINUTE + 5 * SECOND);
  });

  it('is not given again on the same turn after a person gave it up', async () => {
    const player = watchPlayer(harness, { carryOutCases: false });
    running();
    await player.register({ max_runtime: 10 * MINUTE });
    await player.play({ enough: ({ phase }) => phase === 'ending' });
    await harness.ledger.orders.abandon(player.joined, { by: 'ops', reason: 'let it be' });
    const statuses = await player.play({ enough: () => harness.clock.wall() > BEGINNING + 2 * HOUR });
    expect(player.joined).toHaveLength(1);
    expect(last(statuses)).toMatchObject({ phase: 'watching', order: { outcome: 'abandoned' } });
    expect(last(statuses).lastNote).toMatch(/ended as “abandoned”, so the watch gives no other now/);
  });

  it('waits with its case while Curfew is paused', async () => {
    const player = watchPlayer(harness, { carryOutCases: false });
    running();
    await harness.ledger.pauseSwitch.set(true, 'ops', 'incident');
    await player.register({ max_runtime: 10 * MINUTE });
    await player.play({ enough: ({ phase }) => phase === 'ending' });
    await harness.worker().carryOut({ onWait: () => 'stop' });
    expect(harness.vendor.cancelCalls).toBe(0);
    expect(last(await player.play({ before: (count) => (count === 5 ? 'stop' : undefined) }))).toMatchObject({
      phase: 'ending',
      order: { outcome: null },
    });
  });
});

describe('a change while a look is under way', () => {
  const registration = (max_runtime: number) => ({
    sessionId: SESSION,
    limits: { max_runtime },
    reason: null,
    requestedBy: 'a service',
  });

  it('makes the look vain: an extension just before the order keeps the turn alive', async () => {
    let extended = false;
    const player = watchPlayer(harness, {
      hooks: {
        before: async (call) => {
          if (call !== 'watches.noteLook' || extended || harness.clock.wall() < BEGINNING + 10 * MINUTE - SECOND)
            return;
          extended = true;
          await harness.ledger.watches.extend(registration(HOUR));
        },
      },
    });
    running();
    await player.register({ max_runtime: 10 * MINUTE });
    expect(sinceBeginning(last(await player.play()).order?.orderedAt)).toBeGreaterThanOrEqual(HOUR - SECOND);
    expect(player.joined).toHaveLength(1);
  });

  it('makes the look vain: a release just before the order keeps the turn alive', async () => {
    const player = watchPlayer(harness, {
      hooks: {
        before: async (call) => {
          if (call !== 'watches.noteLook' || harness.clock.wall() < BEGINNING + 10 * MINUTE - SECOND) return;
          await harness.ledger.watches.release(SESSION, { by: 'ops', reason: null });
        },
      },
    });
    running();
    await player.register({ max_runtime: 10 * MINUTE });
    expect(last(await player.play())).toMatchObject({ state: 'released', ending: 'released', order: null });
    expect(harness.vendor.cancelCalls).toBe(0);
  });

  it('after the order gives it up, as long as nothing was sent, and the new limits count', async () => {
    const player = watchPlayer(harness, { carryOutCases: false });
    running();
    await player.register({ max_runtime: 10 * MINUTE });
    await player.play({ enough: ({ phase }) => phase === 'ending' });
    expect(await harness.ledger.watches.extend(registration(HOUR))).toMatchObject({ order: 'given-up' });
    await harness.worker().carryOut();
    expect(harness.vendor.cancelCalls).toBe(0);
    const again = watchPlayer(harness);
    const { order } = last(await again.play());
    expect(order).toMatchObject({ outcome: 'cancelled' });
    expect(sinceBeginning(order?.orderedAt)).toBeGreaterThanOrEqual(HOUR - SECOND);
  });
});

describe('the longest wait between two looks', () => {
  it.each([
    [{ max_runtime: 20 * MINUTE }, MINUTE],
    [{ max_runtime: 3 * SECOND }, 15 * SECOND],
    [{ max_runtime: 10 * HOUR, max_queue_time: 10 * MINUTE }, 30 * SECOND],
    [{ max_continuous_runtime: 10 * HOUR }, RAREST_LOOK_MS],
    [{ max_credits: 100 }, RAREST_LOOK_MS],
  ])('for %j is %d ms', (limits, expected) => {
    expect(scanMsOf({ ...NO_LIMITS, ...limits })).toBe(expected);
  });
});
