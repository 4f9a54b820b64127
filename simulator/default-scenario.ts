import { scenario, type Scenario } from './scenario.js';

/** A small account with something of everything: what `curfew simulate` shows without a file. */
export const defaultScenario: Scenario = scenario({
  agents: [
    {
      id: 'agent_support',
      name: 'support-triage',
      sessions: [
        { id: 'sess_quick', name: 'Quick question', turnAge: '20s', runsFor: '40s' },
        { id: 'sess_healthy', name: 'Refund for order 4711', turnAge: '4m', runsFor: '6m', earlierTurns: 2 },
        { id: 'sess_runaway', name: 'Reconcile all invoices', turnAge: '3h', earlierTurns: 1 },
        {
          id: 'sess_stubborn',
          name: 'Loops over one ticket',
          turnAge: '90m',
          faults: [
            { fault: 'failed-to-abort', times: 2 },
            { fault: 'hang', on: 'cancel' },
          ],
        },
        {
          id: 'sess_restarts',
          name: 'Always one more thing',
          turnAge: '70m',
          queuedMessages: ['And the year before?', 'And the one before that?'],
        },
        { id: 'sess_asks', name: 'Wants to send a mail', state: 'approval_required', turnAge: '30m' },
        { id: 'sess_finished', name: 'Weekly summary', state: 'completed', turnAge: '1h', endedAgo: '50m' },
      ],
    },
    {
      id: 'agent_research',
      name: 'research-deep',
      sessions: [
        {
          id: 'sess_expensive',
          name: 'Read the whole internet',
          turnAge: '12m',
          usagePerSecond: { credits: 1.5, toolCredits: 0.6, inputTokens: 4_000, outputTokens: 300 },
        },
        {
          id: 'sess_lagging',
          name: 'Ends later than it says',
          turnAge: '2h',
          faults: [{ fault: 'lagging-effect', answer: 'completed', visibleAfter: '1500ms' }],
        },
        {
          id: 'sess_reset',
          name: 'Loses the answer',
          turnAge: '2h',
          faults: [{ fault: 'reset-after-effect', on: 'cancel' }],
        },
        { id: 'sess_waiting', name: 'Waits for a slot', state: 'queued', turnAge: '7h' },
        { id: 'sess_waiting_too', name: 'Waits, not for long', state: 'queued', turnAge: '1m', leavesQueue: '5m' },
        { id: 'sess_idle', name: 'Not begun', state: 'idle' },
        { id: 'sess_broken', name: 'Failed by itself', state: 'failed', turnAge: '2h', endedAgo: '90m' },
      ],
    },
  ],
});
