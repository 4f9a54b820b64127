import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { TryAgain } from '../../src/core/try-again.js';
import { type Departure } from '../../src/adapters/ledger/requests.js';
import type { Limiter } from '../../src/adapters/vendor/limiter.js';
import { LEASE_MS } from '../../src/adapters/ledger/leases.js';
import { missingSighting } from '../../src/core/policy/sighting.js';
import type { Turn } from '../../src/core/policy/turn.js';
import {
  BEGINNING,
  FIRST,
  cancelFails,
  Killed,
  openGateHarness,
  SESSION,
  shows,
  type GateHarness,
} from '../support/gate-harness.js';
import { FREE_LIMITER } from '../support/free-limiter.js';
import { READ_MS } from '../support/scripted-vendor.js';

const processing = shows('processing');
const failed = shows('failed');

let harness: GateHarness;

beforeEach(async () => {
  harness = await openGateHarness();
});

afterEach(async () => {
  await harness.close();
});

/** A hook that does something once, when this call of the ledger comes. */
const once = (call: string, work: () => unknown) => {
  let done = false;
  return async (name: string): Promise<void> => {
    if (done || name !== call) return;
    done = true;
    await work();
  };
};

describe('I1: no cancel request leaves on an old read', () => {
  const cancelled = { outcome: 'cancelled', attribution: 'strong', attempts: 1 };

  it.each<[string, { before?: string; after?: string }]>([
    ['the transaction that lets it out', { after: 'requests.register' }],
    ['a wait for that transaction', { before: 'requests.register' }],
    ['looking at what was sent before', { before: 'requests.forTurn' }],
  ])('I1: %s took too long, so nothing is sent, and the next read is taken', async (_title, at) => {
    const slow = () => harness.clock.advance(2_001 - READ_MS);
    harness.vendor.reads = [processing, processing, failed];
    harness.vendor.cancels = ['failed'];
    const orderId = await harness.order();
    const waits = await harness
      .worker({ hooks: { before: once(at.before ?? '', slow), after: once(at.after ?? '', slow) } })
      .carryOut({
        onWait: async () => {
          expect(harness.vendor.cancelCalls).toBe(0);
          expect(await harness.requests()).toMatchObject([{ status: 'withdrawn' }]);
          expect(await harness.result(orderId)).toMatchObject({ outcome: null, attempts: 0 });
        },
      });
    expect(waits.map(({ reason }) => reason)).toEqual(['ReadTooOld']);
    expect(await harness.result(orderId)).toMatchObject(cancelled);
    expect(await harness.requests()).toMatchObject([{ status: 'withdrawn' }, { status: 'answered' }]);
  });

  it('I1: the age counts from before the read was sent', async () => {
    harness.vendor.reads = [processing, processing, failed];
    harness.vendor.cancels = ['failed'];
    harness.vendor.readMs = 900;
    const slow = () => harness.clock.advance(1_101);
    const orderId = await harness.order();
    const waits = await harness.worker({ hooks: { after: once('requests.register', slow) } }).carryOut();
    expect(waits.map(({ reason }) => reason)).toEqual(['ReadTooOld']);
    expect(await harness.result(orderId)).toMatchObject(cancelled);
  });

  it('lets a request out on a read of exactly 2 s', async () => {
    harness.vendor.reads = [processing, failed];
    harness.vendor.cancels = ['failed'];
    harness.vendor.readMs = 1_000;
    const slow = () => harness.clock.advance(1_000);
    await harness.order();
    expect(await harness.worker({ hooks: { after: once('requests.register', slow) } }).carryOut()).toEqual([]);
    expect(harness.vendor.cancelCalls).toBe(1);
    expect(harness.vendor.readAt.length).toBeGreaterThan(1);
  });

  it('I1: tells the client until when the request may leave', async () => {
    harness.vendor.reads = [processing, failed];
    harness.vendor.cancels = ['failed'];
    await harness.order();
    const readSentAt = harness.clock.monotonic();
    await harness.worker().carryOut();
    expect(harness.vendor.cancelOptions).toEqual([{ sendBefore: readSentAt + 2_000 }]);
  });

  it('I1: a wall clock that is set back makes no read younger', async () => {
    const slow = (): void => {
      harness.clock.advance(2_001);
      harness.clock.jump(-60_000);
    };
    harness.vendor.reads = [processing, processing, failed];
    harness.vendor.cancels = ['failed'];
    await harness.order();
    const waits = await harness.worker({ hooks: { after: once('requests.register', slow) } }).carryOut();
    expect(waits.map(({ reason }) => reason)).toEqual(['ReadTooOld']);
  });

  describe('where reads are slow', () => {
    const second: Turn = { key: 'second', startedAtMs: null };
    const moved = shows('processing', FIRST, second);

    it.each([
      ['just slow', 1_001],
      ['as slow as no request could follow', 2_300],
      ['of a long transcript', 10_000],
      ['as slow as a read may be', 30_000],
    ])('I1, S7: ends a turn that two reads in a row show in flight, %s', async (_title, readMs) => {
      harness.vendor.reads = [processing, processing, failed];
      harness.vendor.cancels = ['failed'];
      harness.vendor.readMs = readMs;
      const orderId = await harness.order();
      const sentAt = harness.clock.monotonic();
      expect(await harness.worker().carryOut()).toEqual([]);
      expect(harness.vendor.cancelOptions).toEqual([{ sendBefore: sentAt + 2 * readMs + 2_000 }]);
      expect(await harness.result(orderId)).toMatchObject(cancelled);
    });

    it('I1: sends nothing later than 2 s after the second read was there', async () => {
      harness.vendor.reads = [processing];
      harness.vendor.readMs = 10_000;
      await harness.order();
      const slow = () => harness.clock.advance(2_001);
      const waits = await harness
        .worker({ hooks: { after: once('requests.register', slow) } })
        .carryOut({ onWait: () => 'stop' });
      expect(waits.map(({ reason }) => reason)).toEqual(['ReadTooOld']);
      expect(harness.vendor.cancelCalls).toBe(0);
    });

    it.each([
      ['another turn', moved],
      ['another state', shows('approval_required')],
      ['the end', failed],
    ])('I1: sends nothing when the second read shows %s', async (_title, shown) => {
      harness.vendor.reads = [processing, shown];
      harness.vendor.readMs = 10_000;
      await harness.order();
      await harness.worker().carryOut({ onWait: () => 'stop' });
      expect(harness.vendor.cancelCalls).toBe(0);
    });

    it('I1: sends nothing for a turn that only the second read shows, though the order means it', async () => {
      const meant: Turn = { key: 'second', startedAtMs: BEGINNING - 1 };
      harness.vendor.reads = [processing, shows('processing', FIRST, meant)];
      harness.vendor.readMs = 10_000;
      await harness.order();
      const waits = await harness.worker().carryOut({ onWait: () => 'stop' });
      expect(waits.map(({ reason }) => reason)).toEqual(['ReadTooOld']);
      expect(harness.vendor.cancelCalls).toBe(0);
    });

    it('goes by the second read alone, when that one is quick', async () => {
      const reads = [processing, processing, failed];
      harness.vendor.reads = (call) => {
        harness.vendor.readMs = call === 0 ? 10_000 : READ_MS;
        return reads[Math.min(call, 2)] ?? failed;
      };
      harness.vendor.cancels = ['failed'];
      await harness.order();
      const sentAt = harness.clock.monotonic() + 10_000;
      expect(await harness.worker().carryOut()).toEqual([]);
      expect(harness.vendor.cancelOptions).toEqual([{ sendBefore: sentAt + 2_000 }]);
    });

    it('reads once when there is nothing to end, and while it confirms', async () => {
      harness.vendor.reads = [failed];
      harness.vendor.readMs = 10_000;
      const orderId = await harness.order();
      await harness.worker().carryOut();
      expect(await harness.result(orderId)).toMatchObject({ outcome: 'already-ended' });
      expect(harness.vendor.readAt).toHaveLength(2);
    });

    it('tells of a turn that began after the read was sent, and may have been hit', async () => {
      const unseen: Turn = { key: 'second', startedAtMs: BEGINNING + 12_000 };
      harness.vendor.reads = [processing, processing, shows('failed', FIRST, unseen)];
      harness.vendor.cancels = ['failed'];
      harness.vendor.readMs = 10_000;
      await harness.order();
      await harness.worker().carryOut();
      expect(await harness.events()).toContain('may-have-hit-newer-turn');
    });
  });

  describe('where a person has said how old the read may be', () => {
    const said = (maxReadAgeMs: number, more: Parameters<GateHarness['order']>[0] = {}): Promise<string> => {
      harness.vendor.maxReadAgeMs = Math.min(maxReadAgeMs, 60_000);
      return harness.order({ ...more, maxReadAgeMs });
    };
    const slowly = (ms: number) => ({ hooks: { after: once('requests.register', () => harness.clock.advance(ms)) } });

    it('I1: lets a request out on a read of that age, and books when it left at the latest', async () => {
      harness.vendor.reads = [processing, failed];
      harness.vendor.cancels = ['failed'];
      const orderId = await said(10_000);
      const readSentAt = harness.clock.monotonic();
      expect(await harness.worker(slowly(10_000 - READ_MS)).carryOut()).toEqual([]);
      expect(harness.vendor.cancelOptions).toEqual([{ sendBefore: readSentAt + 10_000 }]);
      expect(await harness.result(orderId)).toMatchObject({ ...cancelled, maxReadAgeMs: 10_000 });
      const [sent] = await harness.ledger.requests.forTurn(SESSION, FIRST.key, 0, FIRST.startedAtMs);
      expect((sent?.leftByMs ?? 0) - (sent?.readAtMs ?? 0)).toBe(10_000);
    });

    it('I1: sends nothing on a read that is older than that', async () => {
      harness.vendor.reads = [processing];
      await said(10_000);
      const waits = await harness.worker(slowly(10_001 - READ_MS)).carryOut({ onWait: () => 'stop' });
      expect(waits.map(({ reason }) => reason)).toEqual(['ReadTooOld']);
      expect(harness.vendor.cancelCalls).toBe(0);
    });

    it('I1: no order may go by a read of more than a minute, whatever the ledger says', async () => {
      harness.vendor.reads = [processing];
      await said(600_000);
      await harness.worker(slowly(60_001 - READ_MS)).carryOut({ onWait: () => 'stop' });
      expect(harness.vendor.cancelCalls).toBe(0);
    });

    it('I1: no other order on the session profits from it', async () => {
      harness.vendor.reads = [processing, failed];
      harness.vendor.cancels = ['failed'];
      const other = await harness.order();
      const sayer = await said(10_000);
      const registered: (readonly string[])[] = [];
      const { deps } = harness.worker(slowly(5_000));
      const ledger = {
        ...deps.ledger,
        requests: {
          ...deps.ledger.requests,
          register: (departure: Departure) => {
            registered.push([...departure.orderIds].sort());
            return deps.ledger.requests.register(departure);
          },
        },
      };
      await harness.worker({ ledger }).carryOut();
      expect(registered).toEqual([[other, sayer].sort(), [sayer]]);
      expect(await harness.requests()).toMatchObject([{ status: 'withdrawn' }, { status: 'answered' }]);
      expect(harness.vendor.cancelCalls).toBe(1);
    });

    it('goes by one slow read, if that is young enough with time to spare', async () => {
      harness.vendor.reads = [processing, failed];
      harness.vendor.cancels = ['failed'];
      harness.vendor.readMs = 8_000;
      await said(10_000);
      const sentAt = harness.clock.monotonic();
      expect(await harness.worker().carryOut()).toEqual([]);
      expect(harness.vendor.cancelOptions).toEqual([{ sendBefore: sentAt + 10_000 }]);
    });

    it('takes a second read, as for every order, when the first has used up too much', async () => {
      harness.vendor.reads = [processing, processing, failed];
      harness.vendor.cancels = ['failed'];
      harness.vendor.readMs = 8_001;
      await said(10_000);
      const sentAt = harness.clock.monotonic();
      expect(await harness.worker().carryOut()).toEqual([]);
      expect(harness.vendor.cancelOptions).toEqual([{ sendBefore: sentAt + 2 * 8_001 + 10_000 }]);
    });

    it('I1: still sends nothing for a turn that the read does not show in flight', async () => {
      harness.vendor.reads = [shows('processing', FIRST, { key: 'second', startedAtMs: BEGINNING + 10 })];
      harness.vendor.readMs = 8_000;
      await said(10_000, { turnKey: FIRST.key, turnStartedAtMs: FIRST.startedAtMs });
      await harness.worker().carryOut({ onWait: () => 'stop' });
      expect(harness.vendor.cancelCalls).toBe(0);
    });

    it('I6: pause and exemption hold for it, too', async () => {
      await harness.ledger.pauseSwitch.set(true, 'ops', null);
      harness.vendor.reads = [processing];
      harness.vendor.readMs = 8_000;
      const orderId = await said(10_000);
      const waits = await harness.worker().carryOut({ onWait: () => 'stop' });
      expect(waits.map(({ reason }) => reason)).toEqual(['Paused']);
      await harness.ledger.pauseSwitch.set(false, 'ops', null);
      await harness.ledger.exemptions.add({ sessionId: SESSION, forMs: 3_600_000, reason: null, by: 'ops' });
      await harness.worker().carryOut();
      expect(await harness.result(orderId)).toMatchObject({ outcome: 'exempted' });
      expect(harness.vendor.cancelCalls).toBe(0);
    });

    it('tells of a turn that began in all that time, and may have been hit', async () => {
      const unseen: Turn = { key: 'second', startedAtMs: BEGINNING + 9_000 };
      harness.vendor.reads = [processing, shows('failed', FIRST, unseen)];
      harness.vendor.cancels = ['failed'];
      await said(10_000);
      await harness.worker(slowly(9_500)).carryOut();
      expect(await harness.events()).toContain('may-have-hit-newer-turn');
    });

    it('tells of a turn that an unanswered request may have hit, however late that left', async () => {
      const unseen: Turn = { key: 'second', startedAtMs: BEGINNING + 150_000 };
      harness.vendor.reads = [processing, shows('failed', FIRST, unseen)];
      harness.vendor.cancels = [cancelFails('connection-lost')];
      await said(60_000);
      await expect(
        harness
          .worker({
            hooks: {
              after: once('requests.register', () => harness.clock.advance(55_000)),
              before: (call) => {
                if (call === 'requests.answer') throw new Killed();
              },
            },
          })
          .carryOut(),
      ).rejects.toThrow(Killed);
      harness.clock.advance(120_000);
      await harness.worker().carryOut();
      expect(await harness.events()).toContain('may-have-hit-newer-turn');
    });
  });

  it('reads after its turn in the limiter, so that a queue there ages nothing', async () => {
    harness.vendor.reads = [processing, failed];
    harness.vendor.cancels = ['failed'];
    await harness.order();
    const acquire: Limiter['acquire'] = (urgency) =>
      Promise.resolve(urgency === 'cancel' ? undefined : harness.clock.advance(60_000));
    const limiter = { ...FREE_LIMITER, acquire };
    expect(await harness.worker({ limiter }).carryOut()).toEqual([]);
    expect(harness.vendor.cancelCalls).toBe(1);
  });

  it('refuses to send on a read that showed no session', async () => {
    const { deps } = harness.worker();
    const read = {
      sighting: missingSighting(0),
      session: null,
      notFound: null,
      agentId: null,
      sentAt: harness.clock.monotonic(),
      receivedAt: harness.clock.monotonic(),
      freshFrom: harness.clock.monotonic(),
      askedAt: harness.clock.monotonic(),
      times: { sentMs: 0, receivedMs: 0, serverDateMs: null },
    };
    await expect(deps.gate.send({ sessionId: SESSION, read, orderIds: [], owner: 'case' })).rejects.toThrow(/a turn/);
    expect(harness.vendor.cancelCalls).toBe(0);
  });
});

describe('I6: the pause switch and exemptions count when a request leaves, not only when deciding', () => {
  it('I6: a pause between the read and the transaction keeps the request in; it leaves after resume', async () => {
    harness.vendor.reads = [processing, processing, failed];
    harness.vendor.cancels = ['failed'];
    const orderId = await harness.order();
    const pause = () => harness.ledger.pauseSwitch.set(true, 'ops', 'incident 7');
    const waits = await harness.worker({ hooks: { before: once('requests.register', pause) } }).carryOut({
      onWait: async () => {
        expect(harness.vendor.cancelCalls).toBe(0);
        expect(await harness.requests()).toEqual([]);
        const [view] = await harness.ledger.orders.views({ orderIds: [orderId] });
        expect(view).toMatchObject({ phase: 'held', result: { outcome: null, lastError: { type: 'Paused' } } });
        await harness.ledger.pauseSwitch.set(false, 'ops', null);
      },
    });
    expect(waits).toMatchObject([{ reason: 'Paused', message: 'Curfew is paused (incident 7); nothing was sent.' }]);
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 1 });
  });

  it('I6: a pause while an attempt waits keeps the next one in', async () => {
    harness.vendor.reads = [processing];
    harness.vendor.cancels = [cancelFails('server-error')];
    await harness.order();
    const waits = await harness.worker().carryOut({
      onWait: async ({ reason }, count) => {
        if (reason === 'CancelFailed') await harness.ledger.pauseSwitch.set(true, 'ops', null);
        return count === 5 ? 'stop' : undefined;
      },
    });
    expect(waits.map(({ reason }) => reason)).toEqual(['CancelFailed', 'Paused', 'Paused', 'Paused', 'Paused']);
    expect(harness.vendor.cancelCalls).toBe(1);
  });

  it('reads and concludes while paused, because that sends nothing', async () => {
    await harness.ledger.pauseSwitch.set(true, 'ops', null);
    harness.vendor.reads = [failed];
    const orderId = await harness.order();
    expect(await harness.worker().carryOut()).toEqual([]);
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'already-ended' });
  });

  const exempt = (): Promise<unknown> =>
    harness.ledger.exemptions.add({ sessionId: SESSION, forMs: 3_600_000, reason: null, by: 'ops' });
  const exempted = { outcome: 'exempted', attribution: null, attempts: 0, endedAt: null };

  it('I6: an exemption between the read and the transaction keeps the request in for good', async () => {
    harness.vendor.reads = [processing];
    const orderId = await harness.order();
    await harness.worker({ hooks: { before: once('requests.register', exempt) } }).carryOut();
    expect(await harness.result(orderId)).toMatchObject(exempted);
    expect(await harness.requests()).toEqual([]);
    expect(harness.vendor.cancelCalls).toBe(0);
  });

  it("stops a person's order, too", async () => {
    await exempt();
    harness.vendor.reads = [processing];
    const orderId = await harness.order({ source: 'person' });
    await harness.worker().carryOut();
    expect(await harness.result(orderId)).toMatchObject(exempted);
  });

  it('lets an order through that was given even if exempt, and stops the one beside it', async () => {
    await exempt();
    harness.vendor.reads = [processing, failed];
    harness.vendor.cancels = ['failed'];
    const stopped = await harness.order();
    const through = await harness.order({ evenIfExempt: true });
    await harness.worker().carryOut();
    expect(await harness.result(stopped)).toMatchObject(exempted);
    expect(await harness.result(through)).toMatchObject({ outcome: 'cancelled', attempts: 1 });
  });

  it('takes nothing from the count of an exempted order when the request beside it is withdrawn', async () => {
    harness.vendor.reads = [processing];
    harness.vendor.cancels = [cancelFails('server-error'), cancelFails('connection-failed')];
    const stopped = await harness.order();
    await harness.order({ evenIfExempt: true });
    await harness.worker().carryOut({
      onWait: async (_wait, count) => {
        if (count === 1) await exempt();
        return count === 2 ? 'stop' : undefined;
      },
    });
    // Open as long as the first request may still take effect.
    expect(await harness.result(stopped)).toMatchObject({ outcome: null, attempts: 1 });
  });

  it('counts an exemption no longer once it is over or ended', async () => {
    await exempt();
    harness.clock.advance(3_600_000);
    harness.vendor.reads = [processing, failed, failed, processing, failed];
    harness.vendor.cancels = ['failed', 'failed'];
    const afterIt = await harness.order();
    await harness.worker().carryOut();
    expect(await harness.result(afterIt)).toMatchObject({ outcome: 'cancelled' });

    await exempt();
    await harness.ledger.exemptions.end(SESSION, 'ops');
    const ended = await harness.order();
    await harness.worker().carryOut();
    expect(await harness.result(ended)).toMatchObject({ outcome: 'cancelled' });
  });

  it('sends nothing for an order that was abandoned after the read', async () => {
    harness.vendor.reads = [processing];
    const orderId = await harness.order();
    const abandon = () => harness.ledger.orders.abandon([orderId], { by: 'ops', reason: 'stuck' });
    await harness.worker({ hooks: { before: once('requests.register', abandon) } }).carryOut();
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'abandoned', attempts: 0 });
    expect(harness.vendor.cancelCalls).toBe(0);
  });
});

describe('I3: one sender per session at a time', () => {
  const departure = (orderId: string): Departure => ({
    sessionId: SESSION,
    agentId: null,
    turn: { key: 'first', startedAtMs: FIRST.startedAtMs },
    orderIds: [orderId],
    owner: 'bulk/1',
    worker: 'other',
    readAtMs: harness.clock.wall(),
    leavesByMs: harness.clock.wall() + 2_000,
  });

  it('I3: holds while the request of another sender is under way, and goes on after its answer', async () => {
    const orderId = await harness.order();
    const other = await harness.ledger.requests.register(departure(orderId));
    if (other.kind !== 'registered') throw new Error('The other sender could not begin.');
    harness.vendor.reads = [processing];
    const waits = await harness.worker().carryOut({
      beforeStep: async (_step, count) => {
        if (count < 3) return harness.ledger.requests.renew(other.requestId);
        if (count > 3) return;
        harness.vendor.reads = [failed];
        await harness.ledger.requests.answer(other.requestId, {
          answer: 'accepted',
          state: 'failed',
          httpStatus: 200,
          errorCode: null,
          errorMessage: null,
          answeredAtMs: harness.clock.wall(),
        });
      },
    });
    expect(waits.map(({ reason }) => reason)).toEqual(['SenderBusy', 'SenderBusy', 'SenderBusy']);
    expect(harness.vendor.cancelCalls).toBe(0);
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 1 });
  });

  it('I3: takes over when the lease of the other sender has run out, and counts its request as of unknown effect', async () => {
    const orderId = await harness.order();
    await harness.ledger.requests.register(departure(orderId));
    const registeredAt = harness.clock.wall();
    harness.vendor.reads = [processing, processing, failed];
    harness.vendor.cancels = [cancelFails('conflict')];
    let sentAt = 0;
    harness.vendor.duringCancel = () => void (sentAt = harness.clock.wall());
    const waits = await harness.worker().carryOut();
    expect(waits.map(({ reason }) => reason)).toEqual(['SenderBusy', 'CancelFailed']);
    expect(sentAt - registeredAt).toBeGreaterThanOrEqual(LEASE_MS);
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled', attribution: 'probable', attempts: 2 });
  });

  it('I3: two workers that carry out the same case send one request', async () => {
    let cancelled = false;
    harness.vendor.reads = () => (cancelled ? failed : processing);
    harness.vendor.cancels = ['failed'];
    let refused = (): void => undefined;
    const otherWasRefused = new Promise<void>((resolve) => (refused = resolve));
    harness.vendor.duringCancel = async () => {
      await otherWasRefused;
      cancelled = true;
    };
    const orderId = await harness.order();
    const onWait = ({ reason }: TryAgain): 'stop' => {
      expect(reason).toBe('SenderBusy');
      refused();
      return 'stop';
    };
    // Whatever goes wrong in one of them, the other one must not wait for ever.
    const carryOut = () => harness.worker().carryOut({ onWait }).finally(refused);
    await Promise.all([carryOut(), carryOut()]);
    expect(harness.vendor.cancelCalls).toBe(1);
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 1 });
  });

  it('I3: renews its lease while a slow answer is awaited', async () => {
    jest.useFakeTimers({
      doNotFake: ['Date', 'hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate', 'setTimeout'],
    });
    try {
      harness.vendor.reads = [processing, failed];
      harness.vendor.cancels = ['failed'];
      const orderId = await harness.order();
      const verdicts = new Set<string>();
      harness.vendor.duringCancel = async () => {
        for (let seconds = 0; seconds < 90; seconds += 2) {
          harness.clock.advance(2_000);
          jest.advanceTimersByTime(2_000);
          // The renewal that this has set off is behind us in the ledger's queue, or before.
          await harness.ledger.now();
          await new Promise((resolve) => setImmediate(resolve));
          verdicts.add((await harness.ledger.requests.register(departure(orderId))).kind);
        }
      };
      await harness.worker().carryOut();
      expect([...verdicts]).toEqual(['busy']);
    } finally {
      jest.useRealTimers();
    }
  });

  it('sends for another session all the same', async () => {
    await harness.ledger.requests.register(departure(await harness.order()));
    harness.vendor.reads = [processing, failed];
    harness.vendor.cancels = ['failed'];
    const other = await harness.order({ sessionId: 'session-2' });
    expect(await harness.worker({}, 'session-2').carryOut()).toEqual([]);
    expect(await harness.result(other)).toMatchObject({ outcome: 'cancelled' });
  });
});
