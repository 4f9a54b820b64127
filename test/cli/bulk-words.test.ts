import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { rateWords } from '../../src/core/bulk/rate.js';
import { readBulkStatus } from '../../src/engines/bulk/status.js';
import { intentWords } from '../../src/cli/bulk-apply-words.js';
import { findJob } from '../../src/cli/bulk-argument.js';
import { followedExitCode, followJob, isOver, stoppedItself, type Followed } from '../../src/cli/bulk-follow.js';
import { readRate } from '../../src/cli/option-values.js';
import { endWords, jobsTable, progressLines } from '../../src/cli/bulk-words.js';
import type { Output } from '../../src/cli/output.js';
import { isConfirmed } from '../../src/cli/commands/bulk-apply.js';
import type { BulkStatus, Outcome } from '../../src/core/contract.js';
import { ExitCode, UserError } from '../../src/core/errors.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { planIn, sessionIds, totalsOf } from '../support/bulk-plans.js';

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);
const iso = (ms: number): string => new Date(ms).toISOString();

const status = (given: Partial<BulkStatus> = {}, progress: Partial<BulkStatus['progress']> = {}): BulkStatus => ({
  planId: 'b-1',
  state: 'running',
  source: 'person',
  cleanup: null,
  reason: null,
  selection: {},
  requestedBy: 'ops',
  createdAt: iso(NOW),
  expiresAt: iso(NOW + 3_600_000),
  hash: 'h',
  totals: totalsOf(1_000),
  appliedAt: iso(NOW),
  appliedBy: 'ops',
  finishedAt: null,
  fast: false,
  evenIfExempt: false,
  rate: 20,
  canary: 10,
  phase: 'main',
  note: null,
  progress: { waiting: 0, underWay: 0, openCases: 0, outcomes: {}, requests: 0, ...progress },
  ...given,
});
const words = (lines: readonly string[]): string => stripVTControlCharacters(lines.join('\n'));

describe('a rate', () => {
  it.each([
    ['20/s', 20],
    ['20', 20],
    ['600/min', 10],
    ['0.5/s', 0.5],
    ['1/min', 1 / 60],
    ['10000/s', 10_000],
  ])('%s is read', (text, perSecond) => expect(readRate(text)).toBeCloseTo(perSecond, 9));

  it.each([
    '',
    '0',
    '0/s',
    '-1',
    '10001/s',
    '20/h',
    '20 /',
    'fast',
    '1e3',
    '20/s/s',
    'NaN',
    '0.0000001',
    '999999999999',
  ])('%j is none, and the message has an example', (text) => {
    expect(() => readRate(text)).toThrow(UserError);
    expect(() => readRate(text)).toThrow(
      expect.objectContaining({ exitCode: ExitCode.usage, next: expect.stringContaining('20/s') }),
    );
  });

  it('is shown by the second, slow ones by the minute', () => {
    expect([20, 0.5, 1 / 60, 33.333].map(rateWords)).toEqual(['20/s', '0.5/s', '1/min', '33.3/s']);
  });
});

describe('the word that starts a job', () => {
  it('is a yes for a few, and the exact number for many', () => {
    expect(isConfirmed('y', 500, 500)).toBe(true);
    expect(isConfirmed('', 500, 500)).toBe(false);
    expect(isConfirmed('500', 500, 500)).toBe(false);
    expect(isConfirmed('y', 501, 500)).toBe(false);
    expect(isConfirmed('501', 501, 500)).toBe(true);
    expect(isConfirmed('1,501', 1_501, 500)).toBe(true);
    expect(isConfirmed('1500', 1_501, 500)).toBe(false);
  });
});

describe('what applying is about to do', () => {
  const open = { paused: false, reason: null, changedBy: null, changedAtMs: null };

  it('names targets, rate, expected duration and canary', () => {
    const text = stripVTControlCharacters(intentWords(status({ state: 'planned' }), open));
    expect(text).toContain('1,000 sessions of 1 agent');
    expect(text).toContain('at most 20/s: at least 50 s for 1,000 targets. 10 go first');
    expect(text).not.toContain('--fast');
  });

  it('says in plain words what --fast gives up, and that Curfew is paused', () => {
    const text = stripVTControlCharacters(
      intentWords(status({ fast: true, canary: 0, evenIfExempt: true }), { ...open, paused: true, reason: 'incident' }),
    );
    expect(text).toContain('it may end a newer turn that began since the plan');
    expect(text).toContain('sends requests to sessions that ended meanwhile');
    expect(text).toContain('exempt sessions are ended too');
    expect(text).toContain('Curfew is paused (incident)');
    expect(text).not.toContain('go ahead');
  });
});

describe('progress', () => {
  it('has a bar, counts, pace, time left, and what holds it', () => {
    const text = words(
      progressLines(
        status(
          { note: 'the vendor asks to wait' },
          {
            ...{ waiting: 400, underWay: 20, openCases: 30, requests: 610 },
            outcomes: { cancelled: 500, 'already-ended': 40, forbidden: 10 },
          },
        ),
        { perSecond: 10 },
      ),
    );
    expect(text).toBe(
      [
        `${'█'.repeat(16)}${'░'.repeat(14)} 55%  550 of 1,000  10/s (at most 20/s)  about 40 s left`,
        'ended 540 · not ended 10 · under way 20 · in cases 30 · waiting 400 · requests 610',
        'Held: the vendor asks to wait',
      ].join('\n'),
    );
  });

  it('says that all is sent, and calls untouched what an abort left', () => {
    expect(words(progressLines(status({}, { underWay: 5 }), { perSecond: 0 }))).toContain('all sent, confirming');
    expect(words(progressLines(status({ state: 'aborted' }, { waiting: 5 }), { perSecond: null }))).toContain(
      'untouched 5',
    );
    expect(endWords(status({ state: 'aborted' }, { waiting: 5 }))).toContain('5 untouched');
  });

  it('a table of none says how to make one; an expired plan is called so', () => {
    expect(jobsTable([], NOW)).toContain('curfew bulk plan');
    const old = status({ state: 'planned', appliedAt: null, expiresAt: iso(NOW - 1) });
    expect(jobsTable([old], NOW)).toContain('expired');
  });
});

describe('the exit code of --wait', () => {
  const code = (outcomes: { readonly [Name in Outcome]?: number }, given: Partial<Followed> = {}): number =>
    followedExitCode({ status: status({ state: 'finished' }, { outcomes }), ending: 'over', ...given });

  it('is 0 only when every target has ended', () => {
    expect(
      code({ cancelled: 990, 'already-ended': 4, superseded: 3, 'ended-unattributed': 2, 'no-longer-violating': 1 }),
    ).toBe(0);
    expect(code({ cancelled: 999, exempted: 1 })).toBe(5);
    expect(code({ cancelled: 999, capped: 1 })).toBe(5);
    // One was left untouched.
    expect(code({ cancelled: 999 })).toBe(5);
  });

  it('is 3 when it stopped itself, 130 when the person left', () => {
    expect(code({ cancelled: 10 }, { ending: 'stopped' })).toBe(3);
    expect(code({ cancelled: 10 }, { ending: 'detached' })).toBe(130);
  });
});

describe('a job in the ledger', () => {
  let folder: string;
  let ledger: Ledger;
  const out: Output = {
    json: true,
    live: false,
    result: () => {},
    source: () => {},
    say: (line) => void said.push(line),
    show: (view, words) => void said.push(words(view)),
    redraw: () => {},
    clear: () => {},
    page: { live: false, redraw: () => {}, finish: () => {} },
  };
  let said: string[];

  beforeEach(async () => {
    said = [];
    folder = mkdtempSync(join(tmpdir(), 'curfew-bulk-words-'));
    ledger = await openLedger(join(folder, 'ledger.db'));
  });
  afterEach(async () => {
    await ledger.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const apply = (planId: string) =>
    ledger.bulk.apply(planId, { by: 'ops', rate: 20, canary: 0, fast: false, evenIfExempt: false });
  async function statusOf(planId: string): Promise<BulkStatus> {
    const job = await ledger.bulk.get(planId);
    if (job === null) throw new Error('The job is not there.');
    return readBulkStatus(ledger, job);
  }
  async function takeUp(planId: string) {
    const taken = await ledger.bulkRun.takeUp(planId, 'a worker');
    if (taken.kind !== 'taken-up') throw new Error('The job can’t be taken up.');
    return taken.key;
  }

  it('is found by its id, or by a beginning that no other one shares', async () => {
    for (const planId of ['b-abc', 'b-abd', 'b-x', 'b-xy']) await planIn(ledger, planId, ['sess_1']);
    expect((await findJob(ledger, 'b-abc')).planId).toBe('b-abc');
    // An id that is the beginning of another one.
    expect((await findJob(ledger, 'b-x')).planId).toBe('b-x');
    expect((await findJob(ledger, 'b-xy')).planId).toBe('b-xy');
    await expect(findJob(ledger, 'b-ab')).rejects.toMatchObject({
      exitCode: ExitCode.usage,
      message: expect.stringMatching(/2 plans: .*b-ab[cd] .*b-ab[cd]/),
    });
    await expect(findJob(ledger, 'nope')).rejects.toMatchObject({
      exitCode: ExitCode.usage,
      message: expect.stringContaining('b-abc (planned)'),
    });
    await expect(findJob(ledger, '')).rejects.toMatchObject({ exitCode: ExitCode.usage });
  });

  it('is told to be unknown where there are none at all', async () => {
    await expect(findJob(ledger, 'b-1')).rejects.toMatchObject({ message: expect.stringContaining('none at all') });
  });

  it('that stopped itself is told from one that a person paused, also after a resume', async () => {
    await planIn(ledger, 'b-1', sessionIds(3));
    await apply('b-1');
    const key = await takeUp('b-1');
    expect(await stoppedItself(ledger, await statusOf('b-1'))).toBe(false);
    await ledger.bulkRun.step(key, { step: 'stop', note: 'It went badly.', data: {} });
    expect(await stoppedItself(ledger, await statusOf('b-1'))).toBe(true);
    await ledger.bulk.steer('b-1', { action: 'resume', by: 'me' });
    await ledger.bulk.steer('b-1', { action: 'pause', by: 'me' });
    expect(await stoppedItself(ledger, await statusOf('b-1'))).toBe(false);
  });

  it('is followed over a pause until nothing of it is open', async () => {
    await planIn(ledger, 'b-1', sessionIds(1));
    await apply('b-1');
    const key = await takeUp('b-1');
    await ledger.bulk.steer('b-1', { action: 'pause', by: 'me' });
    const changes: BulkStatus[] = [];
    const following = followJob(ledger, 'b-1', out, new AbortController().signal, (now) => void changes.push(now));
    while (changes.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await ledger.bulk.steer('b-1', { action: 'resume', by: 'me' });
    const settlement = {
      seq: 0,
      sessionId: 'sess_0',
      from: 'waiting',
      outcome: 'cancelled',
      attribution: 'strong',
    } as const;
    await ledger.bulkRun.write(key, {
      ...{ answers: [], withdrawals: [], departures: [] },
      settlements: [{ ...settlement, agentId: null, turnKey: null, endedAtMs: null, error: null }],
    });
    await ledger.bulkRun.step(key, { step: 'finish' });
    const followed = await following;
    expect(followed).toMatchObject({ ending: 'over', status: { state: 'finished' } });
    expect(followedExitCode(followed)).toBe(0);
    expect(changes.map(({ state }) => state)).toEqual(expect.arrayContaining(['paused', 'finished']));
    expect(said[0]).toContain('b-1  paused');
  });

  it('with an open case is not over, though it has sent all', async () => {
    await planIn(ledger, 'b-1', sessionIds(1));
    await apply('b-1');
    const key = await takeUp('b-1');
    await ledger.bulkRun.handOver(key, [
      {
        seq: 0,
        sessionId: 'sess_0',
        from: 'waiting',
        agentId: null,
        turn: null,
        seenAtMs: NOW,
        error: null,
      },
    ]);
    await ledger.bulkRun.step(key, { step: 'finish' });
    expect(isOver(await statusOf('b-1'))).toBe(false);
    const [order] = await ledger.orders.views({ sessionId: 'sess_0' });
    await ledger.orders.abandon([order?.orderId ?? ''], { by: 'me', reason: 'enough' });
    const over = await statusOf('b-1');
    expect(isOver(over)).toBe(true);
    expect(over.progress.outcomes).toEqual({ abandoned: 1 });
  });

  it('goes on without the one who leaves', async () => {
    await planIn(ledger, 'b-1', sessionIds(1));
    await apply('b-1');
    const followed = await followJob(ledger, 'b-1', out, AbortSignal.abort());
    expect(followed).toMatchObject({ ending: 'detached', status: { state: 'running' } });
  });
});
