import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Simulator, Truth } from '../../simulator/index.js';
import type { BulkStatus, OrderResult } from '../../src/core/contract.js';
import { ExitCode } from '../../src/core/errors.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { sessionIds, targetsOf, totalsOf } from '../support/bulk-plans.js';
import { runCurfew, startReady, type CurfewProcess, type Ready, type Settings } from '../support/curfew-process.js';
import { temporalBinary, until } from '../support/embedded-server.js';
import { scrape, type Scrape } from '../support/exposition.js';
import { openHome, type OwnHome } from '../support/own-home.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit. */
const LIMIT_MS = 5 * 60_000;
const SECOND = 1_000;
const MAX_RUNTIME_MS = 12 * SECOND;
const SESSION_CREDITS = 50;

const POLICIES = `version: 1
policies:
  - name: runaways
    match: { agents: ["support-*"] }
    limits: { max_runtime: 12s }
    mode: enforce
    caps: { max_percent: 100 }
  - name: spenders
    match: { agents: ["spender"] }
    limits: { max_session_credits: ${SESSION_CREDITS} }
    mode: enforce
    caps: { max_percent: 100 }
  - name: watchers
    match: { agents: ["nobody"] }
    limits: { max_runtime: 1h }
`;

const OVERDUE = sessionIds(4, 'sess_overdue');
const BY_HAND = ['sess_plain', 'sess_stubborn', 'sess_resting'];
const IN_BULK = sessionIds(6, 'sess_bulk');

let own: OwnHome;
let simulator: Simulator;
let settings: Settings;
let worker: CurfewProcess;
let ready: Ready & { readonly http: string };
let ledger: Ledger;
/** When all was over, and what the vendor had been asked by then. */
let seen: Scrape;
let asked: Truth['requests'];
let orders: OrderResult[];
let job: BulkStatus;

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);

beforeAll(async () => {
  own = await openHome({ CURFEW_HTTP_ADDRESS: '127.0.0.1:0', CURFEW_SCAN_INTERVAL: '5s' }, { agents: [] });
  ({ simulator, settings } = own);
  const { world } = simulator;
  world.addAgent({ id: 'agent_support', name: 'support-bot' });
  world.addAgent({ id: 'agent_spender', name: 'spender' });
  world.addAgent({ id: 'agent_other', name: 'other' });
  const file = join(own.folder, 'policies.yaml');
  writeFileSync(file, POLICIES);
  const started = await startReady(['up', file], settings);
  worker = started.process;
  ready = started.ready as typeof ready;
  ledger = await openLedger(ready.ledger);

  for (const id of OVERDUE) world.addSession({ agent: 'agent_support', id });
  world.addSession({
    ...{ agent: 'agent_spender', id: 'sess_spender', usageBefore: { credits: 80 }, usagePerSecond: { credits: 2 } },
  });
  for (const id of [...BY_HAND, ...IN_BULK]) world.addSession({ agent: 'agent_other', id });
  world.endTurn('sess_resting');
  world.addFaults({ sessionId: 'sess_stubborn' }, [
    { fault: 'failed-to-abort' },
    { fault: 'server-error', on: 'retrieve', times: 2 },
  ]);
  world.addFaults({ agentId: 'agent_support' }, [{ fault: 'rate-limited', on: 'list' }]);

  const planId = await planFor(IN_BULK);
  const applied = await runCurfew(['bulk', 'apply', planId, '--yes', '--json'], settings);
  expect({ code: applied.code, stderr: applied.stderr }).toMatchObject({ code: ExitCode.done });
  const cancelled = await runCurfew(['cancel', ...BY_HAND, '--json'], settings);
  expect({ code: cancelled.code, stderr: cancelled.stderr }).toMatchObject({ code: ExitCode.done });

  const isOver = async (): Promise<boolean> => {
    orders = await ordersSoFar();
    job = await statusOf(planId);
    const settled = orders.filter(({ outcome }) => outcome !== null);
    return settled.length === OVERDUE.length + 1 + BY_HAND.length && job.state === 'finished';
  };
  await until(isOver, 3 * 60_000);
  seen = await quietMoment();
}, LIMIT_MS);

afterAll(async () => {
  await ledger.close();
  await own.close();
}, 60_000);

async function planFor(ids: readonly string[]): Promise<string> {
  const planId = 'b-metrics';
  const plan = { planId, by: 'ops@example.com', source: 'person', cleanup: null, reason: null } as const;
  await ledger.bulk.begin({ ...plan, selection: { command: 'curfew bulk plan' } });
  const targets = targetsOf(ids, { agentId: 'agent_other', turnKey: null, seenAtMs: Date.now() });
  await ledger.bulk.addTargets(planId, 0, targets);
  await ledger.bulk.seal(planId, { totals: totalsOf(ids.length), hash: await ledger.bulk.hash(planId) });
  return planId;
}

async function ordersSoFar(): Promise<OrderResult[]> {
  const { stdout } = await runCurfew(['history', '--json'], settings);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as OrderResult)
    .filter(({ sessionId }) => !IN_BULK.includes(sessionId));
}

async function statusOf(planId: string): Promise<BulkStatus> {
  const { stdout } = await runCurfew(['bulk', 'status', planId, '--json'], settings);
  return JSON.parse(stdout) as BulkStatus;
}

/** A scrape during which nothing was asked of the vendor: then what both have counted is about the same requests. */
async function quietMoment(): Promise<Scrape> {
  let found: Scrape | null = null;
  await until(async () => {
    const before = JSON.stringify(simulator.world.requestCounts().requests);
    const scraped = await scrape(ready.http);
    const after = simulator.world.requestCounts().requests;
    const answered = scraped.sum('curfew_api_requests_total');
    if (before === JSON.stringify(after) && answered === Object.values(after).reduce((sum, count) => sum + count, 0)) {
      found = scraped;
      asked = after;
    }
    return found !== null;
  }, 60_000);
  if (found === null) throw new Error('There was no quiet moment.');
  return found;
}

const turnOf = (id: string) => simulator.world.truth(id).sessions[id]?.turns.at(-1);
const sendings = (id: string) => simulator.world.truth(id).cancels;

describe('a worker that is scraped', () => {
  it.each([
    ['listTeams', 'teams'],
    ['listAgents', 'agents'],
    ['listSessions', 'list'],
    ['retrieveSession', 'retrieve'],
    ['cancelSession', 'cancel'],
    ['listQueue', 'queue'],
  ] as const)('has counted as many requests of %s as the vendor', (operation, counted) => {
    const scraped = seen.sum('curfew_api_requests_total', { operation });
    expect(seen.value('curfew_api_request_duration_seconds_count', { operation }) ?? 0).toBe(scraped);
    expect(scraped).toBe(asked[counted]);
    expect(scraped).toBeGreaterThan(0);
  });

  it('has counted every cancel request, and how each was answered', () => {
    const { cancels } = simulator.world.truth();
    expect(seen.sum('curfew_api_requests_total', { operation: 'cancelSession' })).toBe(cancels.length);
    const accepted = cancels.filter(({ answered }) => answered.status === 200).length;
    expect(seen.value('curfew_api_requests_total', { operation: 'cancelSession', result: 'ok' })).toBe(accepted);
    expect(seen.value('curfew_api_requests_total', { operation: 'cancelSession', result: 'failed-to-abort' })).toBe(1);
    expect(seen.value('curfew_api_requests_total', { operation: 'retrieveSession', result: 'server-error' })).toBe(2);
    expect(seen.value('curfew_api_requests_total', { operation: 'listSessions', result: 'rate-limited' })).toBe(1);
  });

  it('has counted the outcomes that the history tells', () => {
    const counted = (orders: readonly OrderResult[]) => {
      const counts: Record<string, number> = {};
      for (const { outcome, attribution, reason } of orders) {
        const key = `${outcome} ${attribution ?? 'none'} ${reason.policy ?? ''}`;
        counts[key] = (counts[key] ?? 0) + 1;
      }
      return counts;
    };
    const scraped = seen
      .all('curfew_orders_settled_total')
      .filter(({ labels }) => labels['by'] !== 'bulk')
      .map(({ labels, value }) => [`${labels['outcome']} ${labels['attribution']} ${labels['policy']}`, value]);
    expect(Object.fromEntries(scraped)).toEqual(counted(orders));
    expect(seen.sum('curfew_orders_settled_total', { by: 'person' })).toBe(BY_HAND.length);
    expect(seen.sum('curfew_orders_settled_total', { by: 'policy', policy: 'runaways' })).toBe(OVERDUE.length);
    expect(seen.value('curfew_orders_opened_total', { by: 'policy', policy: 'runaways' })).toBe(OVERDUE.length);
    expect(seen.value('curfew_orders_opened_total', { by: 'policy', policy: 'spenders' })).toBe(1);
  });

  it('has counted the targets that a bulk job settled itself', () => {
    const scraped = seen
      .all('curfew_orders_settled_total')
      .filter(({ labels }) => labels['by'] === 'bulk')
      .map(({ labels, value }) => [labels['outcome'], value]);
    expect(Object.fromEntries(scraped)).toEqual(job.progress.outcomes);
    expect(seen.value('curfew_accepted_to_confirmed_seconds_count', { by: 'bulk' })).toBe(IN_BULK.length);
  });

  it('calls cancelled what the vendor ended by a cancel request', () => {
    const ended = [...OVERDUE, 'sess_spender', ...BY_HAND, ...IN_BULK].filter((id) => turnOf(id)?.endedAs === 'failed');
    expect(seen.sum('curfew_orders_settled_total', { outcome: 'cancelled' })).toBe(ended.length);
    expect(
      seen.value('curfew_orders_settled_total', {
        ...{ outcome: 'already-ended', attribution: 'none', by: 'person', policy: '' },
      }),
    ).toBe(1);
  });

  it('measures the lag of detection as it was', () => {
    const lag = (id: string): number => {
      const startedAt = turnOf(id)?.startedAt ?? NaN;
      return ((sendings(id)[0]?.at ?? NaN) - startedAt - MAX_RUNTIME_MS) / SECOND;
    };
    const truth = OVERDUE.reduce((sum, id) => sum + lag(id), 0);
    const n = OVERDUE.length;
    const detected = seen.value('curfew_detection_lag_seconds_sum', { policy: 'runaways' }) ?? NaN;
    const toAccepted = seen.value('curfew_decision_to_accepted_seconds_sum', { by: 'policy' }) ?? NaN;
    expect(seen.value('curfew_detection_lag_seconds_count', { policy: 'runaways' })).toBe(n);
    // The vendor's time is read from headers of whole seconds, so it is up to a second late.
    expect(detected).toBeLessThanOrEqual(truth + n * 1);
    expect(detected + toAccepted).toBeGreaterThanOrEqual(truth - n * 1);
    // Usage has no deadline.
    expect(seen.value('curfew_detection_lag_seconds_count', { policy: 'spenders' })).toBeUndefined();
    expect(seen.value('curfew_decision_to_accepted_seconds_count', { by: 'policy' })).toBe(n + 1);
    expect(seen.value('curfew_decision_to_accepted_seconds_count', { by: 'person' })).toBe(2);
  });

  it('measures how far turns went past their limit', () => {
    const labels = { policy: 'runaways', limit: 'max_runtime' };
    expect(seen.value('curfew_overshoot_seconds_count', labels)).toBe(OVERDUE.length);
    const past = (id: string): number =>
      ((turnOf(id)?.endedAt ?? NaN) - (turnOf(id)?.startedAt ?? NaN) - MAX_RUNTIME_MS) / SECOND;
    const truth = OVERDUE.reduce((sum, id) => sum + past(id), 0);
    // It is seen over some seconds after it was.
    expect(seen.value('curfew_overshoot_seconds_sum', labels)).toBeGreaterThanOrEqual(truth - OVERDUE.length * 1);

    const spent = { policy: 'spenders', limit: 'max_session_credits' };
    expect(seen.value('curfew_overshoot_credits_count', spent)).toBe(1);
    const { startedAt = null, endedAt = null } = turnOf('sess_spender') ?? {};
    const spentInTurn = (2 * ((endedAt ?? NaN) - (startedAt ?? NaN))) / SECOND;
    const overspent = seen.value('curfew_overshoot_credits_sum', spent) ?? NaN;
    expect(overspent).toBeGreaterThanOrEqual(80 - SESSION_CREDITS);
    expect(overspent).toBeLessThanOrEqual(80 - SESSION_CREDITS + spentInTurn + 0.01);
  });

  it('shows how things stand by the ledger', () => {
    expect(seen.value('curfew_ledger_up')).toBe(1);
    expect(seen.value('curfew_temporal_up')).toBe(1);
    expect(seen.value('curfew_policies_in_force', { mode: 'enforce' })).toBe(2);
    expect(seen.value('curfew_policies_in_force', { mode: 'observe' })).toBe(1);
    expect(seen.value('curfew_policy_version')).toBe(1);
    expect(seen.value('curfew_agents', { status: 'seen' })).toBe(3);
    expect(seen.value('curfew_agents', { status: 'not_found' })).toBe(1);
    expect(seen.value('curfew_open_orders')).toBe(0);
    expect(seen.value('curfew_oldest_open_order_timestamp_seconds')).toBeUndefined();
    expect(seen.value('curfew_breaker_open', { policy: 'runaways' })).toBe(0);
    expect(seen.value('curfew_scan_interval_seconds')).toBe(5);
    expect(seen.value('curfew_scans_total', { result: 'complete' })).toBeGreaterThan(0);
    expect(seen.value('curfew_last_complete_scan_timestamp_seconds')).toBeGreaterThan(1.7e9);
  });

  it("hands on the metrics of Temporal's SDK under the names that its alert rules have", () => {
    expect(seen.sum('temporal_workflow_completed_total')).toBeGreaterThan(0);
    expect(seen.sum('temporal_activity_execution_latency_seconds_count')).toBeGreaterThan(0);
    expect(seen.value('process_cpu_user_seconds_total')).toBeGreaterThan(0);
  });

  it('has no label with the id of a session, and no secret', () => {
    for (const id of [...OVERDUE, 'sess_spender', ...BY_HAND, ...IN_BULK]) expect(seen.text).not.toContain(id);
    expect(seen.text).not.toContain(simulator.apiKey);
  });

  it('says that it is alive and ready', async () => {
    const healthz = await fetch(`${ready.http}/healthz`);
    expect([healthz.status, await healthz.json()]).toEqual([200, { status: 'ok' }]);
    const readyz = await fetch(`${ready.http}/readyz`);
    expect([readyz.status, await readyz.json()]).toEqual([200, { status: 'ready' }]);
  });

  it('stops serving when it ends', async () => {
    worker.signal('SIGTERM');
    expect((await worker.ended).code).toBe(0);
    await expect(fetch(`${ready.http}/healthz`)).rejects.toThrow();
  }, 120_000);
});

it('a port that is taken is told, with what to do', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = other.address() as { port: number };
    const taken = { ...settings, CURFEW_HTTP_ADDRESS: `127.0.0.1:${port}` };
    const { code, stderr } = await runCurfew(['up'], taken);
    expect(code).toBe(ExitCode.usage);
    expect(stderr).toContain(`CURFEW_HTTP_ADDRESS is 127.0.0.1:${port}`);
    expect(stderr).toMatch(/another process listens there/);
    expect(stderr).not.toMatch(/\n\s+at .*:\d+/);
  } finally {
    other.close();
  }
}, 120_000);
