import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Command } from 'commander';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { noteRun } from '../../src/engines/cleanup/last-run.js';
import { cleanupsWords, scheduleWords } from '../../src/cli/cleanup-words.js';
import { scheduleOf } from '../../src/engines/cleanup/schedule.js';
import { noteRefusals } from '../../src/engines/cleanup/refusals.js';
import { registerCleanup } from '../../src/cli/commands/cleanup.js';
import { registerDoctor } from '../../src/cli/commands/doctor.js';
import { UserError } from '../../src/core/errors.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import type { CleanupEntry } from '../../src/core/policy/policy.js';

let simulator: Simulator;
let folder: string;
let ledger: Ledger;
const settings = { ...process.env };

beforeAll(async () => {
  simulator = await startSimulator({ slots: 100 });
  simulator.world.addAgent({ id: 'agent_test' });
  for (const id of ['sess_1', 'sess_2', 'sess_3']) simulator.world.addSession({ agent: 'agent_test', id });
});
afterAll(() => simulator.close());

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-cleanup-'));
  // Nothing of the machine's own settings, and no Temporal.
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
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a command within this process. */
async function curfew(...args: string[]): Promise<{ stdout: string; exitCode: number }> {
  const program = new Command('curfew').option('--json').exitOverride();
  registerCleanup(program);
  registerDoctor(program);
  let stdout = '';
  const silenced = jest.spyOn(process.stderr, 'write').mockImplementation(() => true);
  const spy = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
  } finally {
    spy.mockRestore();
    silenced.mockRestore();
  }
  return { stdout: stripVTControlCharacters(stdout), exitCode: Number(process.exitCode ?? 0) };
}
const refusal = async (...args: string[]): Promise<UserError> => {
  const error: unknown = await curfew(...args).catch((thrown: unknown) => thrown);
  if (!(error instanceof UserError)) throw new Error('it was not refused', { cause: error });
  return error;
};

const entry = (name: string, more: Partial<CleanupEntry> = {}): CleanupEntry => ({
  name,
  select: { match: null, states: ['processing'], queuedForMs: null, runningForMs: null },
  schedule: { cron: '0 3 * * *', timezone: 'Europe/Berlin' },
  caps: { maxCancels: 2, maxPercent: 50, perMs: 3_600_000 },
  ...more,
});
const inForce = (...cleanup: CleanupEntry[]): Promise<unknown> =>
  ledger.policies.apply({
    file: { version: 1, policies: [], cleanup, notify: {}, exempt: [] },
    fileName: 'curfew.yaml',
    sourceText: '',
    by: 'a test',
  });

describe('curfew cleanup list', () => {
  it('without Temporal shows what the ledger knows, and says what is not known', async () => {
    await inForce(entry('leftovers'), entry('stale-queue'));
    await noteRun(ledger, 'leftovers', { runId: 'run-1', planId: null, note: 'Nothing to end.' }, []);
    const { stdout, exitCode } = await curfew('cleanup', 'list');
    expect(exitCode).toBe(0);
    expect(stdout).toContain('Their next runs are unknown.');
    expect(stdout).toMatch(
      /^leftovers {2}every day at 03:00 \(Europe\/Berlin\)\n {2}sessions: every agent\n {2}ends every processing turn\n/m,
    );
    expect(stdout).toMatch(/last run: \w{3} [\d-]{10} [\d:]{5} \+0[12]:00: Nothing to end\./);
    expect(stdout).toContain('last run: unknown');

    const document = JSON.parse((await curfew('--json', 'cleanup', 'list')).stdout) as {
      temporal: { asked: boolean; problem: string };
      cleanups: { name: string; schedule: object; lastRun: object | null }[];
    };
    expect(document.temporal).toEqual({ asked: false, problem: expect.stringContaining('No Curfew runs here') });
    expect(document.cleanups).toEqual([
      expect.objectContaining({
        name: 'leftovers',
        schedule: expect.objectContaining({ cron: '0 3 * * *', inTemporal: null, nextRuns: null }),
        lastRun: expect.objectContaining({ note: 'Nothing to end.', planId: null, job: null }),
      }),
      expect.objectContaining({ name: 'stale-queue', lastRun: null }),
    ]);
  });

  it('says when there is nothing to show', async () => {
    expect(await refusal('cleanup', 'list')).toMatchObject({
      exitCode: 1,
      message: expect.stringContaining('in force'),
    });
    await inForce();
    expect((await curfew('cleanup', 'list')).stdout).toBe('The policy file in force (version 1) has no cleanups.\n');
  });

  it('shows next runs in the time zone of the schedule, and what is wrong in Temporal', () => {
    const nextRuns = [new Date('2026-11-24T02:00:00Z')];
    const standing = { kind: 'scheduled', paused: false, note: null, running: true, nextRuns } as const;
    type Standing = Parameters<typeof cleanupsWords>[0][number];
    const words = (schedule: Standing['schedule'], refusal: Standing['refusal'] = null): string =>
      stripVTControlCharacters(cleanupsWords([{ entry: entry('stale'), schedule, refusal, lastRun: null }], null));
    expect(words(standing)).toContain('a run is in progress; next runs: Tue 2026-11-24 03:00 +01:00\n');
    expect(words({ ...standing, paused: true, note: 'holidays' })).toContain('PAUSED in Temporal: holidays');
    expect(words({ kind: 'missing' })).toContain('a worker creates one within a minute');
    expect(words({ kind: 'foreign' })).toContain('that Curfew did not make');
    const refused = { at: '', cause: 'unknown time zone PST', earlierStands: false, fingerprint: '' };
    expect(words({ kind: 'missing' }, refused)).toContain(
      'does not run: Temporal refuses its Schedule: unknown time zone PST.',
    );
    expect(words({ kind: 'missing' }, refused)).not.toContain('within a minute');
    const earlier = words(standing, { ...refused, earlierStands: true });
    expect(earlier).toContain('still runs at its earlier times: Temporal refuses its Schedule: unknown time zone PST.');
    expect(earlier).toContain('next runs: ');
  });

  it('tells the two runs of a repeated hour apart', () => {
    const nextRuns = [new Date('2027-11-07T05:30:00Z'), new Date('2027-11-07T06:30:00Z')];
    const schedule = { kind: 'scheduled', paused: false, note: null, running: false, nextRuns } as const;
    const twice = entry('stale', { schedule: { cron: '30 1 7 11 *', timezone: 'America/New_York' } });
    expect(cleanupsWords([{ entry: twice, schedule, refusal: null, lastRun: null }], null)).toContain(
      'next runs: Sun 2027-11-07 01:30 -04:00, Sun 2027-11-07 01:30 -05:00\n',
    );
  });

  it.each([
    ['30 4 * * *', 'every day at 04:30'],
    ['0 3 * * MON-FRI', 'on Mondays to Fridays at 03:00'],
    ['0 3 * * 0,3', 'on Sundays, Wednesdays at 03:00'],
    ['0 3 1 * *', 'on day 1 of every month at 03:00'],
    ['7 * * * *', 'every hour at minute 7'],
    ['*/15 * * * *', 'every 15 minutes'],
    ['* * * * *', 'every minute'],
    ['*/7 * * * *', 'at "*/7 * * * *"'],
    ['0 3 1 * MON', 'at "0 3 1 * MON"'],
    ['0 3 * JAN *', 'at "0 3 * JAN *"'],
    ['0 */6 * * *', 'at "0 */6 * * *"'],
  ])('puts %s into words', (cron, words) => {
    expect(scheduleWords({ cron, timezone: 'UTC' })).toBe(`${words} (UTC)`);
  });
});

describe('a cleanup whose Schedule Temporal refuses', () => {
  const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const doctor = async () => {
    const { stdout } = await curfew('--json', 'doctor');
    const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string; says: string }[] };
    return checks.find(({ name }) => name === 'cleanups') ?? null;
  };

  it('is shown by the list and by the doctor, without Temporal too', async () => {
    expect(await doctor()).toBeNull();
    const [fine, bad] = [entry('fine'), entry('stale', { schedule: { cron: '0 3 * * *', timezone: 'PST' } })];
    await inForce(fine, bad);
    expect(await doctor()).toMatchObject({ status: 'skipped' });
    const { fingerprint } = scheduleOf(bad).action.memo;
    const refusal = { cause: 'unknown time zone PST', earlierStands: false, fingerprint };
    await noteRefusals(ledger, silent, new Map([['stale', refusal]]), new Set());
    expect(await doctor()).toMatchObject({
      status: 'failed',
      says: 'Temporal refuses the Schedule of stale: unknown time zone PST.',
    });
    const { stdout } = await curfew('cleanup', 'list');
    expect(stdout).toMatch(/^stale .*\n(?: {2}.*\n)*? {2}does not run: Temporal refuses its Schedule: unknown time/m);
    const { cleanups } = JSON.parse((await curfew('--json', 'cleanup', 'list')).stdout) as {
      cleanups: { schedule: { refused: object | null } }[];
    };
    expect(cleanups.map(({ schedule }) => schedule.refused)).toEqual([
      null,
      { at: expect.any(String), cause: 'unknown time zone PST' },
    ]);
  });
});

describe('curfew cleanup run', () => {
  it('--dry-run shows what it would end within its caps, sends nothing and keeps nothing', async () => {
    await inForce(entry('leftovers'));
    const { stdout, exitCode } = await curfew('cleanup', 'run', 'leftovers', '--dry-run');
    expect(exitCode).toBe(0);
    expect(stdout).toContain('3 turns to end, of which its caps allow 2.');
    expect(stdout).toContain('max_cancels is 2 within 1h');
    expect(stdout).toContain('nothing was sent');

    const json = await curfew('--json', 'cleanup', 'run', 'leftovers', '--dry-run');
    expect(JSON.parse(json.stdout)).toMatchObject({
      ...{ cleanup: 'leftovers', dryRun: true, started: false },
      caps: { capped: 1, turns: 2, cap: 'max_cancels', takenBefore: 0, live: 3 },
      plan: { source: 'cleanup', cleanup: 'leftovers', totals: { targets: 3, byState: { processing: 3 } } },
    });
    expect(simulator.world.truth().cancels).toEqual([]);
    expect(await ledger.bulk.list({ limit: 10 })).toEqual([]);
  });

  it('with nothing to end starts nothing', async () => {
    await inForce(
      entry('stale', { select: { match: null, states: ['queued'], queuedForMs: null, runningForMs: null } }),
    );
    const { stdout, exitCode } = await curfew('cleanup', 'run', 'stale');
    expect({ stdout, exitCode }).toEqual({ stdout: 'Nothing to end.\n\nNothing was started.\n', exitCode: 0 });
    expect(await ledger.bulk.list({ limit: 10 })).toEqual([]);
  });

  it('of an unknown name says what was probably meant, and which there are', async () => {
    await inForce(entry('leftovers'), entry('stale-queue'));
    expect(await refusal('cleanup', 'run', 'stale-qeue', '--dry-run')).toMatchObject({
      exitCode: 2,
      next: 'Did you mean stale-queue? In force: leftovers, stale-queue.',
    });
  });

  it('without a policy file in force says so', async () => {
    expect((await refusal('cleanup', 'run', 'stale')).message).toContain('No policy file is in force');
  });

  it('I10: does nothing when the API refuses the key', async () => {
    await inForce(entry('leftovers'));
    process.env['GUMLOOP_API_KEY'] = 'another';
    expect(await refusal('cleanup', 'run', 'leftovers')).toMatchObject({ exitCode: 4 });
    expect(await ledger.bulk.list({ limit: 10 })).toEqual([]);
  });
});
