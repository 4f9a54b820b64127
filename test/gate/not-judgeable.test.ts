import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DEFAULT_TIMING } from '../../src/core/policy/timing.js';
import type { TryAgain } from '../../src/core/try-again.js';
import { SessionsError } from '../../src/adapters/vendor/index.js';
import {
  FIRST,
  listFails,
  openGateHarness,
  queueFails,
  readFails,
  SESSION,
  shows,
  type GateHarness,
  type WorkerParts,
} from '../support/gate-harness.js';

const processing = shows('processing');
const failed = shows('failed');
const TWO_MINUTES_MS = 120_000;

let harness: GateHarness;

beforeEach(async () => {
  harness = await openGateHarness();
});

afterEach(async () => {
  await harness.close();
});

/** Carries the case out until so long after its beginning. */
const carryOutFor = async (ms: number, parts: WorkerParts = {}, sessionId?: string): Promise<TryAgain[]> => {
  const until = harness.clock.wall() + ms;
  return harness
    .worker(parts, sessionId)
    .carryOut({ onWait: () => (harness.clock.wall() > until ? 'stop' : undefined) });
};

/** The events, with how long after the first read of a test they came. */
const told = async (): Promise<{ afterMs: number; sessionId: string | null; data: Record<string, unknown> }[]> => {
  const rows = await harness.db.selectFrom('events').selectAll().where('kind', '=', 'not-judgeable').execute();
  return rows.map(({ at, session_id: sessionId, data_json: json }) => ({
    afterMs: at - (harness.vendor.readAt[0] ?? 0),
    sessionId,
    data: JSON.parse(json ?? '{}') as Record<string, unknown>,
  }));
};

/** Those too of which nobody was told yet. */
const rows = () => harness.db.selectFrom('unjudged').select('reason').execute();
const spells = () => harness.ledger.unjudged.now({ limit: 100 });

describe('a session whose orders can not be judged', () => {
  it.each([
    ['is not answered in time', readFails('timeout'), 30_000],
    ['can not be read', readFails('unreadable'), 40],
    ['fails at the server', readFails('server-error'), 40],
    ['breaks off', readFails('connection-lost'), 20_000],
    ['conflicts', readFails('conflict'), 40],
    ['is refused for now', new SessionsError('refused-for-now', { operation: 'retrieveSession', status: 403 }), 40],
    ['is refused as it is', new SessionsError('bad-request', { operation: 'retrieveSession', status: 422 }), 40],
  ])('is told of within two minutes, once, where a read of it %s', async (_title, error, readMs) => {
    harness.vendor.reads = () => error;
    harness.vendor.readMs = readMs;
    const orderId = await harness.order();
    await carryOutFor(20 * 60_000);
    const [first, ...more] = await told();
    expect(first).toMatchObject({
      sessionId: SESSION,
      data: { reason: error.kind, text: error.message, since: expect.any(String), by: 'case' },
    });
    expect(first?.afterMs).toBeLessThanOrEqual(TWO_MINUTES_MS + readMs);
    expect(more).toEqual([]);
    expect((await harness.result(orderId)).events.map(({ kind }) => kind)).toContain('not-judgeable');
    expect(await spells()).toMatchObject([{ sessionId: SESSION, by: 'case', reason: error.kind, told: true }]);
    expect((await harness.ledger.gauges()).unjudgedSessions).toBe(1);
  });

  it('is told of where reads come, but are too old when the request is to leave', async () => {
    harness.vendor.reads = [processing];
    const slow = { after: (call: string) => void (call === 'requests.register' && harness.clock.advance(2_001)) };
    await harness.order();
    await carryOutFor(20 * 60_000, { hooks: slow });
    expect(await told()).toMatchObject([{ sessionId: SESSION, data: { reason: 'too-slow' } }]);
    expect((await told())[0]?.afterMs).toBeLessThanOrEqual(TWO_MINUTES_MS);
    expect(harness.vendor.cancelCalls).toBe(0);
  });

  it('is told of once where reads that are too old and reads that do not come alternate', async () => {
    harness.vendor.reads = (call) => (call % 2 === 0 ? readFails('timeout') : processing);
    const slow = { after: (call: string) => void (call === 'requests.register' && harness.clock.advance(2_001)) };
    await harness.order();
    await carryOutFor(20 * 60_000, { hooks: slow });
    expect(await told()).toHaveLength(1);
    expect((await told())[0]?.afterMs).toBeLessThanOrEqual(TWO_MINUTES_MS);
    expect(harness.vendor.cancelCalls).toBe(0);
    expect(await spells()).toHaveLength(1);
  });

  it('is told of once, and stays one, where attempts are far apart', async () => {
    harness.vendor.reads = () => readFails('server-error');
    await harness.order();
    const timing = { ...DEFAULT_TIMING, retryCapMs: 30 * 60_000 };
    await carryOutFor(3 * 60 * 60_000, { timing, random: () => 0.99 });
    expect(await told()).toHaveLength(1);
    const [spell] = await spells();
    expect((spell?.lastMs ?? 0) - (spell?.sinceMs ?? 0)).toBeGreaterThan(2 * 60 * 60_000);
  });

  it('is no longer one when a read of it comes, and a new spell is told anew', async () => {
    let down = true;
    harness.vendor.reads = () => (down ? readFails('timeout') : failed);
    await harness.order();
    await carryOutFor(5 * 60_000);
    expect(await told()).toHaveLength(1);
    down = false;
    await harness.worker().carryOut();
    expect(await rows()).toEqual([]);

    down = true;
    await harness.order();
    await carryOutFor(5 * 60_000);
    expect(await told()).toHaveLength(2);
  });

  it('is no longer one when its read was young enough at last', async () => {
    harness.vendor.reads = (call) => (call < 8 ? processing : failed);
    harness.vendor.cancels = ['failed'];
    let late = 0;
    const slow = {
      after: (call: string) => void (call === 'requests.register' && (late += 1) < 8 && harness.clock.advance(2_001)),
    };
    const orderId = await harness.order();
    await harness.worker({ hooks: slow }).carryOut({
      onWait: async () => expect(await rows()).toEqual([{ reason: 'too-slow' }]),
    });
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled' });
    expect(await rows()).toEqual([]);
  });

  it('is not told of after one failure, or a few that are over soon', async () => {
    harness.vendor.reads = (call) => (call < 4 ? readFails('server-error') : failed);
    await harness.order();
    await harness.worker().carryOut({ onWait: async () => expect(await spells()).toEqual([]) });
    expect(await told()).toEqual([]);
  });

  it('is not told of while the API answers nobody: that is not about the session', async () => {
    harness.vendor.reads = () => readFails('server-error');
    harness.vendor.agents = () => listFails('server-error');
    harness.vendor.queue = () => queueFails('server-error');
    await harness.order();
    await carryOutFor(20 * 60_000);
    expect(await told()).toEqual([]);
  });

  it.each(['connection-failed', 'rate-limited', 'unauthorized'] as const)(
    'is not told of for a failure that says nothing of it: %s',
    async (kind) => {
      harness.vendor.reads = () => readFails(kind);
      harness.vendor.agents = () => (kind === 'unauthorized' ? listFails(kind) : []);
      await harness.order();
      await carryOutFor(20 * 60_000);
      expect(await told()).toEqual([]);
      expect(await rows()).toEqual([]);
    },
  );

  it('is told of alone five times, then once for many', async () => {
    harness.vendor.reads = () => readFails('timeout');
    const ids = Array.from({ length: 12 }, (_, index) => `session-${index + 1}`);
    for (const sessionId of ids) await harness.order({ sessionId });
    // Side by side, as far as one clock can show it.
    for (let round = 0; round < 12; round += 1) {
      const at = harness.clock.wall();
      for (const sessionId of ids) {
        await harness.worker({ random: () => 0 }, sessionId).carryOut({ onWait: () => 'stop' });
      }
      harness.clock.advance(Math.max(0, at + 15_000 - harness.clock.wall()));
    }
    const events = await told();
    expect(events.filter(({ sessionId }) => sessionId !== null)).toHaveLength(5);
    expect(events.filter(({ sessionId }) => sessionId === null)).toMatchObject([
      { data: { reason: 'timeout', sessions: 12 } },
    ]);
    expect(await spells()).toHaveLength(12);
  });

  it('is shown only while an order waits for it', async () => {
    harness.vendor.reads = () => readFails('timeout');
    const orderId = await harness.order();
    await carryOutFor(3 * 60_000);
    expect(await spells()).toHaveLength(1);
    await harness.ledger.orders.abandon([orderId], { by: 'ops', reason: 'owner takes over' });
    expect(await spells()).toEqual([]);
    expect((await harness.ledger.gauges()).unjudgedSessions).toBe(0);
  });

  it('of a watch is shown only while the watch is open', async () => {
    const limits = { max_runtime: 20 * 60_000 };
    await harness.ledger.watches.register({ sessionId: SESSION, limits, reason: null, requestedBy: 'importer' });
    const note = { sessionId: SESSION, by: 'watch', orderId: null, reason: 'timeout', text: 'not answered' } as const;
    await harness.ledger.unjudged.note(note, 20 * 60_000);
    await harness.ledger.unjudged.tell(note);
    expect(await spells()).toHaveLength(1);
    await harness.ledger.watches.release(SESSION, { by: 'ops', reason: null });
    expect(await spells()).toEqual([]);
  });

  it('is one no longer when nobody has tried for five minutes', async () => {
    await harness.order({ turnKey: FIRST.key });
    const note = { sessionId: SESSION, by: 'case', orderId: null, reason: 'timeout', text: 'not answered' } as const;
    await harness.ledger.unjudged.note(note, 0);
    await harness.ledger.unjudged.tell(note);
    harness.clock.advance(5 * 60_000);
    expect(await spells()).toHaveLength(1);
    harness.clock.advance(1);
    expect(await spells()).toEqual([]);
    const { sinceMs } = await harness.ledger.unjudged.note(note, 0);
    expect(sinceMs).toBe(harness.clock.wall());
  });
});
