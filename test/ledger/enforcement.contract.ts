import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createBreakers, type PermitRequest, takePermit } from '../../src/adapters/ledger/breakers.js';
import { createExemptions } from '../../src/adapters/ledger/exemptions.js';
import {
  type AgentScan,
  createFacts,
  FACTS_SCHEMA,
  type RoundRecord,
  type StoredFacts,
} from '../../src/adapters/ledger/facts.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import { createOrder, createOrders, settleOrders, type NewOrder } from '../../src/adapters/ledger/orders.js';
import { createPolicies, POLICY_SCHEMA, type PolicyApplication } from '../../src/adapters/ledger/policy-versions.js';
import { createPauseSwitch } from '../../src/adapters/ledger/pause-switch.js';
import { createRequests, type Registration } from '../../src/adapters/ledger/requests.js';
import { LEAST_LIVE_FOR_PERCENT } from '../../src/core/policy/caps.js';
import type { Facts } from '../../src/core/policy/facts.js';
import type { Caps, Exemption, PolicyFile } from '../../src/core/policy/policy.js';
import * as observing from '../policy/observing.js';
import { clockAt } from './rows.js';

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const SESSION = 'session-1';

/**
 * What the tables of enforcement promise on either database.
 *
 * @param freshUrl - makes a new, empty database
 */
export function describeEnforcement(name: string, freshUrl: () => Promise<string>): void {
  describe(`the ledger of enforcement on ${name}`, () => {
    let url: string;
    let db: OpenedDatabase['db'];
    const closers: (() => Promise<void>)[] = [];

    /** As another process has it: with connections of its own. */
    const openedDatabase = async (): Promise<OpenedDatabase['db']> => {
      const opened = await openDatabase(url);
      closers.push(opened.close);
      return opened.db;
    };

    beforeEach(async () => {
      url = await freshUrl();
      db = await openedDatabase();
    });

    afterEach(async () => {
      for (const close of closers.splice(0)) await close();
    });

    const eventsOf = async (kind: string): Promise<unknown[]> => {
      const rows = await db.selectFrom('events').selectAll().where('kind', '=', kind).orderBy('seq').execute();
      return rows.map(({ at, data_json }) => ({ at, ...(JSON.parse(data_json ?? '{}') as object) }));
    };
    const policyOrder = (given: Partial<NewOrder> = {}): NewOrder => ({
      sessionId: SESSION,
      source: 'policy',
      requestedBy: 'policy rule',
      reason: { text: 'too long', policy: 'rule', policyVersion: 1, limit: null, observed: null },
      evenIfExempt: false,
      turnKey: 'turn-1',
      ...given,
    });
    /** Lets a request out for the orders that are given, or for a new one. */
    const registerOn = async (
      on: OpenedDatabase['db'],
      sessionId: string,
      at: number,
      permits: ReadonlyMap<string, PermitRequest> = new Map(),
      orderIds?: readonly string[],
    ): Promise<Registration['kind']> => {
      const departure = {
        sessionId,
        agentId: 'agent-1',
        turn: { key: 'turn-1', startedAtMs: at - MINUTE },
        orderIds: orderIds ?? [await createOrder(db, policyOrder({ sessionId }), at)],
        permits,
        owner: 'case',
        worker: 'worker-1',
        readAtMs: at,
        leavesByMs: at + 2_000,
      };
      return (await createRequests(on, clockAt(at)).register(departure)).kind;
    };
    const register = (
      sessionId: string,
      at: number,
      permits?: ReadonlyMap<string, PermitRequest>,
      orderIds?: readonly string[],
    ) => registerOn(db, sessionId, at, permits, orderIds);

    describe('policy versions', () => {
      const exemption = (sessionId: string, untilMs = NOW + HOUR): Exemption => ({
        sessionId,
        untilMs,
        reason: 'release week',
      });
      const file = (max_runtime = HOUR, exemptions: readonly Exemption[] = []): PolicyFile => ({
        version: 1,
        policies: [observing.policy({ max_runtime })],
        cleanup: [],
        notify: { ops: { slack: { urlFile: '/run/secrets/slack' } } },
        exempt: exemptions,
      });
      const application = (given: Partial<PolicyApplication> = {}): PolicyApplication => ({
        file: file(),
        fileName: 'curfew.yaml',
        sourceText: 'version: 1 # as written, ünïcode and "quotes" too\n',
        by: 'ann@example.com',
        ...given,
      });
      const apply = (given: Partial<PolicyApplication> = {}, at = NOW, on = db) =>
        createPolicies(on, clockAt(at)).apply(application(given));

      it('are none at first', async () => {
        expect(await createPolicies(db).inForce()).toEqual({ kind: 'none' });
        expect(await createPolicies(db).version()).toBeNull();
      });

      it('come back as they were applied, the last one', async () => {
        await apply();
        expect(await apply({ file: file(2 * HOUR), by: 'ben@example.com' }, NOW + 5)).toEqual({
          version: 2,
          changed: true,
        });
        expect(await createPolicies(db).version()).toBe(2);
        expect(await createPolicies(db).inForce()).toEqual({
          kind: 'known',
          inForce: {
            version: 2,
            appliedAtMs: NOW + 5,
            appliedBy: 'ben@example.com',
            fileName: 'curfew.yaml',
            sourceText: application().sourceText,
            file: file(2 * HOUR),
          },
        });
        expect(await eventsOf('policy-applied')).toEqual([
          { at: NOW, version: 1, file: 'curfew.yaml', by: 'ann@example.com' },
          { at: NOW + 5, version: 2, file: 'curfew.yaml', by: 'ben@example.com' },
        ]);
      });

      it('are not made by the same content again, whoever brings it, under whatever name', async () => {
        await apply();
        const again = { fileName: 'copy.yaml', sourceText: 'other: comments', by: 'ben@example.com' };
        expect(await apply(again, NOW + 5)).toEqual({ version: 1, changed: false });
        expect(await createPolicies(db).inForce()).toMatchObject({
          inForce: { appliedBy: 'ann@example.com', version: 1 },
        });
        expect(await eventsOf('policy-applied')).toHaveLength(1);
      });

      it('are made by content that was in force before the last one', async () => {
        await apply();
        await apply({ file: file(2 * HOUR) });
        expect(await apply()).toEqual({ version: 3, changed: true });
      });

      it('are two when two bring different files at once, and one when they bring the same', async () => {
        const other = await openedDatabase();
        const different = await Promise.all([
          apply({ file: file(1, [exemption('a'), exemption('b')]) }),
          apply({ file: file(2, [exemption('b'), exemption('a')]) }, NOW, other),
        ]);
        expect(different.map(({ version }) => version).sort()).toEqual([1, 2]);
        expect(different.every(({ changed }) => changed)).toBe(true);
        const same = await Promise.all([db, other, db, other].map((on) => apply({ file: file(3) }, NOW, on)));
        expect(same.map(({ version }) => version)).toEqual([3, 3, 3, 3]);
        expect(same.filter(({ changed }) => changed)).toHaveLength(1);
        // The exemptions are those of the file in force, however the two met.
        expect([...(await createExemptions(db, clockAt(NOW)).running()).keys()]).toEqual([]);
      });

      it('of a newer form are told as such, and not read', async () => {
        await apply();
        await db
          .insertInto('policy_versions')
          .values({
            version: 2,
            schema: POLICY_SCHEMA + 1,
            applied_at: NOW,
            applied_by: 'newer',
            file_name: 'curfew.yaml',
            source_text: '',
            file_json: 'not even JSON',
          })
          .execute();
        expect(await createPolicies(db).inForce()).toEqual({ kind: 'too-new', version: 2, schema: POLICY_SCHEMA + 1 });
        expect(await createPolicies(db).version()).toBe(2);
      });

      it('bring their exemptions, in place of those of the file before', async () => {
        await apply({ file: file(1, [exemption('a'), exemption('b', NOW + 5), exemption('past', NOW)]) });
        expect(await createExemptions(db, clockAt(NOW)).running()).toEqual(
          new Map([
            ['a', NOW + HOUR],
            ['b', NOW + 5],
          ]),
        );
        await apply({ file: file(2, [exemption('b', NOW + 2 * HOUR), exemption('c')]) }, NOW + 1);
        expect(await createExemptions(db, clockAt(NOW + 1)).running()).toEqual(
          new Map([
            ['b', NOW + 2 * HOUR],
            ['c', NOW + HOUR],
          ]),
        );
        await apply({ file: file(2) }, NOW + 2);
        expect(await createExemptions(db, clockAt(NOW + 2)).running()).toEqual(new Map());
      });

      it("leave people's own exemptions alone", async () => {
        const own = { sessionId: 'a', forMs: 30 * MINUTE, reason: null, by: 'ann@example.com' };
        await createExemptions(db, clockAt(NOW)).add(own);
        await apply({ file: file(1, [exemption('a')]) });
        await apply({ file: file(2) }, NOW + 1);
        expect(await createExemptions(db, clockAt(NOW + 1)).running()).toEqual(new Map([['a', NOW + 30 * MINUTE]]));
        expect(await createExemptions(db, clockAt(NOW + 2)).end('a', 'ann@example.com')).toBe(1);
      });

      it('I6: an exemption of the file is honoured where requests are let out', async () => {
        await apply({ file: file(1, [exemption(SESSION, NOW + MINUTE)]) });
        expect(await register(SESSION, NOW)).toBe('nothing-to-send');
        expect(await db.selectFrom('outcomes').select('outcome').execute()).toEqual([{ outcome: 'exempted' }]);
        expect(await register('another', NOW)).toBe('registered');
        expect(await register(SESSION, NOW + MINUTE)).toBe('registered');
      });

      it('I6: an exemption that the next file leaves out holds nothing back', async () => {
        await apply({ file: file(1, [exemption(SESSION)]) });
        await apply({ file: file(2) }, NOW + 1);
        expect(await register(SESSION, NOW + 2)).toBe('registered');
      });
    });

    describe('permits', () => {
      const CAPS: Caps = { maxCancels: 3, maxPercent: 100, perMs: HOUR };
      const take = (
        turnKey: string,
        {
          at = NOW,
          caps = {},
          on = db,
          ...request
        }: Partial<Omit<PermitRequest, 'caps'>> & {
          at?: number;
          caps?: Partial<Caps>;
          on?: OpenedDatabase['db'];
        } = {},
      ): Promise<boolean> =>
        on
          .transaction()
          .execute((trx) =>
            takePermit(
              trx,
              { policy: 'rule', liveSessions: null, ...request, caps: { ...CAPS, ...caps } },
              { sessionId: SESSION, turnKey },
              at,
            ),
          );
      /** Takes permits for turns of their own until one is refused. @returns how many went through */
      const takeAll = async (given: Parameters<typeof take>[1] = {}, prefix = 'turn'): Promise<number> => {
        for (let taken = 0; taken < 1_000; taken += 1) if (!(await take(`${prefix}-${taken}`, given))) return taken;
        throw new Error('There is no end of permits.');
      };
      const close = (at: number, policy = 'rule') => createBreakers(db, clockAt(at)).close(policy, 'ann@example.com');

      it('are given for exactly as many turns as the cap says; then the breaker is open, and says why', async () => {
        expect(await takeAll()).toBe(3);
        const reason = { cap: 'max_cancels', capValue: 3, taken: 3, perMs: HOUR, liveSessions: null };
        expect(await createBreakers(db).open()).toEqual([{ policy: 'rule', openedAtMs: NOW, reason }]);
        expect(await eventsOf('breaker-opened')).toEqual([{ at: NOW, policy: 'rule', ...reason }]);
      });

      it('are refused while the breaker is open, and nobody is told again', async () => {
        await takeAll();
        expect(await take('later', { at: NOW + 1 })).toBe(false);
        // Even when the window is long over: an operator closes it.
        expect(await take('much-later', { at: NOW + 24 * HOUR })).toBe(false);
        expect(await createBreakers(db).open()).toMatchObject([{ openedAtMs: NOW }]);
        expect(await eventsOf('breaker-opened')).toHaveLength(1);
      });

      it('are taken once for a session and turn, however often it is tried', async () => {
        for (let attempt = 0; attempt < 5; attempt += 1) expect(await take('same', { at: NOW + attempt })).toBe(true);
        expect(await takeAll()).toBe(2);
      });

      it('are kept by a turn that has one, also over the cap, and after it was closed', async () => {
        await takeAll();
        expect(await take('turn-1', { at: NOW + 1 })).toBe(true);
        await close(NOW + 2);
        expect(await take('turn-1', { at: NOW + 3 })).toBe(true);
        expect(await takeAll({ at: NOW + 3 }, 'new')).toBe(3);
      });

      it('are those of one policy: others have their own, and their own breaker', async () => {
        await takeAll();
        expect(await take('turn-0', { policy: 'other', at: NOW + 1 })).toBe(true);
        expect(await takeAll({ policy: 'other', at: NOW + 1 })).toBe(3);
        expect((await createBreakers(db).open()).map(({ policy }) => policy)).toEqual(['other', 'rule']);
        expect(await close(NOW + 2, 'other')).toBe(true);
        expect((await createBreakers(db).open()).map(({ policy }) => policy)).toEqual(['rule']);
      });

      it('of the same turn key in another session are others', async () => {
        const inSession = (sessionId: string) =>
          db
            .transaction()
            .execute((trx) =>
              takePermit(
                trx,
                { policy: 'rule', caps: CAPS, liveSessions: null },
                { sessionId, turnKey: 'message-1' },
                NOW,
              ),
            );
        const taken = [];
        for (const session of ['a', 'b', 'c', 'd']) taken.push(await inSession(session));
        expect(taken).toEqual([true, true, true, false]);
      });

      it('count as long as the window is: it moves', async () => {
        for (const minute of [0, 20, 40]) {
          expect(await take(`at-${minute}`, { at: NOW + minute * MINUTE })).toBe(true);
        }
        expect(await take('first-is-over', { at: NOW + HOUR })).toBe(true);
        expect(await take('second-counts', { at: NOW + HOUR + 20 * MINUTE - 1 })).toBe(false);
        expect(await createBreakers(db).open()).toMatchObject([{ reason: { taken: 3 } }]);
      });

      it('are not given at all when the cap is zero', async () => {
        expect(await takeAll({ caps: { maxCancels: 0 } })).toBe(0);
        expect(await takeAll({ policy: 'other', caps: { maxPercent: 0 }, liveSessions: 1_000 })).toBe(0);
      });

      describe('by share of the live sessions', () => {
        const share = (maxPercent: number, liveSessions: number | null, liveAtMs: number | null = NOW - 1) =>
          takeAll({ caps: { maxCancels: 500, maxPercent }, liveSessions, liveAtMs });

        it.each([
          [25, 20, 5],
          [25, 39, 9],
          [25, 40, 10],
          [50, 20, 10],
          [50, 100, 50],
          [95, 20, 19],
          [1, 99, 0],
          [1, 100, 1],
        ])('%d%% of %d are %d, as long as nobody counts them anew', async (percent, live, permits) => {
          expect(await share(percent, live)).toBe(permits);
          expect(await createBreakers(db).open()).toMatchObject([
            { reason: { cap: 'max_percent', capValue: percent, taken: permits, liveSessions: live } },
          ]);
        });

        it('of 100% is no limit: what is counted again while many end must not look like more than all', async () => {
          expect(await share(100, 20)).toBe(500);
        });

        it('does not count with fewer live sessions than say something, or an unknown number of them', async () => {
          expect(LEAST_LIVE_FOR_PERCENT).toBe(20);
          expect(await share(25, LEAST_LIVE_FOR_PERCENT - 1)).toBe(500);
          expect(await takeAll({ policy: 'other', caps: { maxCancels: 500, maxPercent: 25 } })).toBe(500);
        });

        it('adds those that were ended before the live ones were counted: half of a hundred stays fifty', async () => {
          let taken = 0;
          for (let scan = 0; scan < 30; scan += 1) {
            const at = NOW + scan * 15 * SECOND;
            const counted = { liveSessions: 100 - taken, liveAtMs: at };
            for (let turn = 0; turn < 2; turn += 1) {
              const caps = { maxCancels: 500, maxPercent: 50 };
              if (await take(`turn-${scan}-${turn}`, { at: at + 1, caps, ...counted })) taken += 1;
            }
          }
          expect(taken).toBe(50);
        });

        it('is never more than that share when the time of the count is not known', async () => {
          expect(await share(50, 20, null)).toBe(10);
        });
      });

      it('I6: two processes at once never take more than the cap', async () => {
        const other = await openedDatabase();
        const caps = { maxCancels: 5 };
        const results = await Promise.all(
          Array.from({ length: 20 }, (_, n) => take(`turn-${n}`, { on: n % 2 === 0 ? db : other, caps })),
        );
        expect(results.filter((taken) => taken)).toHaveLength(5);
        expect(await db.selectFrom('permits').select('turn_key').execute()).toHaveLength(5);
        expect(await eventsOf('breaker-opened')).toHaveLength(1);
      });

      it('for one turn, asked for by two processes at once, are one', async () => {
        const other = await openedDatabase();
        const results = await Promise.all(
          Array.from({ length: 8 }, (_, n) => take('same', { on: n % 2 === 0 ? db : other })),
        );
        expect(results).toEqual(Array(8).fill(true));
        expect(await takeAll({ at: NOW + 1 })).toBe(2);
      });

      it('are taken only if the transaction is', async () => {
        const failed = db.transaction().execute(async (trx) => {
          const request = { policy: 'rule', caps: CAPS, liveSessions: null };
          expect(await takePermit(trx, request, { sessionId: SESSION, turnKey: 'undone' }, NOW)).toBe(true);
          throw new Error('the request was not let out');
        });
        await expect(failed).rejects.toThrow('not let out');
        expect(await takeAll()).toBe(3);
      });

      describe('after the breaker was closed', () => {
        it('are counted anew: the whole cap again, in a window that begins there', async () => {
          await takeAll();
          expect(await close(NOW + MINUTE)).toBe(true);
          expect(await createBreakers(db).open()).toEqual([]);
          expect(await takeAll({ at: NOW + 2 * MINUTE }, 'second')).toBe(3);
          expect(await createBreakers(db).open()).toMatchObject([{ openedAtMs: NOW + 2 * MINUTE }]);
        });

        it('are never counted over a longer time than the window', async () => {
          await takeAll();
          await close(NOW + MINUTE);
          expect(await take('early', { at: NOW + 2 * MINUTE })).toBe(true);
          expect(await takeAll({ at: NOW + 2 * HOUR }, 'late')).toBe(3);
        });

        it('are still bounded when our clock was ahead at that time, and was put right since', async () => {
          await takeAll();
          await close(NOW + 10 * HOUR);
          expect(await takeAll({ at: NOW + 2 * HOUR }, 'second')).toBe(3);
        });

        it('tells who did it, once; one that is closed stays so', async () => {
          expect(await close(NOW)).toBe(false);
          await takeAll();
          expect(await close(NOW + 1, 'other')).toBe(false);
          expect(await close(NOW + 2)).toBe(true);
          expect(await close(NOW + 3)).toBe(false);
          expect(await eventsOf('breaker-closed')).toEqual([{ at: NOW + 2, policy: 'rule', by: 'ann@example.com' }]);
        });
      });
    });

    describe('permits of orders, where requests are let out', () => {
      const permit = (maxCancels: number): PermitRequest => ({
        policy: 'rule',
        caps: { maxCancels, maxPercent: 100, perMs: HOUR },
        liveSessions: null,
      });
      const ordered = (sessionId: string, given: Partial<NewOrder> = {}): Promise<string> =>
        createOrder(db, policyOrder({ sessionId, ...given }), NOW);
      const outcomes = async (): Promise<Record<string, string>> => {
        const rows = await db.selectFrom('outcomes').select(['order_id', 'outcome']).execute();
        return Object.fromEntries(rows.map((row) => [row.order_id, row.outcome]));
      };
      const permitsTaken = async (): Promise<string[]> =>
        (await db.selectFrom('permits').select('session_id').orderBy('session_id').execute()).map(
          (row) => row.session_id,
        );

      it('I6: are taken with the request; over the cap nothing is sent, and the order is `capped`', async () => {
        const orders = [await ordered('a'), await ordered('b')] as const;
        expect(await register('a', NOW, new Map([[orders[0], permit(1)]]), [orders[0]])).toBe('registered');
        expect(await register('b', NOW, new Map([[orders[1], permit(1)]]), [orders[1]])).toBe('nothing-to-send');
        expect(await outcomes()).toEqual({ [orders[1]]: 'capped' });
        expect(await permitsTaken()).toEqual(['a']);
        // What stops a request is no failure: it has to last.
        expect(await createBreakers(db).open()).toMatchObject([{ policy: 'rule' }]);
      });

      it('do not hold back those who need none', async () => {
        const [capped, person] = [await ordered('a'), await ordered('a', { source: 'person', turnKey: null })];
        expect(await register('a', NOW, new Map([[capped, permit(0)]]), [capped, person])).toBe('registered');
        expect(await outcomes()).toEqual({ [capped]: 'capped' });
      });

      it('are not taken for what is held back by something else', async () => {
        const exempted = await ordered('a');
        await createExemptions(db, clockAt(NOW)).add({ sessionId: 'a', forMs: HOUR, reason: null, by: 'ann' });
        expect(await register('a', NOW, new Map([[exempted, permit(5)]]), [exempted])).toBe('nothing-to-send');

        await register('b', NOW);
        const busy = await ordered('b');
        expect(await register('b', NOW + 1, new Map([[busy, permit(5)]]), [busy])).toBe('busy');

        await createPauseSwitch(db, clockAt(NOW)).set(true, 'ann', null);
        const paused = await ordered('c');
        expect(await register('c', NOW, new Map([[paused, permit(5)]]), [paused])).toBe('paused');
        expect(await permitsTaken()).toEqual([]);
      });

      it('are not taken twice by further attempts on the same turn', async () => {
        const order = await ordered('a');
        const attempt = (at: number) => register('a', at, new Map([[order, permit(1)]]), [order]);
        expect(await attempt(NOW)).toBe('registered');
        expect(await attempt(NOW + MINUTE)).toBe('registered');
        expect(await permitsTaken()).toEqual(['a']);
      });

      it('of two policies that two sessions break at once are taken without waiting in a circle', async () => {
        const other = await openedDatabase();
        const sessions = Array.from({ length: 12 }, (_, n) => `s-${n}`);
        const requests = await Promise.all(
          sessions.map(async (sessionId) => {
            const [one, two] = [await ordered(sessionId), await ordered(sessionId)];
            return { sessionId, one, two };
          }),
        );
        const kinds = await Promise.all(
          requests.map(({ sessionId, one, two }, n) => {
            const [first, second] = n % 2 === 0 ? ['p', 'q'] : ['q', 'p'];
            const permits = new Map([
              [one, { ...permit(50), policy: first ?? '' }],
              [two, { ...permit(50), policy: second ?? '' }],
            ]);
            return registerOn(n % 2 === 0 ? db : other, sessionId, NOW, permits, [one, two]);
          }),
        );
        expect(kinds).toEqual(sessions.map(() => 'registered'));
        expect(await permitsTaken()).toHaveLength(24);
      });
    });

    describe('facts', () => {
      const facts: Facts = observing.factsOf(
        observing.absent(0),
        observing.listed(15 * SECOND, 'processing', 12.5),
        observing.retrieved(20 * SECOND, 'processing', [['m1', 5 * SECOND]], 12.5),
      );
      const stored = (sessionId: string, given: Partial<StoredFacts> = {}): StoredFacts => ({
        sessionId,
        agentId: 'agent-1',
        listed: true,
        facts,
        ...given,
      });
      const scan = (agentId: string, given: Partial<AgentScan> = {}): AgentScan => ({
        agentId,
        name: 'Support "1" ✓',
        teamId: null,
        creatorId: 'user_1',
        atMs: NOW,
        scanMs: 15 * SECOND,
        live: 3,
        problem: null,
        ...given,
      });
      const store = (round: Partial<RoundRecord>, at = NOW, on = db): Promise<string[]> =>
        createFacts(on, clockAt(at)).store({ facts: [], scans: [], events: [], orders: [], ...round });
      const bySession = (a: StoredFacts, b: StoredFacts) => (a.sessionId < b.sessionId ? -1 : 1);
      const allFacts = async (sinceMs = 0) =>
        [...(await createFacts(db, clockAt(sinceMs)).load(0)).facts].sort(bySession);

      it('of nobody are none', async () => {
        expect(await store({})).toEqual([]);
        expect(await createFacts(db, clockAt(0)).load(0)).toEqual({ facts: [], scans: [] });
        expect(await createFacts(db).of(SESSION)).toBeNull();
      });

      it('of an older sight never take the place of newer ones, whoever writes last', async () => {
        const seen = (seenAtMs: number): Facts => ({ ...facts, timeline: { ...facts.timeline, seenAtMs } });
        const newer = stored('a', { facts: seen(NOW + SECOND), listed: false });
        await store({ facts: [newer] });
        await store({ facts: [stored('a', { facts: seen(NOW) }), stored('b', { facts: seen(NOW) })] });
        expect(await allFacts()).toEqual([newer, stored('b', { facts: seen(NOW) })]);
        const same = stored('a', { facts: seen(NOW + SECOND), listed: true });
        await store({ facts: [same] });
        expect((await allFacts())[0]).toEqual(same);
      });

      it('come back as they were stored, with the scans', async () => {
        const round = {
          facts: [stored('a'), stored('b', { agentId: null, listed: false }), stored('c', { agentId: 'unscanned' })],
          scans: [scan('agent-1'), scan('agent-2', { atMs: null, problem: 'HTTP 500' })],
        };
        await store(round);
        expect(await allFacts()).toEqual(round.facts);
        expect((await createFacts(db, clockAt(0)).load(0)).scans).toEqual(round.scans);
      });

      it('take the place of earlier ones', async () => {
        await store({ facts: [stored('a')], scans: [scan('agent-1')] });
        const later = observing.factsOf(observing.listed(60 * SECOND, 'queued'));
        const next = {
          facts: [stored('a', { agentId: 'agent-2', listed: false, facts: later })],
          scans: [scan('agent-1', { live: 0 })],
        };
        await store(next, NOW + 1);
        expect(await allFacts()).toEqual(next.facts);
        expect((await createFacts(db, clockAt(0)).load(0)).scans).toEqual(next.scans);
      });

      it('of one session come with the last scan of its agent', async () => {
        await store({
          facts: [stored('a'), stored('b', { agentId: null }), stored('c', { agentId: 'unscanned' })],
          scans: [scan('agent-1', { live: 7 }), scan('agent-2')],
        });
        expect(await createFacts(db).of('a')).toEqual({ stored: stored('a'), scan: scan('agent-1', { live: 7 }) });
        expect(await createFacts(db).of('b')).toEqual({ stored: stored('b', { agentId: null }), scan: null });
        expect(await createFacts(db).of('c')).toEqual({ stored: stored('c', { agentId: 'unscanned' }), scan: null });
        expect(await createFacts(db).of('d')).toBeNull();
      });

      it('that are old are left out, unless the session was listed ever since', async () => {
        await store({ facts: [stored('gone', { listed: false }), stored('there')] }, NOW - HOUR);
        await store({ facts: [stored('recent', { listed: false })] }, NOW);
        expect((await allFacts(NOW - MINUTE)).map(({ sessionId }) => sessionId)).toEqual(['recent', 'there']);
        expect(await createFacts(db).of('gone')).not.toBeNull();
      });

      it('of another form are not read, and are replaced', async () => {
        await store({ facts: [stored('a'), stored('b')] });
        await db
          .updateTable('facts')
          .set({ schema: FACTS_SCHEMA + 1, facts_json: 'something else' })
          .where('session_id', '=', 'a')
          .execute();
        expect((await allFacts()).map(({ sessionId }) => sessionId)).toEqual(['b']);
        expect(await createFacts(db).of('a')).toBeNull();
        await store({ facts: [stored('a')] });
        expect(await createFacts(db).of('a')).toMatchObject({ stored: stored('a') });
      });

      it.each([1, 499, 500, 501, 1_203])('of %d sessions and agents at once are all stored', async (count) => {
        const ids = Array.from({ length: count }, (_, n) => `s-${String(n).padStart(5, '0')}`);
        await store({ facts: ids.map((id) => stored(id)), scans: ids.map((id) => scan(id)) });
        const loaded = await createFacts(db, clockAt(0)).load(0);
        expect(loaded.facts.map(({ sessionId }) => sessionId).sort()).toEqual(ids);
        expect(loaded.scans).toHaveLength(count);
      });

      it('of one session given twice are the last ones', async () => {
        await store({
          facts: [stored('a', { listed: false }), stored('b'), stored('a', { agentId: 'agent-2' })],
          scans: [scan('agent-1', { live: 1 }), scan('agent-1', { live: 2 })],
        });
        expect(await allFacts()).toEqual([stored('a', { agentId: 'agent-2' }), stored('b')]);
        expect((await createFacts(db, clockAt(0)).load(0)).scans).toEqual([scan('agent-1', { live: 2 })]);
      });

      it('of a whole fleet that is warned at once are stored: 15,000 events', async () => {
        const events = Array.from({ length: 15_000 }, (_, n) => ({
          kind: 'would-end' as const,
          sessionId: `s-${n}`,
          data: { policy: 'rule', n },
        }));
        await store({ events });
        const { count } = await db
          .selectFrom('events')
          .select(({ fn }) => fn.countAll<number>().as('count'))
          .where('kind', '=', 'would-end')
          .where('at', '=', NOW)
          .executeTakeFirstOrThrow();
        expect(Number(count)).toBe(15_000);
      });

      it('are stored with events and orders, whose ids come back in their order', async () => {
        const ids = await store({
          facts: [stored('a')],
          events: [{ kind: 'warned', sessionId: 'b', data: { policy: 'rule' } }],
          orders: [policyOrder({ sessionId: 'z' }), policyOrder({ sessionId: 'a' })],
        });
        expect(await eventsOf('warned')).toEqual([{ at: NOW, policy: 'rule' }]);
        expect((await createOrders(db, clockAt(NOW)).beginPass('z')).map(({ id }) => id)).toEqual([ids[0]]);
        expect((await createOrders(db, clockAt(NOW)).beginPass('a')).map(({ id }) => id)).toEqual([ids[1]]);
        expect(ids).toHaveLength(2);
      });

      it('I2: a turn that its policy has ordered already gets no second order while that one is open', async () => {
        const other = await openedDatabase();
        const rounds = await Promise.all(
          Array.from({ length: 6 }, (_, n) => store({ orders: [policyOrder()] }, NOW, n % 2 === 0 ? db : other)),
        );
        const ids = new Set(rounds.flat());
        expect(ids.size).toBe(1);
        const [first = ''] = ids;
        const elsewhere = [
          policyOrder({ turnKey: 'turn-2' }),
          policyOrder({ sessionId: 'another' }),
          policyOrder({ reason: { ...policyOrder().reason, policy: 'another' } }),
        ];
        expect(new Set([first, ...(await store({ orders: elsewhere }))]).size).toBe(4);

        const settlement = { orderId: first, sessionId: SESSION, attempts: 0, endedAtMs: null, turnKey: null };
        await settleOrders(db, [{ ...settlement, outcome: 'no-longer-violating', attribution: null }], NOW);
        expect(await store({ orders: [policyOrder()] })).not.toContain(first);
      });

      it('are stored with all that belongs to them, or not at all', async () => {
        const unwritable = policyOrder({
          sessionId: 'b',
          reason: { ...policyOrder().reason, observed: { value: 1n } },
        });
        const round = {
          facts: [stored('a')],
          scans: [scan('agent-1')],
          events: [{ kind: 'warned', sessionId: 'a' } as const],
          orders: [policyOrder({ sessionId: 'a' }), unwritable],
        };
        await expect(store(round)).rejects.toThrow(TypeError);
        expect(await createFacts(db, clockAt(0)).load(0)).toEqual({ facts: [], scans: [] });
        expect(await eventsOf('warned')).toEqual([]);
        expect(await db.selectFrom('orders').select('id').execute()).toEqual([]);
      });

      it('of the same sessions, stored by two processes in another order, are stored by both', async () => {
        const other = await openedDatabase();
        const ids = Array.from({ length: 600 }, (_, n) => `s-${n}`);
        const round = (sessions: readonly string[]): Partial<RoundRecord> => ({
          facts: sessions.map((id) => stored(id)),
          scans: sessions.slice(0, 50).map((id) => scan(id)),
          orders: sessions.slice(0, 20).map((sessionId) => policyOrder({ sessionId })),
        });
        const [there, back] = [round(ids), round(ids.toReversed())];
        for (let again = 0; again < 5; again += 1) await Promise.all([store(there), store(back, NOW, other)]);
        expect(await allFacts()).toHaveLength(600);
      });

      it('of 10,000 sessions are stored and loaded', async () => {
        const ids = Array.from({ length: 10_000 }, (_, n) => `s-${n}`);
        const rows = ids.map((id) => stored(id));
        const began = performance.now();
        await store({ facts: rows });
        const written = performance.now();
        await store({ facts: rows }, NOW + 1);
        const rewritten = performance.now();
        const loaded = await createFacts(db, clockAt(0)).load(0);
        const took = [written - began, rewritten - written, performance.now() - rewritten].map(Math.round);
        if (process.env['SHOW_TIMES'] !== undefined)
          console.log(`${name}: insert, update, load in ms: ${took.join(', ')}`);
        expect(loaded.facts).toHaveLength(10_000);
        expect(loaded.facts[0]?.facts).toEqual(facts);
      });
    });
  });
}
