/**
 * Lets every story of test/workflows/stories happen on a real Temporal server and saves the histories to
 * test/histories/, for test/workflows/replay.test.ts. To be run when a story was added:
 *
 *   node --import tsx scripts/save-histories.ts [STORY…]
 *
 * Without names it saves the stories that have no file yet. Files that exist are never replaced unless they are named:
 * they stand for cases that run at somebody's site, and a workflow that can't replay them would strand those. When the
 * workflow must change in a way that they don't allow, use `patched`, and save the new course under a new name.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { BULK_STORIES, ScriptedBulk, tellBulkStory } from '../test/workflows/stories/bulk-stories.js';
import { ScriptedActivities } from '../test/support/case-script.js';
import { STORIES, STORIES_CONTINUE_AS_NEW_AT, tellStory } from '../test/workflows/stories/case-stories.js';
import { ROUND_STORIES, ScriptedRounds, tellRoundStory } from '../test/workflows/stories/round-stories.js';
import { startTemporal } from '../test/support/temporal.js';
import { ScriptedWatch } from '../test/support/watch-script.js';
import { tellWatchStory, WATCH_STORIES } from '../test/workflows/stories/watch-stories.js';

const FOLDER = fileURLToPath(new URL('../test/histories/', import.meta.url));

const named = process.argv.slice(2);
const names = [STORIES, WATCH_STORIES, BULK_STORIES, ROUND_STORIES].flatMap((stories) => Object.keys(stories));
const unknown = named.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`No such story: ${unknown.join(', ')}. There are: ${names.join(', ')}.`);
  process.exit(2);
}

const scripted = new ScriptedActivities();
const scriptedWatch = new ScriptedWatch();
const scriptedBulk = new ScriptedBulk();
const scriptedRounds = new ScriptedRounds();
const temporal = await startTemporal({
  activities: {
    ...scripted.activities,
    ...scriptedWatch.activities,
    ...scriptedBulk.activities,
    ...scriptedRounds.activities,
  },
  suggestContinueAsNewAt: STORIES_CONTINUE_AS_NEW_AT,
});
try {
  mkdirSync(FOLDER, { recursive: true });
  for (const name of names) {
    if (named.length > 0 ? !named.includes(name) : existsSync(`${FOLDER}${name}.json`)) continue;
    const [story, watchStory, bulkStory] = [STORIES[name], WATCH_STORIES[name], BULK_STORIES[name]];
    const told =
      story !== undefined
        ? tellStory(story, `sess_${name}`, temporal, scripted)
        : watchStory !== undefined
          ? tellWatchStory(watchStory, `sess_${name}`, temporal, scriptedWatch)
          : bulkStory !== undefined
            ? tellBulkStory(bulkStory, `b-${name}`, temporal, scriptedBulk)
            : tellRoundStory(name, temporal, scriptedRounds);
    const histories = await told;
    for (const [index, history] of histories.entries()) {
      const file = index === 0 ? `${name}.json` : `${name}.${index + 1}.json`;
      writeFileSync(`${FOLDER}${file}`, `${withoutStackTraces(historyToJSON(history))}\n`);
      console.log(`${file}: ${history.events?.length} events`);
    }
  }
} finally {
  await temporal.stop();
}

/** Stack traces name folders of this machine, and replay does not look at them. */
function withoutStackTraces(json: string): string {
  return JSON.stringify(
    JSON.parse(json, (key, value: unknown) => (key === 'stackTrace' ? '' : value)),
    null,
    1,
  );
}
