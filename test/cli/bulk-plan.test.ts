import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Command } from 'commander';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { planWords, plannedWords } from '../../src/cli/bulk-plan-words.js';
import { registerBulkPlan } from '../../src/cli/commands/bulk-plan.js';
import { registerCancel } from '../../src/cli/commands/cancel.js';
import type { BulkStatus } from '../../src/core/contract.js';
import { openDatabase } from '../../src/adapters/ledger/open.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import type { Policy, PolicyFile } from '../../src/core/policy/policy.js';
import { runHere, type Said } from '../support/in-process.js';

const HOUR = 3_600_000;

const registerBulk = (program: Command): void => registerBulkPlan(program.command('bulk'));

let folder: string;
let simulator: Simulator;
let ledger: Ledger;
const saved = { ...process.env };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-bulk-plan-'));
  simulator = await startSimulator({ slots: 100 });
  const { world } = simulator;
  world.addAgent({ id: 'agent_a', name: 'support-triage' });
  world.addAgent({ id: 'agent_b', name: 'research' });
  world.addAgent({ id: 'agent_t', name: 'of a team', teamId: 'team_7' });
  world.addSession({ id: 'old', agent: 'agent_a', turnAge: 3.1 * HOUR, age: 50 * HOUR, creatorUserId: 'user_9' });
  world.addSession({ id: 'young', agent: 'agent_a', turnAge: '5m', age: 20 * HOUR });
  world.addSession({ id: 'stuck', agent: 'agent_a', state: 'queued', turnAge: 4.1 * HOUR, queuedFor: 4.1 * HOUR });
  world.addSession({ id: 'other', agent: 'agent_b', turnAge: 2.1 * HOUR });
  world.addSession({ id: 'done', agent: 'agent_b', state: 'completed', turnAge: HOUR, endedAgo: '10m' });
  world.addSession({ id: 'teams', agent: 'agent_t', turnAge: HOUR });
  Object.assign(process.env, {
    CURFEW_HOME: folder,
    CURFEW_DATABASE_URL: join(folder, 'ledger.db'),
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: simulator.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    // Nobody listens there: a plan needs no Temporal.
    TEMPORAL_ADDRESS: '127.0.0.1:1',
  });
  ledger = await openLedger(join(folder, 'ledger.db'));
});
afterEach(async () => {
  process.exitCode = undefined;
  for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
  Object.assign(process.env, saved);
  await ledger.close();
  await simulator.close();
  rmSync(folder, { recursive: true, force: true });
});

/** @throws what the command throws */
async function curfew(...args: string[]): Promise<Said> {
  const { error, ...said } = await runHere([registerCancel, registerBulk], args);
  if (error !== null) throw error;
  return said;
}
const planned = async (...args: string[]): Promise<BulkStatus> => {
  const { stdout, exitCode } = await curfew('bulk', 'plan', ...args, '--json');
  expect(exitCode).toBe(0);
  return JSON.parse(stdout) as BulkStatus;
};
const targetsOf = async ({ planId }: BulkStatus): Promise<string[]> =>
  (await ledger.bulk.targets(planId, { afterSeq: -1, limit: 1_000 })).map(({ sessionId }) => sessionId).sort();
const selected = async (...args: string[]): Promise<string[]> => targetsOf(await planned(...args));
const plansLeft = async (): Promise<number> => (await ledger.bulk.list({ limit: 10 })).length;

it('a plan sends no cancel: it only lists, and reads where lists do not tell', async () => {
  await planned('--all');
  expect(simulator.world.requestCounts().requests).toEqual({
    ...{ create: 0, retrieve: 0, send: 0, cancel: 0, queue: 0, approvals: 0, triggers: 0 },
    // Its own agents, and those of the one team.
    teams: 1,
    agents: 2,
    list: 6,
  });
  await planned('--running-for', '1h');
  const { requests } = simulator.world.requestCounts();
  expect(requests.retrieve).toBeGreaterThan(0);
  expect(requests).toMatchObject({ cancel: 0, send: 0, queue: 0, create: 0 });
  expect(simulator.world.truth().cancels).toEqual([]);
});

describe('criteria', () => {
  it.each<[string, string[], string[]]>([
    ['every live session', ['--all'], ['old', 'other', 'stuck', 'teams', 'young']],
    ['an agent by name', ['--agent', 'support-*'], ['old', 'stuck', 'young']],
    ['several agents', ['--agent', 'agent_b', 'support-triage'], ['old', 'other', 'stuck', 'young']],
    ['a state', ['--state', 'queued'], ['stuck']],
    ['both states', ['--state', 'queued,processing'], ['old', 'other', 'stuck', 'teams', 'young']],
    ['time in the queue', ['--queued-for', '4h'], ['stuck']],
    ['not that much time in the queue', ['--queued-for', '5h'], []],
    ['time of running', ['--running-for', '2h'], ['old', 'other']],
    ['either time', ['--running-for', '3h', '--queued-for', '1h'], ['old', 'stuck']],
    ['creation', ['--created-before', '40h'], ['old']],
    ['creation between', ['--created-after', '40h', '--created-before', '10h'], ['young']],
    ['a creator', ['--creator', 'user_*'], ['old']],
    ['a team', ['--team', 'team_7'], ['teams']],
    ['a team that is not there', ['--team', 'team_8'], []],
    ['all of several criteria', ['--agent', 'support-*', '--running-for', '1h', '--creator', 'user_9'], ['old']],
  ])('select %s', async (_what, args, sessions) => {
    expect(await selected(...args)).toEqual(sessions);
  });

  it.each<[string, string[], string[], Record<string, number>]>([
    ['a creator', ['--all', '--except-creator', 'user_9'], ['other', 'stuck', 'teams', 'young'], { exceptCreator: 1 }],
    [
      'a creator by address',
      ['--all', '--except-creator', 'USER_9@*'],
      ['other', 'stuck', 'teams', 'young'],
      { exceptCreator: 1 },
    ],
    ['a creator of what fits otherwise', ['--agent', 'agent_b', '--except-creator', 'user_9'], ['other'], {}],
    ['sessions', ['--agent', 'support-*', '--except-session', 'old', 'stuck'], ['young'], { exceptSession: 2 }],
    [
      'both',
      ['--all', '--except-creator', 'user_9', '--except-session', 'other', '--except-session', 'teams'],
      ['stuck', 'young'],
      { exceptCreator: 1, exceptSession: 2 },
    ],
    ['everything', ['--agent', 'support-*', '--except-creator', '*'], [], { exceptCreator: 3 }],
  ])('leave out %s', async (_what, args, sessions, leftOut) => {
    const status = await planned(...args);
    expect(await targetsOf(status)).toEqual(sessions);
    expect(status.totals.leftOut).toEqual(leftOut);
    expect(status.totals.gaps).toEqual([]);
  });

  it('are frozen with what they leave out, and its hash', async () => {
    const status = await planned('--agent', 'agent_b', '--except-creator', 'user_9', '--except-session', 'old');
    expect(status.selection).toMatchObject({
      command: 'curfew bulk plan --agent agent_b --except-creator user_9 --except-session old',
      exceptCreators: ['user_9'],
      exceptSessions: ['old'],
    });
    const { db, close } = await openDatabase(join(folder, 'ledger.db'));
    await db
      .updateTable('bulk_jobs')
      .set({ selection_json: JSON.stringify({ ...status.selection, exceptSessions: ['older'] }) })
      .execute();
    await close();
    const how = { by: 'a test', rate: 1, canary: 0, fast: false, evenIfExempt: false };
    expect(await ledger.bulk.apply(status.planId, how)).not.toMatchObject({ kind: 'started' });
  });

  it('leave sessions out of a list of ids, and tell those that are not in it', async () => {
    const file = join(folder, 'ids.txt');
    writeFileSync(file, 'a\nb\nc\n');
    const said = await curfew('bulk', 'plan', '--ids-file', file, '--except-session', 'b', 'bb');
    expect(said.stdout).toContain('2 sessions');
    expect(said.stdout).toContain('Left out: 1 by --except-session');
    expect(said.stderr).toContain('not among the sessions that were looked at (check the spelling): bb.');
  });

  it.each<[string, string[], RegExp, RegExp]>([
    ['alone', ['--except-creator', 'a'], /No sessions are selected/, /--all/],
    ['of creators with ids', ['--ids-file', 'x', '--except-creator', 'a'], /would spare nobody/, /--except-session/],
    ['that are empty', ['--all', '--except-creator', ''], /--except-creator is empty/, /Give it a value/],
    ['that are no id', ['--all', '--except-session', 'a/b'], /not a valid session id/, /An id has/],
  ])('refuse exceptions %s', async (_what, args, message, next) => {
    await expect(curfew('bulk', 'plan', ...args)).rejects.toMatchObject({
      ...{ name: 'UserError', exitCode: 2 },
      message: expect.stringMatching(message) as unknown,
      next: expect.stringMatching(next) as unknown,
    });
    expect(await plansLeft()).toBe(0);
  });

  it('select those that break a policy in force', async () => {
    const limits = { max_continuous_runtime: null, max_credits: null, max_session_credits: null, max_tokens: null };
    const policy: Omit<Policy, 'name' | 'limits'> = {
      ...{ match: { agents: ['*'] }, warnAt: null, graceMs: 0, mode: 'observe', notify: [] },
      caps: { maxCancels: 1, maxPercent: 1, perMs: HOUR },
      onRestart: { action: 'report' },
    };
    const policies: readonly Policy[] = [
      { ...policy, name: 'no-all-nighters', limits: { ...limits, max_runtime: 2 * HOUR, max_queue_time: null } },
      { ...policy, name: 'queue', limits: { ...limits, max_runtime: null, max_queue_time: HOUR } },
    ];
    const file: PolicyFile = { version: 1, policies, cleanup: [], notify: {}, exempt: [] };
    await ledger.policies.apply({ file, fileName: 'curfew.yaml', sourceText: '', by: 'a test' });
    expect(await selected('--violators')).toEqual(['old', 'other', 'stuck']);
    expect(await selected('--violators', 'queue')).toEqual(['stuck']);
    await expect(curfew('bulk', 'plan', '--violators', 'queu')).rejects.toMatchObject({
      exitCode: 2,
      next: 'Did you mean queue?',
    });
  });

  it.each<[string, string[], RegExp, RegExp]>([
    ['nothing at all', [], /No sessions are selected/, /--all/],
    ['a reason alone', ['--reason', 'x'], /No sessions are selected/, /--all/],
    ['--all with something that narrows', ['--all', '--state', 'queued'], /--state/, /Remove --all/],
    ['a file of ids with criteria', ['--ids-file', 'x', '--agent', 'a', '--all'], /--all and --agent/, /Remove/],
    [
      '--queued-for without queued',
      ['--queued-for', '2h', '--state', 'processing'],
      /leaves them out/,
      /Remove --state/,
    ],
    ['--running-for without processing', ['--running-for', '2h', '--state', 'queued'], /leaves them out/, /--state/],
    [
      'a time for one of two states',
      ['--queued-for', '2h', '--state', 'queued', 'processing'],
      /processing ones as well/,
      /--running-for 1h/,
    ],
    ['an unknown state', ['--state', 'procesing'], /"procesing"/, /Did you mean processing\?/],
    ['a duration without a unit', ['--running-for', '90'], /no unit/, /Did you mean 90m\?/],
    ['a duration of nothing', ['--queued-for', '0s'], /zero/, /1s or more/],
    ['no time', ['--created-before', 'yesterday'], /not a valid time/, /2h/],
    ['times the wrong way round', ['--created-after', '1h', '--created-before', '2h'], /No session/, /Swap/],
    ['a variable that is not set', ['--agent', ''], /--agent is empty/, /value/],
    ['a policy where none are in force', ['--violators'], /No policies are in force/, /policy apply/],
  ])('that make no sense are refused: %s', async (_what, args, message, next) => {
    await expect(curfew('bulk', 'plan', ...args)).rejects.toMatchObject({
      name: 'UserError',
      exitCode: 2,
      message: expect.stringMatching(message) as unknown,
      next: expect.stringMatching(next) as unknown,
    });
    expect(await plansLeft()).toBe(0);
    expect(simulator.world.requestCounts().requests).toMatchObject({ agents: 0, list: 0 });
  });
});

describe('what is told', () => {
  it('is what was found, and what to type next', async () => {
    const { stdout, stderr, exitCode } = await curfew(
      'bulk',
      'plan',
      '--agent',
      'support-*',
      '--reason',
      'incident 42',
    );
    expect(exitCode).toBe(0);
    const [job] = await ledger.bulk.list({ limit: 1 });
    const planId = job?.planId ?? '';
    const until = new Date(job?.expiresAtMs ?? 0).toISOString().replace(/\.\d+Z$/, 'Z');
    // When the sessions began, and what they have spent, the simulator draws.
    const profile = stdout.split('\n\n')[3]?.split('\n') ?? [];
    expect(profile).toEqual([
      'turns begun not known: lists do not say',
      expect.stringMatching(/^sessions {4}oldest \S+Z, newest \S+Z$/),
      expect.stringMatching(/^credits {5}/),
      expect.stringMatching(/^creators {4}\S+@example.com 2, user_9@example.com 1$/),
    ]);
    expect(stdout).toBe(`Plan ${planId}: 3 sessions of 1 agent
Reason: incident 42
Asked for: curfew bulk plan --agent 'support-*'

AGENT    NAME            SESSIONS  SHARE
agent_a  support-triage  3         100%

By state: 1 queued, 2 processing

${profile.join('\n')}

SESSION  AGENT    STATE
stuck    agent_a  queued
${stdout.includes('young    agent_a  processing\nold') ? 'young    agent_a  processing\nold      agent_a  processing' : 'old      agent_a  processing\nyoung    agent_a  processing'}

Nothing was sent. The plan is frozen: sessions that come later are not in it.
To end their current turns, until ${until} (in 60 min):
  curfew bulk apply ${planId}
`);
    expect(stderr).toBe('');
  });

  it('is one JSON document for programs', async () => {
    const status = await planned('--queued-for', '90m', '--team', 'team_7', '--agent', "it's");
    expect(status).toMatchObject({
      state: 'planned',
      source: 'person',
      selection: {
        command: "curfew bulk plan --agent 'it'\\''s' --queued-for 90m --team team_7",
        agents: ["it's"],
        states: ['queued'],
        queuedFor: '1h30m',
        teams: ['team_7'],
      },
      progress: { waiting: 0, requests: 0 },
    });
  });

  it('is also that nothing fits, and that there is nothing to apply', async () => {
    const { stdout, exitCode } = await curfew('bulk', 'plan', '--queued-for', '9h');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^Plan b-\w{7}: 0 sessions\n/);
    expect(stdout).toContain('Nothing to end: no session matches. There is nothing to apply, and nothing was sent.');
    expect(stdout).not.toContain('curfew bulk apply');
  });

  it('is what may be missing', async () => {
    simulator.world.addFaults({ agentId: 'agent_b' }, [{ fault: 'forbidden-session', on: 'list', times: 'forever' }]);
    await ledger.exemptions.add({ sessionId: 'old', forMs: HOUR, reason: null, by: 'me' });
    const { stdout } = await curfew('bulk', 'plan', '--all');
    expect(stdout).toMatch(/Not all may end: The sessions of research could not all be listed: .*403/);
    expect(stdout).toContain('Not all may end: 1 of the targets is exempt');
    expect(stdout).toContain('4 sessions of 2 agents');
  });

  it('is that agents of a team are not shown, and that the teams could not be listed', async () => {
    const { stdout } = await curfew('bulk', 'plan', '--team', 'team_8', 'team_7');
    expect(stdout).toContain('Not all may end: No agents of team "team_8" are shown to this key: its list');
    simulator.world.setFaults('everywhere', [{ fault: 'forbidden-session', on: 'teams' }]);
    const all = await curfew('bulk', 'plan', '--all');
    expect(all.stdout).toMatch(/Not all may end: Not all agents could be listed: the list of teams: .*403/);
    expect(all.stdout).toContain('4 sessions of 2 agents');
  });

  it('names caps, and more agents than are shown', () => {
    const status = {
      planId: 'b-7k3mq9x',
      reason: null,
      selection: {},
      expiresAt: null,
      totals: {
        targets: 40,
        byState: { unknown: 40 },
        byAgent: [{ agentId: null, name: null, targets: 40 }],
        agents: 21,
        leftOut: { capped: 40, blank: 2 },
        sample: [{ sessionId: 's1', agentId: null, state: null }],
        gaps: [],
      },
    } as unknown as BulkStatus;
    const text = stripVTControlCharacters(planWords(status));
    expect(text).toContain('… and 20 more agents');
    expect(text).toContain('Left out: 40 over the cap, not sent, 2 blank lines and comments');
    expect(text).toContain('By state: 40 not known');
    expect(stripVTControlCharacters(plannedWords(status, 0))).toContain('no session is left under the cap');
  });
});

describe('ids', () => {
  const file = (text: string): string => {
    const path = join(folder, 'ids.txt');
    writeFileSync(path, text);
    return path;
  };

  it('from a file need neither the vendor nor a key', async () => {
    delete process.env['GUMLOOP_API_KEY'];
    const path = file('sess_1\nsess_2\n\nsess_1\nnot one\n');
    const { stdout, stderr, exitCode } = await curfew('bulk', 'plan', '--ids-file', path);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^Plan b-\w{7}: 2 sessions\n/);
    expect(stdout).toContain(
      'Left out: 1 given more than once, 1 blank lines and comments, 1 lines without a session id',
    );
    expect(stdout).toContain('line 5: "not one"');
    expect(stderr).toBe('Given more than once, and planned once: line 4: "sess_1".\n');
    expect(simulator.world.requestCounts().requests).toMatchObject({ agents: 0, list: 0, retrieve: 0 });
  });

  it('from a file that is no use leave nothing', async () => {
    await expect(curfew('bulk', 'plan', '--ids-file', join(folder, 'none'))).rejects.toMatchObject({
      exitCode: 2,
      next: 'Check the path.',
    });
    await expect(curfew('bulk', 'plan', '--ids-file', file('\n'))).rejects.toMatchObject({ exitCode: 2 });
    expect(await plansLeft()).toBe(0);
  });

  it('of more than 100 sessions to cancel become a plan, and nothing is sent', async () => {
    const ids = Array.from({ length: 101 }, (_, index) => `sess_${index}`);
    const { stdout, stderr, exitCode } = await curfew('cancel', ...ids, '--reason', 'loops', '--wait');
    // It was told to wait for the end, and a plan ends nothing.
    expect(exitCode).toBe(3);
    expect(stderr).toContain('101 sessions are more than 100, so this becomes a plan to confirm.');
    expect(stdout).toMatch(/^Plan b-\w{7}: 101 sessions\nReason: loops\n/);
    expect(stdout).toMatch(/\n {2}curfew bulk apply b-\w{7} --wait\n$/);
    expect(simulator.world.truth().cancels).toEqual([]);
    expect(await ledger.orders.views({ limit: 10 })).toEqual([]);
  });
});

describe('what can go wrong', () => {
  it('is that the key is refused: exit code 4, and no plan', async () => {
    simulator.world.revokeKey();
    await expect(curfew('bulk', 'plan', '--all')).rejects.toMatchObject({
      name: 'UserError',
      exitCode: 4,
      message: expect.stringMatching(/401.*No plan was made\.$/s) as unknown,
    });
    expect(await plansLeft()).toBe(0);
  });

  it('is that no Curfew has run here: exit code 4', async () => {
    delete process.env['CURFEW_DATABASE_URL'];
    process.env['CURFEW_HOME'] = join(folder, 'nowhere');
    await expect(curfew('bulk', 'plan', '--all')).rejects.toMatchObject({ name: 'UserError', exitCode: 4 });
  });

  it('is Ctrl-C: the plan is discarded, and that is said', async () => {
    simulator.world.addFaults({ agentId: 'agent_b' }, [{ fault: 'hang', on: 'list', times: 'forever' }]);
    const running = curfew('bulk', 'plan', '--all');
    while ((await plansLeft()) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    process.emit('SIGINT');
    const { stdout, stderr, exitCode } = await running;
    expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 130 });
    expect(stderr).toBe('Interrupted: the plan was discarded, and nothing was sent.\n');
    expect(await plansLeft()).toBe(0);
  });
});
