import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createRequests, type Departure } from '../../src/adapters/ledger/requests.js';
import type { Outcome } from '../../src/core/contract.js';
import { recordEvents } from '../../src/adapters/ledger/events.js';
import { createExemptions } from '../../src/adapters/ledger/exemptions.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import {
  createOrder,
  createOrders,
  settleOrders,
  type NewOrder,
  type Settlement,
} from '../../src/adapters/ledger/orders.js';
import { createPauseSwitch, readPauseSwitch } from '../../src/adapters/ledger/pause-switch.js';
import type { RequestAnswer } from '../../src/adapters/ledger/request-row.js';
import { LEASE_MS } from '../../src/adapters/ledger/leases.js';
import { orderViews } from '../../src/adapters/ledger/results.js';
import { countUnjudged, createUnjudged, type FailedJudgement } from '../../src/adapters/ledger/unjudged.js';
import { createHolds } from '../../src/adapters/ledger/holds.js';
import { HOLD_MS } from '../../src/adapters/ledger/leases.js';
import { clockAt } from './rows.js';

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const SESSION = 'session-1';

/**
 * What the repositories promise on either database. Most take the time as a value, so that no clock has to move.
 *
 * @param freshUrl - makes a new, empty database
 */
export function describeRepositories(name: string, freshUrl: () => Promise<string>): void {
  describe(`the repositories on ${name}`, () => {
    let url: string;
    let db: OpenedDatabase['db'];
    const closers: (() => Promise<void>)[] = [];

    const openedDatabase = async (): Promise<OpenedDatabase['db']> => {
      const opened = await openDatabase(url);
      closers.push(opened.close);
      return opened.db;
    };
    const openedLedger = async (): Promise<Ledger> => {
      const ledger = await openLedger(url);
      closers.push(() => ledger.close());
      return ledger;
    };

    beforeEach(async () => {
      url = await freshUrl();
      db = await openedDatabase();
    });

    afterEach(async () => {
      for (const close of closers.splice(0)) await close();
    });

    it('finds what is noted under a prefix, in order, and nothing else', async () => {
      const ledger = await openedLedger();
      for (const key of ['trigger/b/1', 'trigger/a/%20', 'triggers', 'other/trigger/']) {
        await ledger.meta.claim(key, `of ${key}`);
      }
      expect(await ledger.meta.under('trigger/')).toEqual([
        { key: 'trigger/a/%20', value: 'of trigger/a/%20' },
        { key: 'trigger/b/1', value: 'of trigger/b/1' },
      ]);
    });

    const order = (given: Partial<NewOrder> = {}, at = NOW): Promise<string> =>
      createOrder(
        db,
        {
          sessionId: SESSION,
          source: 'person',
          requestedBy: 'ops@example.com',
          reason: { text: null, policy: null, policyVersion: null, limit: null, observed: null },
          evenIfExempt: false,
          turnKey: null,
          ...given,
        },
        at,
      );
    const settle = (orderId: string, outcome: Outcome, given: Partial<Settlement> = {}, at = NOW): Promise<void> =>
      settleOrders(
        db,
        [
          {
            orderId,
            sessionId: SESSION,
            outcome,
            attribution: null,
            attempts: 0,
            endedAtMs: null,
            turnKey: null,
            ...given,
          },
        ],
        at,
      );
    const viewOf = async (orderId: string) => {
      const [view] = await orderViews(db, { orderIds: [orderId] });
      if (view === undefined) throw new Error(`No order ${orderId}.`);
      return view;
    };
    const departure = (orderIds: readonly string[], given: Partial<Departure> = {}): Departure => ({
      sessionId: SESSION,
      agentId: 'agent-1',
      turn: { key: 'turn-1', startedAtMs: NOW - MINUTE },
      orderIds,
      owner: 'case',
      worker: 'worker-1',
      readAtMs: NOW,
      leavesByMs: NOW + 2_000,
      ...given,
    });
    const register = (orderIds: readonly string[], at = NOW, given: Partial<Departure> = {}) =>
      createRequests(db, clockAt(at)).register(departure(orderIds, given));
    const registered = async (...args: Parameters<typeof register>): Promise<string> => {
      const registration = await register(...args);
      if (registration.kind !== 'registered') throw new Error(`Not registered: ${registration.kind}.`);
      return registration.requestId;
    };
    const answer = (requestId: string, given: Partial<RequestAnswer> = {}): Promise<void> =>
      createRequests(db).answer(requestId, {
        answer: 'accepted',
        state: 'failed',
        httpStatus: 200,
        errorCode: null,
        errorMessage: null,
        answeredAtMs: NOW + 100,
        ...given,
      });

    describe('orders', () => {
      it('come back as they were given', async () => {
        const reason = {
          text: 'too long',
          policy: 'no-all-nighters',
          policyVersion: 3,
          limit: { max_runtime: '45m', nested: { ms: 2_700_000 } },
          observed: { runtimeMs: 2_712_345, errorMs: 15_000 },
        };
        const id = await order({
          source: 'policy',
          reason,
          turnKey: 'turn-9',
          evenIfExempt: true,
          maxReadAgeMs: 10_000,
        });
        expect(await viewOf(id)).toEqual({
          orderId: id,
          phase: 'ordered',
          nextTryAtMs: null,
          holder: null,
          decidedAtMs: null,
          result: {
            sessionId: SESSION,
            agentId: null,
            turnKey: 'turn-9',
            outcome: null,
            attribution: null,
            reason,
            requestedBy: 'ops@example.com',
            maxReadAgeMs: 10_000,
            attempts: 0,
            orderedAt: '2026-01-05T12:00:00.000Z',
            endedAt: null,
            lastError: null,
            events: [],
          },
        });
        expect(await createOrders(db, clockAt(NOW)).beginPass(SESSION)).toEqual([
          {
            id,
            sessionId: SESSION,
            source: 'policy',
            policy: 'no-all-nighters',
            reason,
            evenIfExempt: true,
            maxReadAgeMs: 10_000,
            turnKey: 'turn-9',
            turnStartedAtMs: null,
            turnFixed: true,
            orderedAtMs: NOW,
            ageMs: 0,
            triedForMs: 0,
            alerted: false,
            refusals: [],
          },
        ]);
      });

      it('are taken up oldest first, those of the session that are open alone', async () => {
        const second = await order({}, NOW + 2);
        const first = await order({}, NOW + 1);
        const settled = await order({}, NOW);
        await order({ sessionId: 'another' }, NOW);
        await settle(settled, 'gone');
        expect((await createOrders(db, clockAt(NOW + 3)).beginPass(SESSION)).map(({ id }) => id)).toEqual([
          first,
          second,
        ]);
      });

      it('mean the first turn they were bound to, for ever', async () => {
        const id = await order();
        await createOrders(db, clockAt(NOW)).bind(id, { key: 'turn-1', startedAtMs: NOW - 5 });
        await createOrders(db, clockAt(NOW + 10)).bind(id, { key: 'turn-2', startedAtMs: NOW + 5 });
        expect(await createOrders(db, clockAt(NOW)).beginPass(SESSION)).toMatchObject([
          { turnKey: 'turn-1', turnStartedAtMs: NOW - 5, turnFixed: true },
        ]);
      });

      it('keep what a pass leaves behind, and the last error until there is another', async () => {
        const id = await order();
        const error = { type: 'CancelFailed', message: 'no', at: '2026-01-05T12:00:00.000Z' };
        await createOrders(db).notePass(SESSION, {
          phase: 'attempting',
          nextTryAtMs: NOW + 7,
          error,
          counts: true,
          agentId: 'a',
        });
        expect(await viewOf(id)).toMatchObject({
          phase: 'attempting',
          nextTryAtMs: NOW + 7,
          result: { lastError: error, agentId: 'a' },
        });
        await createOrders(db).notePass(SESSION, { phase: 'confirming', nextTryAtMs: null, error: null, counts: true });
        expect(await viewOf(id)).toMatchObject({
          phase: 'confirming',
          nextTryAtMs: null,
          result: { lastError: error, agentId: 'a' },
        });
      });

      it('are shown newest first, by session, by id, open ones, and no more than asked for', async () => {
        const old = await order({}, NOW);
        const recent = await order({}, NOW + 1);
        const other = await order({ sessionId: 'another' }, NOW + 2);
        await settle(old, 'gone');
        const shown = async (filter: Parameters<typeof orderViews>[1]) =>
          (await orderViews(db, filter)).map(({ orderId }) => orderId);
        expect(await shown({})).toEqual([other, recent, old]);
        expect(await shown({ limit: 2 })).toEqual([other, recent]);
        expect(await shown({ sessionId: SESSION })).toEqual([recent, old]);
        expect(await shown({ openOnly: true })).toEqual([other, recent]);
        expect(await shown({ orderIds: [old, other], openOnly: true })).toEqual([other]);
      });

      it('show their own events, in order, with their data', async () => {
        const id = await order();
        const other = await order();
        await recordEvents(db, [
          { kind: 'not-ending', at: NOW, sessionId: SESSION, orderId: id, data: { triedForMs: 5 } },
          { kind: 'gone', at: NOW + 1, sessionId: SESSION, orderId: other },
          { kind: 'account-refused', at: NOW + 2 },
          { kind: 'gone', at: NOW + 3, sessionId: SESSION, orderId: id },
        ]);
        expect((await viewOf(id)).result.events).toEqual([
          { kind: 'not-ending', at: '2026-01-05T12:00:00.000Z', triedForMs: 5 },
          { kind: 'gone', at: '2026-01-05T12:00:00.003Z' },
        ]);
      });
    });

    describe('outcomes', () => {
      it('I4: an order has one outcome for ever', async () => {
        const id = await order();
        await settle(
          id,
          'cancelled',
          { attribution: 'strong', attempts: 2, endedAtMs: NOW + 50, turnKey: 'turn-1' },
          NOW + 60,
        );
        await settle(id, 'retries-exhausted', { attempts: 9 }, NOW + 70);
        expect(await viewOf(id)).toMatchObject({
          phase: 'settled',
          decidedAtMs: NOW + 60,
          result: {
            outcome: 'cancelled',
            attribution: 'strong',
            attempts: 2,
            turnKey: 'turn-1',
            endedAt: '2026-01-05T12:00:00.050Z',
          },
        });
        expect(await createOrders(db, clockAt(NOW + 80)).beginPass(SESSION)).toEqual([]);
      });

      it('I4: two that come at the same time make one', async () => {
        const id = await order();
        const others = [db, await openedDatabase()];
        const settlement = {
          orderId: id,
          sessionId: SESSION,
          attribution: null,
          attempts: 0,
          endedAtMs: null,
          turnKey: null,
        };
        await Promise.all(
          others.map((one, n) => settleOrders(one, [{ ...settlement, outcome: n === 0 ? 'gone' : 'forbidden' }], NOW)),
        );
        expect(await db.selectFrom('outcomes').select('order_id').execute()).toHaveLength(1);
      });

      it('keep the turn that the order had when none was found', async () => {
        const id = await order({ turnKey: 'turn-9' });
        await settle(id, 'gone', { turnKey: null });
        expect((await viewOf(id)).result.turnKey).toBe('turn-9');
      });

      it('of earlier orders on a turn are found up to a moment', async () => {
        const at = (beforeMs: number, turnKey = 'turn-1', sessionId = SESSION) =>
          createOrders(db).concludedBefore(sessionId, turnKey, beforeMs);
        expect(await at(NOW)).toBeNull();
        await settle(await order(), 'cancelled', { turnKey: 'turn-1' }, NOW + 10);
        await settle(await order(), 'already-ended', { turnKey: 'turn-1' }, NOW + 20);
        await settle(await order(), 'already-ended', { turnKey: 'turn-2' }, NOW + 30);
        expect(await at(NOW + 9)).toBeNull();
        expect(await at(NOW + 10)).toBe(NOW + 10);
        expect(await at(NOW + 99)).toBe(NOW + 20);
        expect(await at(NOW + 99, 'turn-3')).toBeNull();
        expect(await at(NOW + 99, 'turn-1', 'another')).toBeNull();
      });

      it('are written with their events, or not at all', async () => {
        const ledger = await openedLedger();
        const id = await order();
        const settlement = {
          orderId: id,
          sessionId: SESSION,
          outcome: 'gone' as const,
          attribution: null,
          attempts: 0,
          endedAtMs: null,
          turnKey: null,
        };
        const unwritable = { kind: 'gone' as const, orderId: id, data: { id: 1n as unknown } };
        await expect(
          ledger.orders.settle({ settlements: [settlement], events: [unwritable], alertedOrderIds: [] }),
        ).rejects.toThrow(TypeError);
        expect((await viewOf(id)).result.outcome).toBeNull();
      });

      it('I10: someone is told of an order once', async () => {
        const ledger = await openedLedger();
        const id = await order();
        expect(await ledger.orders.beginPass(SESSION)).toMatchObject([{ alerted: false }]);
        await ledger.orders.settle({
          settlements: [],
          events: [{ kind: 'not-ending', orderId: id }],
          alertedOrderIds: [id],
        });
        expect(await ledger.orders.beginPass(SESSION)).toMatchObject([{ alerted: true }]);
      });
    });

    describe('time spent in vain', () => {
      /** Passes at these moments, each followed by a wait that counts or not. @returns what was booked by the last one */
      const bookedBy = async (...passes: [ms: number, counts: boolean][]): Promise<number> => {
        await order();
        let booked = 0;
        for (const [ms, counts] of passes) {
          booked = (await createOrders(db, clockAt(NOW + ms)).beginPass(SESSION))[0]?.triedForMs ?? -1;
          await createOrders(db).notePass(SESSION, { phase: 'attempting', nextTryAtMs: null, error: null, counts });
        }
        return booked;
      };

      it.each<[string, [number, boolean][], number]>([
        ['nothing before the second pass', [[500, true]], 0],
        [
          'from pass to pass',
          [
            [0, true],
            [1_000, true],
            [61_000, true],
          ],
          61_000,
        ],
        [
          'nothing while it was held',
          [
            [0, false],
            [600_000, false],
          ],
          0,
        ],
        [
          'what counts around what was held',
          [
            [0, true],
            [1_000, false],
            [900_000, true],
            [902_000, true],
          ],
          3_000,
        ],
        [
          '3 minutes of a longer gap: a worker was away',
          [
            [0, true],
            [86_400_000, true],
          ],
          180_000,
        ],
        [
          'a gap of just under 3 minutes',
          [
            [0, true],
            [179_999, true],
          ],
          179_999,
        ],
        [
          'nothing when the clock was set back',
          [
            [0, true],
            [-3_600_000, true],
          ],
          0,
        ],
        [
          'and goes on from there',
          [
            [0, true],
            [-3_600_000, true],
            [-3_590_000, true],
          ],
          10_000,
        ],
        [
          'nothing between two passes at the same moment',
          [
            [0, true],
            [0, true],
          ],
          0,
        ],
      ])('books %s', async (_title, passes, booked) => {
        expect(await bookedBy(...passes)).toBe(booked);
      });

      it('books nothing for a pass that never said that it counts', async () => {
        await order();
        await createOrders(db, clockAt(NOW)).beginPass(SESSION);
        expect(await createOrders(db, clockAt(NOW + MINUTE)).beginPass(SESSION)).toMatchObject([{ triedForMs: 0 }]);
      });
    });

    describe('neglected sessions', () => {
      const neglected = (before: number, limit = 100) => createOrders(db).neglected(before, limit);

      it('I2: are those with an open order that nobody has looked at since, oldest order first', async () => {
        const late = await order({ sessionId: 'late' }, NOW + 2);
        const early = await order({ sessionId: 'early' }, NOW + 1);
        await settle(await order({ sessionId: 'settled' }), 'gone');
        expect(await neglected(NOW)).toEqual([
          { sessionId: 'early', orderId: early },
          { sessionId: 'late', orderId: late },
        ]);
        expect(await neglected(NOW, 1)).toEqual([{ sessionId: 'early', orderId: early }]);
      });

      it('I2: are not those looked at lately, nor those that wait for a moment to come', async () => {
        await order();
        await createOrders(db, clockAt(NOW)).beginPass(SESSION);
        expect(await neglected(NOW)).toEqual([]);
        expect(await neglected(NOW + 1)).toHaveLength(1);
        await createOrders(db).notePass(SESSION, {
          phase: 'held',
          nextTryAtMs: NOW + MINUTE,
          error: null,
          counts: false,
        });
        expect(await neglected(NOW + MINUTE)).toEqual([]);
        expect(await neglected(NOW + MINUTE + 1)).toHaveLength(1);
      });

      it('I2: all of them are found at boot', async () => {
        await order();
        await createOrders(db).notePass(SESSION, {
          phase: 'held',
          nextTryAtMs: NOW + MINUTE,
          error: null,
          counts: false,
        });
        expect(await neglected(Number.MAX_SAFE_INTEGER)).toHaveLength(1);
      });

      it('come once each, however many orders they have', async () => {
        await order();
        await order();
        expect(await neglected(NOW + 1)).toHaveLength(1);
      });
    });

    describe('orders that a worker holds', () => {
      const ME = 'host:1:abc';
      const held = (given: Partial<NewOrder> = {}) => order({ holder: ME, ...given });
      const ordersAt = (ms: number) => createOrders(db, clockAt(NOW + ms));
      const holdsAt = (ms: number) => createHolds(db, clockAt(NOW + ms));
      const unheldAt = (ms: number) => holdsAt(ms).unheld(100);

      it('I2: are found when their worker has said nothing for ten seconds, and not before', async () => {
        const orderId = await held();
        expect(await unheldAt(HOLD_MS - 1)).toEqual([]);
        expect(await unheldAt(HOLD_MS)).toEqual([{ sessionId: SESSION, orderId }]);
        await holdsAt(9_000).renew('another worker', [SESSION]);
        await holdsAt(9_000).renew(ME, ['another session']);
        expect(await unheldAt(HOLD_MS)).toHaveLength(1);
        await holdsAt(9_000).renew(ME, [SESSION]);
        expect(await unheldAt(9_000 + HOLD_MS - 1)).toEqual([]);
        expect(await unheldAt(9_000 + HOLD_MS)).toHaveLength(1);
      });

      it('I3: are left alone by a worker that starts, while theirs lives', async () => {
        await held();
        expect(await ordersAt(HOLD_MS - 1).neglected(Number.MAX_SAFE_INTEGER, 10)).toEqual([]);
        expect(await ordersAt(HOLD_MS).neglected(Number.MAX_SAFE_INTEGER, 10)).toHaveLength(1);
      });

      it('are in nobody’s way when no worker holds them', async () => {
        await order();
        expect(await unheldAt(10 * MINUTE)).toEqual([]);
      });

      it('I3: begin a pass of their worker, and of no other', async () => {
        const orderId = await held();
        expect(await ordersAt(1).beginPass(SESSION, 'another worker')).toEqual([]);
        expect(await ordersAt(1).beginPass(SESSION, ME)).toMatchObject([{ id: orderId }]);
        expect(await unheldAt(HOLD_MS)).toEqual([]);
      });

      it('I3: begin none where others have ordered as well: then a case takes all, and their worker gets none any more', async () => {
        await held();
        await order({ source: 'person' });
        expect(await ordersAt(1).beginPass(SESSION, ME)).toEqual([]);
        expect(await ordersAt(2).beginPass(SESSION)).toHaveLength(2);
        expect(await ordersAt(3).beginPass(SESSION, ME)).toEqual([]);
        await holdsAt(4).renew(ME, [SESSION]);
        expect(await unheldAt(10 * MINUTE)).toEqual([]);
      });

      it('I2: that were let go of are found at once, or when no case has taken them over in time', async () => {
        await held();
        expect(await holdsAt(1).letGo('another worker', SESSION, 0)).toBe(false);
        expect(await holdsAt(1).letGo(ME, SESSION, 5_000)).toBe(true);
        expect(await holdsAt(1).letGo(ME, SESSION, 5_000)).toBe(false);
        expect(await unheldAt(5_000)).toEqual([]);
        expect(await unheldAt(5_001)).toHaveLength(1);
        await holdsAt(5_001).entrust(SESSION, MINUTE);
        expect(await unheldAt(5_000 + MINUTE)).toEqual([]);
        expect(await unheldAt(5_001 + MINUTE)).toHaveLength(1);
        await ordersAt(6_000).beginPass(SESSION);
        expect(await unheldAt(10 * MINUTE)).toEqual([]);
      });

      it('are over with their outcome', async () => {
        await settle(await held(), 'cancelled');
        expect(await unheldAt(10 * MINUTE)).toEqual([]);
        expect(await holdsAt(1).letGo(ME, SESSION, 0)).toBe(false);
      });
    });

    describe('sessions whose turn was ended', () => {
      const endedAt = (ms: number, withinMs: number) => createOrders(db, clockAt(NOW + ms)).ended(withinMs);

      it('are those whose order ended it within the time, with whether messages wait', async () => {
        const end = async (sessionId: string, outcome: Outcome): Promise<string> => {
          const orderId = await order({ sessionId });
          await settle(orderId, outcome, { sessionId });
          return orderId;
        };
        const first = await end('first', 'cancelled');
        await end('second', 'ended-unattributed');
        for (const outcome of ['already-ended', 'superseded', 'forbidden', 'gone'] as const)
          await end(outcome, outcome);
        const waiting = { kind: 'queued-messages-waiting' as const, sessionId: 'first', orderId: first };
        await createOrders(db, clockAt(NOW)).settle({ settlements: [], events: [waiting], alertedOrderIds: [] });
        const ended = await endedAt(MINUTE, 10 * MINUTE);
        expect(ended.map(({ sessionId, queued }) => [sessionId, queued]).sort()).toEqual([
          ['first', true],
          ['second', false],
        ]);
        expect(await endedAt(10 * MINUTE, MINUTE)).toEqual([]);
        // Whether messages wait is a matter of the newest end.
        const again = await order({ sessionId: 'first' });
        await settle(again, 'cancelled', { sessionId: 'first' }, NOW + 5);
        const newest = (await endedAt(MINUTE, 10 * MINUTE)).find(({ sessionId }) => sessionId === 'first');
        expect(newest).toEqual({ sessionId: 'first', queued: false, settledAtMs: NOW + 5, agoMs: MINUTE - 5 });
      });
    });

    describe('requests', () => {
      it('are numbered per turn, and counted on the orders they are for', async () => {
        const [id, idle] = [await order(), await order()];
        await answer(await registered([id]));
        expect(await register([id], NOW + 1)).toMatchObject({ kind: 'registered', attempt: 2 });
        expect(await viewOf(id)).toMatchObject({ result: { attempts: 2, agentId: 'agent-1' } });
        expect(await viewOf(idle)).toMatchObject({ result: { attempts: 0 } });
      });

      it('I3: of one session leave one at a time: of two registered together, one is busy', async () => {
        const other = await openedDatabase();
        for (let round = 0; round < 10; round += 1) {
          const sessionId = `session-of-round-${round}`;
          const id = await order({ sessionId });
          const both = await Promise.all(
            [db, other].map((one, n) =>
              createRequests(one, clockAt(NOW)).register(departure([id], { sessionId, owner: `owner-${n}` })),
            ),
          );
          expect(both.map(({ kind }) => kind).sort()).toEqual(['busy', 'registered']);
        }
        expect(await db.selectFrom('requests').select('id').execute()).toHaveLength(10);
      });

      it('I3: hold others back until they are answered, withdrawn, or their lease is over', async () => {
        const id = await order();
        const first = await registered([id], NOW);
        expect(await register([id], NOW + 4_000)).toEqual({ kind: 'busy', retryInMs: 6_000 });
        expect(await register([id], NOW + 9_999)).toEqual({ kind: 'busy', retryInMs: 500 });
        await createRequests(db, clockAt(NOW + 9_999)).renew(first);
        expect(await register([id], NOW + 10_000)).toMatchObject({ kind: 'busy' });

        const second = await registered([id], NOW + 9_999 + LEASE_MS);
        await createRequests(db).withdraw(second, [id]);
        const third = await registered([id], NOW + 20_001);
        await answer(third);
        await registered([id], NOW + 20_002);
      });

      it('I3: do not hold others back by a lease from the future: the clock was set back', async () => {
        const id = await order();
        await registered([id], NOW);
        expect(await register([id], NOW - 3_600_000)).toMatchObject({ kind: 'registered' });
      });

      it('I3: get no new lease once they are answered', async () => {
        const id = await order();
        const request = await registered([id]);
        await answer(request);
        await createRequests(db, clockAt(NOW + 1)).renew(request);
        expect(await register([id], NOW + 2)).toMatchObject({ kind: 'registered' });
      });

      it('of other sessions do not matter', async () => {
        await registered([await order()]);
        const other = await order({ sessionId: 'another' });
        expect(await register([other], NOW, { sessionId: 'another' })).toMatchObject({ kind: 'registered' });
      });

      it('leave for no order that is settled, unknown, or not there', async () => {
        const settled = await order();
        await settle(settled, 'abandoned');
        expect(await register([settled])).toEqual({ kind: 'nothing-to-send' });
        expect(await register(['unknown'])).toEqual({ kind: 'nothing-to-send' });
        expect(await register([])).toEqual({ kind: 'nothing-to-send' });
        expect(await db.selectFrom('requests').select('id').execute()).toEqual([]);
      });

      it('come back as they were answered, oldest first; unanswered ones as of unknown effect', async () => {
        const id = await order();
        const first = await registered([id], NOW, { readAtMs: NOW - 100 });
        await answer(first, {
          answer: 'refused',
          state: null,
          httpStatus: 409,
          errorCode: 'conflict',
          errorMessage: 'no',
        });
        const second = await registered([id], NOW + 10);
        await answer(second, { state: 'completed', answeredAtMs: NOW + 20 });
        const withdrawn = await registered([id], NOW + 30);
        await createRequests(db).withdraw(withdrawn, [id]);
        const third = await registered([id], NOW + 40, { readAtMs: NOW + 39 });
        const all = [
          {
            id: first,
            answer: 'refused',
            state: null,
            readAtMs: NOW - 100,
            leftByMs: NOW + 2_000,
            answeredAtMs: NOW + 100,
          },
          {
            id: second,
            answer: 'accepted',
            state: 'completed',
            readAtMs: NOW,
            leftByMs: NOW + 2_000,
            answeredAtMs: NOW + 20,
          },
          { id: third, answer: 'unknown', state: null, readAtMs: NOW + 39, leftByMs: NOW + 2_000, answeredAtMs: null },
        ];
        expect(await createRequests(db).forTurn(SESSION, 'turn-1', 0, null)).toEqual(all);
        expect(await createRequests(db).forTurn(SESSION, 'turn-1', NOW, null)).toEqual(all.slice(1));
        expect(await createRequests(db).forTurn(SESSION, 'turn-2', 0, null)).toEqual([]);
        expect(await createRequests(db).forTurn('another', 'turn-1', 0, null)).toEqual([]);
        expect((await viewOf(id)).result.attempts).toBe(3);
      });

      it('that are withdrawn take nothing from orders that have their outcome', async () => {
        const id = await order();
        const request = await registered([id]);
        await settle(id, 'exempted', { attempts: 1 });
        await createRequests(db).withdraw(request, [id]);
        expect((await viewOf(id)).result.attempts).toBe(1);
      });

      it('under way are those that may still take effect', async () => {
        const begin = async (sessionId: string, at: number) => {
          const orderId = await order({ sessionId });
          return { orderId, requestId: await registered([orderId], at, { sessionId }) };
        };
        await answer((await begin('answered', NOW)).requestId);
        const withdrawn = await begin('withdrawn', NOW);
        await createRequests(db).withdraw(withdrawn.requestId, [withdrawn.orderId]);
        await begin('longer ago than any request takes', NOW - 10 * MINUTE);
        await begin('sender dead, order open', NOW - MINUTE);
        await settle((await begin('sender dead, order settled', NOW - MINUTE + 1)).orderId, 'abandoned');
        await settle((await begin('sender alive, order settled', NOW)).orderId, 'abandoned');
        expect(await createRequests(db, clockAt(NOW + 1)).underWay()).toEqual([
          { sessionId: 'sender dead, order open', turnKey: 'turn-1', registeredAtMs: NOW - MINUTE },
          { sessionId: 'sender alive, order settled', turnKey: 'turn-1', registeredAtMs: NOW },
        ]);
      });
    });

    describe('the pause switch', () => {
      const set = (paused: boolean, by: string, at: number, reason: string | null = null) =>
        createPauseSwitch(db, clockAt(at)).set(paused, by, reason);
      const kinds = async () =>
        (await db.selectFrom('events').select('kind').orderBy('seq').execute()).map(({ kind }) => kind);

      it('I6: keeps every request in while it is on', async () => {
        const id = await order();
        await set(true, 'ops', NOW, 'incident 7');
        expect(await register([id])).toEqual({ kind: 'paused', reason: 'incident 7' });
        expect(await db.selectFrom('requests').select('id').execute()).toEqual([]);
        await set(false, 'ops', NOW + 1);
        expect(await register([id])).toMatchObject({ kind: 'registered' });
      });

      it('set twice changes once: the first reason stays, and one event', async () => {
        expect(await set(true, 'ann', NOW, 'incident 7')).toBe(true);
        expect(await set(true, 'ben', NOW + 1, 'something else')).toBe(false);
        expect(await readPauseSwitch(db)).toEqual({
          paused: true,
          reason: 'incident 7',
          changedBy: 'ann',
          changedAtMs: NOW,
        });
        expect(await set(false, 'ben', NOW + 2)).toBe(true);
        expect(await set(false, 'ann', NOW + 3)).toBe(false);
        expect(await readPauseSwitch(db)).toEqual({
          paused: false,
          reason: null,
          changedBy: 'ben',
          changedAtMs: NOW + 2,
        });
        expect(await kinds()).toEqual(['paused', 'resumed']);
      });
    });

    describe('sessions that can not be judged', () => {
      const failure = (given: Partial<FailedJudgement> = {}): FailedJudgement => ({
        ...{ sessionId: SESSION, by: 'fleet', orderId: null, reason: 'timeout', text: 'not answered in time' },
        ...given,
      });
      const now = (at: number) => createUnjudged(db, clockAt(at)).now({ limit: 10 });
      const events = async () =>
        (await db.selectFrom('events').selectAll().where('kind', '=', 'not-judgeable').orderBy('seq').execute()).map(
          ({ session_id: sessionId, order_id: orderId, data_json: json }) => ({
            sessionId,
            orderId,
            ...(JSON.parse(json ?? '{}') as object),
          }),
        );

      it('are one spell from the first failure to the next read, and are shown once someone was told', async () => {
        const id = await order();
        const told = { sinceMs: NOW, reason: 'too-slow', text: 'old', by: 'case' };
        expect(await createUnjudged(db, clockAt(NOW)).note(failure(), 0)).toMatchObject({
          sinceMs: NOW,
          lastMs: NOW,
          told: false,
        });
        const again = failure({ by: 'case', reason: 'too-slow', text: 'old' });
        expect(await createUnjudged(db, clockAt(NOW + 5)).note(again, 0)).toMatchObject({ ...told, lastMs: NOW + 5 });
        expect(await now(NOW + 5)).toEqual([]);
        expect(await createUnjudged(db, clockAt(NOW + 6)).tell({ sessionId: SESSION, orderId: id })).toBe('session');
        expect(await createUnjudged(db, clockAt(NOW + 7)).tell({ sessionId: SESSION, orderId: id })).toBeNull();
        expect(await now(NOW + 7)).toMatchObject([{ ...told, sessionId: SESSION, told: true }]);
        expect(await events()).toEqual([
          {
            ...{ sessionId: SESSION, orderId: id, reason: 'too-slow', text: 'old', by: 'case' },
            since: new Date(NOW).toISOString(),
          },
        ]);
        expect(await createUnjudged(db, clockAt(NOW + 7)).note(failure({ by: 'fleet' }), 0)).toMatchObject({
          by: 'case',
          sinceMs: NOW,
        });
        expect(await createUnjudged(db, clockAt(NOW + 8)).end(SESSION, 'fleet')).toBeNull();
        expect(await createUnjudged(db, clockAt(NOW + 8)).end(SESSION, 'watch')).toBeNull();
        expect(await createUnjudged(db, clockAt(NOW + 8)).end(SESSION, 'case')).toMatchObject({ told: true });
        expect(await createUnjudged(db, clockAt(NOW + 8)).end(SESSION, 'case')).toBeNull();
        expect(await createUnjudged(db, clockAt(NOW + 9)).note(failure(), 0)).toMatchObject({
          sinceMs: NOW + 9,
          told: false,
        });
      });

      it('of a case are shown only while an order is open', async () => {
        const id = await order();
        await createUnjudged(db, clockAt(NOW)).note(failure({ by: 'case' }), 0);
        await createUnjudged(db, clockAt(NOW)).tell(failure());
        expect(await countUnjudged(db, NOW)).toBe(1);
        await settle(id, 'abandoned');
        expect(await countUnjudged(db, NOW)).toBe(0);
        await createUnjudged(db, clockAt(NOW)).note(failure({ by: 'fleet' }), 0);
        expect(await countUnjudged(db, NOW)).toBe(1);
        await createUnjudged(db, clockAt(NOW)).note(failure({ by: 'case' }), 0);
        expect(await createUnjudged(db, clockAt(NOW)).end(SESSION, 'fleet')).toMatchObject({ by: 'case' });
      });

      it('begin anew five minutes after the last try, and are forgotten after a day', async () => {
        await createUnjudged(db, clockAt(NOW)).note(failure(), 0);
        await createUnjudged(db, clockAt(NOW)).tell(failure());
        expect(await now(NOW + 5 * MINUTE)).toHaveLength(1);
        expect(await now(NOW + 5 * MINUTE + 1)).toEqual([]);
        await createUnjudged(db, clockAt(NOW + 24 * 60 * MINUTE + 1)).note(failure({ sessionId: 'session-2' }), 0);
        expect(await db.selectFrom('unjudged').select('session_id').execute()).toEqual([{ session_id: 'session-2' }]);
      });

      it('last until the next attempt is overdue for five minutes, whoever makes it', async () => {
        await order();
        await createUnjudged(db, clockAt(NOW)).note(failure({ by: 'case' }), 20 * MINUTE);
        await createUnjudged(db, clockAt(NOW)).tell(failure());
        // A scan fails meanwhile, which says nothing of the case's attempt.
        expect(await createUnjudged(db, clockAt(NOW + MINUTE)).note(failure(), 0)).toMatchObject({
          by: 'case',
          sinceMs: NOW,
        });
        expect(await now(NOW + 25 * MINUTE)).toHaveLength(1);
        expect(await now(NOW + 25 * MINUTE + 1)).toEqual([]);
        expect(await createUnjudged(db, clockAt(NOW + 25 * MINUTE)).note(failure(), 0)).toMatchObject({
          sinceMs: NOW,
          told: true,
        });
      });

      it('are told one by one five times, then once for all, until that is long past', async () => {
        const tell = async (sessionId: string, at: number) => {
          await createUnjudged(db, clockAt(at)).note(failure({ sessionId }), 0);
          return createUnjudged(db, clockAt(at)).tell({ sessionId, orderId: null });
        };
        const told = [];
        for (let index = 0; index < 8; index += 1) told.push(await tell(`s-${index}`, NOW + index));
        expect(told).toEqual(['session', 'session', 'session', 'session', 'session', 'many', null, null]);
        expect(await countUnjudged(db, NOW + 8)).toBe(8);
        expect((await events()).at(-1)).toMatchObject({ sessionId: null, sessions: 6 });
        expect(await tell('s-late', NOW + 11 * MINUTE)).toBe('session');
      });
    });

    it('exemptions in force are listed, the first to end first, with who and why', async () => {
      const at = 1_767_225_600_000;
      const add = (sessionId: string, forMs: number, by: string) =>
        createExemptions(db, clockAt(at)).add({ sessionId, forMs, reason: `for ${by}`, by });
      await add('late', 3_000, 'ana');
      await add('soon', 1_000, 'bo');
      await add('late', 2_000, 'bo');
      await add('ended', 9_000, 'bo');
      await createExemptions(db, clockAt(at)).end('ended', 'bo');
      const exemptions = createExemptions(db, clockAt(at + 500));
      expect(await exemptions.list(2)).toEqual({
        total: 3,
        exemptions: [
          { sessionId: 'soon', untilMs: at + 1_000, reason: 'for bo', by: 'bo', sinceMs: at },
          { sessionId: 'late', untilMs: at + 2_000, reason: 'for bo', by: 'bo', sinceMs: at },
        ],
      });
      expect((await createExemptions(db, clockAt(at + 2_000)).list(9)).total).toBe(1);
    });

    describe('exemptions', () => {
      const add = (untilMs: number) =>
        createExemptions(db, clockAt(NOW)).add({
          sessionId: SESSION,
          forMs: untilMs - NOW,
          reason: 'release',
          by: 'ann',
        });

      it('I6: settle the orders they stop in the transaction that would have let the request out', async () => {
        const id = await order();
        await add(NOW + MINUTE);
        expect(await register([id], NOW + 1)).toEqual({ kind: 'nothing-to-send' });
        expect(await viewOf(id)).toMatchObject({
          decidedAtMs: NOW + 1,
          result: { outcome: 'exempted', attempts: 0, turnKey: 'turn-1' },
        });
        expect(await db.selectFrom('requests').select('id').execute()).toEqual([]);
      });

      it('let an order through that was given even if exempt, and only that', async () => {
        const stopped = await order();
        const through = await order({ evenIfExempt: true });
        await add(NOW + MINUTE);
        expect(await register([stopped, through], NOW + 1)).toMatchObject({ kind: 'registered' });
        expect(await viewOf(stopped)).toMatchObject({ result: { outcome: 'exempted', attempts: 0 } });
        expect(await viewOf(through)).toMatchObject({ result: { outcome: null, attempts: 1 } });
      });

      it('that overlap hold until the last one is over', async () => {
        await add(NOW + MINUTE);
        await add(NOW + 2 * MINUTE);
        const at = (ms: number) => [NOW + ms, { readAtMs: NOW + ms }] as const;
        expect(await register([await order()], ...at(MINUTE + 1))).toEqual({ kind: 'nothing-to-send' });
        expect(await register([await order()], ...at(2 * MINUTE))).toMatchObject({ kind: 'registered' });
      });

      it('I6: hold until they are over by the vendor’s clock as well, when the ledger’s runs ahead', async () => {
        await add(NOW + MINUTE);
        expect(await register([await order()], NOW + 402 * DAY, { readAtMs: NOW + 1 })).toEqual({
          kind: 'nothing-to-send',
        });
        expect(await register([await order()], NOW + 1, { readAtMs: NOW + 402 * DAY })).toEqual({
          kind: 'nothing-to-send',
        });
        expect([...(await createExemptions(db, clockAt(NOW + 402 * DAY)).running(NOW + 1)).keys()]).toEqual([SESSION]);
        expect([...(await createExemptions(db, clockAt(NOW + 402 * DAY)).running(null)).keys()]).toEqual([]);
      });

      it('are ended together, once, and leave word', async () => {
        await add(NOW + MINUTE);
        await add(NOW + 2 * MINUTE);
        await add(NOW);
        expect(await createExemptions(db, clockAt(NOW + 1)).end(SESSION, 'ben')).toBe(2);
        expect(await createExemptions(db, clockAt(NOW + 2)).end(SESSION, 'ben')).toBe(0);
        expect(await register([await order()], NOW + 3)).toMatchObject({ kind: 'registered' });
        const events = await db
          .selectFrom('events')
          .select(['kind', 'session_id', 'data_json'])
          .orderBy('seq')
          .execute();
        expect(events.map(({ kind }) => kind)).toEqual(['exempt', 'exempt', 'exempt', 'unexempt']);
        expect(events[0]).toMatchObject({ session_id: SESSION });
        expect(JSON.parse(events[0]?.data_json ?? '')).toEqual({
          by: 'ann',
          reason: 'release',
          until: '2026-01-05T12:01:00.000Z',
        });
      });

      it('of other sessions do not matter', async () => {
        await add(NOW + MINUTE);
        const other = await order({ sessionId: 'another' });
        expect(await register([other], NOW, { sessionId: 'another' })).toMatchObject({ kind: 'registered' });
      });

      it('last as long as was said', async () => {
        const ledger = await openedLedger();
        const before = await ledger.now();
        const { untilMs } = await ledger.exemptions.add({
          sessionId: SESSION,
          forMs: 3_600_000,
          reason: null,
          by: 'ann',
        });
        expect(untilMs - 3_600_000).toBeGreaterThanOrEqual(before);
        expect(untilMs - 3_600_000).toBeLessThanOrEqual(await ledger.now());
        expect(await ledger.exemptions.end(SESSION, 'ben')).toBe(1);
      });
    });

    describe('giving orders up', () => {
      it('settles open ones with a word, and leaves settled ones alone', async () => {
        const ledger = await openedLedger();
        const [open, settled] = [await order(), await order()];
        await answer(await registered([open]));
        await settle(settled, 'gone');
        await ledger.orders.abandon([open, settled], { by: 'ann', reason: 'stuck' });
        const view = await viewOf(open);
        expect(view).toMatchObject({ phase: 'settled', result: { outcome: 'abandoned', attempts: 1 } });
        expect(view.result.events).toMatchObject([{ kind: 'abandoned', by: 'ann', reason: 'stuck' }]);
        expect((await viewOf(settled)).result).toMatchObject({ outcome: 'gone', events: [] });
        await ledger.orders.abandon([open], { by: 'ben', reason: 'again' });
        expect((await viewOf(open)).result.events).toHaveLength(1);
      });
    });

    describe('sessions forbidden lately', () => {
      const forbid = async (at: number, ...sessions: string[]): Promise<void> => {
        for (const sessionId of sessions) await settle(await order({ sessionId }), 'forbidden', { sessionId }, at);
      };

      it('are counted once each, and only as long as they are recent', async () => {
        const ledger = await openedLedger();
        const now = await ledger.now();
        await forbid(now, 'a', 'b', 'b');
        await forbid(now - 11 * MINUTE, 'c');
        await settle(await order(), 'gone', {}, now);
        expect(await ledger.forbiddenSessionsWithin(10 * MINUTE)).toBe(2);
        expect(await ledger.forbiddenSessionsWithin(20 * MINUTE)).toBe(3);
      });

      it('count for nothing when a request was accepted lately', async () => {
        const ledger = await openedLedger();
        const now = await ledger.now();
        await forbid(now, 'a', 'b', 'c');
        const id = await order();
        await answer(await registered([id], now - 11 * MINUTE));
        await answer(await registered([id], now - 100), { answer: 'refused' });
        expect(await ledger.forbiddenSessionsWithin(10 * MINUTE)).toBe(3);
        await answer(await registered([id], now - 50));
        expect(await ledger.forbiddenSessionsWithin(10 * MINUTE)).toBe(0);
      });
    });
  });
}
