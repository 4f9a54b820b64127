import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Command } from 'commander';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { registerPolicy } from '../../src/cli/commands/policy.js';
import { UserError } from '../../src/core/errors.js';
import { policyJsonSchema } from '../../src/core/policy-file/index.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-policy-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  process.exitCode = undefined;
});

/** Runs a command within this process. */
async function curfew(...args: string[]): Promise<{ stdout: string; exitCode: number }> {
  const program = new Command('curfew').option('--json').exitOverride();
  registerPolicy(program);
  let stdout = '';
  const spy = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
  } finally {
    spy.mockRestore();
  }
  // Colours are on where the variable CI is set.
  return { stdout: stripVTControlCharacters(stdout), exitCode: Number(process.exitCode ?? 0) };
}

function file(text: string): string {
  const path = join(folder, 'curfew.yaml');
  writeFileSync(path, text);
  return path;
}

const GOOD = `version: 1
policies:
  - name: no-all-nighters
    match:
      all:
        - agents: ["support-*", "sales-*"]
        - not: { creators: ["oncall@example.com"] }
    limits: { max_runtime: 1h30m, max_credits: 2.5k, max_session_credits: 2k }
    warn_at: 80%
    grace: 2m
    mode: enforce
    on_restart: { cancel: { max: 1 } }
    notify: [ops]
  - name: seen-first
    match: { agents: ["*"] }
    limits: { max_continuous_runtime: 3h, max_queue_time: 20m, max_tokens: 2M }
cleanup:
  - name: stale
    select: { states: [queued, processing], queued_for: 6h }
    schedule: { cron: "0 3 * * *" }
notify: { ops: { slack: { url_file: /run/secrets/slack } } }
exempt: [{ session: sess_1, until: 2099-01-01T00:00:00Z, reason: month-end close }]
`;
const BAD = GOOD.replace('1h30m', '45').replace('name: seen-first', 'name: no-all-nighters');

describe('curfew policy check of a file that names teams', () => {
  const TEAMS = `version: 1
policies:
  - name: research
    match: { teams: [team_research, team_foreign] }
    limits: { max_runtime: 1h }
`;
  const saved = { ...process.env };
  let simulator: Simulator;
  beforeAll(async () => {
    simulator = await startSimulator();
    simulator.world.addTeam({ id: 'team_research', name: 'Research' });
    simulator.world.addAgent({ teamId: 'team_research' });
    simulator.world.addTeam({ id: 'team_foreign', member: false });
  });
  afterAll(() => simulator.close());
  afterEach(() => {
    for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
    Object.assign(process.env, saved);
  });
  const withKey = (more: Record<string, string> = {}) =>
    Object.assign(process.env, {
      CURFEW_HOME: folder,
      GUMLOOP_BASE_URL: simulator.url,
      GUMLOOP_API_KEY: simulator.apiKey,
      GUMLOOP_USER_ID: simulator.userId,
      ...more,
    });
  const checked = async () => {
    const said = await curfew('policy', 'check', file(TEAMS));
    const { stdout } = await curfew('--json', 'policy', 'check', file(TEAMS));
    return { ...said, json: JSON.parse(stdout) as unknown };
  };

  it('says which of them the key shows', async () => {
    withKey();
    const { stdout, exitCode, json } = await checked();
    expect(exitCode).toBe(0);
    expect(stdout).toContain('own agents and those of 1 team: Research, team_research (1 agent)');
    expect(stdout).toMatch(/warning: team team_foreign is named, but not shown to this key: .*403/);
    expect(json).toMatchObject({
      valid: true,
      teams: { watched: { first: [{ id: 'team_research' }] }, notShown: [{ id: 'team_foreign' }] },
    });
  });

  it('says nothing of teams without a key', async () => {
    const { stdout, exitCode, json } = await checked();
    expect(exitCode).toBe(0);
    expect(stdout).not.toMatch(/^teams$/m);
    expect(json).toMatchObject({ valid: true, teams: null });
  });

  it.each([
    ['nobody answers', { GUMLOOP_BASE_URL: 'http://127.0.0.1:9/api/v1' }],
    ['the key is refused', { GUMLOOP_API_KEY: 'wrong' }],
    ['a setting is wrong', { CURFEW_SCAN_INTERVAL: 'soon' }],
  ])('is valid all the same when %s, and says so', async (_why, more) => {
    withKey(more);
    const { stdout, exitCode, json } = await checked();
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^teams\n {2}not looked up: .+$/m);
    expect(json).toMatchObject({ valid: true, teams: { source: 'failed', problem: expect.any(String) } });
  });
});

describe('curfew policy check', () => {
  it('says in words what a valid file means, with its warnings', async () => {
    const path = file(GOOD);
    const { stdout, exitCode } = await curfew('policy', 'check', path);
    expect(exitCode).toBe(0);
    expect(stdout).toBe(`${path} is valid: 2 policies, 1 cleanup, 1 exemption.

no-all-nighters
  enforce: ends turns
  sessions: (agent support-* or sales-*) and not creator oncall@example.com
  ends a turn when it has been processing for more than 1h30m
  ends a turn when it has cost more than 2,500 credits
  ends a turn when its session has cost more than 2,000 credits over its life
  waits 2m between the first violation and the end
  warns at 80% of a limit
  ends at most 50 turns and 50% of the live sessions per 1h
  ends a session that starts again by itself, at most 1 more time
  tells ops

seen-first
  observe: says what it would end, and ends nothing
  sessions: every agent
  would end a turn when its session has been processing without a break for more than 3h
  would end a turn when it has been waiting in the queue for more than 20m
  would end a turn when it has used more than 2,000,000 tokens
  would end at most 50 turns and 50% of the live sessions per 1h
  reports a session that starts again by itself

cleanup stale
  runs at "0 3 * * *" (UTC)
  sessions: every agent
  ends turns that have been queued for more than 6h
  ends every processing turn
  ends at most 50 turns and 50% of the live sessions per 1h

exempt
  sess_1 until 2099-01-01T00:00:00.000Z: month-end close

${path}:8:48: warning: max_credits is never reached: max_session_credits counts this turn too, and is not larger
    Remove it, or set it lower.
${path}:19:23: warning: every processing session is ended, however young
    Add running_for, for example running_for: 6h.
`);
  });

  it('tells all problems with their places, and exits 2', async () => {
    const path = file(BAD);
    const { stdout, exitCode } = await curfew('policy', 'check', path);
    expect(exitCode).toBe(2);
    expect(stdout).toContain(`${path}:8:28: max_runtime is 45, which has no unit\n    Did you mean 45m?`);
    expect(stdout).toContain(`${path}:14:11: name "no-all-nighters" is taken by policies[0]`);
    expect(stdout).toContain(`${path}: 2 problems.\n`);
  });

  it('prints one JSON document for programs', async () => {
    const path = file(GOOD);
    const good = await curfew('--json', 'policy', 'check', path);
    expect(good.exitCode).toBe(0);
    expect(JSON.parse(good.stdout)).toMatchObject({
      file: path,
      valid: true,
      problems: [],
      warnings: [{ line: 8 }, { line: 19 }],
      policies: [
        { name: 'no-all-nighters', mode: 'enforce' },
        { name: 'seen-first', mode: 'observe' },
      ],
      cleanup: [{ name: 'stale' }],
    });
    const bad = await curfew('--json', 'policy', 'check', file(BAD));
    expect(bad.exitCode).toBe(2);
    expect(JSON.parse(bad.stdout)).toMatchObject({
      valid: false,
      problems: [
        {
          file: path,
          line: 8,
          column: 28,
          path: 'policies[0].limits.max_runtime',
          suggestion: 'Did you mean 45m? Units are s, m, h and d.',
        },
        { line: 14, path: 'policies[1].name' },
      ],
    });
  });

  it('says what to do about a file that is not there, or is a folder', async () => {
    const missing = curfew('policy', 'check', join(folder, 'none.yaml'));
    await expect(missing).rejects.toThrow(UserError);
    await expect(missing).rejects.toMatchObject({ exitCode: 2, next: 'Check the path.' });
    await expect(curfew('policy', 'check', folder)).rejects.toMatchObject({ exitCode: 2 });
  });
});

describe('curfew policy schema', () => {
  it('prints the JSON Schema, the same for people and programs', async () => {
    const { stdout } = await curfew('policy', 'schema');
    expect(JSON.parse(stdout)).toEqual(policyJsonSchema());
    expect(JSON.parse((await curfew('--json', 'policy', 'schema')).stdout)).toEqual(policyJsonSchema());
    expect(stdout.split('\n').length).toBeGreaterThan(100);
  });
});

describe('a policy file in another encoding', () => {
  it.each([
    [
      'UTF-16',
      Buffer.from(`\uFEFF${GOOD}`, 'utf16le'),
      /is in UTF-16, but must be in UTF-8/,
      /iconv -f UTF-16 -t UTF-8 /,
    ],
    [
      'Latin-1',
      Buffer.from(GOOD.replace('support-*', 'café-*'), 'latin1'),
      /is not in UTF-8: line 6 /,
      /Save it as UTF-8/,
    ],
  ])('is refused by its name: %s', async (_name, bytes, message, next) => {
    const path = join(folder, 'other encoding.yaml');
    writeFileSync(path, bytes);
    const error = await curfew('policy', 'check', path).catch((failed: unknown) => failed);
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(message),
      next: expect.stringMatching(next),
    });
  });
});
