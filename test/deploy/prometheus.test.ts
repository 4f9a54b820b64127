import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { runCurfew, settingsFor, startReady, stopEverything, type Settings } from '../support/curfew-process.js';
import { makeHome, removeHome } from '../support/embedded-server.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';
import { DEPLOY } from '../monitoring/deployed.js';
import { checkMetrics } from './promtool.js';
import { startPrometheus, type Prometheus } from './start-prometheus.js';

/** Everything comes within seconds; hang limits. */
const STORY_LIMIT_MS = 300_000;
const BECOMES_LIMIT_MS = 60_000;
const POLICIES = `version: 1
policies:
  - name: runaways
    match: { agents: ["support-*"] }
    limits: { max_runtime: 45m }
    mode: enforce
`;

let home: string;
let folder: string;
let settings: Settings;
let simulator: Simulator;
/** Of the worker. */
let http: string;
let prometheus: Prometheus | undefined;

const value = async (expr: string): Promise<number | undefined> => (await prometheus?.query(expr))?.[0];
/** Says what there was instead when it takes too long: more than a hang limit would tell. */
async function becomes(expr: string, expected: number): Promise<void> {
  const until = performance.now() + BECOMES_LIMIT_MS;
  let last = await value(expr);
  while (last !== expected) {
    if (performance.now() > until) {
      const errors = await prometheus?.scrapeErrors();
      throw new Error(`${expr} is ${last}, not ${expected}; last scrapes: ${JSON.stringify(errors)}`);
    }
    await sleep(250);
    last = await value(expr);
  }
}

beforeAll(async () => {
  home = makeHome();
  folder = mkdtempSync(join(tmpdir(), 'curfew-prometheus-'));
  simulator = await startSimulator();
  simulator.world.addAgent({ id: 'agent_support', name: 'support-triage' });
  simulator.world.addSession({ agent: 'agent_support', id: 'sess_runaway', turnAge: '2h' });
  settings = await settingsFor(dirname(home), {
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: simulator.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    CURFEW_SCAN_INTERVAL: '1s',
    CURFEW_HTTP_ADDRESS: '127.0.0.1:0',
  });
  const policies = join(folder, 'curfew.yaml');
  writeFileSync(policies, POLICIES);
  const { ready } = await startReady(['up', policies], settings);
  ({ http } = ready as unknown as { http: string });
  prometheus = await startPrometheus(folder, new URL(http).host);
}, OBTAIN_LIMIT_MS);

afterAll(async () => {
  await prometheus?.stop();
  await stopEverything();
  await simulator.close();
  removeHome(home);
  rmSync(folder, { recursive: true, force: true });
});

describe('a real Prometheus with a real worker', () => {
  it(
    'reaches it, and sees which version it is and what it ended',
    async () => {
      await becomes('up{job="curfew"}', 1);
      await becomes('count(curfew_build_info)', 1);
      await becomes('max(curfew_policies_in_force{mode="enforce"})', 1);
      await becomes('sum(curfew_orders_settled_total{outcome="cancelled",policy="runaways"})', 1);
      expect(simulator.world.truth('sess_runaway').cancels).toHaveLength(1);
    },
    STORY_LIMIT_MS,
  );

  it('has nothing to say against the metrics that it serves', async () => {
    const text = await (await fetch(`${http}/metrics`)).text();
    const ours = text.split('\n').filter((line) => !/\btemporal_/.test(line) || line.startsWith('curfew_'));
    expect(ours.filter((line) => line.startsWith('curfew_orders_settled_total')).length).toBeGreaterThan(0);
    expect(checkMetrics(`${ours.join('\n')}\n`).says).not.toMatch(/curfew_|error/);
    // The whole of it can be parsed; how the SDK names things is its own affair.
    expect(checkMetrics(text).says).not.toMatch(/error while linting|parsing|invalid/);
  });

  it(
    'evaluates every rule without an error, and sees the series that rules on absence rely on',
    async () => {
      let rules = (await prometheus?.rules()) ?? [];
      while (rules.some(({ health }) => health === 'unknown')) {
        await sleep(250);
        rules = (await prometheus?.rules()) ?? [];
      }
      expect(rules.length).toBeGreaterThan(30);
      expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);

      const text = readFileSync(join(DEPLOY, 'prometheus', 'rules', 'curfew.yml'), 'utf8');
      const missed = [...text.matchAll(/absent\(([^)]+)\)/g)].map(([, selector = '']) => selector);
      expect(missed.length).toBeGreaterThan(2);
      for (const selector of missed)
        expect([selector, await prometheus?.query(`count(${selector})`)]).toEqual([selector, [1]]);
    },
    STORY_LIMIT_MS,
  );

  it(
    'has nothing to say about a worker that is well, but that alerting works',
    async () => {
      await becomes('count(ALERTS{alertname="CurfewWatchdog",alertstate="firing"})', 1);
      // What would fire after a while is pending before.
      await becomes('count(ALERTS{alertname!="CurfewWatchdog"}) or vector(0)', 0);
    },
    STORY_LIMIT_MS,
  );

  it(
    'sees the pause switch, which every command turns in the ledger',
    async () => {
      await becomes('max(curfew_paused)', 0);
      expect((await runCurfew(['pause', '--reason', 'a test'], settings)).code).toBe(0);
      await becomes('max(curfew_paused)', 1);
      await becomes('count(ALERTS{alertname="CurfewPausedLong",alertstate="pending"})', 1);
      expect((await runCurfew(['resume'], settings)).code).toBe(0);
      await becomes('max(curfew_paused)', 0);
    },
    STORY_LIMIT_MS,
  );
});
