import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Outcome } from '../../src/core/contract.js';
import { openGateHarness, shows, type GateHarness, type Worker } from '../support/gate-harness.js';
import { chance, failureFrom, sampled, statuses, type Answered } from '../support/refusal-answers.js';

const MINUTE = 60_000;
const TEN_MINUTES = 10 * MINUTE;
const processing = shows('processing');
const failed = shows('failed');

let harness: GateHarness;
beforeEach(async () => {
  harness = await openGateHarness();
});
afterEach(() => harness.close());

interface Course {
  readonly outcome: Outcome | null;
  readonly requests: number;
  /** Waits between the first requests of each try, ms. */
  readonly gaps: readonly number[];
  readonly lastsMs: number;
}

/** The first ten minutes of an order whose cancel requests, or reads, are answered so for ever. */
async function course(on: 'read' | 'cancel', answered: Answered, sessionId: string): Promise<Course> {
  const { vendor, clock } = harness;
  vendor.reads = () => (on === 'read' ? failureFrom('retrieveSession', answered) : processing);
  vendor.cancels = () => failureFrom('cancelSession', answered);
  const readsBefore = vendor.readAt.length;
  const cancelsBefore = vendor.cancelCalls;
  const orderId = await harness.order({ sessionId });
  const begun = clock.wall();
  await harness.worker({ random: chance() }, sessionId).carryOut({
    onWait: ({ afterMs }) => (clock.wall() + afterMs - begun > TEN_MINUTES ? 'stop' : undefined),
  });
  const readAt = vendor.readAt.slice(readsBefore);
  return {
    outcome: (await harness.result(orderId)).outcome,
    requests: readAt.length + vendor.cancelCalls - cancelsBefore,
    gaps: readAt.slice(1).map((at, index) => at - (readAt[index] ?? 0)),
    lastsMs: clock.wall() - begun,
  };
}

/** Not in a fixed beat: each wait is drawn anew, from a range that grows to a minute. */
function expectSpaced({ gaps, requests }: Course): void {
  expect(requests).toBeLessThanOrEqual(2 * 40);
  for (const gap of gaps) expect(gap).toBeLessThan(MINUTE * 1.3);
  const late = gaps.filter((gap) => gap > 4_000);
  if (late.length >= 4)
    expect(new Set(late.map((gap) => Math.round(gap / 1_000))).size).toBeGreaterThan(late.length / 2);
}

describe('every status, for ever: how many requests leave in ten minutes, and what becomes of the order', () => {
  const KEPT_OPEN = new Set([401, 408, 409, 429]);

  it.each([
    [400, 449],
    [450, 499],
  ])('cancel, %i to %i: forbidden after two a minute apart', async (from, to) => {
    for (const status of statuses(from, to)) {
      const run = await course('cancel', { status }, `cancel-${status}`);
      const expected = KEPT_OPEN.has(status) ? null : 'forbidden';
      expect({ status, outcome: run.outcome }).toEqual({ status, outcome: expected });
      expectSpaced(run);
      if (expected === null) continue;
      expect(run.lastsMs).toBeGreaterThanOrEqual(MINUTE);
      expect(run.lastsMs).toBeLessThan(3 * MINUTE);
      expect(run.requests).toBeLessThanOrEqual(2 * 12);
    }
    expect(await harness.count('account-refused')).toBe(0);
  });

  it('cancel, 500 to 599: stays open', async () => {
    for (const status of sampled('cancelSession', statuses(500, 599))) {
      const run = await course('cancel', { status }, `cancel-${status}`);
      expect({ status, outcome: run.outcome }).toEqual({ status, outcome: null });
      expectSpaced(run);
    }
  });

  it('read, 400 to 599: forbidden by 403, gone by 404 and 410, and open by any other', async () => {
    for (const status of sampled('retrieveSession', statuses(400, 599))) {
      const run = await course('read', { status }, `read-${status}`);
      const expected = status === 403 ? 'forbidden' : status === 404 || status === 410 ? 'gone' : null;
      expect({ status, outcome: run.outcome }).toEqual({ status, outcome: expected });
      expectSpaced(run);
      if (expected !== null) expect(run.lastsMs).toBeGreaterThanOrEqual(MINUTE);
    }
    expect(harness.vendor.cancelCalls).toBe(0);
  });
});

describe('a 403 that passes', () => {
  const forms: [string, Omit<Answered, 'status'>][] = [
    ['in the vendor’s JSON', {}],
    ['as HTML', { body: '<html><body>Blocked</body></html>' }],
    ['with an empty body', { body: '' }],
    ['in JSON of somebody else', { body: '{"message":"Forbidden"}' }],
    ['in JSON with Retry-After', { retryAfter: '5' }],
    ['with a code of the account', { code: 'policy_denied' }],
  ];

  it.each(
    forms.flatMap(([form, answered]) => (['read', 'cancel'] as const).map((on) => [form, on, answered] as const)),
  )('%s, on the %s: the order is tried again, and the turn ends', async (_form, on, answered) => {
    const { vendor } = harness;
    const first = failureFrom(on === 'read' ? 'retrieveSession' : 'cancelSession', { status: 403, ...answered });
    vendor.reads = (call) =>
      call === 0 && on === 'read' ? first : vendor.cancelCalls < (on === 'cancel' ? 2 : 1) ? processing : failed;
    vendor.cancels = on === 'cancel' ? [first, 'failed'] : ['failed'];
    const orderId = await harness.order();
    await harness.worker().carryOut();
    const result = await harness.result(orderId);
    expect(result).toMatchObject({ outcome: 'cancelled', attribution: 'strong' });
    // It was accepted since.
    expect(result.lastError?.refused).toBeUndefined();
    expect(await harness.count('forbidden')).toBe(0);
  });

  it.each(forms.filter(([, { body, retryAfter }]) => body !== undefined || retryAfter !== undefined))(
    '%s settles nothing, however long it lasts, and is told of',
    async (_form, answered) => {
      const run = await course('cancel', { status: 403, ...answered }, 'session-1');
      expect(run.outcome).toBeNull();
      expectSpaced(run);
      expect(await harness.events()).toEqual(['not-ending']);
    },
  );

  it.each([
    ['as long as it asks', '20', 20_000],
    ['a minute, when it asks for an hour', '3600', 60_000],
  ])('is waited for %s', async (_title, retryAfter, afterMs) => {
    harness.vendor.reads = () => (harness.vendor.cancelCalls < 2 ? processing : failed);
    harness.vendor.cancels = [failureFrom('cancelSession', { status: 403, retryAfter }), 'failed'];
    await harness.order();
    expect(await harness.worker().carryOut()).toMatchObject([{ reason: 'Refused', afterMs }]);
  });
});

describe('a code of the account on one session', () => {
  it.each([403, 402, 401])(
    'HTTP %i on its cancel requests, while other sessions work: the account is never called refused',
    async (status) => {
      const { vendor, clock } = harness;
      const denied = failureFrom('cancelSession', { status, code: 'policy_denied' });
      const worker = harness.worker();
      const begun = clock.wall();
      const orderId = await harness.order();
      vendor.reads = [processing];
      vendor.cancels = () => denied;
      let others = 0;
      await worker.carryOut({
        onWait: async () => {
          if (clock.wall() - begun > TEN_MINUTES) return 'stop';
          const sessionId = `other-${(others += 1)}`;
          const before = vendor.cancelCalls;
          vendor.reads = () => (vendor.cancelCalls === before ? processing : failed);
          vendor.cancels = () => 'failed';
          const id = await harness.order({ sessionId });
          await sameProcess(worker, sessionId).carryOut();
          expect(await harness.result(id)).toMatchObject({ outcome: 'cancelled' });
          vendor.reads = () => processing;
          vendor.cancels = () => denied;
        },
      });
      expect(others).toBeGreaterThan(3);
      expect((await harness.result(orderId)).outcome).toBe(status === 401 ? null : 'forbidden');
      if (status !== 401) expect(clock.wall() - begun).toBeLessThan(3 * MINUTE + others * MINUTE * 1.1);
      const events = await harness.events();
      expect(events).not.toContain('account-refused');
      expect(events).not.toContain('account-accepted');
    },
  );

  it('on its reads, while lists are accepted: forbidden within three minutes, and the account is not called refused', async () => {
    const { vendor, clock } = harness;
    const worker = harness.worker();
    // A scan, for example.
    await worker.deps.account.works();
    vendor.reads = () => failureFrom('retrieveSession', { status: 403, code: 'policy_denied' });
    const orderId = await harness.order();
    const begun = clock.wall();
    await worker.carryOut();
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'forbidden' });
    expect(clock.wall() - begun).toBeLessThan(3 * MINUTE);
    expect(await harness.events()).toEqual(['forbidden']);
  });

  it('I10: on everything: the order stays open, and it is told once', async () => {
    const { vendor, clock } = harness;
    vendor.reads = () => failureFrom('retrieveSession', { status: 403, code: 'policy_denied' });
    vendor.agents = () => failureFrom('listAgents', { status: 403, code: 'policy_denied' });
    const orderId = await harness.order();
    const begun = clock.wall();
    await harness.worker().carryOut({ onWait: () => (clock.wall() - begun > 60 * MINUTE ? 'stop' : undefined) });
    expect(await harness.result(orderId)).toMatchObject({ outcome: null, lastError: { type: 'AccountRefused' } });
    expect(await harness.events()).toEqual(['account-refused']);
  });

  it('I10: what was refused with the account is not held against the session when it works again', async () => {
    const { vendor, clock } = harness;
    const denied = failureFrom('retrieveSession', { status: 403 });
    vendor.reads = () => denied;
    vendor.agents = () => failureFrom('listAgents', { status: 403 });
    const orderId = await harness.order();
    const begun = clock.wall();
    const worker = harness.worker();
    await worker.carryOut({ onWait: () => (clock.wall() - begun > 10 * MINUTE ? 'stop' : undefined) });
    // Lists are accepted again a moment before reads are.
    vendor.agents = () => [];
    await worker.carryOut({ onWait: () => 'stop' });
    expect(await harness.result(orderId)).toMatchObject({ outcome: null, lastError: { type: 'Refused' } });
  });
});

/** Another session, in the process that the worker is. */
const sameProcess = ({ deps }: Worker, sessionId: string): Worker => harness.worker(deps, sessionId);

describe('I2: a crash between two refusals', () => {
  it('neither begins the minute anew nor settles the order early', async () => {
    const { vendor, clock } = harness;
    vendor.reads = () => processing;
    vendor.cancels = () => failureFrom('cancelSession', { status: 403 });
    const orderId = await harness.order();
    const begun = clock.wall();
    // Each process makes one try, and dies.
    for (const waitMs of [10_000, 20_000, 29_000, 2_000]) {
      expect(await harness.result(orderId)).toMatchObject({ outcome: null });
      await harness.worker().carryOut({ onWait: () => 'stop' });
      clock.advance(waitMs);
    }
    expect(await harness.result(orderId)).toMatchObject({ outcome: null });
    await harness.worker().carryOut();
    expect(clock.wall() - begun).toBeGreaterThan(MINUTE);
    expect(await harness.result(orderId)).toMatchObject({
      outcome: 'forbidden',
      lastError: { refused: [{ status: 403, on: 'cancel', times: 5 }] },
    });
  });

  it('keeps what was refused while something else holds the order', async () => {
    const { vendor, clock } = harness;
    vendor.reads = () => processing;
    vendor.cancels = () => failureFrom('cancelSession', { status: 404 });
    const orderId = await harness.order();
    await harness.worker().carryOut({ onWait: () => 'stop' });
    await harness.ledger.pauseSwitch.set(true, 'ops', null);
    clock.advance(2 * MINUTE);
    await harness.worker().carryOut({ onWait: () => 'stop' });
    expect((await harness.result(orderId)).lastError).toMatchObject({ type: 'Paused', refused: [{ status: 404 }] });
    await harness.ledger.pauseSwitch.set(false, 'ops', null);
    await harness.worker().carryOut();
    expect(await harness.result(orderId)).toMatchObject({ outcome: 'forbidden' });
  });
});
