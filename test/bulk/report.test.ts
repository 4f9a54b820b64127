import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parse } from 'csv-parse/sync';
import { bulkReport, kindOf, REPORT_KINDS, targetResult, type ReportKind } from '../../src/engines/bulk/report.js';
import { summarize } from '../../src/engines/bulk/report-summary.js';
import { readBulkStatus } from '../../src/engines/bulk/status.js';
import { reportCsv, reportHeader, reportWords } from '../../src/cli/bulk-report-words.js';
import { ENDED_OUTCOMES, OUTCOMES, type BulkTargetResult, type Outcome } from '../../src/core/contract.js';
import type { BulkJob } from '../../src/adapters/ledger/bulk-plans.js';
import type { RunKey } from '../../src/adapters/ledger/bulk-run.js';
import type { BulkSettlement } from '../../src/adapters/ledger/bulk-writes.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { planIn, sessionIds } from '../support/bulk-plans.js';

let folder: string;
let ledger: Ledger;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-report-'));
  ledger = await openLedger(join(folder, 'ledger.db'));
});
afterEach(async () => {
  await ledger.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A running job, and a hold on it as its worker has one. */
async function running(ids: readonly string[]): Promise<RunKey> {
  await planIn(ledger, 'b-1', ids);
  await ledger.bulk.apply('b-1', { by: 'ops', rate: 20, canary: 0, fast: false, evenIfExempt: false });
  const taken = await ledger.bulkRun.takeUp('b-1', 'a worker');
  if (taken.kind !== 'taken-up') throw new Error('The job can’t be taken up.');
  return taken.key;
}
const settled = (seq: number, outcome: Outcome, given: Partial<BulkSettlement> = {}): BulkSettlement => ({
  seq,
  sessionId: `sess_${seq}`,
  from: 'waiting',
  outcome,
  attribution: outcome === 'cancelled' ? 'strong' : null,
  agentId: null,
  turnKey: null,
  endedAtMs: null,
  error: null,
  ...given,
});
const settle = (key: RunKey, settlements: readonly BulkSettlement[]) =>
  ledger.bulkRun.write(key, { answers: [], withdrawals: [], settlements, departures: [] });
async function depart(key: RunKey, seq: number): Promise<void> {
  const departure = { seq, sessionId: `sess_${seq}`, agentId: null, turn: null, readAtMs: Date.now() };
  await ledger.bulkRun.write(key, { answers: [], withdrawals: [], settlements: [], departures: [departure] });
}
const job = async (): Promise<BulkJob> => {
  const found = await ledger.bulk.get('b-1');
  if (found === null) throw new Error('The job is not there.');
  return found;
};
async function report(kinds?: readonly ReportKind[]): Promise<BulkTargetResult[]> {
  const results: BulkTargetResult[] = [];
  for await (const page of bulkReport(ledger, await job(), kinds)) results.push(...page);
  return results;
}
const standings = (results: readonly BulkTargetResult[]) =>
  results.map(({ sessionId, status, outcome }) => [sessionId, status, outcome]);

describe('the report on a bulk job', () => {
  it('has each target once, in its order, with where it stands', async () => {
    const key = await running(sessionIds(5));
    await depart(key, 1);
    await settle(key, [settled(0, 'cancelled', { endedAtMs: 1_767_225_600_000 })]);
    const handover = { agentId: null, turn: null, seenAtMs: Date.now(), attempts: 1, error: null } as const;
    await ledger.bulkRun.handOver(key, [
      { ...handover, seq: 2, sessionId: 'sess_2', from: 'waiting' },
      { ...handover, seq: 3, sessionId: 'sess_3', from: 'waiting' },
    ]);
    await ledger.orders.abandon([(await ledger.orders.views({ sessionId: 'sess_3' }))[0]?.orderId ?? ''], {
      by: 'me',
      reason: 'enough',
    });
    const results = await report();
    expect(standings(results)).toEqual([
      ['sess_0', 'settled', 'cancelled'],
      ['sess_1', 'under-way', null],
      ['sess_2', 'case', null],
      ['sess_3', 'settled', 'abandoned'],
      ['sess_4', 'waiting', null],
    ]);
    expect(results[0]).toMatchObject({
      agentId: 'agent_1',
      turnKey: 'turn_of_sess_0',
      attribution: 'strong',
      requestedBy: 'ops',
      reason: { text: 'incident 42 (bulk job b-1)' },
      endedAt: '2026-01-01T00:00:00.000Z',
    });
    expect(results[3]?.events.map(({ kind }) => kind)).toEqual(['abandoned']);
    // All of one job, so all of one time.
    expect(new Set(results.map(({ orderedAt }) => orderedAt)).size).toBe(1);
  });

  it('calls untouched what an abort has left, and only that', async () => {
    const key = await running(sessionIds(3));
    await depart(key, 0);
    await settle(key, [settled(1, 'gone')]);
    await ledger.bulk.steer('b-1', { action: 'abort', by: 'me' });
    expect(standings(await report())).toEqual([
      ['sess_0', 'under-way', null],
      ['sess_1', 'settled', 'gone'],
      ['sess_2', 'untouched', null],
    ]);
  });

  it('is filtered by outcome, also by those that cases came to', async () => {
    const key = await running(sessionIds(6));
    await settle(key, [settled(0, 'gone'), settled(1, 'cancelled')]);
    const handover = { agentId: null, turn: null, seenAtMs: Date.now(), attempts: 1, error: null } as const;
    await ledger.bulkRun.handOver(key, [
      { ...handover, seq: 2, sessionId: 'sess_2', from: 'waiting' },
      { ...handover, seq: 3, sessionId: 'sess_3', from: 'waiting' },
    ]);
    const [order] = await ledger.orders.views({ sessionId: 'sess_3' });
    await ledger.orders.abandon([order?.orderId ?? ''], { by: 'me', reason: 'enough' });
    const of = async (...kinds: ReportKind[]): Promise<string[]> =>
      (await report(kinds)).map(({ sessionId }) => sessionId);
    expect(await of('gone')).toEqual(['sess_0']);
    expect(await of('abandoned')).toEqual(['sess_3']);
    expect(await of('case')).toEqual(['sess_2']);
    expect(await of('gone', 'abandoned', 'case')).toEqual(['sess_0', 'sess_2', 'sess_3']);
    expect(await of('waiting')).toEqual(['sess_4', 'sess_5']);
    expect(await of('untouched')).toEqual([]);
  });

  it('comes page by page, with no more than a page at a time, over a job of many', async () => {
    const key = await running(sessionIds(1_203));
    await settle(
      key,
      Array.from({ length: 1_203 }, (_, seq) => settled(seq, seq % 2 === 0 ? 'cancelled' : 'forbidden')),
    );
    const pages: number[] = [];
    for await (const page of bulkReport(ledger, await job())) pages.push(page.length);
    expect(pages).toEqual([500, 500, 203]);
    expect(await report(['forbidden'])).toHaveLength(601);
  });
});

describe('its summary', () => {
  const result = (given: Partial<BulkTargetResult>): BulkTargetResult => ({
    sessionId: 'sess_1',
    agentId: 'agent_1',
    turnKey: null,
    outcome: 'cancelled',
    attribution: null,
    reason: { text: null, policy: null, policyVersion: null, limit: null, observed: null },
    requestedBy: 'ops',
    attempts: 1,
    orderedAt: '2026-01-05T12:00:00.000Z',
    endedAt: null,
    lastError: null,
    events: [],
    status: 'settled',
    ...given,
  });
  const ofKind = (kind: ReportKind, given: Partial<BulkTargetResult> = {}): BulkTargetResult =>
    kind === 'untouched' || kind === 'waiting' || kind === 'under-way' || kind === 'case'
      ? result({ outcome: null, status: kind, ...given })
      : result({ outcome: kind, ...given });
  async function* pagesOf(...pages: BulkTargetResult[][]): AsyncGenerator<BulkTargetResult[]> {
    for (const page of pages) yield await Promise.resolve(page);
  }

  it('counts every kind, and the agents with the most that did not end', async () => {
    const summary = await summarize(
      pagesOf(
        [ofKind('cancelled'), ofKind('gone', { agentId: 'agent_2' }), ofKind('untouched', { agentId: 'agent_2' })],
        [ofKind('case'), ofKind('superseded', { agentId: 'agent_3' })],
      ),
    );
    expect(summary).toMatchObject({
      targets: 5,
      notEnded: 3,
      byKind: [
        { kind: 'cancelled', targets: 1 },
        { kind: 'superseded', targets: 1 },
        { kind: 'gone', targets: 1 },
        { kind: 'untouched', targets: 1 },
        { kind: 'case', targets: 1 },
      ],
      worstAgents: [
        { agentId: 'agent_2', targets: 2, notEnded: 2 },
        { agentId: 'agent_1', targets: 2, notEnded: 1 },
      ],
    });
  });

  it('shows the most pressing first, and at most 50, however many were left untouched before them', async () => {
    const untouched = Array.from({ length: 2_000 }, (_, i) => ofKind('untouched', { sessionId: `left_${i}` }));
    const summary = await summarize(pagesOf(untouched, [ofKind('retries-exhausted'), ofKind('forbidden')]));
    expect(summary.examples).toHaveLength(50);
    expect(summary.examples.slice(0, 3).map(kindOf)).toEqual(['retries-exhausted', 'forbidden', 'untouched']);
    expect(summary.notEnded).toBe(2_002);
  });

  it('says of each kind what it means, and of each that did not end what to do', async () => {
    await running(['sess_0']);
    const status = await readBulkStatus(ledger, await job());
    for (const kind of REPORT_KINDS) {
      const words = stripVTControlCharacters(reportWords(status, await summarize(pagesOf([ofKind(kind)])), false));
      const lines = words.split('\n').filter((line) => line.includes(kind));
      const ended = (ENDED_OUTCOMES as readonly string[]).includes(kind);
      expect(lines[0]).toMatch(new RegExp(`${kind} +1 +100\\.0% +\\w+`));
      expect(lines.some((line) => line.startsWith('sess_1') && /(curfew|check)/.test(line))).toBe(!ended);
      expect(words).toContain(ended ? 'All 1 have ended.' : '0 of 1 have ended, 1 have not.');
    }
  });

  it('says so when nothing fits what was asked for', async () => {
    await running(['sess_0']);
    const status = await readBulkStatus(ledger, await job());
    expect(reportWords(status, await summarize(pagesOf()), true)).toContain('No such targets.');
  });
});

describe('as CSV', () => {
  it('has as many cells as the header in each row, and runs nothing in a spreadsheet', async () => {
    const key = await running(sessionIds(3));
    const error = { type: 'Timeout', message: '=cmd|x, "quoted"\nsecond line', at: '2026-01-05T12:00:00.000Z' };
    await settle(key, [settled(0, 'retries-exhausted', { error }), settled(1, 'cancelled')]);
    const text = reportHeader() + reportCsv(await report());
    const rows = parse<Record<string, string>>(text, { columns: true, relax_column_count: false });
    expect(rows.map((row) => [row['sessionId'], row['status'], row['outcome']])).toEqual([
      ['sess_0', 'settled', 'retries-exhausted'],
      ['sess_1', 'settled', 'cancelled'],
      ['sess_2', 'waiting', ''],
    ]);
    expect(rows[0]).toMatchObject({
      lastErrorType: 'Timeout',
      lastErrorMessage: `'${error.message.replace('\n', ' ')}`,
    });
  });
});

it('a target in each state of its row has a standing', async () => {
  await running(['sess_0']);
  const [target] = await ledger.bulk.targets('b-1', { afterSeq: -1, limit: 1 });
  if (target === undefined) throw new Error('The target is not there.');
  const applied = await job();
  const statusOf = (status: typeof target.status, state: BulkJob['state'] = 'running') =>
    targetResult({ ...applied, state }, { ...target, status }, undefined).status;
  expect(OUTCOMES.map((outcome) => statusOf(outcome))).toEqual(OUTCOMES.map(() => 'settled'));
  expect((['waiting', 'sent', 'answered', 'case'] as const).map((status) => statusOf(status))).toEqual([
    'waiting',
    'under-way',
    'under-way',
    'case',
  ]);
  expect(statusOf('waiting', 'aborted')).toBe('untouched');
  expect(statusOf('waiting', 'paused')).toBe('waiting');
});
