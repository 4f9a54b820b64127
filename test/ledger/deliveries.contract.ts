import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createDeliveries, type Item } from '../../src/adapters/ledger/deliveries.js';
import type { Audience } from '../../src/core/told.js';
import type { Outcome } from '../../src/core/contract.js';
import { recordEvents, type NewEvent } from '../../src/adapters/ledger/events.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import { createOrder, settleOrders } from '../../src/adapters/ledger/orders.js';
import { clockAt } from './rows.js';

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);
const DAY = 86_400_000;

const OPS: Audience = { route: 'ops', policies: ['runtime'], known: ['runtime', 'queue'], sinceMs: 0 };
const AUDIT: Audience = { ...OPS, route: 'audit', policies: ['runtime', 'queue'] };
const NOBODYS: Audience = { ...OPS, route: 'spare', policies: [] };

/**
 * What is told to whom, on either database.
 *
 * @param freshUrl - makes a new, empty database
 */
export function describeDeliveries(name: string, freshUrl: () => Promise<string>): void {
  describe(`deliveries on ${name}`, () => {
    let opened: OpenedDatabase;
    let db: OpenedDatabase['db'];

    beforeEach(async () => {
      opened = await openDatabase(await freshUrl());
      db = opened.db;
    });

    afterEach(() => opened.close());

    const event = (event: Partial<NewEvent> & Pick<NewEvent, 'kind'>): Promise<void> =>
      recordEvents(db, [{ at: NOW, ...event }]);
    const order = (policy: string | null, at = NOW): Promise<string> =>
      createOrder(
        db,
        {
          sessionId: 'sess_1',
          source: policy === null ? 'person' : 'policy',
          requestedBy: policy ?? 'ops@example.com',
          reason: { text: 'has run', policy, policyVersion: policy === null ? null : 3, limit: null, observed: null },
          evenIfExempt: false,
          turnKey: 'msg_2',
        },
        at,
      );
    const settled = async (policy: string | null, outcome: Outcome, at = NOW): Promise<string> => {
      const orderId = await order(policy, at);
      await settleOrders(
        db,
        [
          {
            ...{ orderId, sessionId: 'sess_1', outcome, attribution: 'strong', attempts: 1 },
            ...{ endedAtMs: at, turnKey: null },
          },
        ],
        at,
      );
      return orderId;
    };
    const pending = (audience: Audience, afterMs = NOW - DAY, limit = 100): Promise<Item[]> =>
      createDeliveries(db, clockAt(afterMs)).items(audience, 0, limit);
    const kinds = async (audience: Audience): Promise<string[]> => (await pending(audience)).map(({ kind }) => kind);

    it("go by the event's policy to the routes of that policy alone", async () => {
      await event({ kind: 'warned', sessionId: 'sess_1', data: { policy: 'runtime', text: 'has run 36m' } });
      await event({ kind: 'would-end', sessionId: 'sess_2', data: { policy: 'queue' } });
      expect(await kinds(OPS)).toEqual(['warned']);
      expect(await kinds(AUDIT)).toEqual(['warned', 'would-end']);
      expect(await kinds(NOBODYS)).toEqual([]);
      expect((await pending(OPS))[0]).toEqual({
        key: 'event/1',
        kind: 'warned',
        atMs: NOW,
        sessionId: 'sess_1',
        data: { policy: 'runtime', text: 'has run 36m' },
        order: null,
      });
    });

    it("go by the order's policy where the event names none", async () => {
      const orderId = await order('queue');
      await event({ kind: 'restarted', sessionId: 'sess_1', orderId });
      await event({ kind: 'not-ending', sessionId: 'sess_1', orderId, data: { triedForMs: 1 } });
      expect(await kinds(OPS)).toEqual([]);
      expect(await kinds(AUDIT)).toEqual(['restarted', 'not-ending']);
      expect((await pending(AUDIT))[0]?.order).toMatchObject({ id: orderId, reason: { policyVersion: 3 } });
    });

    it('tell alerts and their end to every route when no policy in force is meant', async () => {
      const byPerson = await order(null);
      const byFormer = await order('was-deleted');
      await event({ kind: 'account-refused' });
      await event({ kind: 'account-accepted' });
      await event({ kind: 'coverage-lost' });
      await event({ kind: 'coverage-restored' });
      await event({ kind: 'retries-exhausted', sessionId: 'sess_1', orderId: byPerson });
      await event({ kind: 'gone', sessionId: 'sess_1', orderId: byFormer });
      await event({ kind: 'breaker-closed', data: { policy: 'was-deleted' } });
      await event({ kind: 'cleanup-failed', data: { cleanup: 'stale' } });
      await event({ kind: 'cleanup-capped', data: { cleanup: 'stale' } });
      const all = [
        ...['account-refused', 'account-accepted', 'coverage-lost', 'coverage-restored'],
        ...['retries-exhausted', 'gone', 'breaker-closed', 'cleanup-failed', 'cleanup-capped'],
      ];
      expect(await kinds(OPS)).toEqual(all);
      expect(await kinds({ ...NOBODYS, known: [] })).toEqual(all);
    });

    it('tell an alert of a policy in force to the routes of that policy alone', async () => {
      await event({ kind: 'breaker-opened', data: { policy: 'queue' } });
      expect(await kinds(OPS)).toEqual([]);
      expect(await kinds(AUDIT)).toEqual(['breaker-opened']);
    });

    it('leave out what is no news: other kinds, and what people ordered and got', async () => {
      await event({ kind: 'policy-applied', data: { policy: 'runtime' } });
      await event({ kind: 'restarted', sessionId: 'sess_1', orderId: await order(null) });
      await settled(null, 'cancelled');
      await settled('runtime', 'already-ended');
      await settled('runtime', 'capped');
      await order('runtime');
      expect(await pending(AUDIT)).toEqual([]);
      expect(await createDeliveries(db, clockAt(NOW - DAY)).pending(AUDIT, 0)).toBe(false);
    });

    it('tell the turns that a policy ended, with all that explains it', async () => {
      const orderId = await settled('runtime', 'cancelled');
      await settled('queue', 'ended-unattributed', NOW + 1);
      expect(await kinds(AUDIT)).toEqual(['cancelled', 'ended-unattributed']);
      expect(await pending(OPS)).toEqual([
        {
          key: `outcome/${orderId}`,
          kind: 'cancelled',
          atMs: NOW,
          sessionId: 'sess_1',
          data: {},
          order: {
            id: orderId,
            agentId: null,
            turnKey: 'msg_2',
            requestedBy: 'runtime',
            reason: { text: 'has run', policy: 'runtime', policyVersion: 3, limit: null, observed: null },
            outcome: 'cancelled',
            attribution: 'strong',
            attempts: 1,
            endedAtMs: NOW,
          },
        },
      ]);
      expect(await createDeliveries(db, clockAt(NOW - DAY)).pending(OPS, 0)).toBe(true);
    });

    it('leave out what is too old, and what happened before the route was there', async () => {
      for (const at of [NOW - DAY, NOW - 1, NOW]) {
        await event({ kind: 'account-refused', at });
        await settled('runtime', 'cancelled', at);
      }
      expect(await pending(OPS)).toHaveLength(4);
      expect(await pending({ ...OPS, sinceMs: NOW })).toHaveLength(2);
      expect(await createDeliveries(db, clockAt(NOW - DAY)).pending({ ...OPS, sinceMs: NOW + 1 }, 0)).toBe(false);
    });

    it('come in order of time over events and outcomes, up to a limit', async () => {
      await settled('runtime', 'cancelled', NOW + 2);
      await event({ kind: 'account-accepted', at: NOW + 3 });
      await event({ kind: 'account-refused', at: NOW + 1 });
      expect(await kinds(OPS)).toEqual(['account-refused', 'cancelled', 'account-accepted']);
      expect((await pending(OPS, 0, 2)).map(({ kind }) => kind)).toEqual(['account-refused', 'cancelled']);
    });

    it('are told once by each route, also an event that is committed after later ones were told', async () => {
      await event({ kind: 'account-refused' });
      await event({ kind: 'account-accepted' });
      await settled('runtime', 'cancelled');
      const keys = (await pending(OPS)).map(({ key }) => key);
      const held = keys.filter((key) => key !== 'event/1');
      await createDeliveries(db, clockAt(NOW)).mark('ops', held);
      expect((await pending(OPS)).map(({ key }) => key)).toEqual(['event/1']);
      // Again, as after a crash between the message and its note.
      await createDeliveries(db, clockAt(NOW)).mark('ops', keys);
      expect(await pending(OPS)).toEqual([]);
      expect(await pending(AUDIT)).toHaveLength(3);
    });

    it('keep the items of a message together until it is noted as taken', async () => {
      for (let index = 0; index < 3; index += 1) await event({ kind: 'account-refused', at: NOW + index });
      const keys = (await pending(OPS)).map(({ key }) => key).slice(0, 2);
      expect(await createDeliveries(db).begun('ops')).toBeNull();
      await createDeliveries(db, clockAt(NOW)).begin('ops', keys);
      expect(await createDeliveries(db).begun('ops')).toEqual({ beganAtMs: NOW, keys });
      expect(await createDeliveries(db).begun('audit')).toBeNull();
      expect((await createDeliveries(db).itemsOf([...keys].reverse())).map(({ key }) => key)).toEqual(
        [...keys].reverse(),
      );
      expect(await createDeliveries(db).itemsOf(['event/99', 'outcome/none'])).toEqual([]);

      await createDeliveries(db, clockAt(NOW)).mark('ops', keys);
      expect(await createDeliveries(db).begun('ops')).toBeNull();
      expect(await pending(OPS)).toHaveLength(1);
    });

    it('wait, counted up to a number, since the oldest of events and outcomes', async () => {
      const waiting = (most: number) => createDeliveries(db, clockAt(NOW)).waiting(OPS, DAY, most);
      expect(await waiting(10)).toEqual({ count: 0, oldestAtMs: null });
      await event({ kind: 'account-refused', at: NOW - 5 });
      await event({ kind: 'account-accepted', at: NOW - 2 });
      await settled('runtime', 'cancelled', NOW - 9);
      await event({ kind: 'account-refused', at: NOW - DAY });
      expect(await waiting(10)).toEqual({ count: 3, oldestAtMs: NOW - 9 });
      expect(await waiting(2)).toEqual({ count: 2, oldestAtMs: NOW - 9 });
    });

    it('have a trouble by route, until a message is taken', async () => {
      const deliveries = createDeliveries(db, clockAt(NOW));
      expect(await deliveries.trouble('ops')).toBeNull();
      await deliveries.noteTrouble('ops', 'no answer (ENOTFOUND)');
      await deliveries.noteTrouble('ops', 'the receiver answered 503');
      expect(await deliveries.trouble('ops')).toEqual({ atMs: NOW, message: 'the receiver answered 503' });
      expect(await deliveries.trouble('audit')).toBeNull();
      await deliveries.mark('ops', []);
      expect(await deliveries.trouble('ops')).toBeNull();
    });

    it('begin with the first time that a route was in force, whatever is said later', async () => {
      expect(await createDeliveries(db).toldSince('ops')).toBeNull();
      expect(await createDeliveries(db).since('ops', NOW)).toBe(NOW);
      expect(await createDeliveries(db).toldSince('ops')).toBe(NOW);
      expect(await createDeliveries(db).since('ops', NOW + DAY)).toBe(NOW);
      expect(await createDeliveries(db).since('audit', NOW + DAY)).toBe(NOW + DAY);
    });
  });
}
