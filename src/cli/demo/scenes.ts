import type { ScenarioInput } from '../../../simulator/index.js';

/** The sessions that a person orders to end, and what goes wrong with each. */
export const BY_HAND = [
  { id: 'sess_clean', story: 'runs for 2 h; ends cleanly' },
  { id: 'sess_over', story: 'was over before the order' },
  { id: 'sess_storm', story: 'answers 500 failed_to_abort three times' },
  { id: 'sess_killed', story: 'its worker dies by SIGKILL with the request under way' },
  { id: 'sess_moved_on', story: 'its owner starts a new turn after the order' },
] as const;

export const BY_HAND_SCENARIO: ScenarioInput = {
  slots: 500,
  agents: [
    {
      id: 'agent_support',
      name: 'support-bot',
      sessions: [
        { id: 'sess_clean', turnAge: '2h' },
        { id: 'sess_over', state: 'completed', turnAge: '20m', endedAgo: '10m' },
        { id: 'sess_storm', turnAge: '90m', faults: [{ fault: 'failed-to-abort', times: 3 }] },
        {
          id: 'sess_killed',
          turnAge: '70m',
          // The request arrives and takes effect, but its sender is dead before the answer.
          faults: [{ fault: 'lagging-answer', on: 'cancel', delay: '20s', effectAfter: '2s' }],
        },
        { id: 'sess_moved_on', turnAge: '50m' },
      ],
    },
  ],
};

/** What is told of the fleet before it is put under policies. */
export const FLEET_STORY: readonly (readonly [count: number, story: string])[] = [
  [8, 'endless turns, one behind 500s, one that a waiting message starts again'],
  [4, 'queued leftovers that nobody waits for any more'],
  [3, 'turns that spend credits much faster than usual'],
  [8, 'healthy turns, some in the queue at first'],
  [1, 'conversation of 90 days and 4,000 credits, resumed with a young turn'],
  [1, 'turn that its owner steers: every message restarts its time'],
  [1, 'turn that stops for an approval'],
  [2, 'runaways that are exempt, one by the file and one by command'],
  [2, 'of an agent that no policy matches'],
];

export const STEERED = 'steered';
export const NEEDS_APPROVAL = 'approval';
export const EXEMPT_BY_COMMAND = 'month-end';
const EXEMPT_BY_FILE = 'audit';

const FAST = (credits: number) => ({ credits, toolCredits: 0, inputTokens: 2_000, outputTokens: 200 });
const MUCH_BEFORE = { credits: 4_000, toolCredits: 500, inputTokens: 9_000_000, outputTokens: 800_000 };

/** Thirty sessions. Ages are staggered, so that limits are reached one after the other. */
export const FLEET_SCENARIO: ScenarioInput = {
  agents: [
    {
      id: 'agent_crawler',
      name: 'crawler',
      sessions: [
        { id: 'loop-1', turnAge: '40s' },
        { id: 'loop-2', turnAge: '25s' },
        { id: 'loop-3', turnAge: '11s' },
        { id: 'loop-4', turnAge: '9s' },
        { id: 'loop-5', turnAge: '6s' },
        { id: 'loop-6', turnAge: '4s' },
        { id: 'storm', turnAge: '10s', faults: [{ fault: 'failed-to-abort', times: 2 }] },
        { id: 'restarts', turnAge: '15s', queuedMessages: ['And the year before?'] },
        { id: 'healthy-1', turnAge: '2s', runsFor: '12s' },
        { id: 'healthy-2', turnAge: '5s', runsFor: '9s' },
        { id: 'healthy-3', turnAge: '1s', runsFor: '14s' },
        { id: STEERED, turnAge: '9s', runsFor: '17s' },
        { id: NEEDS_APPROVAL, turnAge: '8s' },
        { id: EXEMPT_BY_COMMAND, turnAge: '60s' },
        { id: EXEMPT_BY_FILE, turnAge: '50s' },
      ],
    },
    {
      id: 'agent_batch',
      name: 'batch',
      sessions: [
        { id: 'stale-1', state: 'queued', turnAge: '30s' },
        { id: 'stale-2', state: 'queued', turnAge: '9s' },
        { id: 'stale-3', state: 'queued', turnAge: '6s' },
        { id: 'stale-4', state: 'queued', turnAge: '3s' },
        { id: 'healthy-4', state: 'queued', turnAge: '2s', leavesQueue: '5s', runsFor: '6s' },
        { id: 'healthy-5', state: 'queued', turnAge: '1s', leavesQueue: '7s', runsFor: '8s' },
      ],
    },
    {
      id: 'agent_desk',
      name: 'desk',
      sessions: [
        { id: 'spender-1', turnAge: '1s', usagePerSecond: FAST(8) },
        { id: 'spender-2', turnAge: '0s', usagePerSecond: FAST(5) },
        { id: 'spender-3', turnAge: '0s', usagePerSecond: FAST(3) },
        { id: 'healthy-6', turnAge: '3s', runsFor: '11s' },
        { id: 'healthy-7', turnAge: '0s', runsFor: '15s' },
        { id: 'healthy-8', turnAge: '3s', runsFor: '13s' },
        { id: 'resumed', age: '90d', earlierTurns: 120, usageBefore: MUCH_BEFORE, turnAge: '2s', runsFor: '14s' },
      ],
    },
    {
      id: 'agent_lab',
      name: 'lab',
      sessions: [
        { id: 'lab-1', turnAge: '3h' },
        { id: 'lab-2', state: 'queued', turnAge: '1h' },
      ],
    },
  ],
};

export const FLEET_IDS: readonly string[] = (FLEET_SCENARIO.agents ?? []).flatMap(({ sessions }) =>
  (sessions ?? []).flatMap(({ id }) => id ?? []),
);

/** All that is asked for, in one file. @param exemptUntil - ISO 8601 */
export const fleetPolicies = (exemptUntil: string): string => `version: 1
policies:
  - name: runtime
    match: { agents: [crawler, desk] }
    limits: { max_runtime: 20s }
    warn_at: 75%
    mode: enforce
    caps: { max_cancels: 20, max_percent: 60, per: 1h }
    on_restart: { cancel: { max: 2 } }
  - name: queue
    match: { agents: [batch] }
    limits: { max_queue_time: 15s }
    warn_at: 75%
    mode: enforce
  - name: budget
    match: { agents: [desk] }
    limits: { max_credits: 40 }
    warn_at: 75%
    mode: enforce
exempt:
  - session: ${EXEMPT_BY_FILE}
    until: ${exemptUntil}
    reason: The auditor waits for it
`;

export const BULK_AGENT = 'importer';
/** Its owner starts a new turn between plan and job. */
export const MOVED_ON = 'import-200';

export const BULK_STORY: readonly (readonly [count: number, story: string])[] = [
  [170, 'endless turns'],
  [20, 'queued behind them'],
  [6, 'that answer 500 failed_to_abort to the first request'],
  [3, 'that are aborted, but whose answer is lost'],
  [1, 'whose owner starts a new turn before the job begins'],
];

const numbered = (count: number, from: number) =>
  Array.from({ length: count }, (_, index) => ({ id: `import-${from + index}`, turnAge: '20m' }));

/** Two hundred sessions of one agent, as {@link BULK_STORY} tells them. */
export const BULK_SCENARIO: ScenarioInput = {
  agents: [
    {
      id: 'agent_importer',
      name: BULK_AGENT,
      sessions: [
        ...numbered(170, 1),
        ...numbered(20, 171).map((session) => ({ ...session, state: 'queued' as const })),
        ...numbered(6, 191).map((session) => ({ ...session, faults: [{ fault: 'failed-to-abort' as const }] })),
        ...numbered(3, 197).map((session) => ({
          ...session,
          faults: [{ fault: 'reset-after-effect' as const, on: 'cancel' as const }],
        })),
        { id: MOVED_ON, turnAge: '20m' },
      ],
    },
  ],
};

export const BULK_IDS: readonly string[] = (BULK_SCENARIO.agents ?? []).flatMap(({ sessions }) =>
  (sessions ?? []).flatMap(({ id }) => id ?? []),
);
