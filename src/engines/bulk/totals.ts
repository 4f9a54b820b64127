import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { BulkTotals } from '../../core/contract.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';

const AGENTS_SHOWN = 20;
const SAMPLE = 10;
const PAGE = 5_000;

export interface Counted {
  readonly totals: Omit<BulkTotals, 'leftOut' | 'gaps'>;
  readonly capped: number;
  /** Targets among the given sessions. */
  readonly among: number;
}

/**
 * Counts the targets of a plan as they stand in the ledger, a page at a time: what a person confirms is what is frozen.
 *
 * @param sessionIds - how many targets are among these is counted too
 */
export async function countTargets(
  ledger: Pick<Ledger, 'bulk'>,
  planId: string,
  agentNames: ReadonlyMap<string, string | null>,
  sessionIds: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Counted> {
  const byState = new Map<string, number>();
  const byAgent = new Map<string | null, number>();
  const firsts: BulkTotals['sample'][number][] = [];
  const others: BulkTotals['sample'][number][] = [];
  let [targets, capped, among] = [0, 0, 0];
  for (let afterSeq = -1; ;) {
    // A ledger in a file answers at once: nothing else, Ctrl-C included, would have its turn until the end.
    await yieldToOthers();
    signal.throwIfAborted();
    const page = await ledger.bulk.targets(planId, { afterSeq, limit: PAGE });
    for (const { sessionId, agentId, state, status } of page) {
      // One of each agent first: a sample is to show how far the plan reaches.
      const sample = byAgent.has(agentId) ? others : firsts;
      if (sample.length < SAMPLE) sample.push({ sessionId, agentId, state });
      targets += 1;
      byState.set(state ?? 'unknown', (byState.get(state ?? 'unknown') ?? 0) + 1);
      byAgent.set(agentId, (byAgent.get(agentId) ?? 0) + 1);
      if (status === 'capped') capped += 1;
      if (sessionIds.has(sessionId)) among += 1;
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) break;
    afterSeq = last.seq;
  }
  const largest = [...byAgent]
    .sort(([, a], [, b]) => b - a)
    .slice(0, AGENTS_SHOWN)
    .map(([agentId, count]) => ({
      agentId,
      name: agentId === null ? null : (agentNames.get(agentId) ?? null),
      targets: count,
    }));
  return {
    totals: {
      targets,
      byState: Object.fromEntries(byState),
      byAgent: largest,
      agents: byAgent.size - (byAgent.has(null) ? 1 : 0),
      sample: [...firsts, ...others].slice(0, SAMPLE),
    },
    capped,
    among,
  };
}
