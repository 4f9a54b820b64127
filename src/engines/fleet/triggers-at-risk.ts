import pMap from 'p-map';
import { SessionsError, type Trigger } from '../../adapters/vendor/index.js';
import { stillInRow, type EndedRuns, type TriggerRun } from '../../adapters/ledger/ended-runs.js';
import { listTriggers } from '../../adapters/vendor/list-triggers.js';

/** A trigger that the vendor may switch off when the sessions of it that are over a limit are ended. */
export interface TriggerAtRisk {
  readonly agentId: string;
  readonly triggerId: string;
  /** Sessions of it that would be ended now. */
  readonly endNow: number;
  /** Sessions of it that Curfew asked to end within the last week. */
  readonly endedBefore: number;
  /** Null: the vendor does not say; then three are reckoned with. */
  readonly maxFailures: number | null;
}

/** What the vendor sets where nobody chose another. */
const USUAL_MAX_FAILURES = 3;
const AT_ONCE = 4;
/** Agents whose triggers are looked at. */
const MOST_AGENTS = 50;

/**
 * @param ending - sessions that would be ended now
 * @param ended - what the ledger remembers
 */
export async function triggersAtRisk(
  deps: Parameters<typeof listTriggers>[0],
  ending: readonly TriggerRun[],
  ended: readonly EndedRuns[],
  nowMs: number,
): Promise<TriggerAtRisk[]> {
  const byAgent = groupedBy(ending, ({ agentId }) => agentId);
  const found = await pMap(
    [...byAgent].slice(0, MOST_AGENTS),
    async ([agentId, runs]) => {
      const triggers = await known(deps, agentId);
      return [...groupedBy(runs, ({ triggerId }) => triggerId)].flatMap(([triggerId, own]): TriggerAtRisk[] => {
        const trigger = triggers.find(({ id }) => id === triggerId);
        // There is nothing left to switch off.
        if (trigger?.enabled === false) return [];
        const before = ended.find((one) => one.agentId === agentId && one.triggerId === triggerId) ?? null;
        const now = new Set(own.map(({ sessionId }) => sessionId));
        const endedBefore = stillInRow(before, nowMs).filter(({ id }) => !now.has(id)).length;
        const maxFailures = trigger?.maxFailures ?? null;
        if (now.size + endedBefore < (maxFailures ?? USUAL_MAX_FAILURES)) return [];
        return [{ agentId, triggerId, endNow: now.size, endedBefore, maxFailures }];
      });
    },
    { concurrency: AT_ONCE },
  );
  return found.flat();
}

function groupedBy(runs: readonly TriggerRun[], idOf: (run: TriggerRun) => string): Map<string, TriggerRun[]> {
  const groups = new Map<string, TriggerRun[]>();
  for (const run of runs) groups.set(idOf(run), [...(groups.get(idOf(run)) ?? []), run]);
  return groups;
}

/** A warning is not worth failing for. */
async function known(deps: Parameters<typeof listTriggers>[0], agentId: string): Promise<readonly Trigger[]> {
  try {
    return (await listTriggers(deps, agentId)) ?? [];
  } catch (error) {
    if (error instanceof SessionsError) return [];
    throw error;
  }
}
