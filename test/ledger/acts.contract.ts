import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Act } from '../../src/adapters/ledger/acts.js';
import { createBulkPlans, hashOfTargets, type TargetStatus } from '../../src/adapters/ledger/bulk-plans.js';
import { createEvidence } from '../../src/adapters/ledger/evidence.js';
import { createExemptions } from '../../src/adapters/ledger/exemptions.js';
import { createFacts } from '../../src/adapters/ledger/facts.js';
import { createHistory, type HistoryFilter } from '../../src/adapters/ledger/history.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import { createOrder, settleOrders, type NewOrder } from '../../src/adapters/ledger/orders.js';
import { createPolicies } from '../../src/adapters/ledger/policy-versions.js';
import type { Outcome } from '../../src/core/contract.js';
import { readPolicyFile } from '../../src/core/policy-file/index.js';
import { targetsOf, totalsOf } from '../support/bulk-plans.js';
import { clockAt } from './rows.js';

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

/**
 * What looking back by acts and groups promises on either database.
 *
 * @param freshUrl - makes a new, empty database
 */
export function describeActs(name: string, freshUrl: () => Promise<string>): void {
  describe(`acts on ${name}`, () => {
    let opened: OpenedDatabase;
    let db: OpenedDatabase['db'];

    beforeEach(async () => {
      opened = await openDatabase(await freshUrl());
      db = opened.db;
    });
    afterEach(() => opened.close());

    async function order(
      sessionId: string,
      at: number,
      outcome: Outcome | null,
      { agentId = null, ...given }: Partial<NewOrder> & { readonly agentId?: string | null } = {},
    ): Promise<string> {
      const id = await createOrder(
        db,
        {
          ...{
            sessionId,
            source: 'person',
            requestedBy: 'ana@host',
            evenIfExempt: false,
            turnKey: `turn_${sessionId}`,
          },
          reason: { text: 'loops', policy: null, policyVersion: null, limit: null, observed: null },
          ...given,
        },
        at,
      );
      await db.updateTable('orders').set({ agent_id: agentId }).where('id', '=', id).execute();
      if (outcome === null) return id;
      const ended = { attempts: 1, endedAtMs: outcome === 'cancelled' ? at + 3 * SECOND : null, turnKey: null };
      await settleOrders(db, [{ orderId: id, sessionId, outcome, attribution: null, ...ended }], at + 4 * SECOND);
      return id;
    }
    const byPolicy = (policy: string, observed: number, policyVersion = 2): Partial<NewOrder> => ({
      source: 'policy',
      requestedBy: `policy ${policy}`,
      reason: {
        ...{ text: `has run ${observed}`, policy, policyVersion },
        limit: { name: 'max_runtime', value: 45 * MINUTE, unit: 'ms' },
        observed: { value: observed, errorBound: 0, unit: 'ms' },
      },
    });
    async function job(
      planId: string,
      statuses: Readonly<Record<string, TargetStatus>>,
      { at = NOW, cleanup = null, state = 'finished' }: { at?: number; cleanup?: string | null; state?: string } = {},
    ): Promise<void> {
      const source = cleanup === null ? 'person' : 'cleanup';
      const plans = createBulkPlans(db, clockAt(at));
      await plans.begin({ planId, by: 'planner@host', source, cleanup, reason: 'incident 42', selection: {} });
      const ids = Object.keys(statuses);
      await plans.addTargets(planId, 0, targetsOf(ids, { agentId: `agent_of_${planId}` }));
      await plans.seal(planId, { totals: totalsOf(ids.length), hash: await hashOfTargets(db, planId) });
      for (const [sessionId, status] of Object.entries(statuses)) {
        const ended = status === 'cancelled' ? at + 2 * SECOND : null;
        await db
          .updateTable('bulk_targets')
          .set({ status, ended_at: ended })
          .where('plan_id', '=', planId)
          .where('session_id', '=', sessionId)
          .execute();
      }
      await db
        .updateTable('bulk_jobs')
        .set({ state, applied_at: at, applied_by: 'bo@host' })
        .where('id', '=', planId)
        .execute();
    }
    const acts = (filter: Partial<HistoryFilter> = {}): Promise<Act[]> =>
      createHistory(db).acts({ last: 50, ...filter });
    const sessions = async (filter: HistoryFilter): Promise<string[]> => {
      const found: string[] = [];
      for await (const page of createHistory(db).orders(filter))
        found.push(...page.map(({ result }) => result.sessionId));
      return found;
    };

    it('there are none of nothing', async () => {
      expect(await acts()).toEqual([]);
      expect(await createHistory(db).countedBy({}, 'day')).toEqual([]);
    });

    it('a command of a person is one, on whichever side of a minute its orders lie; another command is another', async () => {
      const edge = NOW - 2 * SECOND;
      await order('a', edge, 'cancelled');
      await order('b', edge + 3 * SECOND, 'cancelled');
      await order('c', edge + 4 * SECOND, null);
      await order('d', edge + 4 * SECOND, 'gone', { requestedBy: 'bo@host' });
      await order('e', edge + 2 * MINUTE, 'cancelled');
      const found = await acts();
      expect(found.map(({ by, turns, standings, sessionId }) => [by, turns, standings, sessionId])).toEqual([
        ['ana@host', 3, { cancelled: 2, open: 1 }, null],
        ['bo@host', 1, { gone: 1 }, 'd'],
        ['ana@host', 1, { cancelled: 1 }, 'e'],
      ]);
      expect(found[0]).toMatchObject({
        ...{ kind: 'cancel', atMs: edge, lastMs: edge + 4 * SECOND, reason: 'loops' },
        lastEndedAtMs: edge + 6 * SECOND,
      });
    });

    it('what a policy orders within a minute is one, with how far its limit was broken', async () => {
      await order('a', NOW, 'cancelled', byPolicy('p', 50 * MINUTE));
      await order('b', NOW + SECOND, 'forbidden', byPolicy('p', 80 * MINUTE));
      await order('c', NOW + SECOND, 'cancelled', byPolicy('other', 46 * MINUTE));
      await order('d', NOW + 2 * SECOND, 'cancelled', byPolicy('p', 46 * MINUTE, 3));
      await order('e', NOW + MINUTE, 'cancelled', byPolicy('p', 46 * MINUTE));
      const found = await acts();
      expect(found.map(({ policy, policyVersion, turns }) => [policy, policyVersion, turns])).toEqual([
        ['p', 2, 2],
        ['other', 2, 1],
        ['p', 3, 1],
        ['p', 2, 1],
      ]);
      expect(found[0]).toMatchObject({
        ...{ kind: 'policy', by: 'policy p', reason: null, standings: { cancelled: 1, forbidden: 1 } },
        limits: [{ name: 'max_runtime', unit: 'ms', limit: 45 * MINUTE, least: 50 * MINUTE, most: 80 * MINUTE }],
      });
      expect(found[3]?.limits).toMatchObject([{ least: 46 * MINUTE, most: 46 * MINUTE }]);
    });

    it('a bulk job is one, with the orders that its cases carry out; so is a run of a cleanup', async () => {
      await job('b-1', { a: 'cancelled', b: 'case', c: 'waiting', d: 'exempted' }, { state: 'aborted' });
      const orderId = await order('b', NOW + MINUTE, 'retries-exhausted', { source: 'bulk', requestedBy: 'bo@host' });
      await db.updateTable('bulk_targets').set({ order_id: orderId }).where('session_id', '=', 'b').execute();
      await job('b-2', { a: 'cancelled' }, { at: NOW + DAY, cleanup: 'stale' });
      await job('b-3', {}, { at: NOW + 2 * DAY });
      expect(await acts()).toMatchObject([
        {
          ...{ kind: 'bulk', planId: 'b-1', by: 'bo@host', atMs: NOW, reason: 'incident 42', turns: 4 },
          standings: { cancelled: 1, exempted: 1, 'retries-exhausted': 1, untouched: 1 },
          lastEndedAtMs: NOW + 2 * SECOND,
        },
        { kind: 'cleanup', cleanup: 'stale', planId: 'b-2', turns: 1, sessionId: 'a', standings: { cancelled: 1 } },
        { kind: 'bulk', planId: 'b-3', turns: 0, standings: {} },
      ]);
    });

    it('a policy file put in force is one', async () => {
      const text = '{version: 1, policies: [{name: a, match: {agents: ["*"]}, limits: {max_runtime: 5m}}]}';
      await createPolicies(db, clockAt(NOW)).apply({
        ...{ file: readPolicyFile(text, 'f').file, fileName: 'curfew.yaml', sourceText: text, by: 'ana@host' },
      });
      await order('a', NOW + 1, 'cancelled');
      expect(await acts()).toMatchObject([
        { kind: 'policies', by: 'ana@host', policyVersion: 1, fileName: 'curfew.yaml', turns: 0 },
        { kind: 'cancel' },
      ]);
      expect((await acts({ by: 'bo' })).length).toBe(0);
      expect((await acts({ sessionId: 'a' })).map(({ kind }) => kind)).toEqual(['cancel']);
    });

    it('the last so many are found over long pauses, and those of a time', async () => {
      for (const days of [0, 1, 100, 399]) await order(`s${days}`, NOW + days * DAY, 'cancelled');
      expect((await acts({ last: 2 })).map(({ sessionId }) => sessionId)).toEqual(['s100', 's399']);
      expect((await acts()).length).toBe(4);
      const within = { sinceMs: NOW + DAY, untilMs: NOW + 100 * DAY };
      expect((await acts(within)).map(({ sessionId }) => sessionId)).toEqual(['s1']);
      expect(await acts({ sinceMs: NOW + 400 * DAY })).toEqual([]);
    });

    it('filters hold for acts and for orders alike: job, who, agent, outcome', async () => {
      await order('mine', NOW, 'cancelled', { agentId: 'agent_x', requestedBy: 'Ana 100% (root@host)' });
      await order('other', NOW, 'forbidden', { agentId: 'agent_y' });
      await order('going', NOW, null, { agentId: 'agent_y' });
      await job('b-1', { a: 'cancelled', b: 'forbidden', c: 'case' }, { at: NOW + MINUTE });
      const handed = await order('c', NOW + MINUTE, null, {
        source: 'bulk',
        requestedBy: 'bo@host',
        agentId: 'agent_of_b-1',
      });
      await db.updateTable('bulk_targets').set({ order_id: handed }).where('session_id', '=', 'c').execute();
      await job('b-2', { z: 'cancelled' }, { at: NOW + 2 * MINUTE });
      const both = async (filter: Partial<HistoryFilter>) => [
        (await sessions(filter)).toSorted(),
        (await acts(filter)).map(({ planId, turns }) => [planId, turns]),
      ];
      expect(await both({ planId: 'b-1' })).toEqual([['a', 'b', 'c'], [['b-1', 3]]]);
      expect(await both({ by: 'ana 100%' })).toEqual([['mine'], [[null, 1]]]);
      expect(await both({ by: 'a_a' })).toEqual([[], []]);
      expect(await both({ by: 'BO@' })).toEqual([
        ['a', 'b', 'c', 'z'],
        [
          ['b-1', 3],
          ['b-2', 1],
        ],
      ]);
      expect(await both({ agentIds: ['agent_y', 'agent_of_b-2'] })).toEqual([
        ['going', 'other', 'z'],
        [
          [null, 2],
          ['b-2', 1],
        ],
      ]);
      expect(await both({ agentIds: [] })).toEqual([[], []]);
      expect(await both({ outcomes: ['forbidden'] })).toEqual([
        ['b', 'other'],
        [
          [null, 1],
          ['b-1', 1],
        ],
      ]);
      expect(await both({ outcomes: ['open'] })).toEqual([
        ['c', 'going'],
        [
          [null, 1],
          ['b-1', 1],
        ],
      ]);
      expect(await sessions({ outcomes: ['forbidden'], last: 1 })).toEqual(['b']);
    });

    it('turns are counted by policy, agent, who, outcome and day', async () => {
      await order('a', NOW, 'cancelled', { ...byPolicy('p', 50 * MINUTE), agentId: 'agent_x' });
      await order('b', NOW, 'forbidden', { ...byPolicy('p', 50 * MINUTE), agentId: 'agent_x' });
      await order('c', NOW + DAY, null, { agentId: 'agent_y' });
      await job('b-1', { d: 'cancelled', e: 'case' }, { at: NOW + DAY });
      const counted = async (grouping: 'policy' | 'agent' | 'by' | 'outcome' | 'day', filter: HistoryFilter = {}) =>
        (await createHistory(db).countedBy(filter, grouping)).map(({ key, standings }) => [key, standings]);
      expect(await counted('policy')).toEqual([
        [null, { open: 1, cancelled: 1 }],
        ['p', { cancelled: 1, forbidden: 1 }],
      ]);
      expect(await counted('agent')).toEqual([
        ['agent_x', { cancelled: 1, forbidden: 1 }],
        ['agent_of_b-1', { cancelled: 1 }],
        ['agent_y', { open: 1 }],
      ]);
      expect(await counted('by')).toEqual([
        ['policy p', { cancelled: 1, forbidden: 1 }],
        ['ana@host', { open: 1 }],
        ['bo@host', { cancelled: 1 }],
      ]);
      expect(await counted('outcome')).toEqual([
        ['cancelled', { cancelled: 2 }],
        ['forbidden', { forbidden: 1 }],
        ['open', { open: 1 }],
      ]);
      expect(await counted('day')).toEqual([
        ['2026-01-05', { cancelled: 1, forbidden: 1 }],
        ['2026-01-06', { cancelled: 1, open: 1 }],
      ]);
      expect(await counted('agent', { policy: 'p', outcomes: ['forbidden'] })).toEqual([['agent_x', { forbidden: 1 }]]);
      expect(await counted('day', { sinceMs: NOW + DAY, by: 'bo' })).toEqual([['2026-01-06', { cancelled: 1 }]]);
    });

    it('what stands of one session comes oldest first, the newest of it', async () => {
      for (const attempt of [1, 2, 3]) {
        const times = { read_at: NOW + attempt, registered_at: NOW + 10 * attempt, lease_until: NOW, sent_at: NOW + 5 };
        const row = { session_id: 'a', turn_key: 't', owner: 'o', worker: 'w', status: 'open' as const };
        await db
          .insertInto('requests')
          .values({ ...row, ...times, id: `r${attempt}`, attempt })
          .execute();
        await db
          .insertInto('permits')
          .values({ policy: 'p', session_id: 'a', turn_key: `t${attempt}`, taken_at: NOW + attempt })
          .execute();
        await createExemptions(db, clockAt(NOW + attempt)).add({
          ...{ sessionId: 'a', forMs: MINUTE, reason: `${attempt}`, by: 'ana' },
        });
      }
      const evidence = createEvidence(db);
      expect((await evidence.requests('a', 2)).map(({ id }) => id)).toEqual(['r2', 'r3']);
      expect((await evidence.requests('a', 9))[0]).toMatchObject({
        ...{ attempt: 1, status: 'open', answer: null, registeredAtMs: NOW + 10 },
        vendor: { readAtMs: NOW + 1, leftByMs: NOW + 5, answeredAtMs: null, turnStartedAtMs: null },
      });
      expect((await evidence.permits('a', 2)).map(({ turnKey }) => turnKey)).toEqual(['t2', 't3']);
      expect(await evidence.exemptions('a', 1)).toEqual([
        { by: 'ana', reason: '3', sinceMs: NOW + 3, untilMs: NOW + 3 + MINUTE, endedAtMs: null },
      ]);
      expect(await evidence.requests('b', 9)).toEqual([]);
    });

    it('agents are known by id or name from their last scans, and policies by what names them', async () => {
      const scan = { teamId: null, creatorId: null, atMs: NOW, scanMs: 15_000, live: 0, problem: null };
      const scans = [
        { ...scan, agentId: 'agent_1', name: 'support-triage' },
        { ...scan, agentId: 'agent_2', name: 'support-refunds' },
        { ...scan, agentId: 'agent_3', name: null },
      ];
      await createFacts(db).store({ facts: [], scans, events: [], orders: [] });
      const named = async (pattern: string) => (await createFacts(db).agentsNamed(pattern)).toSorted();
      expect(await named('support-*')).toEqual(['agent_1', 'agent_2']);
      expect(await named('agent_3')).toEqual(['agent_3']);
      expect(await named('support')).toEqual([]);
      await order('a', NOW, 'cancelled', byPolicy('p', 50 * MINUTE));
      const history = createHistory(db);
      expect([await history.knowsPolicy('p'), await history.knowsPolicy('q')]).toEqual([true, false]);
    });
  });
}
