import { describe, expect, it } from '@jest/globals';
import type { ScheduleDescription } from '@temporalio/client';
import { cleanupOfSchedule, scheduleOf } from '../../src/engines/cleanup/schedule.js';
import { keepSchedules, syncSchedules } from '../../src/engines/cleanup/schedules.js';
import { BULK_CANCELLATION, cleanupScheduleId, TASK_QUEUE } from '../../src/core/contract.js';
import { readCleanups } from '../../src/engines/cleanup/standing.js';
import type { EventKind } from '../../src/core/events.js';
import type { Ledger } from '../../src/adapters/ledger/ledger.js';
import type { CleanupEntry } from '../../src/core/policy/policy.js';
import { until } from '../support/embedded-server.js';
import { entryOf, log, setStage, type Stage } from './stage.js';

/** A hang limit, ms. */
const LIMIT_MS = 240_000;

let env: Stage['env'];
let ledger: Ledger;
let count: number;

setStage((stage) => void ({ env, ledger, count } = stage));

/** Of a name that no other test has. */
const entry = (name = 'stale', schedule: Partial<CleanupEntry['schedule']> = {}): CleanupEntry =>
  entryOf(`${name}-${count}`, schedule);
const sync = (entries: readonly CleanupEntry[], strangers = new Set<string>()): Promise<void> =>
  syncSchedules(ledger, env.client, log, entries, strangers);
const handleOf = ({ name }: CleanupEntry) => env.client.schedule.getHandle(cleanupScheduleId(name));
const describeOf = (one: CleanupEntry): Promise<ScheduleDescription> => handleOf(one).describe();
const exists = (one: CleanupEntry): Promise<boolean> =>
  describeOf(one).then(
    () => true,
    () => false,
  );
const apply = (entries: readonly CleanupEntry[]): Promise<unknown> =>
  ledger.policies.apply({
    file: { version: 1, policies: [], cleanup: entries, notify: {}, exempt: [] },
    fileName: 'curfew.yaml',
    sourceText: JSON.stringify(entries),
    by: 'a test',
  });
async function eventsOf(kind: EventKind): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const page of ledger.history.events({})) {
    found.push(...page.map(({ event }) => event).filter((event) => event.kind === kind));
  }
  return found;
}
const skips = (): Promise<unknown[]> => eventsOf('cleanup-skipped');

describe('the Schedule of a cleanup', () => {
  it(
    'has the cron and the time zone of the entry, skips a run while one is at work, and catches up within an hour',
    async () => {
      const one = entry();
      await sync([one]);
      const { spec, policies, action, info, state, memo } = await describeOf(one);
      expect(spec).toMatchObject({ timezone: 'Europe/Berlin', jitter: 60_000 });
      expect(spec.calendars).toHaveLength(1);
      expect(spec.calendars?.[0]).toMatchObject({
        minute: [{ start: 0 }],
        hour: [{ start: 3 }],
        dayOfMonth: [{ start: 1 }],
        month: [{ start: 'JANUARY' }],
      });
      // 3:00 in Berlin in winter, and up to a minute of jitter.
      const [next] = info.nextActionTimes;
      expect(next?.toISOString()).toMatch(/-01-01T02:0[01]:/);
      expect(policies).toEqual({ overlap: 'SKIP', catchupWindow: 3_600_000, pauseOnFailure: false });
      expect(action).toMatchObject({
        workflowType: BULK_CANCELLATION,
        taskQueue: TASK_QUEUE,
        workflowId: cleanupScheduleId(one.name),
        args: [{ cleanup: one.name }],
      });
      expect(state.paused).toBe(false);
      expect(memo).toEqual({ curfew: 'cleanup' });
    },
    LIMIT_MS,
  );

  it(
    'is in UTC where it fires in every hour, whatever the zone: the scheduler stumbles when a clock is set back',
    async () => {
      const [often, shifted] = [
        entry('often', { cron: '*/30 * * * *' }),
        entry('shifted', { cron: '7 * * * *', timezone: 'Asia/Kolkata' }),
      ];
      await sync([often, shifted]);
      const { spec } = await describeOf(often);
      expect(spec.timezone).toBe('UTC');
      expect(spec.calendars?.[0]?.minute).toEqual([{ start: 0, end: 59, step: 30 }]);
      const { info } = await describeOf(shifted);
      expect(new Set(info.nextActionTimes.map((at) => at.toISOString().slice(14, 16)))).toEqual(new Set(['37']));
    },
    LIMIT_MS,
  );

  it('starts within a minute of its time, or within 5 s where it may run every minute', () => {
    expect(scheduleOf(entry('a', { cron: '7 * * * *' })).spec.jitter).toBe(60_000);
    expect(scheduleOf(entry('a', { cron: '*/15 * * * *' })).spec.jitter).toBe(5_000);
    expect(scheduleOf(entry('a', { cron: '* * * * *' })).spec.jitter).toBe(5_000);
  });

  it(
    'starts the bulk workflow with the name of the cleanup',
    async () => {
      const one = entry();
      await sync([one]);
      await handleOf(one).trigger('SKIP');
      await until(async () => (await describeOf(one)).info.runningActions.length === 1);
      const [running] = (await describeOf(one)).info.runningActions;
      const workflow = env.client.workflow.getHandle(running?.workflow.workflowId ?? '');
      expect(workflow.workflowId.startsWith(`${cleanupScheduleId(one.name)}-`)).toBe(true);
      const described = await workflow.describe();
      expect(described.type).toBe(BULK_CANCELLATION);
      expect(described.memo).toMatchObject({ cleanup: one.name });
      await workflow.terminate();
    },
    LIMIT_MS,
  );

  it(
    'is changed when the entry changed, and only then; what a person has paused stays paused',
    async () => {
      const one = entry();
      await sync([one]);
      await handleOf(one).pause('a person says so');
      const before = await describeOf(one);
      await sync([one]);
      expect((await describeOf(one)).info.lastUpdatedAt).toEqual(before.info.lastUpdatedAt);

      await sync([{ ...one, schedule: { cron: '30 4 * * *', timezone: 'UTC' } }]);
      const after = await describeOf(one);
      expect(after.spec.calendars?.[0]).toMatchObject({ minute: [{ start: 30 }], hour: [{ start: 4 }] });
      expect(after.spec.calendars).toHaveLength(1);
      expect(after.spec.timezone).toBe('UTC');
      expect(after.info.lastUpdatedAt).not.toEqual(before.info.lastUpdatedAt);
      expect(after.state).toMatchObject({ paused: true, note: 'a person says so' });
    },
    LIMIT_MS,
  );

  it(
    'is removed when the entry has left the file; Schedules of others stay, also one that has its name',
    async () => {
      const [mine, foreign, unrelated] = [entry('mine'), entry('foreign'), `backup-${count}`];
      const theirs = (scheduleId: string) =>
        env.client.schedule.create({
          scheduleId,
          spec: { cronExpressions: ['0 1 1 1 *'] },
          action: { type: 'startWorkflow', workflowType: 'other', taskQueue: 'other' },
        });
      await theirs(cleanupScheduleId(foreign.name));
      await theirs(unrelated);
      const strangers = new Set<string>();
      await sync([mine, foreign], strangers);
      await sync([mine, foreign], strangers);
      expect(log.error).toHaveBeenCalledTimes(1);
      expect((await describeOf(foreign)).action.workflowType).toBe('other');

      // The list of Schedules lags behind.
      await until(async () => {
        await sync([]);
        return !(await exists(mine));
      });
      expect(await exists(foreign)).toBe(true);
      await env.client.schedule.getHandle(unrelated).describe();
    },
    LIMIT_MS,
  );
});

describe('a Schedule that Temporal refuses', () => {
  const refused = (name = 'refused') => entry(name, { timezone: 'PST' });
  const standingOf = async (one: CleanupEntry) => (await readCleanups(ledger, env.client, [one]))[0];

  it(
    'is told once by name and cause, and keeps no other from being made, changed or removed',
    async () => {
      const [bad, gone, good] = [refused(), entry('gone'), entry('good')];
      await sync([gone, good]);
      await until(async () => {
        await sync([bad, { ...good, schedule: { cron: '30 4 * * *', timezone: 'UTC' } }, entry('new')]);
        return !(await exists(gone));
      });
      expect((await describeOf(good)).spec.timezone).toBe('UTC');
      expect(await exists(entry('new'))).toBe(true);
      expect(await exists(bad)).toBe(false);
      await Promise.all([sync([bad]), sync([bad])]);
      expect(await eventsOf('cleanup-failed')).toEqual([
        expect.objectContaining({
          ...{ cleanup: bad.name, why: 'schedule-refused', earlierStands: false },
          text: 'unknown time zone PST',
        }),
      ]);
      expect(log.error).toHaveBeenCalledTimes(1);
      expect(await standingOf(bad)).toMatchObject({
        schedule: { kind: 'missing' },
        refusal: { cause: 'unknown time zone PST', earlierStands: false },
      });
    },
    LIMIT_MS,
  );

  it(
    'leaves its earlier form, and is forgotten when Temporal takes another',
    async () => {
      const before = entry();
      const bad = { ...before, schedule: { ...before.schedule, timezone: 'SystemV/PST8' } };
      await sync([before]);
      await sync([bad]);
      const expected = { cause: 'unknown time zone SystemV/PST8', earlierStands: true };
      expect(await standingOf(bad)).toMatchObject({ schedule: { kind: 'scheduled' }, refusal: expected });
      // Corrected, and no worker has looked yet.
      const corrected = { ...before, schedule: { ...before.schedule, timezone: 'America/Los_Angeles' } };
      expect(await standingOf(corrected)).toMatchObject({ refusal: null });
      await sync([corrected]);
      expect((await describeOf(corrected)).spec.timezone).toBe('America/Los_Angeles');
      expect(await standingOf(bad)).toMatchObject({ refusal: null });
      await sync([bad]);
      expect(await eventsOf('cleanup-failed')).toHaveLength(2);
    },
    LIMIT_MS,
  );

  it(
    'stays noted while Temporal can’t be asked, and a failure that is no refusal is none',
    async () => {
      const bad = refused();
      await sync([bad]);
      const real = env.client.schedule;
      const workflowService = Object.create(real.workflowService, {
        describeSchedule: { value: () => Promise.reject(new Error('away')) },
      }) as typeof real.workflowService;
      const away = Object.create(real, { workflowService: { value: workflowService } }) as typeof real;
      const failure = syncSchedules(ledger, { schedule: away }, log, [bad, entry('other')], new Set());
      await expect(failure).rejects.toThrow(`${bad.name}: away; ${entry('other').name}: away`);
      expect(await standingOf(bad)).toMatchObject({ refusal: { cause: 'unknown time zone PST' } });
      expect(await eventsOf('cleanup-failed')).toHaveLength(1);
    },
    LIMIT_MS,
  );
});

describe('workers that keep the Schedules', () => {
  it(
    'follow the file in force, put back what was deleted, and tell a skipped run once, however many they are',
    async () => {
      const [first, second] = [entry('first'), entry('second')];
      const stopping = new AbortController();
      const loops = [1, 2].map(() => keepSchedules(ledger, env.client, log, stopping.signal));
      await apply([first]);
      await until(() => exists(first));
      await handleOf(first).trigger('SKIP');
      await until(async () => (await describeOf(first)).info.runningActions.length === 1);
      await handleOf(first).trigger('SKIP');
      await until(async () => (await describeOf(first)).info.numActionsSkippedOverlap === 1);

      // A new version makes both look at once.
      await apply([first, second]);
      await until(async () => (await skips()).length > 0);
      await apply([first]);
      await until(async () => !(await exists(second)));
      expect(await skips()).toEqual([
        expect.objectContaining({ cleanup: first.name, why: 'overlap', runs: 1, at: expect.any(String) }),
      ]);

      await handleOf(first).delete();
      await apply([{ ...first, caps: { ...first.caps, maxCancels: 1 } }]);
      await until(() => exists(first));
      stopping.abort();
      await Promise.all(loops);
      expect(log.error).not.toHaveBeenCalled();
      const skipped = log.warn.mock.calls.filter(([, message]) => message === 'a cleanup was skipped');
      expect(skipped).toHaveLength(1);
    },
    LIMIT_MS,
  );

  it(
    'say once that Temporal is away, and go on when it answers',
    async () => {
      const one = entry();
      await apply([one]);
      const stopping = new AbortController();
      let fails = true;
      const flaky = {
        withDeadline: (_: number, call: () => Promise<void>) => (fails ? Promise.reject(new Error('away')) : call()),
        withAbortSignal: (_: AbortSignal, call: () => Promise<void>) => call(),
        schedule: env.client.schedule,
      } as never;
      const loop = keepSchedules(ledger, flaky, log, stopping.signal);
      await until(() => Promise.resolve(log.warn.mock.calls.length === 1));
      fails = false;
      await until(() => exists(one));
      stopping.abort();
      await loop;
      expect(log.warn).toHaveBeenCalledTimes(1);
    },
    LIMIT_MS,
  );
});

it('a Schedule is a cleanup’s by its id', () => {
  expect(cleanupOfSchedule('cleanup/stale')).toBe('stale');
  expect(cleanupOfSchedule('backup/stale')).toBeNull();
});
