import type { EnforcementActivities } from '../../../activities/policy-enforcement.js';
import type { NotificationActivities } from '../../../activities/notification.js';
import { NOTIFICATION, POLICY_ENFORCEMENT, TASK_QUEUE } from '../../../src/core/contract.js';
import { tryAgain } from '../../support/case-script.js';
import { historiesOf, type History } from '../../support/history.js';
import type { TestTemporal } from '../../support/temporal.js';

type Rounds = Awaited<ReturnType<EnforcementActivities['enforcePolicies']>>;

interface RoundStory {
  /** What each round over the fleet gives, by its number from 1. */
  readonly round?: (time: number) => Rounds;
  /** Whether there is more to tell after each message, by its number from 1. */
  readonly message?: (time: number) => { more: boolean };
}

const again = (memory: string | null, afterMs: number, taskQueue?: string): Rounds => ({
  ...{ next: 'round', memory, afterMs },
  ...(taskQueue !== undefined && { taskQueue }),
});
const REST: Rounds = { next: 'rest' };

/** Courses of the workflows that go round by round: the fleet's, and those that tell people. Every later version must replay them. */
export const ROUND_STORIES: Readonly<Record<string, RoundStory>> = {
  'enforcement-rounds': { round: (time) => [again('a', 1_200), again('b', 0), again('c', 30)][time - 1] ?? REST },
  'enforcement-failing': {
    round: (time) => {
      if (time === 1) return again('a', 0);
      if (time === 2) throw tryAgain('LedgerUnavailable', 20);
      return REST;
    },
  },
  'enforcement-continued-as-new': { round: (time) => (time < 40 ? again(`memory-${time}`, 0) : REST) },
  'enforcement-at-home': {
    round: (time) => [again('a', 0, TASK_QUEUE), again('b', 10, TASK_QUEUE)][time - 1] ?? REST,
  },
  'enforcement-home-gone': {
    round: (time) => [again('a', 0, 'a worker that is gone'), again('b', 0)][time - 1] ?? REST,
  },
  'enforcement-home-too-old': {
    round: (time) => {
      if (time === 2) throw tryAgain('RuleUnknown', 20);
      return time === 1 ? again('a', 0, TASK_QUEUE) : REST;
    },
  },
  'notification-messages': { message: (time) => ({ more: time < 3 }) },
  'notification-failing': {
    message: (time) => {
      if (time === 1) throw tryAgain('NotDelivered', 20);
      return { more: false };
    },
  },
};

/** Typed fakes of the activities of one story at a time. */
export class ScriptedRounds {
  #story: RoundStory = {};
  #rounds = 0;
  #messages = 0;

  play(story: RoundStory): void {
    this.#story = story;
    this.#rounds = 0;
    this.#messages = 0;
  }

  readonly activities: EnforcementActivities & NotificationActivities = {
    enforcePolicies: () => Promise.resolve().then(() => this.#story.round?.(++this.#rounds) ?? REST),
    deliverNotifications: () =>
      Promise.resolve().then(() => this.#story.message?.(++this.#messages) ?? { more: false }),
  };
}

/** Lets a story happen on a server. @returns the histories of its runs, first to last */
export async function tellRoundStory(
  name: string,
  { env: { client } }: TestTemporal,
  scripted: ScriptedRounds,
): Promise<History[]> {
  const story = ROUND_STORIES[name] ?? {};
  scripted.play(story);
  const options = { workflowId: `story/${name}`, taskQueue: TASK_QUEUE };
  const handle = await (story.message === undefined
    ? client.workflow.start(POLICY_ENFORCEMENT, { ...options, args: [{ memory: null }] })
    : client.workflow.start(NOTIFICATION, { ...options, args: [{ route: 'ops' }] }));
  const { runId } = await handle.describe();
  await handle.result();
  return historiesOf(client, handle.workflowId, runId);
}
