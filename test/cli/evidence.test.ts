import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { registerCases } from '../../src/cli/commands/cases.js';
import { ExitCode } from '../../src/core/errors.js';
import { openDatabase } from '../../src/adapters/ledger/open.js';
import { planIn } from '../support/bulk-plans.js';
import { openCommandHome, type CommandHome } from '../support/in-process.js';

const READ = Date.UTC(2026, 0, 5, 12, 0, 0);

let home: CommandHome;
beforeEach(async () => {
  home = await openCommandHome([registerCases]);
});
afterEach(() => home.close());

/** An order of a policy that is carried out, and a bulk job that settled the session's next turn. */
async function story(): Promise<void> {
  const { ledger } = home;
  const orderId = await ledger.orders.create({
    ...{ sessionId: 'sess_1', source: 'policy', requestedBy: 'policy p', evenIfExempt: false, turnKey: 'turn_1' },
    reason: {
      ...{ text: 'has run 54m, limit 45m', policy: 'p', policyVersion: 3 },
      limit: { name: 'max_runtime', value: 2_700_000, unit: 'ms' },
      observed: { value: 3_240_000, errorBound: 10_000, unit: 'ms', limitReachedAt: '2026-01-05T11:51:00.000Z' },
    },
  });
  const departure = { sessionId: 'sess_1', agentId: 'agent_1', turn: { key: 'turn_1', startedAtMs: READ - 3_240_000 } };
  const permit = { policy: 'p', caps: { maxCancels: 5, maxPercent: 100, perMs: 60_000 }, liveSessions: null };
  const registered = await ledger.requests.register({
    ...{
      ...departure,
      orderIds: [orderId],
      owner: 'case',
      worker: 'worker-7',
      readAtMs: READ,
      leavesByMs: READ + 2_000,
    },
    permits: new Map([[orderId, permit]]),
  });
  if (registered.kind !== 'registered') throw new Error(registered.kind);
  await ledger.requests.answer(registered.requestId, {
    ...{ answer: 'accepted', state: 'failed', httpStatus: 200, errorCode: null, errorMessage: null },
    answeredAtMs: READ + 1_000,
  });
  await ledger.orders.settle({
    settlements: [
      {
        ...{ orderId, sessionId: 'sess_1', outcome: 'cancelled', attribution: 'strong', attempts: 1, turnKey: null },
        endedAtMs: READ + 3_000,
      },
    ],
    events: [{ kind: 'restarted', sessionId: 'sess_1', orderId, data: { turn: 'turn_2' } }],
    alertedOrderIds: [],
  });
  await ledger.exemptions.add({ sessionId: 'sess_1', forMs: 60_000, reason: 'month end', by: 'ana@host' });
  await planIn(ledger, 'b-1', ['sess_1']);
  const { db, close } = await openDatabase(home.ledgerUrl);
  await db
    .updateTable('bulk_jobs')
    .set({ state: 'finished', applied_at: READ + 60_000, applied_by: 'bo@host' })
    .execute();
  await db
    .updateTable('bulk_targets')
    .set({
      ...{ status: 'cancelled', attempts: 1, sent_at: READ + 61_900, read_at: READ + 61_000, answer: 'accepted' },
      ...{ answered_at: READ + 61_000, answer_state: 'failed', attribution: 'strong', ended_at: READ + 63_000 },
      decided_at: READ + 64_000,
    })
    .execute();
  await close();
}

describe('curfew cases ID --evidence', () => {
  it('has every read, request, answer and time on one page, each with its clock', async () => {
    await story();
    const { stdout, exitCode } = await home.run('cases', 'sess_1', '--evidence');
    expect(exitCode).toBe(0);
    for (const line of [
      /^rule +p, version 3 \(curfew policy show 3\)$/m,
      /^observed +value=3240000 errorBound=10000 unit=ms limitReachedAt=2026-01-05T11:51:00.000Z$/m,
      /^vendor +2026-01-05T12:00:03.000Z first seen to be over$/m,
      /^ours +\S+Z outcome written$/m,
      /^NO +TURN +READ \(vendor\) +LET OUT \(ours\) +LEFT BY \(vendor\) +ANSWERED \(vendor\) +ANSWER +WORKER$/m,
      /^1 +turn_1 +2026-01-05T12:00:00.000Z +\S+Z +2026-01-05T12:00:02.000Z +2026-01-05T12:00:01.000Z +accepted, state failed, HTTP 200 +worker-7$/m,
      /^job +b-1, target 0$/m,
      /^vendor +2026-01-05T12:01:01.000Z answered: accepted, state failed$/m,
      /^ours +2026-01-05T12:01:01.900Z last request let out$/m,
      /ana@host +month end$/m,
      /^\S+Z +p +turn_1$/m,
      / restarted +\{"turn":"turn_2"\}$/m,
    ]) {
      expect(stdout).toMatch(line);
    }
  });

  it('has the same in JSON, with the times of each clock apart', async () => {
    await story();
    expect(await home.json('cases', 'sess_1', '--evidence')).toMatchObject({
      sessionId: 'sess_1',
      orders: [{ outcome: 'cancelled', reason: { policyVersion: 3 }, decidedAt: expect.any(String) }],
      requests: [
        {
          ...{ attempt: 1, answer: 'accepted', httpStatus: 200, status: 'answered', worker: 'worker-7' },
          vendor: { readAt: '2026-01-05T12:00:00.000Z', answeredAt: '2026-01-05T12:00:01.000Z' },
          ours: { letOutAt: expect.any(String) },
        },
      ],
      bulk: [
        {
          ...{ planId: 'b-1', status: 'cancelled', by: 'bo@host', hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
          ours: { sentAt: '2026-01-05T12:01:01.900Z', appliedAt: '2026-01-05T12:01:00.000Z' },
          vendor: { answeredAt: '2026-01-05T12:01:01.000Z', endedAt: '2026-01-05T12:01:03.000Z' },
        },
      ],
      exemptions: [{ by: 'ana@host', reason: 'month end' }],
      permits: [{ policy: 'p', turnKey: 'turn_1' }],
      events: [{ kind: 'restarted' }, { kind: 'exempt' }],
    });
  });

  it('says which worker carries an order out without a case', async () => {
    const order = {
      ...({ source: 'policy', requestedBy: 'policy p', evenIfExempt: false, turnKey: 'turn_1' } as const),
      reason: { text: 'x', policy: 'p', policyVersion: 1, limit: null, observed: null },
    };
    await home.ledger.orders.create({ ...order, sessionId: 'sess_1', holder: 'host:1:\u202Eabc' });
    await home.ledger.orders.create({ ...order, sessionId: 'sess_2' });
    const { stdout } = await home.run('cases', 'sess_1', '--evidence');
    expect(stdout).toMatch(/^case +none in Temporal: carried out by worker host:1:[^\u202E]*abc$/m);
    expect(await home.json('cases', 'sess_1', '--evidence')).toMatchObject({
      orders: [{ holder: expect.any(String) }],
    });
    expect((await home.run('cases', 'sess_1')).stdout).toMatch(
      /^carried out by worker host:1:[^\u202E]*abc, without a case/m,
    );
    expect((await home.run('cases', 'sess_2', '--evidence')).stdout).not.toContain('carried out by worker');
    expect(await home.json('cases', 'sess_2', '--evidence')).toMatchObject({ orders: [{ holder: null }] });
  });

  it('tells a request without an answer, and one that was not sent', async () => {
    await story();
    const { db, close } = await openDatabase(home.ledgerUrl);
    await db.updateTable('requests').set({ status: 'open', answer: null, answered_at: null }).execute();
    expect((await home.run('cases', 'sess_1', '--evidence')).stdout).toMatch(/ – +none recorded: effect unknown /);
    await db.updateTable('requests').set({ status: 'withdrawn' }).execute();
    await close();
    expect((await home.run('cases', 'sess_1', '--evidence')).stdout).toContain('not sent: withdrawn');
  });

  it('says what it does not have, and that there is nothing', async () => {
    await home.ledger.exemptions.add({ sessionId: 'sess_2', forMs: 60_000, reason: null, by: 'ana@host' });
    const { stdout } = await home.run('cases', 'sess_2', '--evidence');
    expect(stdout).toContain('None: orders, requests for orders, bulk jobs, permits under caps of policies.');
    const nothing = await home.run('cases', 'sess_3', '--evidence');
    expect(nothing).toMatchObject({
      exitCode: ExitCode.failed,
      stderr: expect.stringContaining('holds nothing of sess_3'),
    });
    expect((await home.run('cases', '--evidence')).exitCode).toBe(ExitCode.usage);
  });
});
