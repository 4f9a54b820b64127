import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { watchForRestart } from '../../src/engines/cases/restart-watch.js';
import type { QueuedMessage } from '../../src/adapters/vendor/index.js';
import { sessionReader } from '../../src/adapters/vendor/wire.js';
import {
  BEGINNING,
  FIRST,
  openGateHarness,
  queueFails,
  readFails,
  SECOND,
  SESSION,
  shows,
  type GateHarness,
} from '../support/gate-harness.js';
import type { ScriptedVendor } from '../support/scripted-vendor.js';

const processing = shows('processing');
const failed = shows('failed');
const restarted = shows('processing', FIRST, SECOND);
const MESSAGE: QueuedMessage = { id: 'queued-1', state: 'queued', position: 1, createdAtMs: null };

let harness: GateHarness;

beforeEach(async () => {
  harness = await openGateHarness();
});

afterEach(async () => {
  await harness.close();
});

/** A turn that we have just ended. */
const cancelled = async (): Promise<string> => {
  harness.vendor.reads = [processing, failed];
  harness.vendor.cancels = ['failed'];
  const orderId = await harness.order();
  await harness.worker().carryOut();
  return orderId;
};

/** Plays the workflow's loop. @returns the waits between the looks, ms */
const watch = async (reads: ScriptedVendor['reads'], begin = 0): Promise<number[]> => {
  const { deps } = harness.worker();
  const waits: number[] = [];
  harness.vendor.reads = reads;
  harness.vendor.readAt.length = 0;
  let queued = false;
  for (let look = begin; ; look += 1) {
    const step = await watchForRestart(deps, SESSION, look, queued, 0);
    if (step.next !== 'look') return waits;
    ({ queued } = step);
    waits.push(step.afterMs);
    harness.clock.advance(step.afterMs);
  }
};

describe('the watch for a restart', () => {
  it('looks for a minute at a session that stays at rest, and says nothing', async () => {
    await cancelled();
    expect(await watch([failed])).toEqual([5_000, 10_000, 15_000, 30_000]);
    expect(harness.vendor.readAt).toHaveLength(5);
    expect(await harness.events()).toEqual([]);
  });

  it('reports a restart once on each order that ended a turn, and ends', async () => {
    const ids = [await cancelled(), await harness.order({ turnKey: 'first' })];
    await harness.ledger.orders.abandon([ids[1] ?? ''], { by: 'ops', reason: 'not watched' });
    expect(await watch([failed, restarted])).toEqual([5_000]);
    expect((await harness.result(ids[0] ?? '')).events).toMatchObject([
      { kind: 'restarted', turnKey: 'second', state: 'processing' },
    ]);
    expect(await watch([restarted])).toEqual([]);
    expect(await harness.count('restarted')).toBe(1);
  });

  it('says nothing again of a restart that the outcome has told already', async () => {
    harness.vendor.reads = [processing, restarted];
    harness.vendor.cancels = ['failed'];
    await harness.order();
    await harness.worker().carryOut();
    expect(await watch([restarted])).toEqual([]);
    expect(await harness.count('restarted')).toBe(1);
  });

  it('takes the ordered turn in flight for a stale read, and looks on', async () => {
    const orderId = await cancelled();
    expect(await watch([processing, failed, restarted])).toEqual([5_000, 10_000]);
    expect((await harness.result(orderId)).events).toMatchObject([{ kind: 'restarted', turnKey: 'second' }]);
  });

  it.each(['a\0b', 'a\ud800b', 'x'.repeat(1_000)])(
    'S8: a message whose id no ledger could keep is no restart: %j',
    async (id) => {
      const reader = sessionReader(SESSION);
      const created_at = new Date(BEGINNING - 600_000).toISOString();
      const messages = [{ id, role: 'user', created_at }];
      reader.write(Buffer.from(JSON.stringify({ session: { id: SESSION, messages } })));
      const [turn] = reader.end().transcript.turns;
      if (turn === undefined) throw new Error('It shows no turn.');
      harness.vendor.reads = [shows('processing', turn), shows('failed', turn)];
      harness.vendor.cancels = ['failed'];
      const orderId = await harness.order({ turnKey: turn.key });
      await harness.worker().carryOut();
      expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled', attribution: 'strong' });
      // Another message of the same turn came late.
      expect(await watch([shows('failed', turn), shows('processing', turn)])).not.toEqual([]);
      expect(await harness.count('restarted')).toBe(0);
    },
  );

  it('tells that messages wait in the queue, and then looks for longer', async () => {
    await cancelled();
    harness.vendor.queue = () => [MESSAGE, MESSAGE];
    expect(await watch([failed])).toEqual([5_000, 10_000, 15_000, 30_000, 60_000, 60_000, 60_000, 60_000, 60_000]);
    expect(await harness.events()).toEqual(['queued-messages-waiting']);
    const [view] = await harness.ledger.orders.views({ sessionId: SESSION });
    expect(view?.result.events).toMatchObject([{ messages: 2 }]);
  });

  it('does without the queue where the vendor has none', async () => {
    await cancelled();
    harness.vendor.queue = () => queueFails('not-found');
    expect(await watch([failed])).toHaveLength(4);
  });

  it('asks to be tried again when the vendor can not be read', async () => {
    await cancelled();
    await expect(watch([readFails('server-error')])).rejects.toMatchObject({
      name: 'TryAgain',
      reason: 'ApiUnavailable',
    });
    harness.vendor.queue = () => queueFails('server-error');
    await expect(watch([failed])).rejects.toMatchObject({ name: 'TryAgain', reason: 'ApiUnavailable' });
    expect(await harness.events()).toEqual([]);
  });

  it.each(['completed', 'idle'])(
    'does not watch a session whose order was settled without an end by us: %s',
    async (state) => {
      harness.vendor.reads = [shows(state)];
      await harness.order();
      await harness.worker().carryOut();
      expect(await watch([restarted])).toEqual([]);
      expect(harness.vendor.readAt).toEqual([]);
    },
  );

  it('does not watch for an end of a quarter of an hour ago', async () => {
    await cancelled();
    harness.clock.advance(15 * 60_000);
    expect(await watch([restarted])).toEqual([]);
    expect(harness.vendor.readAt).toEqual([]);
  });
});
