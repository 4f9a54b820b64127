import type { BulkTotals } from '../../src/core/contract.js';
import type { TargetToFreeze } from '../../src/adapters/ledger/bulk-plans.js';
import type { Ledger } from '../../src/adapters/ledger/ledger.js';

export const targetsOf = (ids: readonly string[], given: Partial<TargetToFreeze> = {}): TargetToFreeze[] =>
  ids.map((sessionId) => ({
    sessionId,
    agentId: 'agent_1',
    state: 'processing',
    turnKey: `turn_of_${sessionId}`,
    turnStartedAtMs: null,
    seenAtMs: 1_767_225_600_000,
    ...given,
  }));

export const totalsOf = (targets: number, leftOut: Readonly<Record<string, number>> = {}): BulkTotals => ({
  targets,
  byState: { processing: targets },
  byAgent: [{ agentId: 'agent_1', name: 'support-bot', targets }],
  agents: 1,
  leftOut,
  sample: [],
  gaps: [],
});

/** A sealed plan in a ledger, as `curfew bulk plan` leaves it. */
export async function planIn(ledger: Ledger, planId: string, ids: readonly string[]): Promise<void> {
  const plan = { planId, by: 'ops@example.com', source: 'person', cleanup: null, reason: 'incident 42' } as const;
  await ledger.bulk.begin({ ...plan, selection: { command: 'curfew bulk plan --agent support-bot' } });
  await ledger.bulk.addTargets(planId, 0, targetsOf(ids));
  await ledger.bulk.seal(planId, { totals: totalsOf(ids.length), hash: await ledger.bulk.hash(planId) });
}

/** Numbered ids: sess_0, sess_1 … */
export const sessionIds = (count: number, prefix = 'sess'): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}_${index}`);
