import type { ScenarioInput } from '../../../simulator/index.js';

/** The sessions of the demo, and what goes wrong with each. */
export const SCENES = [
  { id: 'sess_clean', story: 'runs for 2 h; ends cleanly' },
  { id: 'sess_over', story: 'was over before the order' },
  { id: 'sess_storm', story: 'answers 500 failed_to_abort three times' },
  { id: 'sess_killed', story: 'its worker dies by SIGKILL with the request under way' },
  { id: 'sess_moved_on', story: 'its owner starts a new turn after the order' },
] as const;

export const DEMO_SCENARIO: ScenarioInput = {
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
