import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Command } from 'commander';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { registerPolicy } from '../../src/cli/commands/policy.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { noteEndedRuns } from '../../src/adapters/ledger/ended-runs.js';

const AGENT = 'agent_1';
const TRIGGER = 'trg_nightly';
const log = { debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() };

let simulator: Simulator;
let folder: string;
let ledger: Ledger;
const settings = { ...process.env };

beforeEach(async () => {
  simulator = await startSimulator({ slots: 100 });
  folder = mkdtempSync(join(tmpdir(), 'curfew-plan-'));
  process.env = {
    PATH: settings['PATH'],
    HOME: folder,
    CURFEW_HOME: folder,
    CURFEW_DATABASE_URL: join(folder, 'ledger.db'),
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: simulator.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
  };
  ledger = await openLedger(join(folder, 'ledger.db'));
});
afterEach(async () => {
  process.env = settings;
  process.exitCode = undefined;
  await ledger.close();
  await simulator.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Plan {
  readonly policies: readonly { readonly endNow: number }[];
  readonly triggersAtRisk: readonly object[];
}

/** Runs `curfew policy plan` within this process. */
async function plan(mode = 'enforce'): Promise<{ words: string; document: Plan }> {
  const file = join(folder, 'curfew.yaml');
  writeFileSync(
    file,
    `version: 1\npolicies:\n  - name: a\n    match: { agents: ["*"] }\n    limits: { max_runtime: 1h }\n    mode: ${mode}\n`,
  );
  const run = async (...flags: string[]): Promise<string> => {
    const program = new Command('curfew').option('--json').exitOverride();
    registerPolicy(program);
    let stdout = '';
    const silenced = jest.spyOn(process.stderr, 'write').mockImplementation(() => true);
    const spy = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      stdout += String(text);
      return true;
    });
    try {
      await program.parseAsync([...flags, 'policy', 'plan', file], { from: 'user' });
    } finally {
      spy.mockRestore();
      silenced.mockRestore();
    }
    return stripVTControlCharacters(stdout);
  };
  return { words: await run(), document: JSON.parse(await run('--json')) as Plan };
}

const addRuns = (count: number, triggerId: string | null = TRIGGER): void => {
  for (let i = 0; i < count; i += 1) simulator.world.addSession({ agent: AGENT, triggerId, turnAge: '2h' });
};
const addAgent = (trigger: object = {}): unknown =>
  simulator.world.addAgent({ id: AGENT, triggers: [{ id: TRIGGER, ...trigger }] });

describe('policy plan', () => {
  it('warns when it would end as many sessions of one trigger as switch it off', async () => {
    addAgent();
    addRuns(3);
    const { words, document } = await plan();
    expect(document.triggersAtRisk).toEqual([
      { agentId: AGENT, triggerId: TRIGGER, endNow: 3, endedBefore: 0, maxFailures: 3 },
    ]);
    expect(words).toContain(
      `This would end 3 sessions of trigger ${TRIGGER} of agent ${AGENT} now. The vendor switches a trigger off after 3 failed runs in a row, and may count a cancelled run as failed.`,
    );
  });

  it('counts sessions of it that were ended lately', async () => {
    addAgent();
    addRuns(1);
    const note = noteEndedRuns(ledger, log);
    await note({ sessionId: 'sess_a', agentId: AGENT, triggerId: TRIGGER });
    expect((await plan()).document.triggersAtRisk).toEqual([]);
    await note({ sessionId: 'sess_b', agentId: AGENT, triggerId: TRIGGER });
    const { words, document } = await plan();
    expect(document.triggersAtRisk).toEqual([
      { agentId: AGENT, triggerId: TRIGGER, endNow: 1, endedBefore: 2, maxFailures: 3 },
    ]);
    expect(words).toContain('This would end 1 session of trigger');
    expect(words).toContain('now, after 2 in the last week.');
  });

  it.each([
    ['fewer than it takes', {}, 2, 'enforce'],
    ['a trigger that is off already', { enabled: false }, 5, 'enforce'],
    ['a trigger that takes more', { maxFailures: 10 }, 5, 'enforce'],
    ['a policy that only observes', {}, 5, 'observe'],
  ])('does not warn of %s', async (_what, trigger, runs, mode) => {
    addAgent(trigger);
    addRuns(runs);
    const { document } = await plan(mode);
    expect(document.policies[0]?.endNow).toBe(runs);
    expect(document.triggersAtRisk).toEqual([]);
  });

  it('reckons with three where the vendor does not say, and asks about no agent without such sessions', async () => {
    addAgent();
    addRuns(5, null);
    await plan();
    expect(simulator.world.requestCounts().requests.triggers).toBe(0);
    addRuns(3);
    simulator.world.setFaults({ agentId: AGENT }, [{ fault: 'not-found', on: 'triggers', times: 'forever' }]);
    const { words, document } = await plan();
    expect(document.triggersAtRisk).toEqual([
      { agentId: AGENT, triggerId: TRIGGER, endNow: 3, endedBefore: 0, maxFailures: null },
    ]);
    expect(words).toContain('after some failed runs in a row (usually 3)');
  });
});
