import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Command } from 'commander';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { registerBulk } from '../../src/cli/commands/bulk.js';
import { registerCases } from '../../src/cli/commands/cases.js';
import { registerDoctor } from '../../src/cli/commands/doctor.js';
import { registerExempt } from '../../src/cli/commands/exempt.js';
import { registerExplain } from '../../src/cli/commands/explain.js';
import { registerHistory } from '../../src/cli/commands/history.js';
import { registerPause } from '../../src/cli/commands/pause.js';
import { registerPolicy } from '../../src/cli/commands/policy.js';
import { registerStatus } from '../../src/cli/commands/status.js';
import { UserError } from '../../src/core/errors.js';
import { writeCoverage } from '../../src/adapters/ledger/coverage.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';

const HOUR = 3_600_000;
/** Ends its line, clears the screen, paints, turns the reading direction, hides a character. */
const EVIL = 'evil\u001b[2J\u001b[31mred\nline2\u202Egnp\u0085\u200B\u009B1A';
const UNSAFE = /[^\P{C}\n]|[\u2028\u2029]/u;

let folder: string;
let simulator: Simulator;
let ledger: Ledger;
const saved = { ...process.env };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-outside-text-'));
  simulator = await startSimulator({ slots: 100 });
  simulator.world.addAgent({ id: 'agent_a', name: EVIL });
  simulator.world.addSession({ id: 'a;id', agent: 'agent_a', turnAge: 3 * HOUR, age: 4 * HOUR });
  // Ends a text in C, has half a character, and is far too long.
  simulator.world.addAgent({ id: 'agent_b', name: `${EVIL}\u0000\ud800${'z'.repeat(10_000)}` });
  simulator.world.addSession({ id: 'b-id', agent: 'agent_b', turnAge: 3 * HOUR, age: 4 * HOUR });
  Object.assign(process.env, {
    CURFEW_HOME: folder,
    CURFEW_DATABASE_URL: join(folder, 'ledger.db'),
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: simulator.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    TEMPORAL_ADDRESS: '127.0.0.1:1',
  });
  ledger = await openLedger(join(folder, 'ledger.db'));
  await ledger.pauseSwitch.set(true, EVIL, EVIL);
  await ledger.orders.create({
    sessionId: 'a;id',
    source: 'person',
    requestedBy: EVIL,
    reason: { text: EVIL, policy: null, policyVersion: null, limit: null, observed: null },
    evenIfExempt: false,
    turnKey: null,
  });
  await ledger.recordEvents([{ kind: 'coverage-lost', data: { problem: EVIL, agents: [EVIL] } }]);
  await writeCoverage(ledger, {
    ...{ atMs: 1, completeAtMs: null, durationMs: 1, scanMs: 1_000, policyVersion: 1, agents: 1 },
    unreadable: { count: 1, first: [{ agentId: 'agent_a', name: EVIL, problem: EVIL }] },
    notFound: [EVIL],
    teams: {
      ...{
        source: 'listed',
        problem: EVIL,
        watched: { count: 1, first: [{ id: 'team_1', name: EVIL, agents: 1 }] },
        notConcerned: 0,
      },
      unreadable: { count: 1, first: [{ id: 'team_2', name: EVIL, problem: EVIL }] },
      notShown: [{ id: EVIL, name: EVIL, problem: EVIL }],
    },
    live: { processing: 1, queued: 0 },
    problem: EVIL,
  });
  writeFileSync(
    join(folder, 'policies.yaml'),
    'version: 1\npolicies:\n  - name: a\n    match: { agents: ["evil*", "b\u202Ec"] }\n    limits: { max_runtime: 1h }\n    mode: enforce\n',
  );
  writeFileSync(join(folder, 'broken.yaml'), `version: 1\npolicies:\n  - name: "\u202E\\e[2J"\n`);
  writeFileSync(join(folder, 'ids.txt'), `sess_1\ntwo words\u202E\u001b[2J\n`);
});
afterEach(() => {
  process.exitCode = undefined;
});
afterAll(async () => {
  for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
  Object.assign(process.env, saved);
  await ledger.close();
  await simulator.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a command within this process. @returns all that it wrote, or said as its error */
async function curfew(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const program = new Command('curfew').option('--json').exitOverride();
  for (const register of [
    ...[registerBulk, registerCases, registerExempt, registerExplain],
    ...[registerHistory, registerPause, registerPolicy, registerStatus, registerDoctor],
  ]) {
    register(program);
  }
  const all = program.commands.flatMap((command) => [command, ...command.commands]);
  for (const command of all) command.exitOverride().option('--json');
  let [stdout, stderr] = ['', ''];
  const spies = [
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => Boolean((stdout += String(text)))),
    jest.spyOn(process.stderr, 'write').mockImplementation((text) => Boolean((stderr += String(text)))),
  ];
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    stderr += `${error.message}\n${error.next}\n`;
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return { stdout, stderr };
}

const file = (name: string): string => join(folder, name);

describe('text that others chose', () => {
  const commands: [string, () => string[], boolean][] = [
    ['status', () => ['status'], true],
    ['explain', () => ['explain', 'a;id'], true],
    ['cases', () => ['cases'], true],
    ['cases ID', () => ['cases', 'a;id'], true],
    ['history', () => ['history'], true],
    ['history --sessions', () => ['history', '--sessions'], true],
    ['history --group-by', () => ['history', '--group-by', 'by'], false],
    ['cases ID --evidence', () => ['cases', 'a;id', '--evidence'], true],
    ['exempt list', () => ['exempt', 'list'], false],
    ['history --events', () => ['history', '--events'], true],
    ['explain of an agent with a long name', () => ['explain', 'b-id'], true],
    ['doctor', () => ['doctor'], true],
    ['pause --reason', () => ['pause', '--reason', EVIL], true],
    ['exempt --reason', () => ['exempt', 'other', '--for', '1h', '--reason', EVIL], false],
    ['bulk plan', () => ['bulk', 'plan', '--all', '--reason', EVIL], true],
    ['bulk plan with an agent that is not there', () => ['bulk', 'plan', '--agent', `x ${EVIL}`], true],
    ['bulk plan --ids-file', () => ['bulk', 'plan', '--ids-file', file('ids.txt')], true],
    ['bulk status', () => ['bulk', 'status'], true],
    ['policy check', () => ['policy', 'check', file('policies.yaml')], false],
    ['policy check of a broken file', () => ['policy', 'check', file('broken.yaml')], false],
    ['policy plan', () => ['policy', 'plan', file('policies.yaml')], true],
    ['an error that quotes it', () => ['policy', 'check', file(EVIL)], false],
  ];

  it.each(commands)('is one line without control characters: %s', async (_name, args, shows) => {
    const { stdout, stderr } = await curfew(...args());
    const text = `${stdout}${stderr}`;
    expect(text).not.toMatch(UNSAFE);
    expect(text).not.toMatch(/^line2/m);
    // Even a line with several names.
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(4_100);
    if (shows) expect(text).toMatch(/evil\[2J\[31mred line2|two words/);
  });

  it.each(commands)('is escaped in JSON: %s', async (_name, args) => {
    const { stdout, stderr } = await curfew(...args(), '--json');
    expect(`${stdout}${stderr}`).not.toMatch(UNSAFE);
    for (const line of stdout.trim().split('\n')) if (line !== '') JSON.parse(line);
  });

  it('is what it is in JSON', async () => {
    const { stdout } = await curfew('explain', 'a;id', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ seen: { agentName: EVIL } });
  });

  it('is printable in CSV', async () => {
    expect((await curfew('history', '--format', 'csv')).stdout).not.toMatch(/[^\P{C}\r\n]/u);
    expect((await curfew('history', '--events', '--format', 'csv')).stdout).not.toMatch(/[^\P{C}\r\n]/u);
  });
});

describe('a command in a hint', () => {
  it.each([
    ['explain', ['explain', 'a;id'], `curfew cases abandon 'a;id' --reason`],
    ['cases', ['cases', 'a;id'], `--workflow-id 'cancel/a;id'`],
    ['an error', ['cases', 'b;id'], `curfew cancel 'b;id' --wait`],
    ['cases retry', ['cases', 'abandon', 'b&id', '--reason', 'x'], null],
    ['a broken file', ['policy', 'check', 'no such file;id.yaml'], null],
  ])('can be pasted into a shell: %s', async (_name, args, hint) => {
    const { stdout, stderr } = await curfew(...args);
    const text = `${stdout}${stderr}`;
    if (hint !== null) expect(text).toContain(hint);
    expect(text).not.toMatch(/curfew [a-z ]+[ab][;&]id/);
  });
});
