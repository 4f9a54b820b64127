import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Attribution, Outcome } from '../../src/core/contract.js';
import {
  cancelFails,
  Killed,
  ledgerAway,
  openGateHarness,
  shows,
  type GateHarness,
  type LedgerHooks,
} from '../support/gate-harness.js';

const processing = shows('processing');
const failed = shows('failed');
const completed = shows('completed');

let harness: GateHarness;

beforeEach(async () => {
  harness = await openGateHarness();
});

afterEach(async () => {
  await harness.close();
});

const killedAt = (call: string, when: 'before' | 'after'): LedgerHooks => ({
  [when]: (name: string) => {
    if (name === call) throw new Killed();
  },
});

interface Window {
  readonly when: string;
  readonly hooks?: LedgerHooks;
  /** Whether the request left before the end of the process. */
  readonly sent: boolean;
  /** Dies in the client: before or after the request. */
  readonly inClient?: boolean;
}

/** How the turn stands when the next process looks; and what is to be said then. */
interface Sequel {
  readonly outcome: Outcome;
  readonly attribution: Attribution | null;
  readonly attempts: number;
}

const BEFORE_TRANSACTION: Window = {
  when: 'before the transaction',
  hooks: killedAt('requests.register', 'before'),
  sent: false,
};
const BEFORE_POST: Window = {
  when: 'between transaction and request',
  hooks: killedAt('requests.register', 'after'),
  sent: false,
};
const BEFORE_STORED: Window = {
  when: 'before the answer was stored',
  hooks: killedAt('requests.answer', 'before'),
  sent: true,
};
const WAITING: Window = { when: 'while it waited for the answer', inClient: true, sent: true };
const AFTER_STORED: Window = {
  when: 'after the answer was stored',
  hooks: killedAt('requests.answer', 'after'),
  sent: true,
};

describe('I2: a process that dies in the middle loses no order, and the next one knows what was sent', () => {
  const alreadyEnded: Sequel = { outcome: 'already-ended', attribution: null, attempts: 0 };
  const probable: Sequel = { outcome: 'cancelled', attribution: 'probable', attempts: 1 };

  it.each<[string, Window, string, Sequel]>([
    ['the turn failed', BEFORE_TRANSACTION, 'failed', alreadyEnded],
    ['the turn completed', BEFORE_TRANSACTION, 'completed', alreadyEnded],
    ['the turn failed', BEFORE_POST, 'failed', probable],
    ['the turn completed', BEFORE_POST, 'completed', { ...alreadyEnded, attempts: 1 }],
    ['the turn failed', WAITING, 'failed', probable],
    ['the turn completed', WAITING, 'completed', { ...alreadyEnded, attempts: 1 }],
    ['the turn failed', BEFORE_STORED, 'failed', probable],
    ['the turn completed', BEFORE_STORED, 'completed', { ...alreadyEnded, attempts: 1 }],
    ['the turn failed', AFTER_STORED, 'failed', { ...probable, attribution: 'strong' }],
    ['the turn completed', AFTER_STORED, 'completed', { ...probable, attribution: 'strong' }],
  ])('%s after an end $when', async (_title, window, state, sequel) => {
    const orderId = await dieIn(window);
    harness.vendor.reads = [shows(state)];
    await harness.worker().carryOut();
    expect(await harness.result(orderId)).toMatchObject({ ...sequel, turnKey: 'first' });
    expect(harness.vendor.cancelCalls).toBe(window.sent ? 1 : 0);
  });

  it.each<[Window, number]>([
    [BEFORE_TRANSACTION, 1],
    [BEFORE_POST, 2],
    [WAITING, 2],
    [BEFORE_STORED, 2],
    [AFTER_STORED, 2],
  ])('the turn still runs after an end $when: the next process tries again', async (window, attempts) => {
    const orderId = await dieIn(window);
    const sentBefore = harness.vendor.cancelCalls;
    harness.vendor.reads = () => (harness.vendor.cancelCalls === sentBefore ? processing : failed);
    harness.vendor.cancels = () => 'failed';
    await harness.worker().carryOut();
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts });
    expect(harness.vendor.cancelCalls).toBe(sentBefore + 1);
  });

  it('I3: the next process waits until the lease of the dead one has run out', async () => {
    await dieIn(WAITING);
    harness.vendor.reads = () => (harness.vendor.cancelCalls === 1 ? processing : failed);
    harness.vendor.cancels = () => 'failed';
    const waits = await harness.worker().carryOut();
    expect(waits.map(({ reason }) => reason)).toEqual(['SenderBusy']);
  });

  it.each(['orders.settle', 'orders.notePass', 'orders.beginPass'])(
    'an end after %s while confirming changes nothing',
    async (call) => {
      harness.vendor.reads = [processing, failed];
      harness.vendor.cancels = ['failed'];
      const orderId = await harness.order();
      let looks = 0;
      const dying = harness.worker({ hooks: { after: (name) => (looks > 0 && name === call ? die() : undefined) } });
      const carriedOut = dying.carryOut({ beforeStep: (step) => void (looks += step.next === 'look' ? 1 : 0) });
      await expect(carriedOut).rejects.toThrow(Killed);
      await harness.worker().carryOut();
      expect(await harness.result(orderId)).toMatchObject({ outcome: 'cancelled', attribution: 'strong', attempts: 1 });
    },
  );

  const die = (): never => {
    throw new Killed();
  };

  /** @returns the order that a process was carrying out when it died */
  const dieIn = async ({ hooks = {}, inClient = false, sent }: Window): Promise<string> => {
    harness.vendor.reads = [processing];
    harness.vendor.cancels = sent ? ['failed'] : [];
    if (inClient) harness.vendor.duringCancel = die;
    const orderId = await harness.order();
    await expect(harness.worker({ hooks }).carryOut()).rejects.toThrow(Killed);
    harness.vendor.duringCancel = () => undefined;
    harness.clock.advance(1_000);
    return orderId;
  };
});

describe('I10: a ledger that is away', () => {
  /** The vendor ends the turn at the first request. Each request has to be in the ledger when it arrives. */
  const scriptVendor = (): void => {
    harness.vendor.reads = () => (harness.vendor.cancelCalls === 0 ? processing : failed);
    harness.vendor.cancels = () => 'failed';
    harness.vendor.duringCancel = async () => {
      expect((await harness.ledger.requests.underWay()).at(-1)).toMatchObject({ turnKey: 'first' });
    };
  };

  it.each(['before', 'after'] as const)(
    'I10: fails %s each call in turn: what is not in the ledger is not sent, and the case goes on afterwards',
    async (when) => {
      let calls = 1;
      for (let failing = 0; failing < calls; failing += 1) {
        scriptVendor();
        let call = 0;
        let failedCall = '';
        const hook = (name: string): void => {
          if (call++ !== failing) return;
          failedCall = name;
          throw ledgerAway();
        };
        const orderId = await harness.order();
        await harness.worker({ hooks: { [when]: hook } }).carryOut();
        calls = call;

        const result = await harness.result(orderId);
        // A row whose sender could not tell what became of it counts as sent: that is the safe side.
        const perhaps = failedCall === 'requests.register' && when === 'after';
        expect([failedCall, result.outcome, result.attempts]).toEqual([failedCall, 'cancelled', perhaps ? 2 : 1]);
        expect([failedCall, harness.vendor.cancelCalls]).toEqual([failedCall, 1]);
        // An answer that could not be stored leaves a request of unknown effect.
        const unstored = failedCall === 'requests.answer' && when === 'before';
        expect([failedCall, result.attribution]).toEqual([failedCall, unstored ? 'probable' : 'strong']);
        await harness.close();
        harness = await openGateHarness();
      }
      expect(calls).toBeGreaterThan(20);
    },
  );

  it('I10: is told apart from a mistake of ours: other errors end the pass at once', async () => {
    harness.vendor.reads = [processing];
    await harness.order();
    const broken = harness.worker({
      hooks: {
        before: (name) => {
          if (name === 'requests.register') throw new TypeError('a bug');
        },
      },
    });
    await expect(broken.carryOut()).rejects.toThrow(TypeError);
    expect(harness.vendor.cancelCalls).toBe(0);
  });

  it('keeps an order open whose lease could not be given back, and takes it up when the lease is over', async () => {
    harness.vendor.reads = [processing, processing, processing, completed];
    harness.vendor.cancels = [cancelFails('connection-failed'), 'completed'];
    let away = true;
    const before = (name: string): void => {
      if (name !== 'requests.withdraw' || !away) return;
      away = false;
      throw ledgerAway();
    };
    const orderId = await harness.order();
    await harness.worker({ hooks: { before } }).carryOut();
    // The request that never left counts as perhaps sent, since the ledger could not be told.
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'already-ended', attempts: 2 });
  });
});
