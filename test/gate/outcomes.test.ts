import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Attribution, Outcome } from '../../src/core/contract.js';
import type { SessionsErrorKind } from '../../src/adapters/vendor/index.js';
import {
  BEGINNING,
  cancelFails,
  FIRST,
  openGateHarness,
  readFails,
  SECOND,
  shows,
  type GateHarness,
} from '../support/gate-harness.js';
import type { ScriptedVendor } from '../support/scripted-vendor.js';

let harness: GateHarness;

beforeEach(async () => {
  harness = await openGateHarness();
});

afterEach(async () => {
  await harness.close();
});

interface Row {
  readonly when: string;
  readonly reads: ScriptedVendor['reads'];
  readonly cancels?: ScriptedVendor['cancels'];
  readonly outcome: Outcome;
  readonly attribution?: Attribution;
  /** Cancel requests sent. Default: one for each scripted answer. */
  readonly attempts?: number;
  readonly events?: readonly string[];
  readonly turnKey?: string | null;
}

const MISSING = readFails('not-found');
const processing = shows('processing');
const completed = shows('completed');
const failed = shows('failed');
const secondRuns = shows('processing', FIRST, SECOND);

/** A turn whose message carries no time, first read long after the order. */
const UNTIMED = { key: 'untimed', startedAtMs: null };

it('I5: a turn in flight that nobody can tell to be the ordered one is left alone, and not called over', async () => {
  const orderId = await harness.order();
  harness.clock.advance(60_000);
  harness.vendor.reads = [shows('processing', UNTIMED)];
  await harness.worker().carryOut();
  expect(await harness.result(orderId)).toMatchObject({ outcome: 'not-in-flight', attempts: 0, endedAt: null });
});

it('I5: the same turn at rest is over, whichever was meant', async () => {
  const orderId = await harness.order();
  harness.clock.advance(60_000);
  harness.vendor.reads = [shows('completed', UNTIMED)];
  await harness.worker().carryOut();
  expect(await harness.result(orderId)).toMatchObject({ outcome: 'already-ended', attempts: 0 });
});

describe('a case, row by row of the outcome table', () => {
  it.each<Row>([
    { when: 'at rest as completed', reads: [completed], outcome: 'already-ended' },
    { when: 'at rest as failed', reads: [failed], outcome: 'already-ended' },
    {
      when: 'unclear at first, at rest when read again',
      reads: [shows('idle'), completed],
      outcome: 'already-ended',
    },
    { when: 'another turn in flight', reads: [secondRuns], outcome: 'superseded', turnKey: null },
    {
      when: 'another turn at rest',
      reads: [shows('completed', FIRST, SECOND)],
      outcome: 'already-ended',
      turnKey: null,
    },
    { when: 'idle', reads: [shows('idle')], outcome: 'not-in-flight' },
    { when: 'approval_required', reads: [shows('approval_required')], outcome: 'not-in-flight' },
    { when: 'a null state', reads: [shows(null)], outcome: 'not-in-flight' },
    { when: 'an unknown state', reads: [shows('dreaming')], outcome: 'not-in-flight' },
    {
      when: '200 failed, then at rest',
      reads: [processing, failed],
      cancels: ['failed'],
      outcome: 'cancelled',
      attribution: 'strong',
    },
    {
      when: 'queued, 200 failed, then at rest',
      reads: [shows('queued'), failed],
      cancels: ['failed'],
      outcome: 'cancelled',
      attribution: 'strong',
    },
    {
      when: '200 failed, then another turn in flight',
      reads: [processing, secondRuns],
      cancels: ['failed'],
      outcome: 'cancelled',
      attribution: 'strong',
      events: ['restarted'],
    },
    {
      when: '200 completed, and it stays so',
      reads: [processing, completed],
      cancels: ['completed'],
      outcome: 'already-ended',
    },
    {
      when: '200 completed, and it turns failed',
      reads: [processing, completed, completed, failed],
      cancels: ['completed'],
      outcome: 'cancelled',
      attribution: 'strong',
    },
    {
      when: '200 with no state, in flight for a while, then failed',
      reads: [processing, processing, processing, failed],
      cancels: [null],
      outcome: 'cancelled',
      attribution: 'probable',
    },
    {
      when: '200 failed, idle to the end of the window',
      reads: [processing, shows('idle')],
      cancels: ['failed'],
      outcome: 'cancelled',
      attribution: 'probable',
    },
    {
      when: '200, the same turn in flight past the confirm window, 200 again',
      reads: (call) => (call < 7 ? processing : failed),
      cancels: ['failed', 'failed'],
      outcome: 'cancelled',
      attribution: 'strong',
    },
    {
      when: 'the request came too late: failed after a message that came between read and answer',
      reads: [processing, shows('failed', FIRST, { key: 'second', startedAtMs: BEGINNING + 50 })],
      cancels: ['failed'],
      outcome: 'cancelled',
      attribution: 'strong',
      events: ['restarted', 'may-have-hit-newer-turn'],
    },
    {
      when: 'unknown effect, and a turn that came between and failed',
      reads: [processing, shows('failed', FIRST, { key: 'second', startedAtMs: BEGINNING + 50 })],
      cancels: [cancelFails('timeout')],
      outcome: 'ended-unattributed',
      events: ['restarted', 'may-have-hit-newer-turn'],
    },
    { when: '404 on two reads', reads: [MISSING], outcome: 'gone', events: ['gone'], turnKey: null },
    {
      when: '404 after a request',
      reads: [processing, MISSING],
      cancels: ['failed'],
      outcome: 'gone',
      events: ['gone'],
    },
    {
      when: 'one 404 between reads that see it',
      reads: [MISSING, processing, processing, failed],
      cancels: ['failed'],
      outcome: 'cancelled',
      attribution: 'strong',
    },
    {
      when: 'the request answered 404, and the session is there',
      reads: [processing, failed],
      cancels: [cancelFails('not-found')],
      outcome: 'already-ended',
    },
    {
      when: '409, then 200 failed',
      reads: [processing, processing, failed],
      cancels: [cancelFails('conflict'), 'failed'],
      outcome: 'cancelled',
      attribution: 'strong',
    },
    {
      when: '409, and the turn ends by itself',
      reads: [processing, failed],
      cancels: [cancelFails('conflict')],
      outcome: 'already-ended',
    },
    {
      when: 'no connection for the request, then 200 failed',
      reads: [processing, processing, failed],
      cancels: [cancelFails('connection-failed'), 'failed'],
      outcome: 'cancelled',
      attribution: 'strong',
      attempts: 1,
    },
  ])(
    '$when: $outcome',
    async ({ reads, cancels = [], outcome, attribution = null, attempts, events = [], turnKey }) => {
      harness.vendor.reads = reads;
      harness.vendor.cancels = cancels;
      const orderId = await harness.order();
      await harness.worker().carryOut();

      const result = await harness.result(orderId);
      expect(result).toMatchObject({ outcome, attribution, attempts: attempts ?? cancels.length });
      expect(result.turnKey).toBe(turnKey === undefined ? 'first' : turnKey);
      expect(result.events.map(({ kind }) => kind)).toEqual(events);
      expect(harness.vendor.cancelCalls).toBe(cancels.length);
    },
  );

  describe.each<SessionsErrorKind>(['failed-to-abort', 'server-error', 'timeout', 'connection-lost', 'unreadable'])(
    'a request that ended as %s',
    (kind) => {
      it.each<Row>([
        { when: 'the turn failed', reads: [processing, failed], outcome: 'cancelled', attribution: 'probable' },
        { when: 'the turn completed', reads: [processing, completed], outcome: 'already-ended' },
        {
          when: 'another turn runs',
          reads: [processing, secondRuns],
          outcome: 'ended-unattributed',
          events: ['restarted'],
        },
      ])('and then $when: $outcome', async ({ reads, outcome, attribution = null, events = [] }) => {
        harness.vendor.reads = reads;
        harness.vendor.cancels = [cancelFails(kind)];
        const orderId = await harness.order();
        const waits = await harness.worker().carryOut();
        expect(await harness.result(orderId)).toMatchObject({ outcome, attribution, attempts: 1, turnKey: 'first' });
        expect(await harness.events()).toEqual(events);
        expect(waits.map(({ reason }) => reason)).toEqual(['CancelFailed']);
      });

      it('and the same turn still runs: next attempt', async () => {
        harness.vendor.reads = [processing, processing, failed];
        harness.vendor.cancels = [cancelFails(kind), 'failed'];
        const orderId = await harness.order();
        await harness.worker().carryOut();
        expect(await harness.result(orderId)).toMatchObject({
          outcome: 'cancelled',
          attribution: 'strong',
          attempts: 2,
        });
      });
    },
  );
});

describe('a case', () => {
  it('waits a minute between the two reads that must both answer 404', async () => {
    harness.vendor.reads = [MISSING];
    await harness.order();
    await harness.worker().carryOut();
    const [first = 0, second = 0, ...more] = harness.vendor.readAt;
    expect(more).toEqual([]);
    expect(second - first).toBeGreaterThanOrEqual(60_000);
  });

  it('reads at about 2, 5, 10, 20 and 40 s after an accepted request, then tries again', async () => {
    harness.vendor.reads = (call) => (call < 7 ? processing : failed);
    harness.vendor.cancels = ['failed', 'failed'];
    const cancelledAt: number[] = [];
    harness.vendor.duringCancel = () => void cancelledAt.push(harness.clock.wall());
    await harness.order();
    await harness.worker().carryOut();
    const [first = 0, second = 0] = cancelledAt;
    const reads = harness.vendor.readAt.filter((at) => at > first && at < second).map((at) => (at - first) / 1_000);
    [2, 5, 10, 20, 40, 40].forEach((seconds, index) => expect(reads[index]).toBeCloseTo(seconds, 0));
    expect(reads).toHaveLength(6);
  });

  it('says when the turn was first seen to be over, on the clock of the vendor', async () => {
    harness.vendor.reads = [processing, processing, shows('idle'), failed];
    harness.vendor.cancels = ['failed'];
    harness.vendor.skewMs = 3_600_000;
    const orderId = await harness.order();
    await harness.worker().carryOut();
    // Read, request, then looks 2, 3 and 5 s apart: the third is the first that shows an end.
    const [, , , seenAt = 0] = harness.vendor.readAt;
    const { endedAt } = await harness.result(orderId);
    expect(Date.parse(endedAt ?? '')).toBe(Math.floor((seenAt + 40 + 3_600_000) / 1_000) * 1_000);
  });

  it('has no end to tell where none was seen', async () => {
    harness.vendor.reads = [shows('idle')];
    const orderId = await harness.order();
    await harness.worker().carryOut();
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'not-in-flight', endedAt: null });
  });

  it('does nothing when no order is open', async () => {
    await harness.worker().carryOut();
    expect(harness.vendor.readAt).toEqual([]);
  });

  it('sends nothing while only stale reads come, and takes the first fresh one', async () => {
    const late = { key: 'first', startedAtMs: BEGINNING - 1_000 };
    const before = { key: 'zeroth', startedAtMs: BEGINNING - 900_000 };
    harness.vendor.reads = [
      shows('processing', before, late),
      shows('processing', before),
      shows('completed', before),
      shows('failed', before, late),
    ];
    harness.vendor.cancels = ['failed'];
    const orderId = await harness.order();
    await harness.worker().carryOut();
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 1 });
  });
});

describe('several orders on one session', () => {
  it('each get their own outcome', async () => {
    harness.vendor.reads = [shows('processing', FIRST, SECOND), shows('failed', FIRST, SECOND)];
    harness.vendor.cancels = ['failed'];
    const onFirst = await harness.order({ turnKey: 'first' });
    harness.clock.advance(1_000);
    const onSecond = await harness.order();
    await harness.worker().carryOut();
    expect(await harness.result(onFirst)).toMatchObject({ outcome: 'already-ended', attempts: 0, turnKey: 'first' });
    expect(await harness.result(onSecond)).toMatchObject({ outcome: 'cancelled', attempts: 1, turnKey: 'second' });
  });

  it('share the request, when both mean the same turn', async () => {
    harness.vendor.reads = [processing, failed];
    harness.vendor.cancels = ['failed'];
    const ids = [await harness.order(), await harness.order({ turnKey: 'first' })];
    await harness.worker().carryOut();
    for (const id of ids) {
      expect(await harness.result(id)).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 1 });
    }
  });

  it('share it also when the second one joins while the first is being confirmed', async () => {
    harness.vendor.reads = [processing, failed];
    harness.vendor.cancels = ['failed'];
    const first = await harness.order();
    let second = '';
    await harness.worker().carryOut({
      beforeStep: async (step, count) => {
        if (count === 1) second = await harness.order();
      },
    });
    expect(await harness.result(first)).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 1 });
    expect(await harness.result(second)).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 1 });
  });

  it('one that comes after the turn was settled is already-ended, and none of its doing', async () => {
    harness.vendor.reads = [processing, failed];
    harness.vendor.cancels = ['failed'];
    await harness.order();
    await harness.worker().carryOut();
    harness.clock.advance(1_000);
    const late = await harness.order();
    await harness.worker().carryOut();
    expect(await harness.result(late)).toMatchObject({ outcome: 'already-ended', attribution: null, attempts: 0 });
    expect(harness.vendor.cancelCalls).toBe(1);
  });

  it('one for a turn that is named lets another turn live', async () => {
    harness.vendor.reads = [secondRuns];
    const orderId = await harness.order({ turnKey: 'first' });
    await harness.worker().carryOut();
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'superseded', attempts: 0, turnKey: 'first' });
    expect(await harness.requests()).toEqual([]);
  });

  it('keep the turn that was meant, also when it ends and the next one begins before the first request', async () => {
    harness.vendor.reads = [processing, secondRuns];
    harness.vendor.cancels = [cancelFails('connection-failed')];
    const orderId = await harness.order();
    await harness.worker().carryOut();
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'superseded', attempts: 0, turnKey: 'first' });
  });
});
