import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createBreakers } from '../../src/adapters/ledger/breakers.js';
import { recordEvents } from '../../src/adapters/ledger/events.js';
import { createHistory, type HistoryFilter } from '../../src/adapters/ledger/history.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import { createOrder, settleOrders, type NewOrder } from '../../src/adapters/ledger/orders.js';
import { createPolicies } from '../../src/adapters/ledger/policy-versions.js';
import { newestRow, removeExpired, RETENTION_BATCH } from '../../src/adapters/ledger/retention.js';
import { readPolicyFile } from '../../src/core/policy-file/index.js';
import { clockAt } from './rows.js';

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const RETENTION = 400 * DAY;
const LONG_AGO = NOW - RETENTION - DAY;

/**
 * What looking back and forgetting promise on either database.
 *
 * @param freshUrl - makes a new, empty database
 */
export function describeHistory(name: string, freshUrl: () => Promise<string>): void {
  describe(`history and retention on ${name}`, () => {
    let opened: OpenedDatabase;
    let db: OpenedDatabase['db'];

    beforeEach(async () => {
      opened = await openDatabase(await freshUrl());
      db = opened.db;
    });
    afterEach(() => opened.close());

    const order = (at: number, given: Partial<NewOrder> = {}, policy: string | null = null): Promise<string> =>
      createOrder(
        db,
        {
          sessionId: 'sess_1',
          source: policy === null ? 'person' : 'policy',
          requestedBy: 'ops@example.com',
          reason: { text: null, policy, policyVersion: null, limit: null, observed: null },
          evenIfExempt: false,
          turnKey: null,
          ...given,
        },
        at,
      );
    const settle = (orderId: string, at: number, turnKey: string | null = null, sessionId = 'sess_1'): Promise<void> =>
      settleOrders(
        db,
        [{ orderId, sessionId, outcome: 'cancelled', attribution: 'strong', attempts: 1, endedAtMs: at, turnKey }],
        at,
      );
    const request = async (id: string, at: number, turnKey: string, status: 'open' | 'answered' = 'answered') => {
      const row = { id, session_id: 'sess_1', turn_key: turnKey, owner: 'o', worker: 'w', attempt: 1, status };
      await db
        .insertInto('requests')
        .values({ ...row, read_at: at, registered_at: at, lease_until: at })
        .execute();
    };
    const facts = async (sessionId: string, at: number, listed: 0 | 1, agentId = 'agent_1') => {
      await db
        .insertInto('facts')
        .values({
          session_id: sessionId,
          agent_id: agentId,
          schema: 1,
          listed,
          seen_at: at,
          facts_json: '{}',
          updated_at: at,
        })
        .execute();
    };
    const idsIn = async (table: 'orders' | 'requests' | 'exemptions'): Promise<string[]> =>
      (await db.selectFrom(table).select('id').orderBy('id').execute()).map(({ id }) => id);

    const orderIds = async (filter: HistoryFilter): Promise<string[]> => {
      const ids: string[] = [];
      for await (const page of createHistory(db).orders(filter)) ids.push(...page.map(({ orderId }) => orderId));
      return ids;
    };
    const kinds = async (filter: HistoryFilter): Promise<string[]> => {
      const found: string[] = [];
      for await (const page of createHistory(db).events(filter)) found.push(...page.map(({ event }) => event.kind));
      return found;
    };

    describe('orders', () => {
      it('come oldest first, each with outcome, reason and events', async () => {
        const late = await order(NOW, {}, 'no-all-nighters');
        const early = await order(NOW - MINUTE);
        await settle(early, NOW);
        await recordEvents(db, [{ kind: 'restarted', at: NOW, sessionId: 'sess_1', orderId: early, data: { n: 1 } }]);
        const views = [];
        for await (const page of createHistory(db).orders({})) views.push(...page);
        expect(views.map(({ orderId }) => orderId)).toEqual([early, late]);
        expect(views[0]?.result).toMatchObject({
          outcome: 'cancelled',
          orderedAt: '2026-01-05T11:59:00.000Z',
          events: [{ kind: 'restarted', at: '2026-01-05T12:00:00.000Z', n: 1 }],
        });
        expect(views[1]?.result).toMatchObject({ outcome: null, reason: { policy: 'no-all-nighters' } });
      });

      it('come each once over many pages, also when many were given in the same millisecond', async () => {
        const all: string[] = [];
        for (let i = 0; i < 1_203; i += 1) all.push(await order(NOW + Math.floor(i / 700)));
        const pages: number[] = [];
        const seen: string[] = [];
        for await (const page of createHistory(db).orders({})) {
          pages.push(page.length);
          seen.push(...page.map(({ orderId }) => orderId));
        }
        expect(pages).toEqual([500, 500, 203]);
        expect(seen.toSorted()).toEqual(all.toSorted());
        expect((await orderIds({ last: 600 })).join()).toBe(seen.slice(-600).join());
      });

      it('are filtered by session, policy and time: from the first moment to before the last', async () => {
        const mine = await order(NOW, { sessionId: 'sess_2' }, 'a');
        const before = await order(NOW - 1, { sessionId: 'sess_2' }, 'a');
        const other = await order(NOW, { sessionId: 'sess_3' }, 'b');
        expect(await orderIds({ sessionId: 'sess_2' })).toEqual([before, mine]);
        expect(await orderIds({ policy: 'b' })).toEqual([other]);
        expect(await orderIds({ policy: 'a', sinceMs: NOW })).toEqual([mine]);
        expect(await orderIds({ sinceMs: NOW - 1, untilMs: NOW })).toEqual([before]);
        expect(await orderIds({ last: 1, policy: 'a' })).toEqual([mine]);
        expect(await orderIds({ last: 10, policy: 'a' })).toEqual([before, mine]);
        expect(await orderIds({ sinceMs: NOW + 1 })).toEqual([]);
      });
    });

    describe('events', () => {
      it('are filtered by policy and plan as these are written, signs that SQL takes for patterns included', async () => {
        for (const policy of ['a_b', 'axb', 'A_B', 'a"b', 'a\\b', '%']) {
          await recordEvents(db, [{ kind: 'would-end', at: NOW, data: { policy, plan: `p-${policy}` } }]);
        }
        const found = async (filter: HistoryFilter): Promise<unknown[]> => {
          const all: unknown[] = [];
          for await (const page of createHistory(db).events(filter))
            all.push(...page.map(({ event }) => event['policy']));
          return all;
        };
        for (const policy of ['a_b', 'A_B', 'a"b', 'a\\b', '%']) {
          expect(await found({ policy })).toEqual([policy]);
          expect(await found({ planId: `p-${policy}` })).toEqual([policy]);
        }
        expect(await found({ policy: '%b' })).toEqual([]);
      });

      it('come oldest first over many pages, and the last so many', async () => {
        const events = Array.from({ length: 1_100 }, (_, i) => ({
          kind: i === 1_099 ? ('resumed' as const) : ('warned' as const),
          at: NOW + i,
          data: { i },
        }));
        for (let first = 0; first < events.length; first += 100)
          await recordEvents(db, events.slice(first, first + 100));
        const seen: unknown[] = [];
        for await (const page of createHistory(db).events({})) seen.push(...page.map(({ event }) => event['i']));
        expect(seen).toEqual(events.map(({ data }) => data.i));
        expect(await kinds({ last: 2 })).toEqual(['warned', 'resumed']);
        expect(await kinds({ sinceMs: NOW + 1_098 })).toEqual(['warned', 'resumed']);
        expect(await kinds({ sinceMs: NOW + 1_098, untilMs: NOW + 1_099 })).toEqual(['warned']);
        expect(await kinds({ sinceMs: NOW + 2_000 })).toEqual([]);
      });

      it('of a policy are those that name it, and those of its orders', async () => {
        const id = await order(NOW, {}, 'a');
        await recordEvents(db, [
          { kind: 'warned', at: NOW, sessionId: 'sess_1', data: { policy: 'a' } },
          { kind: 'warned', at: NOW, sessionId: 'sess_2', data: { policy: 'a-b' } },
          { kind: 'restarted', at: NOW, sessionId: 'sess_1', orderId: id },
          { kind: 'paused', at: NOW, data: { by: 'a' } },
        ]);
        expect(await kinds({ policy: 'a' })).toEqual(['warned', 'restarted']);
        expect(await kinds({ sessionId: 'sess_2' })).toEqual(['warned']);
      });
    });

    it('knows in which modes a policy was in force', async () => {
      const apply = (mode: string, at: number) => {
        const text = `{version: 1, policies: [{name: a, match: {agents: ["*"]}, limits: {max_runtime: 5m}, mode: ${mode}}]}`;
        return createPolicies(db, clockAt(at)).apply({
          file: readPolicyFile(text, 'f').file,
          fileName: 'f',
          sourceText: text,
          by: 'me',
        });
      };
      expect(await createPolicies(db).modesSoFar()).toEqual(new Map());
      await apply('observe', NOW);
      await apply('enforce', NOW + 1);
      expect(await createPolicies(db).modesSoFar()).toEqual(new Map([['a', new Set(['enforce', 'observe'])]]));
    });

    it('keeps every version of the policies with its file as it was written', async () => {
      const text =
        '# caf\u00e9 \u{1F319}\r\n{version: 1, policies: [{name: a, match: {agents: ["*"]}, limits: {max_runtime: 5m}}]}\t';
      const other = text.replace('name: a', 'name: b');
      for (const [index, source] of [text, other].entries()) {
        await createPolicies(db, clockAt(NOW + index)).apply({
          file: readPolicyFile(source, 'f').file,
          fileName: `f${index}`,
          sourceText: source,
          by: 'me',
        });
      }
      const policies = createPolicies(db);
      expect(await policies.get(1)).toMatchObject({ version: 1, appliedAtMs: NOW, sourceText: text, fileName: 'f0' });
      expect(await policies.get(3)).toBeNull();
      expect((await policies.list(10)).map(({ version, policies: its }) => [version, its?.[0]?.name])).toEqual([
        [2, 'b'],
        [1, 'a'],
      ]);
      expect(await policies.list(1)).toHaveLength(1);
      await db.updateTable('policy_versions').set({ schema: 99 }).where('version', '=', 2).execute();
      expect(await policies.get(2)).toMatchObject({ sourceText: other, file: null });
      expect((await policies.list(1))[0]).toMatchObject({ policies: null, cleanups: null });
    });

    it('counts the permits in the window, since the breaker was closed last', async () => {
      const permit = (turn_key: string, taken_at: number) =>
        db.insertInto('permits').values({ policy: 'a', session_id: 's', turn_key, taken_at }).execute();
      await permit('1', NOW - 61 * MINUTE);
      await permit('2', NOW - 59 * MINUTE);
      await permit('3', NOW - MINUTE);
      expect(await createBreakers(db, clockAt(NOW)).taken('a', 60 * MINUTE)).toBe(2);
      await db
        .insertInto('breakers')
        .values({ policy: 'a', closed_at: NOW - 2 * MINUTE })
        .execute();
      expect(await createBreakers(db, clockAt(NOW)).taken('a', 60 * MINUTE)).toBe(1);
      expect(await createBreakers(db, clockAt(NOW)).taken('b', 60 * MINUTE)).toBe(0);
    });

    describe('retention', () => {
      it('removes settled orders with outcomes, events and requests, and keeps younger ones', async () => {
        const old = await order(LONG_AGO, { turnKey: 't1' });
        await request('r1', LONG_AGO, 't1');
        await settle(old, LONG_AGO, 't1');
        await recordEvents(db, [{ kind: 'restarted', at: NOW, sessionId: 'sess_1', orderId: old }]);
        const young = await order(LONG_AGO, { turnKey: 't2' });
        await request('r2', LONG_AGO, 't2');
        await settle(young, NOW - RETENTION, 't2');
        expect(await removeExpired(db, RETENTION, NOW)).toMatchObject({ orders: 1 });
        expect(await idsIn('orders')).toEqual([young]);
        expect(await idsIn('requests')).toEqual(['r2']);
        expect(await kinds({})).toEqual([]);
        expect(await db.selectFrom('outcomes').select('order_id').execute()).toEqual([{ order_id: young }]);
      });

      it('never touches an open order, its events, nor requests of its session, however old', async () => {
        const open = await order(LONG_AGO);
        await request('r1', LONG_AGO, 't0');
        await request('r2', LONG_AGO, 't1', 'open');
        await recordEvents(db, [{ kind: 'not-ending', at: LONG_AGO, sessionId: 'sess_1', orderId: open }]);
        const settled = await order(LONG_AGO, { turnKey: 't0' });
        await settle(settled, LONG_AGO, 't0');
        await removeExpired(db, RETENTION, NOW);
        expect(await idsIn('orders')).toEqual([open]);
        expect(await idsIn('requests')).toEqual(['r1', 'r2']);
        expect(await kinds({})).toEqual(['not-ending']);
      });

      it('keeps a request of unknown effect', async () => {
        const settled = await order(LONG_AGO, { turnKey: 't1' });
        await request('r1', LONG_AGO, 't1', 'open');
        await settle(settled, LONG_AGO, 't1');
        await removeExpired(db, RETENTION, NOW);
        expect(await idsIn('requests')).toEqual(['r1']);
      });

      it('keeps the requests of a turn for as long as another order on the turn is kept', async () => {
        const first = await order(LONG_AGO, { turnKey: 't1' });
        const second = await order(LONG_AGO, { turnKey: 't1' });
        await request('r1', LONG_AGO, 't1');
        await settle(first, LONG_AGO, 't1');
        await settle(second, NOW, 't1');
        await removeExpired(db, RETENTION, NOW);
        expect(await idsIn('requests')).toEqual(['r1']);
      });

      it('removes events that belong to no order, deliveries, and exemptions that are over', async () => {
        await recordEvents(db, [
          { kind: 'paused', at: LONG_AGO },
          { kind: 'resumed', at: NOW - RETENTION },
        ]);
        await db.insertInto('deliveries').values({ route: 'ops', item: 'event/1', at: LONG_AGO }).execute();
        await db.insertInto('deliveries').values({ route: 'ops', item: 'event/2', at: NOW }).execute();
        const exemption = (id: string, until: number, ended_at: number | null) =>
          db
            .insertInto('exemptions')
            .values({ id, session_id: 's', until, by: 'me', created_at: LONG_AGO, ended_at })
            .execute();
        await exemption('over', LONG_AGO, null);
        await exemption('ended', NOW + DAY, LONG_AGO);
        await exemption('running', NOW + DAY, null);
        const removed = await removeExpired(db, RETENTION, NOW);
        expect(removed).toMatchObject({ events: 1, deliveries: 1, exemptions: 2 });
        expect(await kinds({})).toEqual(['resumed']);
        expect(await idsIn('exemptions')).toEqual(['running']);
      });

      it('forgets sessions that were not live for 14 days, and keeps listed ones while their agent is scanned', async () => {
        const scan = (agent_id: string, updated_at: number) =>
          db.insertInto('agent_scans').values({ agent_id, scan_json: '{}', updated_at }).execute();
        await scan('agent_1', NOW);
        await scan('agent_gone', LONG_AGO);
        await facts('not-live', NOW - 14 * DAY - 1, 0);
        await facts('not-live-yet-young', NOW - 14 * DAY, 0);
        await facts('listed', LONG_AGO, 1);
        await facts('listed-by-nobody', LONG_AGO, 1, 'agent_gone');
        expect(await removeExpired(db, RETENTION, NOW)).toMatchObject({ facts: 2, scans: 1 });
        const left = await db.selectFrom('facts').select('session_id').orderBy('session_id').execute();
        expect(left.map((row) => row.session_id)).toEqual(['listed', 'not-live-yet-young']);
      });

      it('with a short retention keeps listed sessions, and permits for the longest window of caps', async () => {
        await db.insertInto('agent_scans').values({ agent_id: 'agent_1', scan_json: '{}', updated_at: NOW }).execute();
        await facts('listed', NOW - 5 * DAY, 1);
        await facts('not-live', NOW - 2 * DAY, 0);
        const permit = (turn_key: string, taken_at: number) =>
          db.insertInto('permits').values({ policy: 'a', session_id: 's', turn_key, taken_at }).execute();
        await permit('old', NOW - 366 * DAY);
        await permit('counts', NOW - 364 * DAY);
        expect(await removeExpired(db, DAY, NOW)).toMatchObject({ facts: 1, permits: 1 });
        const permits = await db.selectFrom('permits').select('turn_key').execute();
        expect(permits).toEqual([{ turn_key: 'counts' }]);
      });

      it('removes closed watches, keeps open ones and every policy version', async () => {
        const watch = (session_id: string, state: string, closed_at: number | null) =>
          db
            .insertInto('watches')
            .values({
              session_id,
              state,
              closed_at,
              limits_json: '{}',
              requested_by: 'me',
              registered_at: LONG_AGO,
              revision: 1,
              phase: state,
              note: '',
              schema: 1,
            })
            .execute();
        await watch('closed', 'ended', LONG_AGO);
        await watch('closed-lately', 'released', NOW);
        await watch('open', 'watching', null);
        await createPolicies(db, clockAt(LONG_AGO)).apply({
          file: readPolicyFile(FILE, 'f').file,
          fileName: 'f',
          sourceText: FILE,
          by: 'me',
        });
        expect(await removeExpired(db, RETENTION, NOW)).toMatchObject({ watches: 1 });
        const left = await db.selectFrom('watches').select('session_id').orderBy('session_id').execute();
        expect(left.map((row) => row.session_id)).toEqual(['closed-lately', 'open']);
        expect(await db.selectFrom('policy_versions').select('version').execute()).toEqual([{ version: 1 }]);
      });

      it('knows the time of the newest row, whatever it is', async () => {
        expect(await newestRow(db)).toBeNull();
        const id = await order(NOW - 3 * DAY, { turnKey: 't' });
        expect(await newestRow(db)).toBe(NOW - 3 * DAY);
        await settle(id, NOW - 2 * DAY, 't');
        expect(await newestRow(db)).toBe(NOW - 2 * DAY);
        await db
          .insertInto('agent_scans')
          .values({ agent_id: 'a', scan_json: '{}', updated_at: NOW - DAY })
          .execute();
        expect(await newestRow(db)).toBe(NOW - DAY);
        await recordEvents(db, [{ kind: 'paused', at: NOW }]);
        expect(await newestRow(db)).toBe(NOW);
      });

      it('takes a bounded number at a time, until nothing is left', async () => {
        const events = Array.from({ length: 500 }, () => ({ kind: 'paused' as const, at: LONG_AGO }));
        for (let i = 0; i < 3; i += 1) await recordEvents(db, events);
        expect((await removeExpired(db, RETENTION, NOW)).events).toBe(RETENTION_BATCH);
        expect((await removeExpired(db, RETENTION, NOW)).events).toBe(500);
        expect((await removeExpired(db, RETENTION, NOW)).events).toBe(0);
      });
    });
  });
}

const FILE = '{version: 1, policies: [{name: a, match: {agents: ["*"]}, limits: {max_runtime: 5m}}]}';
