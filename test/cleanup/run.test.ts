import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { startCleanup, type CleanupDependencies, type StartedCleanup } from '../../src/engines/cleanup/run.js';
import { readLastRun } from '../../src/engines/cleanup/last-run.js';
import { createVendorClock } from '../../src/adapters/vendor/vendor-clock.js';
import { createAccount } from '../../src/adapters/vendor/account.js';
import { TryAgain } from '../../src/core/try-again.js';
import type { Ledger } from '../../src/adapters/ledger/ledger.js';
import type { BulkTarget } from '../../src/adapters/ledger/bulk-plans.js';
import { NO_METERS } from '../../src/adapters/meters.js';
import type { CleanupEntry } from '../../src/core/policy/policy.js';
import { DEFAULT_TIMING } from '../../src/core/policy/timing.js';
import { FREE_LIMITER } from '../support/free-limiter.js';
import { BEGINNING, HOUR, MINUTE, openFleetHarness, turnSince, type FleetHarness } from '../support/scripted-fleet.js';

let harness: FleetHarness;
let deps: CleanupDependencies;
const log = { debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() };

beforeEach(async () => {
  harness = await openFleetHarness();
  harness.fleet.agent('agent-1');
  deps = dependencies(harness.ledger);
});
afterEach(() => harness.close());

/** Gate and rules are not asked: nothing is sent here. */
function dependencies(ledger: Ledger): CleanupDependencies {
  return {
    ...{ ledger, sessions: harness.fleet, log, timing: DEFAULT_TIMING, meters: NO_METERS, random: () => 0.5 },
    limiter: FREE_LIMITER,
    account: createAccount(ledger, harness.fleet, log),
    vendorClock: createVendorClock(harness.clock),
    gate: undefined as never,
    rules: undefined as never,
  };
}

const ENTRY: CleanupEntry = {
  name: 'stale',
  select: { match: null, states: ['queued'], queuedForMs: 6 * HOUR, runningForMs: null },
  schedule: { cron: '0 3 * * *', timezone: 'UTC' },
  caps: { maxCancels: 50, maxPercent: 100, perMs: HOUR },
};
const inForce = (...cleanup: CleanupEntry[]): Promise<unknown> =>
  harness.ledger.policies.apply({
    file: { version: 1, policies: [], cleanup, notify: {}, exempt: [] },
    fileName: 'curfew.yaml',
    sourceText: JSON.stringify(cleanup),
    by: 'a test',
  });
const run = (
  runId: string,
  { failures = 0, sinceMs = 0 }: { failures?: number; sinceMs?: number } = {},
  by = deps,
): Promise<StartedCleanup> =>
  startCleanup(
    by,
    { name: 'stale', runId, startedAtMs: 0 },
    { failures, sinceMs: () => sinceMs, signal: new AbortController().signal },
  );
function leftovers(count: number, ageMs = 7 * HOUR, state = 'queued', prefix = state): void {
  for (let index = 0; index < count; index += 1) {
    harness.fleet.session(`${prefix}-${index}`, turnSince(BEGINNING - ageMs, state));
  }
}
const targets = ({ planId }: StartedCleanup): Promise<BulkTarget[]> =>
  harness.ledger.bulk.targets(planId ?? '', { afterSeq: -1, limit: 1_000 });
const waiting = async (started: StartedCleanup): Promise<number> =>
  (await targets(started)).filter(({ status }) => status === 'waiting').length;
const jobs = () => harness.ledger.bulk.list({ limit: 100 });
const cleanupEvents = async () => (await harness.events()).filter(({ kind }) => kind.startsWith('cleanup-'));

describe('a run of a cleanup', () => {
  it('becomes a bulk job of what the entry selects, and of nothing else', async () => {
    await inForce(ENTRY);
    leftovers(3);
    leftovers(2, HOUR, 'queued', 'young');
    leftovers(2, 9 * HOUR, 'processing');
    const started = await run('run-1');
    expect(started.note).toBe('3 turns to end.');
    expect((await targets(started)).map(({ sessionId }) => sessionId).sort()).toEqual([
      'queued-0',
      'queued-1',
      'queued-2',
    ]);
    expect(await jobs()).toEqual([
      expect.objectContaining({
        ...{ planId: started.planId, state: 'running', source: 'cleanup', cleanup: 'stale' },
        ...{ createdBy: 'cleanup stale', appliedBy: 'cleanup stale', rate: 20, canary: 10 },
        ...{ fast: false, evenIfExempt: false },
      }),
    ]);
    expect(await cleanupEvents()).toEqual([]);
    expect(harness.fleet.cancels).toEqual([]);
    // A list shows no wait: each queued session is dated by a read of its own.
    expect(harness.fleet.count('retrieveSession')).toBe(5);
    expect(await readLastRun(harness.ledger, 'stale')).toMatchObject({
      planId: started.planId,
      note: '3 turns to end.',
    });
  });

  it('is the same job when it is tried again after it was applied', async () => {
    await inForce(ENTRY);
    leftovers(3);
    const started = await run('run-1');
    leftovers(2, 8 * HOUR, 'queued', 'later');
    expect(await run('run-1', { failures: 1 })).toEqual(started);
    expect(await jobs()).toHaveLength(1);
    expect(await targets(started)).toHaveLength(3);
    expect((await run('run-2')).planId).not.toBe(started.planId);
  });

  it('makes its plan anew when a try before it was cut off half-way', async () => {
    await inForce(ENTRY);
    leftovers(3);
    const cutOff = dependencies({
      ...harness.ledger,
      bulk: { ...harness.ledger.bulk, apply: () => Promise.reject(new Error('killed')) },
    });
    await expect(run('run-1', {}, cutOff)).rejects.toThrow('killed');
    expect((await jobs()).map(({ state }) => state)).toEqual(['planned']);
    leftovers(1, 8 * HOUR, 'queued', 'later');
    const started = await run('run-1', { failures: 1 });
    expect((await jobs()).map(({ state }) => state)).toEqual(['running']);
    expect(await targets(started)).toHaveLength(4);
  });

  it('without anything to end leaves no job and no event', async () => {
    await inForce(ENTRY);
    leftovers(2, HOUR);
    expect(await run('run-1')).toEqual({ planId: null, note: 'Nothing to end.' });
    expect(await jobs()).toEqual([]);
    expect(await cleanupEvents()).toEqual([]);
  });

  it('of an entry that has left the file ends nothing', async () => {
    await inForce({ ...ENTRY, name: 'another' });
    leftovers(2);
    expect(await run('run-1')).toEqual({ planId: null, note: expect.stringContaining('not in the policy file') });
    expect(await jobs()).toEqual([]);
  });
});

describe('caps of a cleanup', () => {
  it('leave alone what is over max_cancels, count what earlier jobs took within the time, and are told', async () => {
    await inForce({ ...ENTRY, caps: { ...ENTRY.caps, maxCancels: 4 } });
    leftovers(3);
    expect(await waiting(await run('run-1'))).toBe(3);
    leftovers(6);
    const second = await run('run-2');
    expect(await waiting(second)).toBe(1);
    expect((await targets(second)).filter(({ status }) => status === 'capped')).toHaveLength(5);
    const [event] = await cleanupEvents();
    expect(event).toEqual({
      kind: 'cleanup-capped',
      sessionId: null,
      data: {
        ...{ cleanup: 'stale', plan: second.planId, selected: 6, capped: 5 },
        ...{ cap: 'max_cancels', allowed: 1, takenBefore: 3, live: 6 },
        text: '6 turns to end, of which its caps allow 1. Its cap max_cancels is 4 within 1h, and 3 were taken before.',
      },
    });

    // Nothing is left of the caps: no job, but it is told.
    expect((await run('run-3')).planId).toBeNull();
    expect(await jobs()).toHaveLength(2);
    expect(await cleanupEvents()).toHaveLength(2);

    harness.clock.advance(HOUR + MINUTE);
    expect(await waiting(await run('run-4'))).toBe(4);
  });

  it('allow a share of the live sessions, where there are at least 20', async () => {
    await inForce({ ...ENTRY, caps: { ...ENTRY.caps, maxPercent: 25 } });
    leftovers(19);
    expect(await waiting(await run('run-1'))).toBe(19);
    harness.clock.advance(HOUR + MINUTE);
    leftovers(20);
    const second = await run('run-2');
    expect(await waiting(second)).toBe(5);
    expect(await targets(second)).toHaveLength(20);
    expect((await cleanupEvents())[0]?.data).toMatchObject({ cap: 'max_percent', allowed: 5, live: 20, capped: 15 });
  });

  it('are told once, however often the run is tried', async () => {
    await inForce({ ...ENTRY, caps: { ...ENTRY.caps, maxCancels: 1 } });
    leftovers(3);
    const cutOff = dependencies({
      ...harness.ledger,
      meta: { ...harness.ledger.meta, swap: () => Promise.reject(new Error('killed')) },
    });
    await expect(run('run-1', {}, cutOff)).rejects.toThrow('killed');
    expect(await cleanupEvents()).toEqual([]);
    const started = await run('run-1', { failures: 1 });
    await run('run-1', { failures: 2 });
    expect(await waiting(started)).toBe(1);
    expect(await cleanupEvents()).toEqual([
      expect.objectContaining({ kind: 'cleanup-capped', data: expect.objectContaining({ selected: 3, capped: 2 }) }),
    ]);
  });
});

describe('I10: a cleanup that can’t look at the fleet', () => {
  it('ends nothing, tries again, and is given up an hour after its time; that is told once', async () => {
    await inForce(ENTRY);
    leftovers(3);
    harness.fleet.fails = () => 'unauthorized';
    const failure: unknown = await run('run-1').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TryAgain);
    expect(failure).toMatchObject({ reason: 'AccountRefused', counts: false });
    expect(await jobs()).toEqual([]);
    expect(await cleanupEvents()).toEqual([]);

    const late = { failures: 60, sinceMs: 59 * MINUTE + 30_000 };
    expect(await run('run-1', late)).toMatchObject({ planId: null, note: expect.stringContaining('Given up') });
    await run('run-1', late);
    expect(await cleanupEvents()).toEqual([
      expect.objectContaining({
        kind: 'cleanup-failed',
        data: { cleanup: 'stale', text: expect.stringContaining('401') },
      }),
    ]);

    harness.fleet.fails = () => null;
    expect(await waiting(await run('run-2'))).toBe(3);
  });

  it('is not made up for when no worker was there for an hour', async () => {
    await inForce(ENTRY);
    leftovers(3);
    expect(await run('run-1', { sinceMs: HOUR + 1 })).toMatchObject({ planId: null });
    expect(await jobs()).toEqual([]);
    expect(await cleanupEvents()).toEqual([
      expect.objectContaining({
        kind: 'cleanup-skipped',
        data: expect.objectContaining({ cleanup: 'stale', why: 'no-worker' }),
      }),
    ]);
  });
});
