import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  createWatches,
  type LimitChanges,
  type Watch,
  type WatchNote,
  type WatchRegistration,
} from '../../src/adapters/ledger/watches.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import { createOrder, type NewOrder } from '../../src/adapters/ledger/orders.js';
import { createRequests } from '../../src/adapters/ledger/requests.js';
import type { Facts } from '../../src/core/policy/facts.js';
import { fromRetrieve } from '../../src/core/policy/observation.js';
import { observe } from '../../src/core/policy/observe.js';
import { transcriptOf } from '../../src/core/policy/turn.js';

const MINUTE = 60_000;
const SESSION = 'session-1';
const BY = 'importer@example.com';

/**
 * What the table of watches promises on either database.
 *
 * @param freshUrl - makes a new, empty database
 */
export function describeWatches(name: string, freshUrl: () => Promise<string>): void {
  describe(`watches on ${name}`, () => {
    let db: OpenedDatabase['db'];
    let ledger: Ledger;
    let close: () => Promise<void>;

    beforeEach(async () => {
      const url = await freshUrl();
      const opened = await openDatabase(url);
      ledger = await openLedger(url);
      db = opened.db;
      close = async () => {
        await ledger.close();
        await opened.close();
      };
    });

    afterEach(() => close());

    const registration = (
      limits: LimitChanges = { max_runtime: 20 * MINUTE },
      sessionId = SESSION,
    ): WatchRegistration => ({ sessionId, limits, reason: null, requestedBy: BY });
    const register = async (limits?: LimitChanges, sessionId = SESSION): Promise<Watch> => {
      const change = await ledger.watches.register(registration(limits, sessionId));
      if (change.kind === 'not-open' || change.kind === 'no-limit-left') throw new Error(change.kind);
      return change.watch;
    };
    const note = (given: Partial<WatchNote> = {}): WatchNote => ({
      phase: 'watching',
      note: 'Processing.',
      facts: null,
      missingSinceMs: null,
      nextLookInMs: MINUTE,
      order: null,
      ending: null,
      ...given,
    });
    const order: NewOrder = {
      sessionId: SESSION,
      source: 'service',
      requestedBy: BY,
      reason: { text: 'has run 20m, limit 20m', policy: null, policyVersion: null, limit: null, observed: null },
      evenIfExempt: false,
      turnKey: 'turn-1',
    };
    const ordered = async (): Promise<Watch & { orderId: string }> => {
      const watch = await ledger.watches.noteLook(await register(), note({ order, phase: 'ending' }));
      if (watch?.orderId == null) throw new Error('No order was given.');
      return { ...watch, orderId: watch.orderId };
    };
    const send = (orderId: string) =>
      createRequests(db, () => ledger.now()).register({
        sessionId: SESSION,
        agentId: null,
        turn: { key: 'turn-1', startedAtMs: null },
        orderIds: [orderId],
        owner: 'case',
        worker: 'worker-1',
        readAtMs: 0,
        leavesByMs: 2_000,
      });
    const events = async () =>
      (await db.selectFrom('events').select(['kind', 'data_json']).orderBy('seq').execute()).map((row) => ({
        kind: row.kind,
        data: JSON.parse(row.data_json ?? 'null') as Record<string, unknown>,
      }));
    const kinds = async (): Promise<string[]> => (await events()).map(({ kind }) => kind);
    const outcomeOf = async (orderId: string) =>
      (await ledger.orders.views({ orderIds: [orderId] }))[0]?.result.outcome;

    describe('a registration', () => {
      it('comes back as it was given, due at once', async () => {
        const before = await ledger.now();
        await ledger.watches.register({
          sessionId: SESSION,
          limits: { max_runtime: 20 * MINUTE, max_credits: 12.5, max_tokens: 1e12 },
          reason: 'nightly import',
          requestedBy: BY,
        });
        const watch = await ledger.watches.get(SESSION);
        expect(watch).toMatchObject({
          sessionId: SESSION,
          limits: {
            max_runtime: 20 * MINUTE,
            max_continuous_runtime: null,
            max_queue_time: null,
            max_credits: 12.5,
            max_session_credits: null,
            max_tokens: 1e12,
          },
          reason: 'nightly import',
          requestedBy: BY,
          state: 'watching',
          ending: null,
          phase: 'registered',
          facts: null,
          orderId: null,
          closedAtMs: null,
        });
        expect(watch?.registeredAtMs).toBeGreaterThanOrEqual(before);
        expect(watch?.nextLookAtMs).toBe(watch?.registeredAtMs);
        expect(await events()).toEqual([
          {
            kind: 'watch-registered',
            data: {
              by: BY,
              reason: 'nightly import',
              limits: { max_runtime: 20 * MINUTE, max_credits: 12.5, max_tokens: 1e12 },
            },
          },
        ]);
      });

      it('given again changes nothing and leaves no second word', async () => {
        const first = await register();
        expect(await ledger.watches.register(registration())).toMatchObject({ kind: 'unchanged', order: 'none' });
        expect(await ledger.watches.get(SESSION)).toEqual(first);
        expect(await kinds()).toEqual(['watch-registered']);
      });

      it('of an open watch changes the limits that it names, and leaves the others and what is known', async () => {
        const facts = someFacts();
        await ledger.watches.noteLook(await register({ max_runtime: 20 * MINUTE, max_credits: 5 }), note({ facts }));
        const changed = await register({ max_runtime: 40 * MINUTE, max_credits: null, max_tokens: 9 });
        expect(changed.limits).toMatchObject({ max_runtime: 40 * MINUTE, max_credits: null, max_tokens: 9 });
        expect(changed.facts).toEqual(facts);
        expect(changed.nextLookAtMs).toBeLessThanOrEqual(await ledger.now());
        expect(await kinds()).toEqual(['watch-registered', 'watch-extended']);
      });

      it('is refused when no limit is left', async () => {
        expect(await ledger.watches.register(registration({}))).toEqual({ kind: 'no-limit-left' });
        expect(await ledger.watches.get(SESSION)).toBeNull();
        await register();
        expect(await ledger.watches.register(registration({ max_runtime: null }))).toEqual({ kind: 'no-limit-left' });
        expect((await ledger.watches.get(SESSION))?.limits.max_runtime).toBe(20 * MINUTE);
      });

      it('after the end begins a new watch, which knows nothing of the old one', async () => {
        const { revision } = await ordered();
        await ledger.watches.release(SESSION, { by: 'ops', reason: null });
        const again = await register({ max_credits: 5 });
        expect(again).toMatchObject({ state: 'watching', ending: null, orderId: null, facts: null, closedBy: null });
        expect(again.limits.max_runtime).toBeNull();
        expect(again.revision).toBeGreaterThan(revision);
      });

      it('twice at once is one', async () => {
        const both = await Promise.all([
          ledger.watches.register(registration()),
          createWatches(db).register(registration()),
        ]);
        expect(both.map(({ kind }) => kind).sort()).toEqual(['registered', 'unchanged']);
        expect(await kinds()).toEqual(['watch-registered']);
      });
    });

    describe('an extension', () => {
      it('needs an open watch', async () => {
        expect(await ledger.watches.extend(registration())).toEqual({ kind: 'not-open', watch: null });
        await register();
        await ledger.watches.release(SESSION, { by: 'ops', reason: null });
        expect(await ledger.watches.extend(registration())).toMatchObject({ kind: 'not-open' });
        expect((await ledger.watches.get(SESSION))?.state).toBe('released');
      });

      it('gives up the order for which nothing was sent', async () => {
        const { orderId } = await ordered();
        expect(await ledger.watches.extend(registration({ max_runtime: 40 * MINUTE }))).toMatchObject({
          kind: 'extended',
          order: 'given-up',
          watch: { orderId: null },
        });
        expect(await outcomeOf(orderId)).toBe('abandoned');
        expect(await send(orderId)).toEqual({ kind: 'nothing-to-send' });
        expect(await kinds()).toEqual(['watch-registered', 'abandoned', 'watch-extended']);
      });

      it('leaves an order alone that was sent, and says so', async () => {
        const { orderId } = await ordered();
        await send(orderId);
        expect(await ledger.watches.extend(registration({ max_runtime: 40 * MINUTE }))).toMatchObject({
          order: 'already-sent',
          watch: { orderId },
        });
        expect(await outcomeOf(orderId)).toBeNull();
      });

      it('gives up an order whose request certainly never left', async () => {
        const { orderId } = await ordered();
        const sent = await send(orderId);
        if (sent.kind !== 'registered') throw new Error(sent.kind);
        await createRequests(db).withdraw(sent.requestId, [orderId]);
        expect(await ledger.watches.extend(registration({ max_runtime: 40 * MINUTE }))).toMatchObject({
          order: 'given-up',
        });
      });

      it('by the same limits gives no order up', async () => {
        const { orderId } = await ordered();
        await ledger.watches.extend(registration());
        expect(await outcomeOf(orderId)).toBeNull();
      });
    });

    describe('a release', () => {
      it('ends the watch with a word, once', async () => {
        await register();
        const word = { by: 'ops', reason: 'a person took over' };
        expect(await ledger.watches.release(SESSION, word)).toMatchObject({ kind: 'released', order: 'none' });
        expect(await ledger.watches.get(SESSION)).toMatchObject({
          state: 'released',
          ending: 'released',
          nextLookAtMs: null,
          closedBy: 'ops',
          note: 'Released by ops: a person took over',
        });
        expect(await ledger.watches.release(SESSION, word)).toMatchObject({ kind: 'not-open' });
        expect(await kinds()).toEqual(['watch-registered', 'watch-released']);
      });

      it('of what is not watched does nothing', async () => {
        expect(await ledger.watches.release(SESSION, { by: 'ops', reason: null })).toEqual({
          kind: 'not-open',
          watch: null,
        });
      });

      it.each([
        ['gives up the order for which nothing was sent', false, 'given-up', 'abandoned'],
        ['leaves an order alone that was sent, and says so', true, 'already-sent', null],
      ] as const)('%s', async (_what, isSent, met, outcome) => {
        const { orderId } = await ordered();
        if (isSent) await send(orderId);
        expect(await ledger.watches.release(SESSION, { by: 'ops', reason: null })).toMatchObject({ order: met });
        expect(await outcomeOf(orderId)).toBe(outcome);
      });

      it('and a request at the same moment: either is first, and the other knows', async () => {
        for (let round = 0; round < 5; round += 1) {
          const { orderId } = await ordered();
          const [released, sent] = await Promise.all([
            ledger.watches.release(SESSION, { by: 'ops', reason: null }),
            send(orderId),
          ]);
          const met = released.kind === 'released' ? released.order : released.kind;
          expect([met, sent.kind]).toEqual(
            sent.kind === 'registered' ? ['already-sent', 'registered'] : ['given-up', 'nothing-to-send'],
          );
          if (sent.kind === 'registered') await createRequests(db).withdraw(sent.requestId, [orderId]);
        }
      });
    });

    describe('a look', () => {
      it('writes facts, order and next time together', async () => {
        const facts = someFacts();
        const read = await register();
        const watch = await ledger.watches.noteLook(read, note({ facts, order, phase: 'ending', missingSinceMs: 7 }));
        expect(watch).toEqual(await ledger.watches.get(SESSION));
        expect(watch).toMatchObject({ facts, phase: 'ending', missingSinceMs: 7, note: 'Processing.' });
        expect((watch?.nextLookAtMs ?? 0) - read.registeredAtMs).toBeGreaterThanOrEqual(MINUTE);
        const [view] = await ledger.orders.views({ sessionId: SESSION });
        expect(view).toMatchObject({
          orderId: watch?.orderId,
          result: { turnKey: 'turn-1', requestedBy: BY, outcome: null, reason: order.reason },
        });
      });

      it('is in vain when the watch has changed since it was read: nothing of it is written', async () => {
        const read = await register();
        await register({ max_runtime: 40 * MINUTE });
        expect(await ledger.watches.noteLook(read, note({ order }))).toBeNull();
        await ledger.watches.release(SESSION, { by: 'ops', reason: null });
        expect(await ledger.watches.noteLook(read, note({ order, ending: 'gone' }))).toBeNull();
        expect(await ledger.orders.views({ sessionId: SESSION })).toEqual([]);
        expect((await ledger.watches.get(SESSION))?.ending).toBe('released');
      });

      it('by two workers at once gives one order', async () => {
        const read = await register();
        const both = await Promise.all([
          ledger.watches.noteLook(read, note({ order })),
          createWatches(db).noteLook(read, note({ order })),
        ]);
        expect(both.filter((watch) => watch !== null)).toHaveLength(1);
        expect(await ledger.orders.views({ sessionId: SESSION })).toHaveLength(1);
      });

      it('can be the last one', async () => {
        const { orderId } = await ordered();
        const read = await ledger.watches.get(SESSION);
        if (read === null) throw new Error('No watch.');
        await ledger.watches.noteLook(read, note({ ending: 'at-rest', phase: 'ended', facts: someFacts() }));
        const watch = await ledger.watches.get(SESSION);
        expect(watch).toMatchObject({ state: 'ended', ending: 'at-rest', nextLookAtMs: null, orderId });
        expect(watch?.closedAtMs).not.toBeNull();
        expect((await events()).at(-1)).toEqual({
          kind: 'watch-ended',
          data: { ending: 'at-rest', state: 'processing', lastOrder: orderId },
        });
      });

      it('does not read facts of another form: the session is seen anew', async () => {
        await ledger.watches.noteLook(await register(), note({ facts: someFacts() }));
        await db.updateTable('watches').set({ schema: 999 }).execute();
        expect((await ledger.watches.get(SESSION))?.facts).toBeNull();
      });
    });

    describe('open watches', () => {
      it('are listed by their next look, and those overdue are found', async () => {
        await ledger.watches.noteLook(await register(undefined, 'late'), note({ nextLookInMs: -MINUTE }));
        await ledger.watches.noteLook(await register(undefined, 'later'), note({ nextLookInMs: -10 * MINUTE }));
        await ledger.watches.noteLook(await register(undefined, 'in time'), note({ nextLookInMs: MINUTE }));
        await ledger.watches.noteLook(await register(undefined, 'ended'), note({ ending: 'gone' }));
        await register(undefined, 'released');
        await ledger.watches.release('released', { by: 'ops', reason: null });

        const open = await ledger.watches.open(10);
        expect(open.map(({ sessionId }) => sessionId)).toEqual(['later', 'late', 'in time']);
        expect(await ledger.watches.open(1)).toHaveLength(1);
        const now = await ledger.now();
        expect(await ledger.watches.overdue(now, 10)).toEqual(['later', 'late']);
        expect(await ledger.watches.overdue(now - 5 * MINUTE, 10)).toEqual(['later']);
        expect(await ledger.watches.overdue(Number.MAX_SAFE_INTEGER, 2)).toEqual(['later', 'late']);
      });
    });

    it('other orders on the session are not touched by a change', async () => {
      const { orderId } = await ordered();
      const person = await createOrder(db, { ...order, source: 'person' }, await ledger.now());
      await ledger.watches.release(SESSION, { by: 'ops', reason: null });
      expect(await outcomeOf(orderId)).toBe('abandoned');
      expect(await outcomeOf(person)).toBeNull();
    });
  });
}

function someFacts(): Facts {
  const atMs = Date.UTC(2026, 0, 5, 12, 0, 0);
  const session = {
    state: 'processing',
    createdAtMs: atMs - MINUTE,
    transcript: transcriptOf([{ id: 'turn-1', role: 'user', createdAtMs: atMs - 1_000 }]),
    usage: null,
    ...{ agentId: 'agent-1', agentName: null, creatorId: null, creatorEmail: null, teamId: null },
  };
  return observe(null, fromRetrieve(session, atMs), { scanMs: 15_000 });
}
