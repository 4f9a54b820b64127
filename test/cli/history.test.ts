import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CommanderError } from 'commander';
import { registerHistory } from '../../src/cli/commands/history.js';
import { registerPolicy } from '../../src/cli/commands/policy.js';
import { pastMoment } from '../../src/cli/history-filter.js';
import type { OrderResult, Outcome } from '../../src/core/contract.js';
import { ExitCode } from '../../src/core/errors.js';
import { planIn } from '../support/bulk-plans.js';
import { openCommandHome, type CommandHome } from '../support/in-process.js';

const POLICY = `version: 1
policies:
  - name: support-limits
    match: { agents: ["support-*"] }
    limits: { max_runtime: 45m }
    mode: enforce
`;

let home: CommandHome;
beforeEach(async () => {
  home = await openCommandHome([registerPolicy, registerHistory]);
});
afterEach(() => home.close());

async function order(sessionId: string, outcome: Outcome | null, observed: number | null = null): Promise<void> {
  const { ledger } = home;
  const policy = observed === null ? null : 'support-limits';
  const orderId = await ledger.orders.create({
    ...{ sessionId, evenIfExempt: false, turnKey: 'turn_1', source: policy === null ? 'person' : 'policy' },
    requestedBy: policy === null ? 'ana@host' : `policy ${policy}`,
    reason: {
      ...{ text: policy === null ? 'loops' : 'has run long', policy, policyVersion: policy === null ? null : 1 },
      limit: policy === null ? null : { name: 'max_runtime', value: 45 * 60_000, unit: 'ms' },
      observed: observed === null ? null : { value: observed, errorBound: 0, unit: 'ms' },
    },
  });
  if (outcome === null) return;
  const settlement = { orderId, sessionId, outcome, attribution: null, attempts: 1, turnKey: null };
  await ledger.orders.settle({
    settlements: [{ ...settlement, endedAtMs: outcome === 'cancelled' ? Date.now() : null }],
    events: [],
    alertedOrderIds: [],
  });
}
async function story(): Promise<void> {
  const file = join(home.folder, 'curfew.yaml');
  writeFileSync(file, POLICY);
  await home.run('policy', 'apply', file, '--yes');
  await order('sess_a', 'cancelled', 54 * 60_000);
  await order('sess_b', 'forbidden', 86 * 60_000);
  await order('sess_c', 'cancelled');
  await order('sess_d', null);
}
const rowsOf = (stdout: string): string[] => stdout.trim().split('\n\n')[0]?.split('\n').slice(1) ?? [];

describe('curfew history', () => {
  it('has a row an act: what was put in force, what a policy ended, what a person ordered', async () => {
    await story();
    const { stdout, exitCode } = await home.run('history');
    expect(exitCode).toBe(0);
    const rows = rowsOf(stdout);
    expect(rows).toHaveLength(3);
    expect(rows[0]).toMatch(/@.* policies v1 of .*curfew.yaml +– +– +– +curfew policy show 1$/);
    expect(rows[1]).toMatch(
      /policy support-limits +support-limits, max_runtime, v1 +2 +1 cancelled, 1 forbidden +\d\d:\d\d:\d\dZ +54m to 1h 26m of 45m$/,
    );
    expect(rows[2]).toMatch(/ana@host +cancel +2 +1 cancelled, 1 open +\d\d:\d\d:\d\dZ +loops$/);
  });

  it('has a row a session with --sessions, and documents per session in JSON as ever', async () => {
    await story();
    expect(rowsOf((await home.run('history', '--sessions')).stdout)).toHaveLength(4);
    const { stdout } = await home.run('history', '--json');
    const results = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as OrderResult);
    expect(results.map(({ sessionId, outcome }) => [sessionId, outcome])).toEqual([
      ['sess_a', 'cancelled'],
      ['sess_b', 'forbidden'],
      ['sess_c', 'cancelled'],
      ['sess_d', null],
    ]);
  });

  it('has acts as documents and as CSV when they are asked for', async () => {
    await story();
    const { stdout } = await home.run('history', '--acts', '--json', '--policy', 'support-limits');
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ kind: 'policy', turns: 2, ended: 1, outcomes: { cancelled: 1, forbidden: 1 }, policyVersion: 1 },
      limits: [{ name: 'max_runtime', least: 54 * 60_000, most: 86 * 60_000 }],
    });
    const csv = (await home.run('history', '--acts', '--format', 'csv')).stdout.trim().split('\r\n');
    expect(csv[0]).toMatch(/^at,lastAt,kind,by,/);
    expect(csv).toHaveLength(4);
  });

  it('counts by group', async () => {
    await story();
    const { stdout } = await home.run('history', '--group-by', 'policy');
    expect(rowsOf(stdout)).toEqual([
      expect.stringMatching(/^– +2 +1 +1 cancelled, 1 open$/),
      expect.stringMatching(/^support-limits +2 +1 +1 cancelled, 1 forbidden$/),
    ]);
    expect(stdout).toContain('4 turns in 2 groups.');
    const json = (await home.run('history', '--group-by', 'outcome', '--json')).stdout.trim().split('\n');
    expect(json.map((line) => JSON.parse(line) as unknown)).toEqual([
      { key: 'cancelled', turns: 2, ended: 2, outcomes: { cancelled: 2 } },
      { key: 'forbidden', turns: 1, ended: 0, outcomes: { forbidden: 1 } },
      { key: 'open', turns: 1, ended: 0, outcomes: { open: 1 } },
    ]);
    expect((await home.run('history', '--group-by', 'day', '--until', '1h')).stdout).toBe('No orders.\n');
  });

  it('filters by who, outcome, agent and job', async () => {
    await story();
    await planIn(home.ledger, 'b-known', ['sess_x']);
    const sessions = async (...args: string[]) =>
      rowsOf((await home.run('history', '--sessions', ...args)).stdout).map((row) => row.split(/ +/)[1]);
    expect(await sessions('--by', 'ANA')).toEqual(['sess_c', 'sess_d']);
    expect(await sessions('--outcome', 'forbidden', 'open')).toEqual(['sess_b', 'sess_d']);
    expect((await home.run('history', '--agent', 'agent_9')).stdout).toBe('Nothing was ended or ordered.\n');
    expect((await home.run('history', '--job', 'b-kn')).stdout).toBe('Nothing was ended or ordered.\n');
  });

  it('shows events of some kinds', async () => {
    await story();
    await home.ledger.pauseSwitch.set(true, 'ana@host', 'looks wrong');
    const rows = rowsOf((await home.run('history', '--event', 'paused', 'resumed')).stdout);
    expect(rows).toEqual([expect.stringMatching(/ paused .*looks wrong/)]);
  });

  it.each([
    [
      'a policy that never was',
      ['--policy', 'support-limit'],
      'Did you mean support-limits? There are: support-limits.',
    ],
    ['a job that is not there', ['--job', 'b-none'], 'There is no bulk plan "b-none"'],
    ['two ways at once', ['--events', '--sessions'], '--events and --sessions do not go together'],
    ['a filter of orders with events', ['--event', 'paused', '--by', 'ana'], '--by select orders'],
  ])('refuses %s', async (_what, args, said) => {
    await story();
    const { stdout, stderr, exitCode } = await home.run('history', ...args);
    expect([exitCode, stdout]).toEqual([ExitCode.usage, '']);
    expect(stderr).toContain(said);
  });

  it.each([
    ['--outcome', 'cancelled, already-ended'],
    ['--event', 'policy-applied'],
    ['--group-by', 'policy, agent, by, outcome, day'],
  ])('%s with what there is not names what there is', async (option, named) => {
    const refusal: unknown = await home.run('history', option, 'nosuch').catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(CommanderError);
    expect((refusal as CommanderError).message).toContain(named);
  });
});

it('days are known by their names, from midnight UTC', () => {
  const monday = Date.UTC(2026, 0, 5, 12);
  const at = (text: string) => new Date(pastMoment(text, '--since', monday)).toISOString();
  expect(['today', 'Yesterday', 'sunday', 'monday', 'tuesday'].map(at)).toEqual([
    '2026-01-05T00:00:00.000Z',
    '2026-01-04T00:00:00.000Z',
    '2026-01-04T00:00:00.000Z',
    '2025-12-29T00:00:00.000Z',
    '2025-12-30T00:00:00.000Z',
  ]);
});
