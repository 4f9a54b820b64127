import { readdirSync, readFileSync } from 'node:fs';
import { homedir, hostname, userInfo } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { BULK_STORIES } from './stories/bulk-stories.js';
import { STORIES } from './stories/case-stories.js';
import { ROUND_STORIES } from './stories/round-stories.js';
import { installQuietRuntime, TEST_IDENTITY } from '../support/temporal.js';
import { workflowBundle } from '../support/shared.js';
import { WATCH_STORIES } from './stories/watch-stories.js';

const FOLDER = fileURLToPath(new URL('../histories/', import.meta.url));
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface SavedHistory {
  events: ({ eventType: string } & Record<string, Record<string, unknown> | string>)[];
}
const FILES = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));
const read = (file: string): SavedHistory => JSON.parse(readFileSync(`${FOLDER}${file}`, 'utf8')) as SavedHistory;

async function replay(history: SavedHistory): Promise<void> {
  await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, history);
}

// The violations that are provoked below are expected, and long.
beforeAll(() => installQuietRuntime());

describe('a case that an earlier version began', () => {
  it.each(FILES)('goes on with this version: %s', async (file) => {
    await replay(read(file));
  });

  it('is there in every course that a case can take', () => {
    expect(FILES.map((file) => file.replace(/(\.\d+)?\.json$/, ''))).toEqual(
      expect.arrayContaining([STORIES, WATCH_STORIES, BULK_STORIES, ROUND_STORIES].flatMap((all) => Object.keys(all))),
    );
    expect(FILES).toContain('continued-as-new.2.json');
  });
});

describe('the replay', () => {
  it.each([
    [
      'another activity',
      (history: SavedHistory) => {
        const scheduled = history.events.find(({ eventType }) => eventType === 'EVENT_TYPE_ACTIVITY_TASK_SCHEDULED');
        Object.assign(scheduled?.['activityTaskScheduledEventAttributes'] ?? {}, { activityType: { name: 'other' } });
      },
    ],
    [
      'a wait that is missing',
      (history: SavedHistory) => {
        const timer = history.events.find(({ eventType }) => eventType === 'EVENT_TYPE_TIMER_STARTED');
        if (timer === undefined) throw new Error('This history has no timer.');
        timer.eventType = 'EVENT_TYPE_MARKER_RECORDED';
        delete timer['timerStartedEventAttributes'];
        timer['markerRecordedEventAttributes'] = { markerName: 'core_patch' };
      },
    ],
  ])('fails on %s, so that it would tell an incompatible change', async (_what, spoil) => {
    const history = read('clean-cancel.json');
    spoil(history);
    await expect(replay(history)).rejects.toThrow(DeterminismViolationError);
  });
});

describe('the saved histories', () => {
  it.each(FILES)('name neither a machine, nor a user, nor a folder: %s', (file) => {
    const raw = readFileSync(`${FOLDER}${file}`, 'utf8');
    const payloads = [...raw.matchAll(/"data": "([^"]*)"/g)].map(([, data = '']) =>
      Buffer.from(data, 'base64').toString(),
    );
    const text = `${raw}\n${payloads.join('\n')}`;
    for (const own of [hostname(), homedir(), ROOT, userInfo().username]) {
      expect(text.includes(`"${own}`) || text.includes(`@${own}`) || text.includes(`${own}/`)).toBe(false);
    }
    expect(text).not.toMatch(/\/(home|root|Users|tmp|var|opt|usr)\//);
    const identities = [...text.matchAll(/"identity": "([^"]*)"/g)].map(([, identity]) => identity);
    expect(new Set(identities)).toEqual(new Set([TEST_IDENTITY]));
  });
});
